"""GET → a copy of a picture without place, serial numbers and texts, made for this one answer."""

from __future__ import annotations

from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Path
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from app.library.copies import Copies, Copy

AT_ONCE = 2
"""Copies that are made at once: they wait for decoders, and pages must not wait with them."""


class CopyFiles:
    """Serves what `app.library.copies` makes."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._making = CapacityLimiter(AT_ONCE)

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.get("/images/{image_id}/without-location")(self.without_location)
        return router

    async def without_location(self, image_id: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> FileResponse:
        copy = await to_thread.run_sync(self._copies.without_location, image_id, limiter=self._making)
        return _PassingFile(copy)


class _PassingFile(FileResponse):
    """Is gone when it has been sent, or could not be."""

    def __init__(self, copy: Copy) -> None:
        headers = {"Cache-Control": "private, no-store"}
        super().__init__(copy.file.path, media_type=copy.media_type, filename=copy.filename, headers=headers)
        self._copy = copy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._copy.file:
            await super().__call__(scope, receive, send)
