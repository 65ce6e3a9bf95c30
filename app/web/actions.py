"""POST → 303. What a person does with a form; never renders."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from app.library.library import Library
from app.web.prefix import see
from app.web.uploads import UploadLimits, take_in

ImageId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class Actions:
    """The forms of `templates/`, one method each."""

    def __init__(self, library: Library, limits: UploadLimits) -> None:
        self._library = library
        self._limits = limits

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.post("/upload")(self.upload)
        router.post("/images/{image_id}/delete")(self.delete)
        router.post("/images/{image_id}/restore")(self.restore)
        router.post("/images/{image_id}/discard")(self.discard)
        router.post("/images/{image_id}/retry")(self.retry)
        router.post("/trash/empty")(self.empty_trash)
        router.post("/problems/retry")(self.retry_failed)
        return router

    async def upload(self, request: Request) -> RedirectResponse:
        results = await take_in(request, self._library.intake, self._limits)
        if not results:
            return see(request, "/add")
        token = await run_in_threadpool(self._library.receipts.write, results)
        return see(request, f"/uploads/{token}")

    def delete(self, request: Request, image_id: ImageId) -> RedirectResponse:
        self._library.intake.throw_away(image_id)
        return see(request, "/problems" if _came_from(request, "/problems") else f"/trash/{image_id}")

    def restore(self, request: Request, image_id: ImageId) -> RedirectResponse:
        self._library.intake.restore(image_id)
        return see(request, "/trash" if _came_from(request, "/trash") else f"/images/{image_id}")

    def discard(self, request: Request, image_id: ImageId) -> RedirectResponse:
        self._library.intake.discard(image_id)
        return see(request, "/trash")

    def empty_trash(self, request: Request) -> RedirectResponse:
        self._library.intake.empty_trash()
        return see(request, "/trash")

    def retry(self, request: Request, image_id: ImageId) -> RedirectResponse:
        self._library.intake.retry(image_id)
        return see(request, "/problems" if _came_from(request, "/problems") else f"/images/{image_id}")

    def retry_failed(self, request: Request) -> RedirectResponse:
        self._library.intake.retry_failed()
        return see(request, "/problems")


def _came_from(request: Request, path: str) -> bool:
    """Only compared, never redirected to: the referer is somebody else's word."""
    return request.headers.get("referer", "").partition("?")[0].endswith(path)
