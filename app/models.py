"""The nouns every room shares: frozen values without behaviour beyond what follows from their fields."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
"""float32; shapes are given where it is used. Vectors have unit length."""

THUMBNAIL_WIDTHS = (256, 640, 1280)
"""Widths in pixels that derivatives are made in; one of them is also what the encoder sees."""


class ImageState(StrEnum):
    """Where a picture stands on its way: ``pending → prepared → indexed``, or ``failed`` with a reason."""

    PENDING = "pending"
    PREPARED = "prepared"
    INDEXED = "indexed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Captions:
    """Texts that stand in a picture's file, as people or programs wrote them there: printable, of bounded length."""

    title: str = ""
    description: str = ""
    keywords: tuple[str, ...] = ()


NO_CAPTIONS = Captions()


@dataclass(frozen=True, slots=True)
class Image:
    """One picture of the catalog. ``width`` and ``height`` are upright (EXIF orientation applied), in pixels."""

    id: int
    md5: str
    filename: str
    """As the person named it: shown, never used as a path."""
    format: str
    """Decided by content: a key of `app.media.pictures.FORMATS`, such as ``"jpeg"``."""
    bytes: int
    width: int
    height: int
    state: ImageState
    reason: str | None
    """Why it failed, in words for the person; ``None`` in every other state."""
    added_at: datetime
    """UTC."""
    taken_at: datetime | None
    """By the camera's own clock, without a zone."""
    camera: str | None
    date: datetime
    """When it was taken, else added: without a zone, by the camera's clock or the server's."""
    captions: Captions = NO_CAPTIONS

    @property
    def has_thumbnails(self) -> bool:
        return self.state in (ImageState.PREPARED, ImageState.INDEXED)


class Outcome(StrEnum):
    """What became of one file that was handed in."""

    ADDED = "added"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The outcome of one file. ``image_id`` is set unless it was rejected, ``reason`` only if it was."""

    filename: str
    outcome: Outcome
    image_id: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many pictures are in which state."""

    pending: int = 0
    prepared: int = 0
    indexed: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.pending + self.prepared + self.indexed + self.failed

    @property
    def to_do(self) -> int:
        """Pictures that the worker has still to prepare or embed."""
        return self.pending + self.prepared


class Band(StrEnum):
    """How sure a match is."""

    STRONG = "strong"
    LIKELY = "likely"
    UNCERTAIN = "less certain"


class Reason(StrEnum):
    """Why a match is one: it looks like what was asked for, or its file name or caption has the words."""

    LOOKS = "looks"
    NAME = "name"
    CAPTION = "caption"


@dataclass(frozen=True, slots=True)
class Match:
    """A picture that was found. ``score`` is the cosine between its vector and the query's, -1 to 1.

    ``relevance``, 0 to 1, says how well it looks like the words and can be compared between queries. ``band`` says how
    sure the match is, its name and caption included. Both are known where words alone were asked for. All are ``None``
    where conditions alone found it; score and relevance also while a picture has no vector.
    """

    image: Image
    score: float | None
    relevance: float | None = None
    band: Band | None = None
    why: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """One page of a search, best first, ties by id. ``offset`` counts from 0."""

    matches: tuple[Match, ...]
    offset: int
    limit: int
    has_more: bool
    model: str
    """Name of the model whose vectors were searched."""
    relevant: int | None = None
    """How many strong and likely matches there are, on all pages; ``None`` where relevance is not known."""
    less_certain: int | None = None
    """How many pictures come behind those; ``None`` where they are not shown."""
    by_date: bool = False
    """In order of `Image.date` instead of best first."""
    per_day: Mapping[date, int] = field(default_factory=dict)
    """By date: how many pictures there are, on all pages, of each day that stands on this one."""
    words_alone: bool = False
    """Nobody could tell what pictures look like: only names and captions were searched."""
    engine_away: bool = False
    """… because the vector engine does not answer; else it is the model that can't."""
    at_least: bool = False
    """There may be more than ``relevant``: of all pictures with these words, only so many are looked at."""


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Vectors are comparable only within one space: same model, same weights, same preprocessing, same dimension."""

    model: str
    fingerprint: str
    """Digest over weights and preprocessing."""
    dimension: int


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of a space's vector log: ``vector`` [dimension], or ``None`` for a picture that was removed."""

    seq: int
    image_id: int
    vector: FloatArray | None

    @property
    def mark(self) -> int:
        """Tells this entry from any other that might have its ``seq`` in another history of the catalog.

        A checksum in the lower 32 bits, the picture's id above them (`image_of`): 63 bits for ids below 2^31.
        """
        vector = b"" if self.vector is None else self.vector.astype("<f4").tobytes()
        return self.image_id << 32 | zlib.crc32(f"{self.seq} {self.image_id} ".encode() + vector)


def image_of(mark: int) -> int:
    """Which picture the entry with this mark is of."""
    return mark >> 32


@dataclass(frozen=True, slots=True)
class Trial:
    """How one way to run a tower of a model did, beside the model itself in float32."""

    tower: str
    """``"images"`` or ``"texts"``."""
    name: str
    """Such as ``"onnx int8"``: what runs it, and in which numbers."""
    per_second: float
    """Pictures in batches, or texts one by one."""
    cosine: float
    """The lowest between a vector and the same in float32."""
    same_top: float
    """Share of texts that find the same best ten pictures as in float32."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a model is run on this machine, and what was tried. ``images`` and ``texts`` are names of trials."""

    images: str
    texts: str
    trials: tuple[Trial, ...] = ()
    note: str | None = None
    """Why it is not what was asked for, in words for the person."""


class ModelState(StrEnum):
    """What the encoder of a process is doing."""

    LOADING = "loading"
    READY = "ready"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """``message`` says in words for the person why the model is unavailable, or what else is not as it was set."""

    name: str
    """The model that serves, or the one that was asked for while none does."""
    state: ModelState
    space: EmbeddingSpace | None = None
    message: str | None = None
    choice: Choice | None = None
    """How it is run, once that is chosen; until then as it is, in float32."""
    text_model: str | None = None
    """The model that reads texts instead of it."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """``alive``: some worker reported within the last seconds. ``rate``: pictures per second lately, all workers."""

    alive: bool
    rate: float
    message: str | None = None
    """What a worker complains about (a model it cannot load), in words for the person."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Which model is to serve next, and how far that is. Names of models are those of their spaces."""

    serving: str | None = None
    """What serves. A process that answers may still hold the one before (`LibraryStatus.model`), for moments."""
    wanted: str | None = None
    filling: bool = False
    """The wanted model is loaded, and its space is filled: ``done`` of ``total`` pictures."""
    again: bool = False
    """It is the one that serves, embedding all pictures anew."""
    done: int = 0
    total: int = 0
    previous: str | None = None
    """The model that can be gone back to."""
    failure: str | None = None
    """Why the last wish failed, in words for the person."""


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """Everything the status line, the status page and ``GET /api/v1/status`` tell."""

    counts: Counts
    model: ModelStatus
    worker: WorkerStatus
    storage: str | None = None
    """Why pictures can't be shown or taken in just now."""
    switch: Switch = Switch()

    @property
    def seconds_left(self) -> float | None:
        """Estimate until all is indexed; ``None`` while no rate is known or nothing is to be done."""
        if not self.counts.to_do or self.worker.rate <= 0:
            return None
        return self.counts.to_do / self.worker.rate

    @property
    def seconds_to_switch(self) -> float | None:
        """Estimate until the wanted model serves; ``None`` while that can't be told."""
        left = self.switch.total - self.switch.done
        if not self.switch.filling or self.worker.rate <= 0:
            return None
        return (left + self.counts.to_do) / self.worker.rate


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """What the last look at a watched folder has seen. ``seen_at``: Unix seconds. ``every``: seconds between looks."""

    folder: str
    seen_at: float
    every: float
    files: int = 0
    waiting: int = 0
    """Files that are still being written to."""
    gone: int = 0
    """Files that are not there any more, while their pictures are here."""
    refused: int = 0
    """Files that are no pictures, or can't be read."""
    message: str | None = None
    """Why nothing could be seen, in words for the person."""

    def is_watched(self, now: float) -> bool:
        """Whether somebody still looks, as far as can be told at ``now``, in Unix seconds."""
        return now - self.seen_at < 3 * self.every + 60


class ExportFormat(StrEnum):
    """How the catalog is written for other programs."""

    CSV = "csv"
    JSONL = "jsonl"


class Scope(StrEnum):
    """What a key opens: ``read`` looks, searches and downloads, ``write`` adds and deletes as well."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A program's key, without the key itself: ``digest`` is its SHA-256 in hex."""

    name: str
    digest: str
    scope: Scope
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """Who may come in. ``password``: an Argon2 hash, or ``None`` where none is asked for."""

    password: str | None
    secret: bytes
    """Signs sessions; a new one ends them all."""
    keys: tuple[ApiKey, ...]
