"""Pages: one context dataclass each, and the one function that turns a context into HTML."""

from __future__ import annotations

from dataclasses import dataclass

from app.models import Image, LibraryStatus, Match, Results, UploadResult


@dataclass(frozen=True, slots=True)
class GalleryPage:
    """`gallery.html`: all pictures, newest first."""

    status: LibraryStatus
    images: tuple[Image, ...]
    newer_url: str | None
    """Back to the start of the gallery; ``None`` on its first page."""
    older_url: str | None
    """The next page (older pictures); ``None`` on the last."""


@dataclass(frozen=True, slots=True)
class SearchPage:
    """`search.html`: results for ``query``, or, where ``like`` is set, pictures like that one.

    ``results`` is ``None`` while the model can't answer: ``status.model`` then says why.
    """

    status: LibraryStatus
    query: str
    results: Results | None
    like: Image | None
    previous_url: str | None
    next_url: str | None


@dataclass(frozen=True, slots=True)
class ImagePage:
    """`image.html`: one picture, its facts, pictures like it. The URLs keep the list the person came from."""

    status: LibraryStatus
    image: Image
    similar: tuple[Match, ...]
    back_url: str
    previous_url: str | None
    next_url: str | None


@dataclass(frozen=True, slots=True)
class AddPage:
    """`add.html`: the plain upload form."""

    status: LibraryStatus
    max_file_mb: int


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    """`receipt.html`: the outcome of each file of one upload."""

    status: LibraryStatus
    results: tuple[UploadResult, ...]


@dataclass(frozen=True, slots=True)
class ProblemsPage:
    """`problems.html`: pictures that failed, with reason, Retry and Remove."""

    status: LibraryStatus
    images: tuple[Image, ...]
    next_url: str | None


@dataclass(frozen=True, slots=True)
class StatusPage:
    """`status.html`: what serves, how much of what, where, which versions."""

    status: LibraryStatus
    data_folder: str
    bytes_of_originals: int
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """`error.html`: what happened, what to do."""

    status: LibraryStatus | None
    code: int
    title: str
    message: str
