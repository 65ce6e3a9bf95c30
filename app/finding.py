"""Searching from the command line: by a server that runs on the same library, else with a model of our own."""

from __future__ import annotations

import platform
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app import __version__
from app.config import Settings
from app.errors import GlimpseError
from app.library.library import Library
from app.main import open_library
from app.media.sheet import contact_sheet
from app.media.store import Store
from app.models import THUMBNAIL_WIDTHS, Image, ModelState, Results, Switch, WatchedFolder
from app.remote import Remote
from app.terminal import printable
from app.web.access import COOKIE
from app.web.pages import SHOWN_VERSIONS


@dataclass(frozen=True, slots=True)
class Hit:
    """A picture that was found, and where its files are."""

    image: Image
    score: float | None
    relevance: float | None
    band: str | None
    store: Store

    @property
    def place(self) -> str:
        """Where the original lies."""
        return self.store.location(self.image.md5, self.image.format)

    @property
    def thumbnail(self) -> bytes | None:
        """A small one to look at, if there is one by now."""
        try:
            return self.store.thumbnail_bytes(self.image.md5, THUMBNAIL_WIDTHS[0])
        except FileNotFoundError:
            return None

    def cells(self) -> tuple[str, ...]:
        score = "" if self.score is None else f"{self.score:.3f}"
        return score, self.band or "", printable(self.image.filename), self.place

    def as_json(self) -> dict[str, Any]:
        values = {"score": self.score, "relevance": self.relevance, "band": self.band}
        return {"id": self.image.id, "filename": self.image.filename, **values, "path": self.place}


def find(settings: Settings, query: str, picture: bytes | None, top: int) -> list[Hit]:
    """Best first. Raises `GlimpseError` with what is wrong with the query, the picture or the model."""
    with open_library(settings) as library:
        server = _server(settings, library)
        if server is not None:
            found = server.search(query, top) if picture is None else server.search_image(picture, top)
            return _hits(library, found)
    with open_library(settings, with_model=True) as library:
        searcher = library.searcher
        token = "" if picture is None else searcher.look_at(picture)
        return _hits(library, _matches(searcher.by_text(query, 0, top, token)))


def compare(settings: Settings, query: str, top: int) -> list[tuple[str, list[Hit]]]:
    """What two models find, best first, by name: that which serves, then the one filled or served before.

    Both are loaded here. Raises `GlimpseError` with what is wrong with the query or the models.
    """
    with open_library(settings, with_model=True) as library:
        both = library.searcher.compare(query, top, wait=True)
        return [(results.model, _hits(library, _matches(results))) for results in both]


def _matches(results: Results) -> list[Mapping[str, Any]]:
    """As the API gives them."""
    return [
        {"id": m.image.id, "score": m.score, "relevance": m.relevance, "band": m.band and m.band.value}
        for m in results.matches
    ]


def _server(settings: Settings, library: Library) -> Remote | None:
    """The server of this library, if one runs and can answer."""
    server, told = _ask(settings, library)
    return server if told and told["model"]["state"] == ModelState.READY else None


def _ask(settings: Settings, library: Library) -> tuple[Remote, Mapping[str, Any] | None]:
    """The address of the settings, and what a server of this library says there, if one runs."""
    session = f"{COOKIE}={library.access.begin_errand()}" if library.access.is_locked else ""
    server = Remote(settings.host, settings.port, session)
    told = server.status()
    return server, told if told and told.get("library") == library.identity() else None


def _hits(library: Library, found: Sequence[Mapping[str, Any]]) -> list[Hit]:
    images = library.images.get_many([match["id"] for match in found])
    return [
        Hit(image, match["score"], match["relevance"], match["band"], library.store)
        for match in found
        if (image := images.get(match["id"])) is not None
    ]


def save_hits(hits: Sequence[Hit], folder: Path) -> None:
    """Copy the originals, numbered by rank, under names that every system takes.

    Raises `GlimpseError`, also when all is done but for originals that are missing.
    """
    missing = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for rank, hit in enumerate(hits, start=1):
            stem = re.sub(r"[^\w .()-]", "_", Path(hit.image.filename).stem).strip(" .")[:80]
            copy = folder / f"{rank:03}-{stem or 'picture'}.{hit.image.format}"
            try:
                with hit.store.original_file(hit.image.md5, hit.image.format) as original:
                    shutil.copyfile(original, copy)
            except FileNotFoundError:  # it was deleted just now, or `doctor` has to tell more
                missing.append(hit.image.filename)
    except OSError as error:
        raise GlimpseError(f"The pictures can't be saved in {folder}: {error.strerror}.") from error
    if missing:
        raise GlimpseError(f"Not saved, since their originals are missing: {printable(', '.join(missing))}.")


def draw_hits(hits: Sequence[Hit], file: Path) -> None:
    """Raises `GlimpseError`."""
    labels = [f"{rank}. {printable(hit.image.filename)}" for rank, hit in enumerate(hits, start=1)]
    sheet = contact_sheet([(hit.thumbnail, label) for hit, label in zip(hits, labels, strict=True)])
    try:
        sheet.save(file)
    except (OSError, ValueError) as error:
        raise GlimpseError(f"The sheet can't be written to {file}: {error}. Name it like found.png.") from error


def read_status(settings: Settings) -> dict[str, Any]:
    """Facts by name, in the order they are shown; groups of them are dictionaries, and lists of dictionaries."""
    with open_library(settings) as library:
        _, told = _ask(settings, library)
        status = library.status.read()
        return {
            "version": __version__,
            "library": library.identity(),
            "folder": str(settings.data),
            "server": f"http://{settings.host}:{settings.port}" if told else None,
            "password": library.access.is_locked,
            "pictures": {
                "total": status.counts.total,
                "searchable": status.counts.indexed,
                "to_do": status.counts.to_do,
                "failed": status.counts.failed,
                "in_trash": library.trash.count(),
                "bytes": library.images.total_bytes(),
            },
            "worker": {
                "running": status.worker.alive,
                "pictures_per_second": round(status.worker.rate, 1),
                "seconds_left": status.seconds_left and round(status.seconds_left),
                "message": status.worker.message,
            },
            "model": (_model_of(told["model"]) if told else _model_last_used(library)) | _next_model(status.switch),
            "bytes_free": shutil.disk_usage(settings.data).free,
            "watched": [_watched_body(folder) for folder in library.watched.all()],
            "versions": {"python": platform.python_version()} | {name: version(name) for name in SHOWN_VERSIONS},
        }


def _next_model(switch: Switch) -> dict[str, Any]:
    """Only what there is to say."""
    facts: dict[str, Any] = {"next": switch.wanted, "earlier": switch.previous, "problem": switch.failure}
    if switch.filling:
        facts |= {"next_has": f"{switch.done:,} of {switch.total:,} pictures"}
    return {name: fact for name, fact in facts.items() if fact}


def _model_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the server's own process runs."""
    choice = told.get("choice") or {}
    return {
        "name": told["name"],
        "state": told["state"],
        "message": told["message"],
        "space": told["space"],
        "runs_pictures_in": choice.get("images"),
        "runs_words_in": choice.get("texts"),
    }


def _model_last_used(library: Library) -> dict[str, Any]:
    serving = library.vectors.serving()
    space = serving.space if serving else None
    return {"name": space and space.model, "state": "not loaded", "space": space and space.fingerprint}


def _watched_body(folder: WatchedFolder) -> dict[str, Any]:
    return asdict(folder) | {"watched_now": folder.is_watched(time.time()), "seen_at": _moment(folder.seen_at)}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
