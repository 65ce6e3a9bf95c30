"""Which model finds: the page to choose it on, the comparison of two, and the forms of both."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from app.errors import InvalidInput, ModelNotReady, ModelUnavailable, NotFound
from app.library.library import Library
from app.models import Results
from app.web.rendering import ComparePage, ModelsPage, Renderer, Side, tiles_of

COMPARED = 12
"""Pictures of each model that stand side by side."""


class ModelPages:
    """`/models` and what is below it."""

    def __init__(self, library: Library, renderer: Renderer) -> None:
        self._library = library
        self._renderer = renderer

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.get("/models", response_class=HTMLResponse)(self.models)
        router.get("/models/compare", response_class=HTMLResponse)(self.compare)
        router.post("/models/use")(self.use)
        router.post("/models/rollback")(self.roll_back)
        router.post("/models/reindex")(self.reindex)
        return router

    def models(self, request: Request) -> HTMLResponse:
        page = ModelsPage(self._library.status.read(), tuple(self._library.chooser.models()))
        return self._renderer.page(request, page)

    def compare(self, request: Request, q: str = "") -> HTMLResponse:
        status = self._library.status.read()
        if not q.strip():
            return self._renderer.page(request, ComparePage(status, q))
        try:
            both = self._library.searcher.compare(q, COMPARED)
        except ModelNotReady:
            page = ComparePage(status, q, waiting=True)
            return self._renderer.page(request, page, 503)
        except (InvalidInput, NotFound, ModelUnavailable) as error:
            return self._renderer.page(request, ComparePage(status, q, complaint=str(error)), _code(error))
        return self._renderer.page(request, ComparePage(status, q, _sides(both)))

    def use(self, request: Request, name: Annotated[str, Query(max_length=500)]) -> RedirectResponse:
        self._library.chooser.use_listed(name)
        return _to_models(request)

    def roll_back(self, request: Request) -> RedirectResponse:
        try:
            self._library.chooser.roll_back()
        except (ModelUnavailable, NotFound) as error:
            self._library.chooser.complain(str(error))
        return _to_models(request)

    def reindex(self, request: Request) -> RedirectResponse:
        self._library.chooser.embed_anew()
        return _to_models(request)


def _to_models(request: Request) -> RedirectResponse:
    return RedirectResponse(f"{request.scope.get('root_path', '')}/models", 303)


def _sides(both: tuple[Results, Results]) -> tuple[Side, ...]:
    found = [{match.image.id for match in results.matches} for results in both]
    shared = len(found[0] & found[1])
    return tuple(
        Side(results.model, tiles_of(match.image for match in results.matches), results.relevant, shared)
        for results in both
    )


def _code(error: Exception) -> int:
    return 503 if isinstance(error, ModelUnavailable) else 404 if isinstance(error, NotFound) else 400
