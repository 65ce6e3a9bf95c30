"""GET → HTML. Each method is one page; all of them work without JavaScript."""

from __future__ import annotations

import platform
import time
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Literal
from urllib.parse import urlencode

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import NaiveDatetime
from starlette.concurrency import run_in_threadpool

from app import __version__
from app.catalog.images import Place
from app.errors import (
    EngineUnavailable,
    InvalidInput,
    ModelNotReady,
    ModelUnavailable,
    NotFound,
    PictureError,
    TooLarge,
)
from app.library.library import Library
from app.library.picture_links import LONGEST
from app.models import Image, ImageState, Match, ModelState, Results
from app.web.error_pages import RETRY_AFTER
from app.web.filters import remembered, submitted_url
from app.web.prefix import see
from app.web.rendering import (
    FRAGMENT_HEADER,
    AddPage,
    GalleryPage,
    HelpPage,
    ImagePage,
    ProblemsPage,
    ReceiptPage,
    Renderer,
    SearchPage,
    StatusFragment,
    StatusPage,
    TilesFragment,
    TrashedPage,
    TrashPage,
    listed_by,
)
from app.web.timeline import end_of_month, newer_url, older_url, years_of
from app.web.uploads import PICTURES_AT_ONCE, QUERY_BYTES, UploadLimits, read_picture

SIMILAR = 12
"""Pictures in the row *More like this*."""
MOST_TILES = 500
"""Tiles that may be asked for by id at once."""
SHOWN_VERSIONS = ("torch", "sentence-transformers", "faiss-cpu", "pillow", "fastapi", "sqlalchemy")

ImageId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Neighbour = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
Picture = Annotated[str, Query(max_length=LONGEST)]
Order = Annotated[Literal["added"] | None, Query()]
"""``None``: by date."""


class Pages:
    """``page_size``: pictures on one page. ``data_folder``: shown on the status page."""

    def __init__(
        self, library: Library, renderer: Renderer, page_size: int, limits: UploadLimits, data_folder: str
    ) -> None:
        self._library = library
        self._renderer = renderer
        self._page_size = page_size
        self._limits = limits
        self._data_folder = data_folder
        self._choices = remembered(library.images.choices)
        self._pictures = CapacityLimiter(PICTURES_AT_ONCE)

    def router(self) -> APIRouter:
        router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
        router.get("/")(self.gallery)
        router.head("/")(self.gallery)  # of monitors
        router.get("/search")(self.search)
        router.post("/search/picture")(self.search_by_picture)
        router.get("/images/{image_id}")(self.image)
        router.get("/add")(self.add)
        router.get("/uploads/{token}")(self.receipt)
        router.get("/problems")(self.problems)
        router.get("/trash")(self.trash)
        router.get("/trash/{image_id}")(self.trashed)
        router.get("/status")(self.status)
        router.get("/help")(self.help)
        router.get("/fragments/status")(self.status_fragment)
        router.get("/fragments/tiles")(self.tiles_fragment)
        return router

    def gallery(
        self,
        request: Request,
        order: Order = None,
        date: Annotated[NaiveDatetime | None, Query()] = None,
        before: Neighbour = None,
        after: Neighbour = None,
        month: Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}$")] = None,
    ) -> HTMLResponse:
        """``date`` and ``before`` (or ``after``) are a picture's: pages stay as they are while others come and go."""
        if order is not None:
            return self._page_or_tiles(request, self._gallery_by_added(before))
        if after is not None:
            return self._page_or_tiles(request, self._gallery_above(self._place(date, after)))
        place = end_of_month(month) if month is not None else self._place(date, before) if before is not None else None
        return self._page_or_tiles(request, self._gallery_below(place))

    def _gallery_by_added(self, before: int | None) -> GalleryPage:
        images, more = self._page_of(self._library.images.newest(self._page_size + 1, before))
        return GalleryPage(
            status=self._library.status.read(),
            images=images,
            newer_url="/?order=added" if before else None,
            older_url=f"/?order=added&before={images[-1].id}" if more else None,
            choices=self._choices(),
            by_added=True,
        )

    def _gallery_above(self, place: Place) -> GalleryPage:
        """The page that ends above ``place``; where there is less than a page, the first one."""
        images = self._library.images.just_newer(place, self._page_size)
        whole = len(images) == self._page_size
        return self._gallery_by_date(tuple(images), more=True) if whole else self._gallery_below(None)

    def _gallery_below(self, place: Place | None) -> GalleryPage:
        images, more = self._page_of(self._library.images.by_date(self._page_size + 1, place))
        return self._gallery_by_date(images, more, beyond=place is not None)

    def _gallery_by_date(self, images: tuple[Image, ...], more: bool, beyond: bool = False) -> GalleryPage:
        """``beyond``: the page did not begin at the start, so that there is one above it even if it is empty."""
        catalog = self._library.images
        if images:
            beyond = bool(catalog.just_newer(Place.of(images[0]), 1))
        return GalleryPage(
            status=self._library.status.read(),
            images=images,
            newer_url=newer_url(images[0]) if beyond and images else "/" if beyond else None,
            older_url=older_url(images[-1]) if more else None,
            choices=self._choices(),
            per_day=catalog.days(images[-1].date.date(), images[0].date.date()) if images else {},
            years=years_of(catalog.months(), images[0].date.isoformat()[:7]) if images else (),
        )

    def _place(self, date: datetime | None, image_id: int) -> Place:
        return Place(date, image_id) if date else Place.of(self._get(image_id))

    def search(
        self,
        request: Request,
        q: str = "",
        like: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        picture: Picture = "",
    ) -> Response:
        if like is None and (submitted := submitted_url(q, request.query_params, picture)):
            return see(request, submitted)
        if not q.strip() and like is None and not picture:
            return see(request, "/")
        listed = listed_by(q, picture) if like is None else {"like": str(like)}
        results, complaint, away, code = None, None, None, 200
        try:
            results = self._find(q, like, (page - 1) * self._page_size, self._page_size, picture)
        except InvalidInput as error:
            complaint, code = str(error), 400
        except (ModelNotReady, ModelUnavailable):
            code = 503
        except EngineUnavailable as error:
            away, code = str(error), 503
        context = SearchPage(
            status=self._library.status.read(),
            query=q,
            results=results,
            like=self._get(like) if like is not None else None,
            previous_url=_search_url(listed, page - 1) if page > 1 else None,
            next_url=_search_url(listed, page + 1) if results is not None and results.has_more else None,
            complaint=complaint,
            choices=self._choices(),
            picture=picture,
            away=away,
        )
        response = self._page_or_tiles(request, context, code)
        if code == 503 and context.status.model.state is not ModelState.UNAVAILABLE:
            response.headers["Retry-After"] = RETRY_AFTER
        return response

    async def search_by_picture(self, request: Request, q: str = "") -> Response:
        """The picture is looked at and not kept: what is needed of it goes on in the address."""
        complaint, code = None, 503
        try:
            data = await read_picture(request, UploadLimits(min(self._limits.file_bytes, QUERY_BYTES), 1))
            token = await to_thread.run_sync(self._library.searcher.look_at, data, limiter=self._pictures)
            return see(request, f"/search?{urlencode(listed_by(q, token))}")
        except TooLarge as error:
            complaint, code = str(error), 413
        except InvalidInput:
            complaint, code = "Choose a picture to search by first.", 400
        except PictureError as error:
            complaint, code = f"This picture can't be searched by. {error}", 422
        except ModelNotReady:
            complaint = "The model is warming up. Browsing works; choose the picture again in a moment."
        except ModelUnavailable as error:
            complaint = f"Searching is not possible at the moment. {error}"
        status = await run_in_threadpool(self._library.status.read)
        return self._renderer.page(request, SearchPage(status, q, None, None, None, None, complaint), code)

    def image(
        self,
        request: Request,
        image_id: ImageId,
        q: str = "",
        like: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
        rank: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
        order: Order = None,
        picture: Picture = "",
    ) -> HTMLResponse:
        image = self._get(image_id)
        if rank is not None and (q.strip() or like is not None or picture):
            back, previous_url, next_url = self._place_in_results(image_id, q, like, rank, picture)
        else:
            back, previous_url, next_url = self._place_in_gallery(image, order)
        page = ImagePage(
            status=self._library.status.read(),
            image=image,
            similar=self._similar(image_id),
            back_url=back,
            previous_url=previous_url,
            next_url=next_url,
        )
        return self._renderer.page(request, page)

    def add(self, request: Request) -> HTMLResponse:
        return self._renderer.page(request, AddPage(self._library.status.read(), self._limits.file_mb))

    def receipt(self, request: Request, token: Annotated[str, Path(max_length=64)]) -> HTMLResponse:
        results = self._library.receipts.read(token)
        if results is None:
            raise NotFound("What became of an upload is kept for a week. The pictures themselves are in the gallery.")
        return self._renderer.page(request, ReceiptPage(self._library.status.read(), tuple(results)))

    def problems(self, request: Request, before: Neighbour = None) -> HTMLResponse:
        failed = self._library.images.newest(self._page_size + 1, before, ImageState.FAILED)
        images, more = self._page_of(failed)
        next_url = f"/problems?before={images[-1].id}" if more else None
        return self._renderer.page(request, ProblemsPage(self._library.status.read(), images, next_url))

    def trash(self, request: Request, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1) -> HTMLResponse:
        items = self._library.trash.latest(self._page_size + 1, (page - 1) * self._page_size)
        context = TrashPage(
            status=self._library.status.read(),
            items=tuple(items[: self._page_size]),
            total=self._library.trash.count(),
            next_url=f"/trash?page={page + 1}" if len(items) > self._page_size else None,
        )
        return self._renderer.page(request, context)

    def trashed(self, request: Request, image_id: ImageId) -> HTMLResponse:
        item = self._library.trash.get(image_id)
        if item is None:
            raise NotFound("This picture is not in the trash (any more).")
        return self._renderer.page(request, TrashedPage(self._library.status.read(), item))

    def status(self, request: Request) -> HTMLResponse:
        versions = [("glimpse", __version__), ("python", platform.python_version())]
        place = self._library.store.place
        page = StatusPage(
            status=self._library.status.read(),
            data_folder=self._data_folder,
            bytes_of_originals=self._library.images.total_bytes(),
            versions=(*versions, *((name, version(name)) for name in SHOWN_VERSIONS)),
            locked=self._library.access.is_locked,
            watched=self._library.watched.all(),
            now=time.time(),
            pictures_place="" if place.startswith(self._data_folder) else place,
        )
        return self._renderer.page(request, page)

    def help(self, request: Request) -> HTMLResponse:
        searchable = self._library.images.newest(1, state=ImageState.INDEXED)
        return self._renderer.page(request, HelpPage(self._library.status.read(), next(iter(searchable), None)))

    def status_fragment(self, request: Request) -> HTMLResponse:
        return self._renderer.fragment(request, "_status.html", StatusFragment(self._library.status.read()))

    def tiles_fragment(self, request: Request, ids: Annotated[str, Query(max_length=20 * MOST_TILES)]) -> HTMLResponse:
        wanted = [int(part) for part in ids.split(",") if part.isdecimal() and len(part) < 19]
        if len(wanted) > MOST_TILES:
            raise InvalidInput(f"Ask for at most {MOST_TILES} tiles at once.")
        found = self._library.images.get_many(wanted)
        images = tuple(found[image_id] for image_id in wanted if image_id in found)
        return self._renderer.fragment(request, "_tiles.html", TilesFragment(images))

    def _similar(self, image_id: int) -> tuple[Match, ...]:
        try:
            return self._library.searcher.similar_to(image_id, limit=SIMILAR).matches
        except EngineUnavailable:  # a picture can be looked at all the same
            return ()

    def _get(self, image_id: int) -> Image:
        image = self._library.images.get(image_id)
        if image is None:
            raise NotFound("This picture is not here (any more).")
        return image

    def _find(self, query: str, like: int | None, offset: int, limit: int, picture: str) -> Results:
        if like is not None:
            return self._library.searcher.similar_to(like, offset, limit)
        return self._library.searcher.by_text(query, offset, limit, picture)

    def _place_in_gallery(self, image: Image, order: str | None) -> tuple[str, str | None, str | None]:
        """URLs of the gallery, and of the pictures before and after this one."""
        catalog = self._library.images
        listed = f"?order={order}" if order else ""
        newer, older = catalog.neighbours(image.id) if order else catalog.neighbours_by_date(image)
        newer_url, older_url = (f"/images/{near}{listed}" if near else None for near in (newer, older))
        return f"/{listed}", newer_url, older_url

    def _place_in_results(
        self, image_id: int, query: str, like: int | None, rank: int, picture: str
    ) -> tuple[str, str | None, str | None]:
        """URLs of the results page, and of the pictures before and after this one.

        It stood at ``rank`` when its tile was made: others may have come or gone since.
        """
        listed = listed_by(query, picture) if like is None else {"like": str(like)}
        first = max(rank - self._page_size, 0)
        try:
            around = self._find(query, like, first, rank + self._page_size + 1 - first, picture).matches
        except (EngineUnavailable, InvalidInput, ModelNotReady, ModelUnavailable, NotFound):
            return _search_url(listed, rank // self._page_size + 1), None, None
        by_rank = dict(enumerate(around, start=first))
        rank = next((place for place, match in by_rank.items() if match.image.id == image_id), rank)
        back = _search_url(listed, rank // self._page_size + 1)
        return back, _ranked_url(by_rank, rank - 1, listed), _ranked_url(by_rank, rank + 1, listed)

    def _page_of(self, images: list[Image]) -> tuple[tuple[Image, ...], bool]:
        """The pictures of one page, and whether the one beyond it shows that there is more."""
        return tuple(images[: self._page_size]), len(images) > self._page_size

    def _page_or_tiles(self, request: Request, page: GalleryPage | SearchPage, status_code: int = 200) -> HTMLResponse:
        if FRAGMENT_HEADER in request.headers and status_code == 200:
            return self._renderer.fragment(request, "_tiles.html", page)
        return self._renderer.page(request, page, status_code)


def _search_url(listed: dict[str, str], page: int) -> str:
    return f"/search?{urlencode(listed | ({'page': str(page)} if page > 1 else {}))}"


def _ranked_url(by_rank: dict[int, Match], rank: int, listed: dict[str, str]) -> str | None:
    match = by_rank.get(rank)
    return f"/images/{match.image.id}?{urlencode(listed | {'rank': str(rank)})}" if match else None
