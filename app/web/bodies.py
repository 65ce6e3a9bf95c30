"""The JSON bodies of the API, and how the project's nouns become them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, Field

from app.catalog.trash import Trashed
from app.media.pictures import derivative_sizes
from app.models import (
    Band,
    Choice,
    Image,
    ImageState,
    LibraryStatus,
    Match,
    ModelState,
    Outcome,
    Reason,
    Trial,
    UploadResult,
)
from app.web.prefix import prefix_of

MOST_RESULTS = 1000
"""Results in one answer."""


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
    without_location: str = Field(description="A copy without place, serial numbers and texts, to give away.")
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
    title: str = Field(description="From the file's own texts (XMP, IPTC, EXIF, PNG), like the next two.")
    description: str
    keywords: list[str]
    urls: ImageUrls


class ImageList(BaseModel):
    """Pictures, newest first."""

    images: list[ImageBody]
    next: str | None = Field(description="Path of the next page.")


class TrashedBody(BaseModel):
    """A picture in the trash."""

    id: int
    md5: str
    filename: str
    deleted_at: datetime


class TrashList(BaseModel):
    """What was deleted and may come back; ``total`` counts all of it."""

    total: int
    images: list[TrashedBody]
    next: str | None = Field(description="Path of the next page, null on the last one.")


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


def _without_surrogates(text: object) -> object:
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(_without_surrogates)]
"""JSON may hold halves of characters (names that are no UTF-8 on a client's disk), which no database takes."""


class EncodedImage(BaseModel):
    """A picture as JSON."""

    image: str = Field(description="The file, in base64.")
    filename: Text = Field(default="", max_length=10_000)


class MatchBody(BaseModel):
    """A picture that was found."""

    id: int
    score: float | None = Field(
        description="Cosine between the picture's vector and the query's, -1 to 1; null where conditions alone decided."
    )
    relevance: float | None = Field(
        description="How well it looks like the words, 0 to 1, comparable between queries; null where no words were "
        "asked for, and for a picture without a vector."
    )
    band: Band | None = Field(description="How sure the match is, its name and caption included.")
    why: list[Reason] = Field(
        description="It looks like what was asked for, its file name has the words, its caption (title, description, "
        "keywords) has them. Empty where conditions alone decided."
    )
    filename: str
    width: int
    height: int
    taken_at: datetime | None
    urls: ImageUrls


class SearchBody(BaseModel):
    """One page of results, best first, ties by id."""

    query: str
    model: str = Field(
        description="Empty where none was needed, or none can answer yet: then names and captions alone were searched."
    )
    indexed: int = Field(description="Pictures that can be found so far.")
    total: int = Field(description="Pictures in the library.")
    matches: int | None = Field(description="Strong and likely matches, on all pages.")
    at_least: bool = Field(
        description="More pictures than `matches` says may have these words in their names or captions."
    )
    results: list[MatchBody]
    next: str | None = Field(description="Path of the next page.")
    picture: str | None = Field(
        default=None, description="Stands for the picture that was searched by: `GET /search?picture=…`, for an hour."
    )


class SearchRequest(BaseModel):
    """A search as JSON."""

    query: Text
    top_k: int = Field(default=50, ge=1, le=MOST_RESULTS)


class ChoiceBody(BaseModel):
    """How the model is run on this machine, and what was tried."""

    images: str = Field(description="What runs it for pictures, and in which numbers.")
    texts: str
    note: str | None = Field(description="Why it is not what was asked for.")
    trials: list[Trial]


class ModelBody(BaseModel):
    """The model of this process."""

    name: str
    space: str | None = Field(description="Fingerprint of its embedding space.")
    state: ModelState
    message: str | None
    text_model: str | None = Field(description="The model that reads texts instead of it.")
    choice: ChoiceBody | None = Field(description="Null until the fastest faithful way to run it is found.")


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


class SwitchBody(BaseModel):
    """Which model is to serve next."""

    serving: str | None = Field(description="The model whose space serves; `model` may still be the one before.")
    wanted: str | None = Field(description="The model that is to take over.")
    filling: bool = Field(description="Whether it is loaded, and `done` of `total` pictures are embedded with it.")
    done: int
    total: int
    previous: str | None = Field(description="The model that can be gone back to.")
    failure: str | None = Field(description="Why the last model that was wanted could not be had.")


class StatusBody(BaseModel):
    """What the library is doing."""

    library: str = Field(description="Which library this is: a UUID.")
    model: ModelBody
    images: CountsBody
    worker: WorkerBody
    storage: str | None = Field(description="Why pictures can't be shown or taken in just now.")
    switch: SwitchBody


def path_of(request: Request, path: str) -> str:
    return prefix_of(request.scope) + path


def urls_of(request: Request, image: Image) -> ImageUrls:
    sizes = derivative_sizes(image.width, image.height) if image.has_thumbnails else ()
    return ImageUrls(
        page=path_of(request, f"/images/{image.id}"),
        original=path_of(request, f"/images/{image.id}/original"),
        without_location=path_of(request, f"/images/{image.id}/without-location"),
        thumbnails={str(size.width): path_of(request, f"/thumbs/{size.name}/{image.md5}.webp") for size in sizes},
    )


def image_body(request: Request, image: Image) -> ImageBody:
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
        title=image.captions.title,
        description=image.captions.description,
        keywords=list(image.captions.keywords),
        urls=urls_of(request, image),
    )


def match_body(request: Request, match: Match) -> MatchBody:
    image = match.image
    return MatchBody(
        id=image.id,
        score=match.score,
        relevance=match.relevance,
        band=match.band,
        why=list(match.why),
        filename=image.filename,
        width=image.width,
        height=image.height,
        taken_at=image.taken_at,
        urls=urls_of(request, image),
    )


def trashed_body(item: Trashed) -> TrashedBody:
    return TrashedBody(id=item.id, md5=item.md5, filename=item.filename, deleted_at=item.trashed_at)


def upload_body(request: Request, result: UploadResult) -> UploadBody:
    url = path_of(request, f"/images/{result.image_id}") if result.image_id is not None else None
    return UploadBody(
        filename=result.filename, outcome=result.outcome, id=result.image_id, url=url, reason=result.reason
    )


def choice_body(choice: Choice) -> ChoiceBody:
    return ChoiceBody(images=choice.images, texts=choice.texts, note=choice.note, trials=list(choice.trials))


def status_body(library: str, status: LibraryStatus) -> StatusBody:
    counts, model, worker, switch = status.counts, status.model, status.worker, status.switch
    return StatusBody(
        library=library,
        model=ModelBody(
            name=model.name,
            space=model.space.fingerprint if model.space else None,
            state=model.state,
            message=model.message,
            text_model=model.text_model,
            choice=choice_body(model.choice) if model.choice else None,
        ),
        images=CountsBody(
            total=counts.total,
            pending=counts.pending,
            prepared=counts.prepared,
            indexed=counts.indexed,
            failed=counts.failed,
        ),
        worker=WorkerBody(alive=worker.alive, rate=worker.rate, message=worker.message),
        storage=status.storage,
        switch=SwitchBody(
            serving=switch.serving,
            wanted=switch.wanted,
            filling=switch.filling,
            done=switch.done,
            total=switch.total,
            previous=switch.previous,
            failure=switch.failure,
        ),
    )
