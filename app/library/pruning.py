"""Prune: what is derived and of no use any more. Never an original, and nothing that anything in the library needs.

Nor records of imported files that seem to be gone: the files may lie on a disk that is not plugged in, or on another
machine, and without its record a picture that was deleted here would come back with its file.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.catalog.images import Images
from app.catalog.leftovers import Leftovers, OldSpace
from app.library.intake import Intake
from app.media.store import Store, thumbnail_name
from app.models import THUMBNAIL_WIDTHS
from app.vectors.compiled import folder_of

STALE_SECONDS = 24 * 3600.0
"""What is unfinished for so long is not under way any more."""
_SNAPSHOT = re.compile(r"space-(\d+)\.snapshot")


@dataclass(frozen=True, slots=True)
class Useless:
    """``what``: in words, with how many. ``bytes``: what `remove` frees."""

    what: str
    bytes: int
    remove: Callable[[], object]


class Pruner:
    """``index``: the folder of the catalog and what is derived from it."""

    def __init__(self, leftovers: Leftovers, images: Images, store: Store, intake: Intake, index: Path) -> None:
        self._leftovers = leftovers
        self._images = images
        self._store = store
        self._intake = intake
        self._index = index

    def find(self, old_models: bool = False) -> Iterator[Useless]:
        """``old_models``: also what going back to a model that served before would need."""
        old = self._leftovers.old_spaces() if old_models else []
        for space in old:
            yield self._vectors(space)
        kept = self._leftovers.fingerprints()
        for space in old:
            kept.pop(space.id, None)
        yield from self._snapshots(set(kept))
        yield from self._compiled(set(kept.values()))
        yield from self._previews()

    def compact(self) -> None:
        """Give the room of deleted vectors back to the disk, once all that is to go has gone.

        Raises `CatalogUnavailable`, with what to do.
        """
        self._leftovers.compact()

    def _vectors(self, space: OldSpace) -> Useless:
        what = f"{_many(space.vectors, 'vector')} of the model {space.model}, which does not serve"
        return Useless(what, space.bytes, partial(self._leftovers.forget_space, space.id))

    def _snapshots(self, kept: set[int]) -> Iterator[Useless]:
        for path in sorted(self._index.glob("space-*")):
            match = _SNAPSHOT.fullmatch(path.name)
            if match and int(match[1]) not in kept:
                yield Useless(f"the snapshot {path.name} of no model that is kept", path.stat().st_size, path.unlink)
            elif path.suffix == ".tmp" and _is_stale(path):
                yield Useless(f"the unfinished snapshot {path.name}", path.stat().st_size, path.unlink)

    def _compiled(self, kept: set[str]) -> Iterator[Useless]:
        folder = self._index / "compiled"
        names = {folder_of(folder, fingerprint).name for fingerprint in kept}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            unfinished = path.name.startswith(".")
            if path.is_dir() and (_is_stale(path) if unfinished else path.name not in names):
                kind = "an unfinished compiled model" if unfinished else "a compiled model that is not kept"
                yield Useless(f"{kind}, {path.name[:16]}", _size(path), partial(shutil.rmtree, path))

    def _previews(self) -> Iterator[Useless]:
        found = set(self._store.found_thumbnails(THUMBNAIL_WIDTHS[0]))
        lost = found - self._images.known_md5s(list(found))
        if lost:
            names = (thumbnail_name(md5, width) for md5 in lost for width in THUMBNAIL_WIDTHS)
            size = sum(self._store.size_of(name) or 0 for name in names)
            what = f"previews of {_many(len(lost), 'picture')} that {'is' if len(lost) == 1 else 'are'} gone"
            yield Useless(what, size, self._intake.remove_lost_thumbnails)


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _is_stale(path: Path) -> bool:
    return path.stat().st_mtime < time.time() - STALE_SECONDS


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
