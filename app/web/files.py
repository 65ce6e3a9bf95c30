"""GET → picture files: thumbnails, which never change, and originals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import format_datetime, parsedate_to_datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse, RedirectResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import MalformedRangeHeader, PlainTextResponse, RangeNotSatisfiable
from starlette.staticfiles import NotModifiedResponse
from starlette.types import Receive, Scope, Send

from app.errors import NotFound
from app.library.library import Library
from app.media.pictures import FORMATS
from app.media.store import Facts, Remote, original_name, thumbnail_name

FOREVER = "private, max-age=31536000, immutable"
"""The MD5 stands in the URL: other pixels have another one."""
ASK_AGAIN = "private, no-cache"
"""Conditional requests keep this cheap, and a deleted picture is gone from caches, too."""
CONDITIONS = {"range", "if-none-match", "if-modified-since"}
FOR_A_WHILE = "private, max-age=900"
"""A signed address is given out for half an hour and holds for a whole one."""


class Files:
    """Serves what lies in the store."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.api_route("/thumbs/{width}/{md5}.webp", methods=["GET", "HEAD"])(self.thumbnail)
        router.api_route("/images/{image_id}/original", methods=["GET", "HEAD"])(self.original)
        return router

    def thumbnail(
        self,
        request: Request,
        width: Literal["256", "640", "1280"],
        md5: Annotated[str, Path(pattern="^[0-9a-f]{32}$")],
    ) -> Response:
        def missing() -> NotFound:
            self._library.intake.restore_thumbnails(md5, int(width))
            return NotFound("This preview is not there (yet).")

        served = {"media_type": "image/webp", "headers": {"Cache-Control": FOREVER}}
        return self._answer(request, thumbnail_name(md5, int(width)), missing, served, FOR_A_WHILE)

    def original(
        self, request: Request, image_id: Annotated[int, Path(ge=1, le=2**63 - 1)], download: bool = False
    ) -> Response:
        image = self._library.images.get(image_id)
        if image is None:
            raise NotFound("This picture is not here (any more).")
        kind = FORMATS[image.format]
        shown = kind.shown and not download
        served = {
            "media_type": kind.media_type,  # by content, never by the name somebody gave it
            "filename": image.filename,
            "content_disposition_type": "inline" if shown else "attachment",
            "headers": {"Cache-Control": ASK_AGAIN, "ETag": f'"{image.md5}"'},
        }
        # What is saved has to have its own name, which the object store does not know: it goes through here.
        elsewhere = ASK_AGAIN if shown else None
        return self._answer(request, original_name(image.md5, image.format), _lost, served, elsewhere)

    def _answer(
        self,
        request: Request,
        name: str,
        missing: Callable[[], NotFound],
        served: Mapping[str, Any],
        elsewhere: str | None,
    ) -> Response:
        """``elsewhere``: how long browsers may keep the address they are sent to; ``None``: they are not sent away."""
        etag = served["headers"].get("ETag")
        if etag and _has(request, etag):
            return Response(status_code=304, headers=served["headers"])
        try:
            file = self._library.store.served(name)
            if isinstance(file, Remote):
                return RemoteResponse(file, name, missing, served, elsewhere)
            response = FileResponse(file, stat_result=file.stat(), **served)
        except FileNotFoundError:
            raise missing() from None
        return NotModifiedResponse(response.headers) if _is_known(request, response) else response


class RemoteResponse(FileResponse):
    """A file from elsewhere, passed on while it comes in: whole, or one range of it (several are answered by all)."""

    def __init__(
        self,
        remote: Remote,
        name: str,
        missing: Callable[[], NotFound],
        served: Mapping[str, Any],
        elsewhere: str | None,
    ) -> None:
        super().__init__(name, **served)
        self._remote = remote
        self._missing = missing
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._response(Request(scope))
        except FileNotFoundError:
            raise await run_in_threadpool(self._missing) from None
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        if request.method == "GET" and self._elsewhere and (address := await self._remote.address()):
            await self._remote.facts()  # whether it is there: the object store's own "not found" would help nobody
            return RedirectResponse(address, 302, {"Cache-Control": self._elsewhere})
        if request.method == "HEAD" or not CONDITIONS.isdisjoint(request.headers.keys()):
            facts = await self._remote.facts()
            self._tell(facts)
            if _is_known(request, self):
                return NotModifiedResponse(self.headers)
            if request.method == "HEAD":
                return Response(headers=dict(self.headers))
            if part := await self._part(request, facts):
                return part
        facts, content = await self._remote.read()
        self._tell(facts)
        return StreamingResponse(content, headers=dict(self.headers))

    def _tell(self, facts: Facts) -> None:
        self.headers.setdefault("content-length", str(facts.size))
        self.headers.setdefault("last-modified", format_datetime(facts.modified, usegmt=True))
        self.headers.setdefault("etag", facts.etag)

    async def _part(self, request: Request, facts: Facts) -> Response | None:
        """The range that is asked for, if it is one."""
        wanted, condition = request.headers.get("range"), request.headers.get("if-range")
        if wanted is None or not (condition is None or self._should_use_range(condition)):
            return None
        try:
            ranges = self._parse_range_header(wanted, facts.size)
        except MalformedRangeHeader as error:
            return PlainTextResponse(error.content, 400)
        except RangeNotSatisfiable:
            return PlainTextResponse(status_code=416, headers={"Content-Range": f"bytes */{facts.size}"})
        if len(ranges) != 1:
            return None
        [(start, stop)] = ranges
        _, content = await self._remote.read(start, stop)
        part = {"content-range": f"bytes {start}-{stop - 1}/{facts.size}", "content-length": str(stop - start)}
        return StreamingResponse(content, 206, dict(self.headers) | part)


def _lost() -> NotFound:
    return NotFound("The file of this picture is missing from where pictures are kept.")


def _has(request: Request, etag: str) -> bool:
    """Whether the browser says that it has this file already (RFC 9110, 13.1.2)."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or any(tag.strip().removeprefix("W/") == etag for tag in known.split(","))


def _is_known(request: Request, response: Response) -> bool:
    """Whether this answer would tell the browser nothing new (RFC 9110, 13.2.2)."""
    if "if-none-match" in request.headers:
        return _has(request, response.headers["etag"])
    try:
        since = parsedate_to_datetime(request.headers["if-modified-since"])
        return parsedate_to_datetime(response.headers["last-modified"]) <= since
    except (KeyError, ValueError, TypeError):  # not asked, or nonsense
        return False
