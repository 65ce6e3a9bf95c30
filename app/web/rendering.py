"""Pages: one context dataclass each, and the one class that turns a context into HTML.

A context names its template. Paths in contexts and templates start at the application's root (``/search?q=…``);
`Renderer` puts the prefix of a reverse proxy in front of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path
from typing import ClassVar, TypeAlias
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from app.catalog.images import Choices
from app.catalog.trash import Trashed
from app.library.choosing import ListedModel, Role
from app.library.query import Query, Sort, parse
from app.media.pictures import FORMATS, derivative_sizes
from app.models import (
    Band,
    Image,
    LibraryStatus,
    Match,
    ModelState,
    ModelStatus,
    Outcome,
    Reason,
    Results,
    UploadResult,
    WatchedFolder,
)
from app.web.filters import Chip, FilterForm, chips_of, search_url
from app.web.prefix import prefix_of
from app.web.timeline import Year

FRAGMENT_HEADER = "HX-Request"
"""A request with this header wants ``_tiles.html`` instead of the page around it (the name htmx uses as well)."""

STAGE_BYTES = 12_000_000
"""Originals up to this size are shown on large screens; above it the largest thumbnail has to do."""

STAGE_LEAST = 800
"""Pictures narrower than so many pixels are enlarged a little: lost on a large screen they would be hard to see."""

FEW = 6
"""Up to so many tiles stand larger: a short row of small pictures looks lost."""


_WORDS_IN = {Reason.NAME: "file name", Reason.CAPTION: "caption"}


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture in a list. ``path`` opens it and, where it has a query, remembers the list."""

    image: Image
    path: str
    why: tuple[Reason, ...] = ()

    @property
    def words_in(self) -> str:
        """Where the words asked for stand, if anywhere: ``file name``, ``caption``, ``file name and caption``."""
        return " and ".join(_WORDS_IN[reason] for reason in self.why if reason in _WORDS_IN)


@dataclass(frozen=True, slots=True)
class Group:
    """Tiles that stand together, under their day or, with ``day=None``, under no heading.

    ``pictures``: how many there are of that day, also on other pages, where that is known.
    """

    day: date | None
    tiles: tuple[Tile, ...]
    pictures: int | None = None


@dataclass(frozen=True, slots=True)
class GalleryPage:
    """`gallery.html`: all pictures, newest first, by the day they were taken or else added; or as they were added."""

    template: ClassVar[str] = "gallery.html"
    uncertain: ClassVar[tuple[Tile, ...]] = ()

    status: LibraryStatus
    images: tuple[Image, ...]
    newer_url: str | None
    """The page above; ``None`` on the first."""
    older_url: str | None
    """The next page (older pictures); ``None`` on the last."""
    choices: Choices = field(default_factory=Choices)
    """What the filter form offers."""
    by_added: bool = False
    per_day: Mapping[date, int] = field(default_factory=dict)
    """By date: how many pictures there are of each day on this page."""
    years: tuple[Year, ...] = ()
    """Months to jump to."""

    @property
    def start_url(self) -> str:
        return "/?order=added" if self.by_added else "/"

    @property
    def next_url(self) -> str | None:
        return self.older_url

    @property
    def form(self) -> FilterForm:
        return FilterForm("", self.choices)

    @property
    def groups(self) -> tuple[Group, ...]:
        if self.by_added:
            days = groupby(self.images, key=lambda image: local(image.added_at).date())
            return tuple(Group(day, tiles_of(images, "?order=added")) for day, images in days)
        days = groupby(self.images, key=lambda image: image.date.date())
        return tuple(Group(day, tiles_of(images), self.per_day.get(day)) for day, images in days)


@dataclass(frozen=True, slots=True)
class SearchPage:
    """`search.html`: results for ``query``, or, where ``like`` is set, pictures like that one.

    ``results`` is ``None`` while the model can't answer, as ``status.model`` says, or where the query makes no sense,
    as ``complaint`` says, or while the vector engine does not answer, as ``away`` says. ``choices`` are what the filter
    form offers.
    """

    template: ClassVar[str] = "search.html"

    status: LibraryStatus
    query: str
    results: Results | None
    like: Image | None
    previous_url: str | None
    next_url: str | None
    complaint: str | None = None
    choices: Choices = field(default_factory=Choices)
    picture: str = ""
    """The token of a picture to search by."""
    away: str | None = None

    @property
    def understood(self) -> Query:
        return replace(parse(self.query), picture=self.picture)

    @property
    def listed(self) -> bool:
        """Whether conditions alone decide, so that pictures come by date."""
        return self.like is None and not self.understood.has_meaning

    @property
    def closest_to(self) -> str:
        """The words that pictures are compared with, those with a weight only where there are no others."""
        query = self.understood
        return query.words or ", ".join(term.text for term in query.terms if term.weight > 0)

    @property
    def chips(self) -> tuple[Chip, ...]:
        query = self.understood
        return () if self.like or query.complaints else chips_of(query)

    @property
    def conditions_in_words(self) -> str:
        return ", ".join(chip.label for chip in chips_of(Query(conditions=self.understood.conditions)))

    @property
    def form(self) -> FilterForm:
        return FilterForm(self.query, self.choices, self.picture)

    @property
    def other_order_url(self) -> str:
        oldest_first = self.understood.sort is Sort.OLDEST
        return search_url(replace(self.understood, sort=None if oldest_first else Sort.OLDEST))

    @property
    def best_first_url(self) -> str:
        """The same in order of relevance, with what is less certain."""
        return search_url(replace(self.understood, sort=None))

    @property
    def unfiltered_url(self) -> str:
        """The same without conditions."""
        query = self.understood
        return search_url(replace(query, conditions=(), sort=query.sort if query.has_meaning else None))

    @property
    def conditions_url(self) -> str | None:
        """The conditions alone, which need no model."""
        query = self.understood
        return search_url(Query(conditions=query.conditions)) if query.conditions else None

    @property
    def counted(self) -> bool:
        """Whether it is known how many pictures fit."""
        return self.results is not None and self.results.relevant is not None

    @property
    def groups(self) -> tuple[Group, ...]:
        """What was found: under its days where dates decide the order. Less certain matches stand apart."""
        if self.results is None:
            return ()
        sure = tuple(tile for tile, match in self._tiles if match.band is not Band.UNCERTAIN)
        if self.results.by_date:
            days = groupby(sure, key=lambda tile: tile.image.date.date())
            return tuple(Group(day, tuple(tiles), self.results.per_day.get(day)) for day, tiles in days)
        return (Group(None, sure),) if sure else ()

    @property
    def uncertain(self) -> tuple[Tile, ...]:
        return tuple(tile for tile, match in self._tiles if match.band is Band.UNCERTAIN)

    @property
    def _tiles(self) -> tuple[tuple[Tile, Match], ...]:
        if self.results is None:
            return ()
        listed = {"like": str(self.like.id)} if self.like else listed_by(self.query, self.picture)
        matches = self.results.matches
        return tuple(zip(ranked_tiles(matches, listed, self.results.offset), matches, strict=True))


@dataclass(frozen=True, slots=True)
class ImagePage:
    """`image.html`: one picture, its facts, pictures like it. The URLs keep the list the person came from."""

    template: ClassVar[str] = "image.html"

    status: LibraryStatus
    image: Image
    similar: tuple[Match, ...]
    back_url: str
    previous_url: str | None
    next_url: str | None

    @property
    def keywords(self) -> tuple[tuple[str, str], ...]:
        """Each with the URL of a search for it."""
        return tuple((keyword, search_url(Query(keyword))) for keyword in self.image.captions.keywords)

    @property
    def similar_tiles(self) -> tuple[Tile, ...]:
        return ranked_tiles(self.similar, {"like": str(self.image.id)})


@dataclass(frozen=True, slots=True)
class AddPage:
    """`add.html`: the plain upload form."""

    template: ClassVar[str] = "add.html"

    status: LibraryStatus
    max_file_mb: int


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    """`receipt.html`: the outcome of each file of one upload."""

    template: ClassVar[str] = "receipt.html"

    status: LibraryStatus
    results: tuple[UploadResult, ...]

    def count(self, outcome: str) -> int:
        return sum(result.outcome == Outcome(outcome) for result in self.results)


@dataclass(frozen=True, slots=True)
class ProblemsPage:
    """`problems.html`: pictures that failed, with reason, Retry and Remove."""

    template: ClassVar[str] = "problems.html"

    status: LibraryStatus
    images: tuple[Image, ...]
    next_url: str | None


@dataclass(frozen=True, slots=True)
class TrashPage:
    """`trash.html`: what was deleted, the last first, with the ways back and out."""

    template: ClassVar[str] = "trash.html"

    status: LibraryStatus
    items: tuple[Trashed, ...]
    total: int
    next_url: str | None


@dataclass(frozen=True, slots=True)
class TrashedPage:
    """`trashed.html`: said after deleting, with the way back."""

    template: ClassVar[str] = "trashed.html"

    status: LibraryStatus
    item: Trashed


@dataclass(frozen=True, slots=True)
class StatusPage:
    """`status.html`: what serves, how much of what, where, which versions."""

    template: ClassVar[str] = "status.html"

    status: LibraryStatus
    data_folder: str
    bytes_of_originals: int
    versions: tuple[tuple[str, str], ...]
    locked: bool
    """Whether a password is asked for."""
    watched: tuple[WatchedFolder, ...]
    now: float
    """Unix seconds."""
    pictures_place: str = ""
    """Where originals and previews lie, if not in the data folder."""


@dataclass(frozen=True, slots=True)
class ModelsPage:
    """`models.html`: which model finds, which is to be next, which others there are."""

    template: ClassVar[str] = "models.html"

    status: LibraryStatus
    models: tuple[ListedModel, ...]

    @property
    def staying(self) -> str | None:
        """The source of the model that serves, which ends a filling when it is chosen."""
        return next((model.source for model in self.models if model.role is Role.SERVES), None)


@dataclass(frozen=True, slots=True)
class Side:
    """What one model finds. ``shared``: how many of these both find."""

    model: str
    tiles: tuple[Tile, ...]
    matches: int | None
    shared: int


@dataclass(frozen=True, slots=True)
class ComparePage:
    """`compare.html`: two models side by side; ``complaint`` says why they are not."""

    template: ClassVar[str] = "compare.html"

    status: LibraryStatus
    query: str
    sides: tuple[Side, ...] = ()
    complaint: str | None = None
    waiting: bool = False
    """The other model is being loaded: worth asking again in a moment."""


@dataclass(frozen=True, slots=True)
class HelpPage:
    """`help.html`: the grammar of the search box. ``example`` is a picture that others can be like, if there is one."""

    template: ClassVar[str] = "help.html"

    status: LibraryStatus
    example: Image | None


@dataclass(frozen=True, slots=True)
class LoginPage:
    """`login.html`: the password, and on to ``target``. Tells nothing about the library."""

    template: ClassVar[str] = "login.html"
    status: ClassVar[None] = None

    target: str
    complaint: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """`error.html`: what happened, what to do."""

    template: ClassVar[str] = "error.html"

    status: LibraryStatus | None
    code: int
    title: str
    message: str


@dataclass(frozen=True, slots=True)
class StatusFragment:
    """`_status.html` alone: the status line, asked for again while there is something to do."""

    status: LibraryStatus


@dataclass(frozen=True, slots=True)
class TilesFragment:
    """`_tiles.html` alone, for pictures asked for by id."""

    uncertain: ClassVar[tuple[Tile, ...]] = ()

    images: tuple[Image, ...]
    next_url: None = None

    @property
    def groups(self) -> tuple[Group, ...]:
        return (Group(None, tiles_of(self.images)),) if self.images else ()


Page: TypeAlias = (
    GalleryPage
    | SearchPage
    | ImagePage
    | AddPage
    | ReceiptPage
    | ProblemsPage
    | TrashPage
    | TrashedPage
    | StatusPage
    | ModelsPage
    | ComparePage
    | HelpPage
    | LoginPage
    | ErrorPage
)
Fragment: TypeAlias = GalleryPage | SearchPage | StatusFragment | TilesFragment


class Renderer:
    """Turns contexts into HTML. ``now`` is the clock that "Today" is read from."""

    def __init__(self, templates: Path, static: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._static = static
        self._now = now
        self._hashes: dict[str, tuple[int, str]] = {}
        self._environment = Environment(
            loader=FileSystemLoader(templates),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            alt=alt, amount=amount, bytes=file_size, day=self._day, duration=duration, local=local, moment=moment
        )
        self._environment.globals.update(
            few=FEW,
            from_starter=from_starter,
            picture_source=picture_source,
            ratio_class=ratio_class,
            stage_source=stage_source,
            stage_width=stage_width,
        )

    def page(self, request: Request, context: Page, status_code: int = 200) -> HTMLResponse:
        """The whole page that belongs to ``context``."""
        return self._response(request, context.template, context, status_code)

    def fragment(self, request: Request, name: str, context: Fragment) -> HTMLResponse:
        """A part of a page (``_tiles.html``, ``_status.html``) for an update in place."""
        return self._response(request, name, context, 200)

    def asset(self, name: str) -> str:
        """Path of a static file, with a digest of its content so that it may be cached for ever."""
        file = self._static / name
        changed = file.stat().st_mtime_ns
        known = self._hashes.get(name)
        if known is None or known[0] != changed:
            known = changed, hashlib.sha256(file.read_bytes()).hexdigest()[:12]
            self._hashes[name] = known
        return f"/static/{name}?v={known[1]}"

    def _response(self, request: Request, name: str, context: Page | Fragment, status_code: int) -> HTMLResponse:
        prefix = prefix_of(request.scope)
        html = self._environment.get_template(name).render(
            page=context,
            link=lambda path: prefix + path,
            asset=lambda name: prefix + self.asset(name),
        )
        return HTMLResponse(html, status_code, headers={"Vary": FRAGMENT_HEADER})

    def _day(self, day: date) -> str:
        """``Today``, ``Yesterday``, ``Thursday, 12 November`` or, in another year, ``3 March 2024``."""
        today = local(self._now()).date()
        if day == today:
            return "Today"
        if (today - day).days == 1:
            return "Yesterday"
        return f"{day:%A}, {day.day} {day:%B}" if day.year == today.year else f"{day.day} {day:%B %Y}"


@dataclass(frozen=True, slots=True)
class PictureSource:
    """What an ``<img>`` needs to choose among the thumbnails of a picture; paths as in contexts."""

    largest: str
    middle: str
    sizes: tuple[tuple[str, int], ...]
    """(path, width in pixels), smallest first."""


def picture_source(image: Image) -> PictureSource:
    """Thumbnails of ``image``: which exist follows from its dimensions alone."""
    derivatives = derivative_sizes(image.width, image.height)
    sizes = tuple((f"/thumbs/{d.name}/{image.md5}.webp", d.width) for d in derivatives)
    return PictureSource(largest=sizes[-1][0], middle=sizes[min(1, len(sizes) - 1)][0], sizes=sizes)


def stage_source(image: Image) -> PictureSource:
    """The thumbnails and, where a browser can show it and it is not too heavy, the original for large screens."""
    source = picture_source(image)
    format = FORMATS.get(image.format)
    if format is None or not format.shown or image.bytes > STAGE_BYTES or image.width <= source.sizes[-1][1]:
        return source
    return replace(source, sizes=(*source.sizes, (f"/images/{image.id}/original", image.width)))


def stage_width(width: int) -> int:
    """How wide in CSS pixels a picture of ``width`` pixels is shown at most: small ones up to twice their size."""
    return min(2 * width, max(width, STAGE_LEAST))


def tiles_of(images: Iterable[Image], listed: str = "") -> tuple[Tile, ...]:
    return tuple(Tile(image, f"/images/{image.id}{listed}") for image in images)


def listed_by(query: str, picture: str) -> dict[str, str]:
    """What an address says of a search."""
    return ({"picture": picture} if picture else {}) | ({"q": query} if query or not picture else {})


def ranked_tiles(matches: tuple[Match, ...], listed: dict[str, str], offset: int = 0) -> tuple[Tile, ...]:
    """Tiles that remember the list they stand in: ``rank`` counts from 0, over all pages."""
    return tuple(
        Tile(match.image, f"/images/{match.image.id}?{urlencode(listed | {'rank': str(rank)})}", match.why)
        for rank, match in enumerate(matches, start=offset)
    )


def ratio_class(image: Image) -> str:
    """Class of `css/ratios.css` for width : height in hundredths, bounded so that no tile fills a row or a screen."""
    return f"r-{min(max(round(100 * image.width / image.height), 50), 300):03}" if image.height else "r-100"


def from_starter(model: ModelStatus) -> bool:
    """Whether the bundled model serves, which a person can better."""
    return model.state is not ModelState.UNAVAILABLE and "starter" in Path(model.name).name.lower()


def alt(image: Image) -> str:
    """What a person who can't see the picture is told: its name, without the ending and the joints."""
    stem = Path(image.filename).stem.replace("_", " ").replace("-", " ").strip()
    return stem or "Picture without a name"


def amount(number: int) -> str:
    """``12,408``"""
    return f"{number:,}"


def file_size(size: float) -> str:
    """``4.2 MB``"""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def duration(seconds: float) -> str:
    """``8 seconds``, ``12 minutes``, ``3 hours``: as exact as an estimate deserves."""
    for length, unit in ((3600, "hour"), (60, "minute")):
        if seconds >= 1.5 * length:
            return f"{round(seconds / length)} {unit}s"
    return "a minute" if seconds >= 55 else f"{max(1, round(seconds))} second{'s' if seconds >= 1.5 else ''}"


def local(moment: datetime) -> datetime:
    """A UTC moment in the server's zone; one without a zone is taken as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone()


def moment(when: datetime) -> str:
    """``3 March 2024, 14:05``"""
    return f"{when.day} {when:%B %Y, %H:%M}"
