"""Moving pictures to another storage while the library is used: copied, compared, and left where they were.

Each storage that took part holds a note of which library it is of (`NOTE`). So a move that was interrupted goes on, one
back may take away what was deleted meanwhile, and pictures of two libraries never mix.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from app.catalog.health import Health
from app.catalog.images import Images
from app.catalog.trash import Trash, Trashed
from app.errors import InvalidInput
from app.media.folder import Folder
from app.media.pictures import derivative_sizes
from app.media.store import NOTE, Inventory, Store, copy_file, original_name, thumbnail_name
from app.models import THUMBNAIL_WIDTHS, Image

AT_ONCE = 8
"""Pictures under way at the same time: an object store answers late, and many at once."""
BATCH = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Original:
    """A picture of the gallery or the trash. ``widths``: of the derivatives it should have, if they were made."""

    name: str
    md5: str
    format: str
    widths: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """``pictures`` are in the new place with the right MD5, ``new`` of them since this run; the others are problems."""

    pictures: int
    new: int
    removed: int
    problems: tuple[str, ...]


class Mover:
    """``library``: the identity of the catalog."""

    def __init__(
        self, library: str, health: Health, images: Images, trash: Trash, source: Store, target: Store
    ) -> None:
        self._library = library
        self._health = health
        self._images = images
        self._trash = trash
        self._source = source
        self._target = target

    def run(self, watch: Callable[[str, int], object] = lambda _step, _done: None) -> Moved:
        """Copy until nothing new comes, take away what was deleted since, compare every picture with its MD5.

        Raises `InvalidInput` if the target holds pictures of another library, or is where they are already.
        """
        self._take_possession()
        new = 0
        while more := self._copy(watch):
            new += more
        removed = self._prune()
        right, problems = 0, []
        for checked, problem in enumerate(_each(self._compare, self._originals()), start=1):
            right += problem is None
            problems += [problem] if problem else []
            watch("compared", checked)
        return Moved(right, new, removed, tuple(problems))

    def _take_possession(self) -> None:
        source, target = self._source, self._target
        if isinstance(source, Folder) and isinstance(target, Folder) and source.is_at(target.root):
            raise InvalidInput(f"The pictures are there already: {target.place} is {source.place}.")
        owner = _owner(self._target)
        if owner not in (None, self._library) or (owner is None and any(self._target.found_originals())):
            raise InvalidInput(f"{self._target.place} holds pictures of another library. Choose a place that is empty.")
        with tempfile.TemporaryDirectory() as folder:
            note = Path(folder, "note")
            note.write_text(self._library)
            for store in (self._source, self._target):
                if _owner(store) != self._library:
                    store.take_over(note, NOTE)

    def _copy(self, watch: Callable[[str, int], object]) -> int:
        """Go through the library once. Returns how many originals were new."""
        there, new = self._target.inventory(), 0
        for done, was_new in enumerate(_each(lambda o: self._copy_one(o, there), self._originals()), start=1):
            new += was_new
            watch("copied", done)
        return new

    def _copy_one(self, original: Original, there: Inventory) -> bool:
        new = False
        try:
            if there.size(original.md5, original.format) is None:
                _, new = copy_file(self._source, self._target, original_name(original.md5, original.format))
            for width in original.widths:
                if not there.has_thumbnail(original.md5, width):
                    copy_file(self._source, self._target, thumbnail_name(original.md5, width))
        except FileNotFoundError:  # a preview can be made again; what an original lacks is told when all is compared
            pass
        return new

    def _compare(self, original: Original) -> str | None:
        """What is wrong with a picture in the new place."""
        name = original_name(original.md5, original.format)
        if self._target.vouches_for(name, original.md5) or self._target.has_md5(name, original.md5):
            return None
        if not self._images.known_md5s([original.md5]):
            return None  # deleted a moment ago
        if self._source.size_of(name) is None:
            return f"The original of {original.name} is missing."
        if not self._source.has_md5(name, original.md5):
            return f"The original of {original.name} is not what was handed in."
        self._target.delete([name])
        copy_file(self._source, self._target, name)
        return None if self._target.has_md5(name, original.md5) else f"The copy of {original.name} is damaged."

    def _prune(self) -> int:
        """Take away, in the new place, what was deleted in the library since it was copied."""
        removed, found = 0, self._target.found_originals()
        while batch := dict(islice(found, BATCH)):
            for md5 in batch.keys() - self._images.known_md5s(list(batch)):
                unlink = partial(self._target.remove, md5, batch[md5], THUMBNAIL_WIDTHS)
                removed += self._images.unless_known(md5, unlink)  # it may have come back just now
        return removed

    def _originals(self) -> Iterator[Original]:
        for image in self._health.pictures():
            yield _original(image, image.has_thumbnails)
        for item in self._trash.latest(self._trash.count()):
            yield _original(item, True)


def _original(image: Image | Trashed, has_thumbnails: bool) -> Original:
    sizes = derivative_sizes(image.width, image.height) if has_thumbnails else ()
    return Original(image.filename, image.md5, image.format, tuple(size.name for size in sizes))


def _each(work: Callable[[Original], T], originals: Iterator[Original]) -> Iterator[T]:
    """In order, several at once, never more than a batch ahead."""
    with ThreadPoolExecutor(AT_ONCE) as workers:
        while batch := list(islice(originals, BATCH)):
            yield from workers.map(work, batch)


def _owner(store: Store) -> str | None:
    """Which library the pictures here are of, if it is noted."""
    try:
        return store.read(NOTE).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
