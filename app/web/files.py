"""GET → picture files: thumbnails, which never change, and originals."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse

from app.errors import NotFound
from app.library.library import Library
from app.media.pictures import FORMATS
from app.media.store import original_name, thumbnail_name

FOREVER = "private, max-age=31536000, immutable"
"""The MD5 stands in the URL: other pixels have another one."""
ASK_AGAIN = "private, no-cache"
"""Conditional requests keep this cheap, and a deleted picture is gone from caches, too."""


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
        self, width: Literal["256", "640", "1280"], md5: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
    ) -> FileResponse:
        try:
            path = self._library.store.served(thumbnail_name(md5, int(width)))
        except FileNotFoundError:
            self._library.intake.restore_thumbnails(md5, int(width))
            raise NotFound("This preview is not there (yet).") from None
        return FileResponse(path, media_type="image/webp", headers={"Cache-Control": FOREVER})

    def original(
        self, request: Request, image_id: Annotated[int, Path(ge=1, le=2**63 - 1)], download: bool = False
    ) -> Response:
        image = self._library.images.get(image_id)
        if image is None:
            raise NotFound("This picture is not here (any more).")
        try:
            path = self._library.store.served(original_name(image.md5, image.format))
        except FileNotFoundError:
            raise NotFound("The file of this picture is missing from the picture folder.") from None
        headers = {"Cache-Control": ASK_AGAIN, "ETag": f'"{image.md5}"'}
        if _has(request, image.md5):
            return Response(status_code=304, headers=headers)
        kind = FORMATS[image.format]
        return FileResponse(
            path,
            media_type=kind.media_type,  # by content, never by the name somebody gave it
            filename=image.filename,
            content_disposition_type="inline" if kind.shown and not download else "attachment",
            headers=headers,
        )


def _has(request: Request, md5: str) -> bool:
    """Whether the browser says that it has this file already (RFC 9110, 13.1.2)."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or f'"{md5}"' in (tag.strip().removeprefix("W/") for tag in known.split(","))
