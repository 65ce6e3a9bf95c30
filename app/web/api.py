"""/api/v1: the same verbs as JSON, typed, described by OpenAPI. Errors are problem+json (`app.web.error_pages`)."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Any
from urllib.parse import urlencode

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from app.errors import InvalidInput, NotFound, TooLarge
from app.library.library import Library
from app.library.picture_links import LONGEST
from app.models import ImageState, Results, UploadResult
from app.web.bodies import (
    MOST_RESULTS,
    EncodedImage,
    ImageBody,
    ImageList,
    Problem,
    SearchBody,
    SearchRequest,
    StatusBody,
    TrashList,
    UploadList,
    image_body,
    match_body,
    path_of,
    status_body,
    trashed_body,
    upload_body,
)
from app.web.limits import is_json
from app.web.rendering import listed_by
from app.web.uploads import PICTURES_AT_ONCE, QUERY_BYTES, UploadLimits, read_picture, take_in, take_in_bytes

PREFIX = "/api/v1"

ImageId = Annotated[int, Path(ge=1, le=2**63 - 1, description="Id of a picture.")]
Limit = Annotated[int, Query(ge=1, le=MOST_RESULTS, description="Results in this answer.")]
Offset = Annotated[int, Query(ge=0, le=10_000_000, description="Results to leave out before these.")]


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "content": {"application/problem+json": {}}, "description": description}
    for code, description in (
        (400, "The request can't be answered as it stands"),
        (404, "No such picture"),
        (408, "The rest of the request did not come"),
        (413, "Over a limit"),
        (422, "A value is out of range, or a picture can't be read"),
        (429, "Too much at once: `Retry-After` says when to come again"),
        (503, "No model can answer yet, or the catalog can't be used just now"),
    )
}
_FILE = {"type": "string", "format": "binary"}
_MULTIPART = {
    "type": "object",
    "properties": {"files": {"type": "array", "items": _FILE}},
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
        self._pictures = CapacityLimiter(PICTURES_AT_ONCE)

    def router(self) -> APIRouter:
        router = APIRouter(prefix=PREFIX, tags=["api"], responses=_problems(413, 429))
        router.post("/images", responses=_problems(400, 408, 422), openapi_extra=_ADD_BODY)(self.add_images)
        router.get("/images", responses=_problems(422))(self.list_images)
        router.get("/images/{image_id}", responses=_problems(404, 422))(self.get_image)
        router.delete("/images/{image_id}", status_code=204, responses=_problems(404, 422))(self.delete_image)
        router.post("/images/{image_id}/restore", responses=_problems(404, 422))(self.restore_image)
        router.get("/trash", responses=_problems(422))(self.list_trash)
        router.delete("/trash", status_code=204)(self.empty_trash)
        router.get("/images/{image_id}/similar", responses=_problems(400, 404, 422, 503))(self.similar)
        router.get("/search", responses=_problems(400, 422, 503))(self.search)
        router.post("/search", responses=_problems(400, 422, 503))(self.search_top)
        router.post("/search/image", responses=_problems(400, 408, 422, 503), openapi_extra=_PICTURE_BODY)(
            self.search_by_image
        )
        router.get("/status")(self.status)
        return router

    async def add_images(self, request: Request) -> UploadList:
        """Take in pictures: multipart with any number of `files`, or JSON with one in base64.

        Answers 200 also when some were rejected: each file has its own outcome.
        """
        if is_json(request.headers):
            results = [await self._add_encoded(request)]
        else:
            results = await take_in(request, self._library.intake, self._limits)
            if not results:
                raise InvalidInput("There is no file in this upload. Send pictures in the field `files`.")
        return UploadList(results=[upload_body(request, result) for result in results])

    async def _add_encoded(self, request: Request) -> UploadResult:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > min(self._limits.file_bytes, QUERY_BYTES) * 4 // 3 + 65_536:
                raise TooLarge(
                    f"The picture is larger than {self._limits.file_mb:,} MB (GLIMPSE_MAX_FILE_MB), or than the "
                    f"{QUERY_BYTES // 1_000_000} MB that may come as JSON: send it as multipart/form-data."
                )
        return await run_in_threadpool(self._take_in_encoded, bytes(body))

    def _take_in_encoded(self, body: bytes) -> UploadResult:
        try:
            encoded = EncodedImage.model_validate(json.loads(body))
            image = "".join(encoded.image.split())  # many programs break it into lines
            data = base64.b64decode(image.partition(",")[2] or image, validate=True)
        except (ValidationError, binascii.Error, ValueError, RecursionError) as error:
            raise InvalidInput('Send {"image": "<base64>", "filename": "…"}.') from error
        if len(data) > self._limits.file_bytes:
            raise TooLarge(f"The picture is larger than {self._limits.file_mb:,} MB (GLIMPSE_MAX_FILE_MB).")
        return take_in_bytes(data, encoded.filename, self._library.intake, self._limits)

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
            following = path_of(request, f"{PREFIX}/images?{urlencode(query)}")
        return ImageList(images=[image_body(request, image) for image in images[:limit]], next=following)

    def get_image(self, request: Request, image_id: ImageId) -> ImageBody:
        """One picture with its facts."""
        image = self._library.images.get(image_id)
        if image is None:
            raise NotFound("There is no picture with this id (any more).")
        return image_body(request, image)

    def delete_image(
        self,
        image_id: ImageId,
        forever: Annotated[bool, Query(description="Not to the trash: the file goes as well.")] = False,
    ) -> Response:
        """Take a picture out of every page and search, and move it to the trash."""
        if not forever:
            self._library.intake.throw_away(image_id)
        elif self._library.trash.get(image_id):
            self._library.intake.discard(image_id)
        else:
            self._library.intake.remove(image_id)
        return Response(status_code=204)

    def restore_image(self, request: Request, image_id: ImageId) -> ImageBody:
        """Bring a picture back from the trash; it is indexed again."""
        self._library.intake.restore(image_id)
        return self.get_image(request, image_id)

    def list_trash(self, request: Request, limit: Limit = 50, offset: Offset = 0) -> TrashList:
        """What was deleted, the last first."""
        items = self._library.trash.latest(limit + 1, offset)
        following = None
        if len(items) > limit:
            query = {"limit": limit, "offset": offset + limit}
            following = path_of(request, f"{PREFIX}/trash?{urlencode(query)}")
        images = [trashed_body(item) for item in items[:limit]]
        return TrashList(total=self._library.trash.count(), images=images, next=following)

    def empty_trash(self) -> Response:
        """Delete everything in the trash for good."""
        self._library.intake.empty_trash()
        return Response(status_code=204)

    def similar(self, request: Request, image_id: ImageId, limit: Limit = 50, offset: Offset = 0) -> SearchBody:
        """Pictures that look like this one, itself left out."""
        results = self._library.searcher.similar_to(image_id, offset, limit)
        return self._search_body(request, f"like:{image_id}", results, f"/images/{image_id}/similar", {})

    def search(
        self,
        request: Request,
        q: Annotated[str, Query(description="What the pictures look like, in words.")] = "",
        picture: Annotated[
            str,
            Query(max_length=LONGEST, description="A picture they look like: from `POST /search/image`, for an hour."),
        ] = "",
        limit: Limit = 50,
        offset: Offset = 0,
    ) -> SearchBody:
        """Find pictures by describing them."""
        return self._found(request, q, picture, offset, limit)

    def search_top(self, request: Request, body: SearchRequest) -> SearchBody:
        """The same with a JSON body, for the best `top_k`."""
        return self._found(request, body.query, "", 0, body.top_k)

    async def search_by_image(
        self,
        request: Request,
        q: Annotated[str, Query(description="Words and conditions beside the picture.")] = "",
        limit: Limit = 50,
        offset: Offset = 0,
    ) -> SearchBody:
        """Find pictures that look like the one sent, which is not kept: `picture` in the answer stands for it."""
        data = await read_picture(request, UploadLimits(min(self._limits.file_bytes, QUERY_BYTES), 1))
        picture = await to_thread.run_sync(self._library.searcher.look_at, data, limiter=self._pictures)
        return await run_in_threadpool(self._found, request, q, picture, offset, limit)

    def status(self) -> StatusBody:
        """What the library is doing."""
        return status_body(self._library.identity(), self._library.status.read())

    def _found(self, request: Request, query: str, picture: str, offset: int, limit: int) -> SearchBody:
        results = self._library.searcher.by_text(query, offset, limit, picture)
        body = self._search_body(request, query, results, "/search", listed_by(query, picture))
        return body.model_copy(update={"picture": picture or None})

    def _search_body(
        self, request: Request, query: str, results: Results, path: str | None, listed: dict[str, str]
    ) -> SearchBody:
        counts = self._library.images.counts()
        following = None
        if results.has_more and path is not None:
            paging = {"limit": str(results.limit), "offset": str(results.offset + results.limit)}
            following = path_of(request, f"{PREFIX}{path}?{urlencode(listed | paging)}")
        return SearchBody(
            query=query,
            model=results.model,
            indexed=counts.indexed,
            total=counts.total,
            matches=results.relevant,
            at_least=results.at_least,
            results=[match_body(request, match) for match in results.matches],
            next=following,
        )


def health_router(library: Library) -> APIRouter:
    """`/healthz`: the process answers. `/readyz`: so does a search."""
    router = APIRouter(tags=["health"])

    async def healthz() -> dict[str, str]:  # without a thread: alive is alive, however busy the threads are
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
    for path, answer in (("/healthz", healthz), ("/readyz", readyz)):  # many monitors ask for the head alone
        router.head(path, include_in_schema=False)(answer)
    return router
