"""Headers on every answer, and the door that other sites' forms and scripts find shut."""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.limits import Refuse

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LOCAL_ENDINGS = (".local", ".localhost", ".lan", ".internal", ".home", ".home.arpa")
"""Ends of names that no public name server gives out: RFC 6761, 6762, 8375 and common home networks.

Of `arpa` only that one: zones below `ip6.arpa` are anybody's who has addresses.
"""
_NAME = re.compile(r"[\w.-]*")
_IPV6 = re.compile(r"\[[0-9a-f:.]+\](:\d+)?")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class SecurityHeaders:
    """Adds `HEADERS` to every answer that does not set them itself.

    ``pictures``: origin that browsers are sent to for pictures, besides our own.
    """

    def __init__(self, app: ASGIApp, pictures: str = "") -> None:
        self._app = app
        policy = HEADERS["Content-Security-Policy"]
        allowed = policy.replace("img-src 'self'", f"img-src 'self' {pictures}") if pictures else policy
        self._headers = HEADERS | {"Content-Security-Policy": allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class KnownHosts:
    """Answers only to names that can't be a stranger's (DNS rebinding): else any site could point its own name at this
    machine and have the browser read the gallery as a page of its own.

    Addresses, names without a dot and names of local networks are known by themselves; ``hosts`` adds others, ``*``
    any.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], refuse: Refuse) -> None:
        self._app = app
        self._refuse = refuse
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_known(Headers(scope=scope).get("host", "")):
            what_to_do = "To use it, set GLIMPSE_HOSTS to it."
            await self._refuse(scope, 421, "This name is not known here", what_to_do)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_known(self, header: str) -> bool:
        host = header.lower()
        if host.startswith("["):
            return _IPV6.fullmatch(host) is not None
        name = host.rpartition(":")[0] if ":" in host else host
        if _NAME.fullmatch(name) is None:
            return False
        name = name.rstrip(".")
        is_local = "." not in name or name.rpartition(".")[2].isdigit() or name.endswith(LOCAL_ENDINGS)
        return is_local or name in self._hosts or "*" in self._hosts


class SameOriginOnly:
    """Refuses requests that change something and come from another site's page (CSRF).

    Browsers say where a request comes from in ``Sec-Fetch-Site``, older ones in ``Origin``; programs say neither and
    may pass. See https://words.filippo.io/csrf/ for why no token is needed.
    """

    def __init__(self, app: ASGIApp, refuse: Refuse) -> None:
        self._app = app
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and not _same_origin(Headers(scope=scope)):
            why = "This request came from another site's page. Do it from a page of the gallery."
            await self._refuse(scope, 403, "This was refused", why)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _same_origin(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")
