"""The front door: who has no session and no key gets the page that asks for the password, and nothing else."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import GlimpseError, TooLarge
from app.library.access import SESSION_SECONDS, Access
from app.models import Scope as KeyScope
from app.web.error_pages import API, PROBLEM, ErrorPages
from app.web.limits import Rates, address_of
from app.web.prefix import path_inside, prefix_of, see
from app.web.rendering import LoginPage, Renderer, duration

COOKIE = "glimpse_session"
OPEN_PATHS = ("/login", "/healthz", "/readyz")
METRICS = "/metrics"
OPEN_FOLDERS = ("/static/",)
READING_POSTS = ("/api/v1/search", "/api/v1/search/image", "/search/picture")
"""Requests that change nothing although they are POSTs."""
LONGEST_FORM = 10_000
LONGEST_TARGET = 2_000
"""Characters of the address that signing in leads back to. It stands in a header, of which proxies hold 4,000 bytes."""
WHAT_TO_DO = "Sign in at /login, or send a key: Authorization: Bearer glimpse_… (made with python run.py keys add)."


class SignedInOnly:
    """Lets through who has a session or a key that opens what is asked for; everybody where no password is set."""

    def __init__(self, app: ASGIApp, access: Access, errors: ErrorPages) -> None:
        self._app = app
        self._access = access
        self._errors = errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_open(path_inside(scope)):
            await self._app(scope, receive, send)
            return
        try:
            if self._access.is_fresh:
                refusal = self._refusal(scope)
            else:
                refusal = await run_in_threadpool(self._refusal, scope)
        except GlimpseError as error:  # nobody comes in while it can't be found out who may
            refusal = await self._errors.expected(Request(scope), error)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if not self._access.is_locked:
            return None
        headers = Headers(scope=scope)
        kind, _, key = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            allowed = self._access.scope_of(key.strip())
            if allowed is None:
                return _problem(401, "This key is not known", "It may have been revoked. " + WHAT_TO_DO)
            if allowed is KeyScope.READ and not _only_reads(scope):
                return _problem(403, "This key only reads", "Make one with --scope write to add and delete pictures.")
            return None
        if self._access.session_holds(cookie_parser(headers.get("cookie", "")).get(COOKIE, "")):
            return None
        return _sign_in_first(scope, headers)


class SignIn:
    """Signing in and out."""

    def __init__(self, access: Access, renderer: Renderer, rates: Rates) -> None:
        self._access = access
        self._renderer = renderer
        self._rates = rates
        self._checks = CapacityLimiter(1)  # one is worked on at once; the others must not wait in threads of the pages

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.get("/login", response_class=HTMLResponse)(self.ask)
        router.post("/login")(self.sign_in)
        router.post("/logout")(self.sign_out)
        return router

    def ask(self, request: Request, next: str = "/") -> Response:
        if not self._access.is_locked:
            return _see(request, "/")
        return self._renderer.page(request, LoginPage(safe_path(next)))

    async def sign_in(self, request: Request) -> Response:
        form = await _read_form(request)
        target = safe_path(form.get("next", "/"))
        address = address_of(request.scope)
        # Counted before it is looked at: attempts that come all at once must not pass all at once.
        seconds = await self._rates.refused("sign_ins", address)
        if seconds is not None:
            page = LoginPage(target, f"Too many wrong passwords. Try again in {duration(seconds)}.")
            response: Response = self._renderer.page(request, page, 429)
            response.headers["Retry-After"] = str(seconds)
            return response
        password = form.get("password", "")
        if not await to_thread.run_sync(self._access.password_fits, password, limiter=self._checks):
            return self._renderer.page(request, LoginPage(target, "This is not the password."), 403)
        await self._rates.forget("sign_ins", address)
        response = _see(request, target)
        response.set_cookie(
            COOKIE,
            await run_in_threadpool(self._access.begin_session),
            max_age=SESSION_SECONDS,
            path=prefix_of(request.scope) or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return response

    async def sign_out(self, request: Request) -> Response:
        response = _see(request, "/login")
        response.delete_cookie(COOKIE, path=prefix_of(request.scope) or "/")
        # What was seen must not come back by the browser's Back. Heeded over https and on this machine only:
        # https://www.w3.org/TR/clear-site-data/
        response.headers["Clear-Site-Data"] = '"cache"'
        return response


def safe_path(target: str) -> str:
    """``target`` where it is a path on this server, else ``/``: nobody is sent to another site from here."""
    if len(target) > LONGEST_TARGET or not target.isprintable() or "\\" in target:
        return "/"
    try:
        parts = urlsplit(target)
    except ValueError:  # an address that begins with a bracket and ends without
        return "/"
    inside = not parts.scheme and not parts.netloc and parts.path.startswith("/")
    return target if inside and not target.startswith("//") else "/"


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def _only_reads(scope: Scope) -> bool:
    return scope["method"] in ("GET", "HEAD", "OPTIONS") or path_inside(scope) in READING_POSTS


def _sign_in_first(scope: Scope, headers: Headers) -> Response:
    """A redirect where a person looks at the answer; a plain refusal for scripts, pictures and programs."""
    if path_inside(scope).startswith(API):
        return _problem(401, "Sign in first", WHAT_TO_DO)
    if scope["method"] == "POST" and "text/html" in headers.get("accept", ""):  # a form, whose page is still open
        return RedirectResponse(f"{prefix_of(scope)}/login", 303, headers={"Cache-Control": "no-store"})
    if (
        path_inside(scope) == METRICS
        or scope["method"] != "GET"
        # Browsers say what they fetch for over https and to this machine; elsewhere only what they would take.
        or headers.get("sec-fetch-dest", "document" if "text/html" in headers.get("accept", "") else "") != "document"
    ):
        return PlainTextResponse(f"Sign in first. {WHAT_TO_DO}", 401)
    query = scope["query_string"].decode("latin-1")
    target = path_inside(scope) + (f"?{query}" if query else "")
    asked = f"?{urlencode({'next': target})}" if target != "/" and len(target) <= LONGEST_TARGET else ""
    return RedirectResponse(f"{prefix_of(scope)}/login{asked}", 303, headers={"Cache-Control": "no-store"})


def _problem(status: int, title: str, detail: str) -> Response:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(
        body, status, media_type=PROBLEM, headers={"WWW-Authenticate": "Bearer"} if status == 401 else {}
    )


async def _read_form(request: Request) -> dict[str, str]:
    """The fields of a small form. Raises `TooLarge`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            raise TooLarge("This form is too long.")
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _see(request: Request, path: str) -> RedirectResponse:
    response = see(request, path)
    response.headers["Cache-Control"] = "no-store"
    return response
