"""Exceptions → a page that helps, or problem+json (RFC 9457) for the API. The only place that does this."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from app.errors import (
    CatalogUnavailable,
    EngineUnavailable,
    GlimpseError,
    InvalidInput,
    ModelNotReady,
    ModelUnavailable,
    NotFound,
    PictureError,
    StorageUnavailable,
    TooLarge,
)
from app.web.prefix import path_inside
from app.web.rendering import ErrorPage, Renderer
from app.web.security import HEADERS

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
API = "/api/"
RETRY_AFTER = "2"
"""Seconds after which asking again makes sense while a model loads, or the catalog or a server is away."""

_STATUS: tuple[tuple[type[GlimpseError], HTTPStatus, str], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND, "Not here"),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large"),
    (InvalidInput, HTTPStatus.BAD_REQUEST, "That does not work"),
    (PictureError, HTTPStatus.UNPROCESSABLE_ENTITY, "This picture can't be read"),
    (ModelNotReady, HTTPStatus.SERVICE_UNAVAILABLE, "The model is warming up"),
    (ModelUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "Searching is not possible"),
    (CatalogUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "The catalog is out of reach"),
    (StorageUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "The pictures can't be reached"),
    (EngineUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "Searching by look is not possible"),
)


class ErrorPages:
    """Answers for everything that was raised."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def install(self, app: FastAPI) -> None:
        app.exception_handler(GlimpseError)(self.expected)
        app.exception_handler(HTTPException)(self.http)
        app.exception_handler(RequestValidationError)(self.invalid)
        app.exception_handler(ClientDisconnect)(self.disconnected)
        app.exception_handler(Exception)(self.unexpected)

    def refusal(self, scope: Scope, status: int, title: str, detail: str) -> Response:
        """For what is refused before it comes to a route."""
        return self._answer(Request(scope), status, title, detail)

    async def expected(self, request: Request, error: GlimpseError) -> Response:
        for kind, status, title in _STATUS:
            if isinstance(error, kind):
                response = self._answer(request, status, title, str(error))
                if isinstance(error, ModelNotReady | CatalogUnavailable | StorageUnavailable | EngineUnavailable):
                    response.headers["Retry-After"] = RETRY_AFTER
                return response
        return await self.unexpected(request, error)

    async def http(self, request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.NOT_FOUND:
            return self._answer(request, error.status_code, "Not here", "There is no such page.")
        title = HTTPStatus(error.status_code).phrase
        response = self._answer(request, error.status_code, title, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    async def invalid(self, request: Request, error: RequestValidationError) -> Response:
        wrong = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
        return self._answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, "That does not work", f"{wrong}.")

    async def disconnected(self, request: Request, _error: ClientDisconnect) -> Response:
        log.info("client went away path=%s", request.url.path)
        return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody is there to read it

    async def unexpected(self, request: Request, error: Exception) -> Response:
        if isinstance(error, CatalogUnavailable):  # asked who may come in, which is before all handlers but this one
            return await self.expected(request, error)
        log.error("request failed method=%s path=%s", request.method, request.url.path, exc_info=error)
        message = "Something went wrong on the server. The log says what. Nothing you handed in before is lost."
        return self._answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, "This did not work", message)

    def _answer(self, request: Request, status: int, title: str, detail: str) -> Response:
        if path_inside(request.scope).startswith(API):
            problem = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
            return JSONResponse(problem, status, media_type=PROBLEM, headers=HEADERS)
        response = self._renderer.page(request, ErrorPage(None, int(status), title, detail), int(status))
        response.headers.update(HEADERS)  # an unexpected error is answered outside of the middleware that sets them
        return response
