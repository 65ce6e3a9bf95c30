"""/api/v1: the same verbs as JSON, typed, described by OpenAPI. Errors are problem+json (`app.web.error_pages`)."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from app.errors import InvalidInput, NotFound, TooLarge
from app.library.intake import clean_name
from app.library.library import Library
from app.media.pictures import derivative_sizes
from app.models import Image, ImageState, Match, ModelState, Outcome, Results, UploadResult
from app.web.uploads import UploadLimits, read_picture, take_in, take_in_bytes

PREFIX = "/api/v1"
MOST_RESULTS = 1000
"""Results in one answer."""

ImageId = Annotated[int, Path(ge=1, le=2**63 - 1, description="Id of a picture.")]
Limit = Annotated[int, Query(ge=1, le=MOST_RESULTS, description="Results in this answer.")]
Offset = Annotated[int, Query(ge=0, le=10_000_000, description="Results to leave out before these.")]


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class ImageUrls(BaseModel):
    """Paths on this server."""

    page: str
    original: str
    thumbnails: dict[str, str] = Field(description="By width in pixels. Empty until the picture is prepared.")


class ImageBody(BaseModel):
    """A picture of the library."""

    id: int
    md5: str
    filename: str
    format: str
    bytes: int
    width: int
    height: int
    state: ImageState
    reason: str | None = Field(description="Why it failed.")
    added_at: datetime
    taken_at: datetime | None = Field(description="By the camera's own clock, without a zone.")
    camera: str | None
    urls: ImageUrls


class ImageList(BaseModel):
    """Pictures, newest first."""

    images: list[ImageBody]
    next: str | None = Field(description="Path of the next page.")


class UploadBody(BaseModel):
    """What became of one file."""

    filename: str
    outcome: Outcome
    id: int | None
    url: str | None
    reason: str | None


class UploadList(BaseModel):
    """One result for each file, in the order sent."""

    results: list[UploadBody]


def _without_surrogates(name: object) -> object:
    """Names that are no UTF-8 on the client's disk come as halves of characters, which no database takes."""
    return name.encode("utf-8", "replace").decode() if isinstance(name, str) else name


class EncodedImage(BaseModel):
    """A picture as JSON."""

    image: str = Field(description="The file, in base64.")
    filename: Annotated[str, BeforeValidator(_without_surrogates)] = Field(default="", max_length=10_000)


class MatchBody(BaseModel):
    """A picture that was found."""

    id: int
    score: float = Field(description="Cosine between the picture's vector and the query's, -1 to 1.")
    filename: str
    width: int
    height: int
    taken_at: datetime | None
    urls: ImageUrls


class SearchBody(BaseModel):
    """One page of results, best first, ties by id."""

    query: str
    model: str
    indexed: int = Field(description="Pictures that can be found so far.")
    total: int = Field(description="Pictures in the library.")
    results: list[MatchBody]
    next: str | None = Field(description="Path of the next page.")


class SearchRequest(BaseModel):
    """A search as JSON."""

    query: str
    top_k: int = Field(default=50, ge=1, le=MOST_RESULTS)


class ModelBody(BaseModel):
    """The model of this process."""

    name: str
    space: str | None = Field(description="Fingerprint of its embedding space.")
    state: ModelState
    message: str | None


class CountsBody(BaseModel):
    """Pictures by state."""

    total: int
    pending: int
    prepared: int
    indexed: int
    failed: int


class WorkerBody(BaseModel):
    """All workers together."""

    alive: bool
    rate: float = Field(description="Pictures embedded per second, lately.")
    message: str | None


class StatusBody(BaseModel):
    """What the library is doing."""

    model: ModelBody
    images: CountsBody
    worker: WorkerBody


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "content": {"application/problem+json": {}}, "description": description}
    for code, description in (
        (400, "The request can't be answered as it stands"),
        (404, "No such picture"),
        (413, "Over a limit"),
        (422, "A value is out of range, or a picture can't be read"),
        (503, "No model can answer yet"),
    )
}
_FILE = {"type": "string", "format": "binary"}
_MULTIPART = {
    "type": "object",
    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
}
_ADD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _MULTIPART},
            "application/json": {"schema": EncodedImage.model_json_schema()},
        },
    }
}
_PICTURE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": _FILE},
                }
            }
        },
    }
}


def _problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: _PROBLEMS[code] for code in codes}


class Api:
    """The routes under `PREFIX`."""

    def __init__(self, library: Library, limits: UploadLimits) -> None:
        self._library = library
        self._limits = limits

    def router(self) -> APIRouter:
        router = APIRouter(prefix=PREFIX, tags=["api"])
        router.post("/images", responses=_problems(400, 413, 422), openapi_extra=_ADD_BODY)(self.add_images)
        router.get("/images", responses=_problems(422))(self.list_images)
        router.get("/images/{image_id}", responses=_problems(404, 422))(self.get_image)
        router.delete("/images/{image_id}", status_code=204, responses=_problems(404, 422))(self.delete_image)
        router.get("/images/{image_id}/similar", responses=_problems(400, 404, 422, 503))(self.similar)
        router.get("/search", responses=_problems(400, 422, 503))(self.search)
        router.post("/search", responses=_problems(400, 422, 503))(self.search_top)
        router.post("/search/image", responses=_problems(400, 413, 422, 503), openapi_extra=_PICTURE_BODY)(
            self.search_by_image
        )
        router.get("/status")(self.status)
        return router

    async def add_images(self, request: Request) -> UploadList:
        """Take in pictures: multipart with any number of `files`, or JSON with one in base64.

        Answers 200 also when some were rejected: each file has its own outcome.
        """
        if request.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json":
            results = [await self._add_encoded(request)]
        else:
            results = await take_in(request, self._library.intake, self._limits)
            if not results:
                raise InvalidInput("There is no file in this upload. Send pictures in the field `files`.")
        return UploadList(results=[_upload_body(request, result) for result in results])

    async def _add_encoded(self, request: Request) -> UploadResult:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._limits.file_bytes * 4 // 3 + 65_536:
                raise TooLarge(f"The picture is larger than {self._limits.file_mb:,} MB (GLIMPSE_MAX_FILE_MB).")
        try:
            encoded = EncodedImage.model_validate(json.loads(body))
            data = base64.b64decode(encoded.image.partition(",")[2] or encoded.image, validate=True)
        except (ValidationError, binascii.Error, ValueError, RecursionError) as error:
            raise InvalidInput('Send {"image": "<base64>", "filename": "…"}.') from error
        if len(data) > self._limits.file_bytes:
            raise TooLarge(f"The picture is larger than {self._limits.file_mb:,} MB (GLIMPSE_MAX_FILE_MB).")
        return await run_in_threadpool(take_in_bytes, data, encoded.filename, self._library.intake, self._limits)

    def list_images(
        self,
        request: Request,
        limit: Limit = 50,
        before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only pictures with a smaller id.")] = None,
        state: Annotated[ImageState | None, Query(description="Only pictures in this state.")] = None,
    ) -> ImageList:
        """Pictures, newest first."""
        images = self._library.images.newest(limit + 1, before, state)
        following = None
        if len(images) > limit:
            query = {"limit": limit, "before": images[limit - 1].id} | ({"state": state.value} if state else {})
            following = _path(request, f"{PREFIX}/images?{urlencode(query)}")
        return ImageList(images=[_image_body(request, image) for image in images[:limit]], next=following)

    def get_image(self, request: Request, image_id: ImageId) -> ImageBody:
        """One picture with its facts."""
        image = self._library.images.get(image_id)
        if image is None:
            raise NotFound("There is no picture with this id (any more).")
        return _image_body(request, image)

    def delete_image(self, image_id: ImageId) -> Response:
        """Remove a picture from every page and search, and its file."""
        self._library.intake.remove(image_id)
        return Response(status_code=204)

    def similar(self, request: Request, image_id: ImageId, limit: Limit = 50, offset: Offset = 0) -> SearchBody:
        """Pictures that look like this one, itself left out."""
        results = self._library.searcher.similar_to(image_id, offset, limit)
        return self._search_body(request, f"like:{image_id}", results, f"/images/{image_id}/similar", {})

    def search(
        self,
        request: Request,
        q: Annotated[str, Query(description="What the pictures look like, in words.")],
        limit: Limit = 50,
        offset: Offset = 0,
    ) -> SearchBody:
        """Find pictures by describing them."""
        return self._search_body(request, q, self._library.searcher.by_text(q, offset, limit), "/search", {"q": q})

    def search_top(self, request: Request, body: SearchRequest) -> SearchBody:
        """The same with a JSON body, for the best `top_k`."""
        results = self._library.searcher.by_text(body.query, 0, body.top_k)
        return self._search_body(request, body.query, results, "/search", {"q": body.query})

    async def search_by_image(self, request: Request, limit: Limit = 50, offset: Offset = 0) -> SearchBody:
        """Find pictures that look like the one sent, which is not kept."""
        data = await read_picture(request, self._limits)
        results = await run_in_threadpool(self._library.searcher.by_image, data, offset, limit)
        return await run_in_threadpool(self._search_body, request, "", results, None, {})

    def status(self) -> StatusBody:
        """What the library is doing."""
        status = self._library.status.read()
        counts, model, worker = status.counts, status.model, status.worker
        return StatusBody(
            model=ModelBody(
                name=model.name,
                space=model.space.fingerprint if model.space else None,
                state=model.state,
                message=model.message,
            ),
            images=CountsBody(
                total=counts.total,
                pending=counts.pending,
                prepared=counts.prepared,
                indexed=counts.indexed,
                failed=counts.failed,
            ),
            worker=WorkerBody(alive=worker.alive, rate=worker.rate, message=worker.message),
        )

    def _search_body(
        self, request: Request, query: str, results: Results, path: str | None, listed: dict[str, str]
    ) -> SearchBody:
        counts = self._library.images.counts()
        following = None
        if results.has_more and path is not None:
            paging = {"limit": str(results.limit), "offset": str(results.offset + results.limit)}
            following = _path(request, f"{PREFIX}{path}?{urlencode(listed | paging)}")
        return SearchBody(
            query=query,
            model=results.model,
            indexed=counts.indexed,
            total=counts.total,
            results=[_match_body(request, match) for match in results.matches],
            next=following,
        )


def health_router(library: Library) -> APIRouter:
    """`/healthz`: the process answers. `/readyz`: so does a search."""
    router = APIRouter(tags=["health"])

    def healthz() -> dict[str, str]:
        """Alive."""
        return {"status": "alive"}

    def readyz(response: Response) -> dict[str, str]:
        """503 until a query can be answered."""
        if library.searcher.ready():
            return {"status": "ready"}
        response.status_code = 503
        model = library.status.read().model
        return {"status": model.message or "The model is warming up."}

    router.get("/healthz")(healthz)
    router.get("/readyz", responses={503: {"description": "No query can be answered yet"}})(readyz)
    return router


def _path(request: Request, path: str) -> str:
    return f"{request.scope.get('root_path', '')}{path}"


def _urls(request: Request, image: Image) -> ImageUrls:
    sizes = derivative_sizes(image.width, image.height) if image.has_thumbnails else ()
    return ImageUrls(
        page=_path(request, f"/images/{image.id}"),
        original=_path(request, f"/images/{image.id}/original"),
        thumbnails={str(size.width): _path(request, f"/thumbs/{size.name}/{image.md5}.webp") for size in sizes},
    )


def _image_body(request: Request, image: Image) -> ImageBody:
    return ImageBody(
        id=image.id,
        md5=image.md5,
        filename=image.filename,
        format=image.format,
        bytes=image.bytes,
        width=image.width,
        height=image.height,
        state=image.state,
        reason=image.reason,
        added_at=image.added_at,
        taken_at=image.taken_at,
        camera=image.camera,
        urls=_urls(request, image),
    )


def _match_body(request: Request, match: Match) -> MatchBody:
    image = match.image
    return MatchBody(
        id=image.id,
        score=match.score,
        filename=image.filename,
        width=image.width,
        height=image.height,
        taken_at=image.taken_at,
        urls=_urls(request, image),
    )


def _upload_body(request: Request, result: UploadResult) -> UploadBody:
    url = _path(request, f"/images/{result.image_id}") if result.image_id is not None else None
    return UploadBody(
        filename=clean_name(result.filename), outcome=result.outcome, id=result.image_id, url=url, reason=result.reason
    )
