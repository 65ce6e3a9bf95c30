"""Take in: verify → store → pending row. And the ways back: remove, retry, repair."""

from __future__ import annotations

import hashlib
import logging
import os
import time
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from app.catalog.images import Images, NewImage
from app.catalog.trash import Removal, Trash
from app.errors import NotFound, PictureError, StorageUnavailable
from app.library.timing import Step, Stopwatch, unmeasured
from app.media import pictures
from app.media.store import CHUNK, Incoming, Store
from app.models import THUMBNAIL_WIDTHS, Image, Outcome, UploadResult

log = logging.getLogger(__name__)

LONGEST_NAME = 255
"""Characters of a file name that are kept."""
SETTLED_SECONDS = 10.0
"""A file in the folder that was written to more recently than this may still be being copied there."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file came from, and when it was last written to (local clock): the date taken, if nothing else tells."""

    folder: str
    time: datetime | None


class Intake:
    """``wake`` is called when there is new work for the worker."""

    def __init__(
        self,
        images: Images,
        trash: Trash,
        store: Store,
        max_pixels: int,
        wake: Callable[[], None],
        stopwatch: Stopwatch = unmeasured,
    ) -> None:
        self._images = images
        self._trash = trash
        self._store = store
        self._max_pixels = max_pixels
        self._wake = wake
        self._stopwatch = stopwatch

    def incoming(self) -> Incoming:
        """Room for a file whose bytes are about to come in; hand it to `add` when it is whole."""
        return self._store.incoming()

    def add(self, incoming: Incoming, filename: str, origin: Origin | None = None) -> UploadResult:
        """Take in one file. When this says "added", the picture survives a power cut."""
        with self._stopwatch(Step.INTAKE):
            return self._add(incoming, filename, origin)

    def _add(self, incoming: Incoming, filename: str, origin: Origin | None) -> UploadResult:
        name = clean_name(filename)
        try:
            incoming.finish()
            identity = pictures.identify(incoming.path, self._max_pixels)
        except PictureError as error:
            log.info("upload rejected filename=%r reason=%s", name, error)
            return UploadResult(name, Outcome.REJECTED, reason=str(error))
        folder, time = (origin.folder, origin.time) if origin else (None, None)
        new = NewImage(
            incoming.md5, name, identity.format, incoming.bytes, identity.width, identity.height, folder, time
        )
        self._store.send(incoming, identity.format)
        image_id, added = self._images.add(
            new,
            lambda: self._store.keep(incoming, identity.format),
            lambda format: self._store.put_back(incoming, format),
        )
        if added and self._store.lost(incoming):
            self._images.if_known(new.md5, lambda: self._store.confirm(incoming))
        if not added:
            if incoming.kept:
                log.warning("missing original put back id=%d", image_id)
                self._wake()
            return UploadResult(name, Outcome.DUPLICATE, image_id)
        log.info("picture added id=%d md5=%s bytes=%d", image_id, new.md5, new.bytes)
        self._wake()
        return UploadResult(name, Outcome.ADDED, image_id)

    def add_bytes(self, data: bytes, filename: str) -> UploadResult:
        """Take in a picture that is in memory already."""
        with self.incoming() as incoming:
            incoming.write(data)
            return self.add(incoming, filename)

    def is_whole(self, image_id: int) -> bool:
        """Whether the original of a picture is here as it was handed in. It is read from end to end."""
        image = self._images.get(image_id)
        try:
            return image is not None and self._store.is_whole(image.md5, image.format)
        except OSError:  # it can't be read
            return False

    def remove(self, image_id: int) -> Image:
        """Delete a picture for good: from every page and search at once, then its files. Raises `NotFound`."""
        image = self._images.get(image_id)
        removal = self._images.remove(image_id)
        if image is None or removal is None:
            raise NotFound("This picture is not here (any more).")
        self._finish(removal)
        log.info("picture removed id=%d md5=%s", image_id, removal.md5)
        return image

    def throw_away(self, image_id: int) -> None:
        """Move a picture to the trash: gone from every page and search at once. Raises `NotFound`."""
        if not self._trash.put(image_id):
            raise NotFound("This picture is not here (any more).")
        log.info("picture moved to the trash id=%d", image_id)

    def restore(self, image_id: int) -> None:
        """Bring a picture back from the trash; it is indexed again. Raises `NotFound`."""
        if not self._trash.restore(image_id):
            raise NotFound("This picture is not in the trash (any more).")
        log.info("picture restored id=%d", image_id)
        self._wake()

    def discard(self, image_id: int) -> None:
        """Delete a picture of the trash for good. Raises `NotFound`."""
        removal = self._trash.discard(image_id)
        if removal is None:
            raise NotFound("This picture is not in the trash (any more).")
        self._finish(removal)
        log.info("picture removed id=%d md5=%s", image_id, removal.md5)

    def empty_trash(self, days: float = 0.0) -> int:
        """Delete what lies in the trash for so many days, for good. Returns how many pictures that were."""
        old = self._trash.since_before(datetime.now(UTC) - timedelta(days=days))
        for image_id in old:
            if removal := self._trash.discard(image_id):
                self._finish(removal)
        if old:
            log.info("trash emptied pictures=%d", len(old))
        return len(old)

    def retry(self, image_id: int) -> None:
        """Try a failed picture again. Raises `NotFound`."""
        if not self._images.start_over([image_id]):
            raise NotFound("This picture is not here (any more).")
        self._wake()

    def retry_failed(self) -> int:
        """Try everything that failed again. Returns how many pictures that is."""
        retried = self._images.start_over_failed()
        self._wake()
        return retried

    def restore_thumbnails(self, md5: str, width: int) -> None:
        """This derivative is missing: have it made again, if it is one that a picture of ours is kept in."""
        image = self._images.by_md5(md5)
        if image is None or not image.has_thumbnails or self._store.size(md5, image.format) is None:
            return  # without its original nothing can be made: it may lie on a disk that is not there just now
        if width in (size.name for size in pictures.derivative_sizes(image.width, image.height)):
            log.warning("thumbnails missing, made again id=%d", image.id)
            self._images.start_over([image.id])
            self._wake()

    def recover(self, thorough: bool = False) -> list[UploadResult]:
        """At start: finish what a crash interrupted, and take in what somebody put into the folder by hand.

        ``thorough``: look for files without a row also where nobody puts files by hand (a bucket, which takes long).
        """
        self._store.sweep()
        self.finish_removals()
        if not (thorough or self._store.filled_by_hand):
            return []
        results = self._adopt_unrecorded() + self._adopt_strangers()
        self.remove_lost_thumbnails()
        return results

    def finish_removals(self) -> None:
        """Take away the files of deleted pictures that could not be taken away at once."""
        for removal in self._images.unfinished_removals():
            self._finish(removal)

    def _finish(self, removal: Removal) -> None:
        def unlink() -> None:
            self._store.remove(removal.md5, removal.format, THUMBNAIL_WIDTHS)

        try:
            self._store.reach()  # now, rather than under the lock
            self._images.finish_removal(removal, unlink)
        except (StorageUnavailable, OSError) as error:
            # The picture is gone for everybody; its files go when they can be reached, or whoever owns them lets them.
            log.warning("files of a removed picture are still there md5=%s reason=%s", removal.md5, error)

    def _adopt_unrecorded(self) -> list[UploadResult]:
        """Originals in their place without a row: a crash between the two, or a catalog that was lost."""
        found = dict(self._store.found_originals())
        deleted = {removal.md5 for removal in self._images.unfinished_removals()}
        unknown = found.keys() - self._images.known_md5s(list(found)) - deleted
        return _reported(self._adopt_original(md5, found[md5]) for md5 in sorted(unknown))

    def _adopt_original(self, md5: str, format: str) -> UploadResult | None:
        with self._store.original_file(md5, format) as path:
            return self._adopt(path)

    def _adopt_strangers(self) -> list[UploadResult]:
        found = self._store.found_strangers()
        return _reported(self._adopt(path) for path in found if isinstance(path, Path))

    def remove_lost_thumbnails(self) -> None:
        """Derivatives without a row: a picture was deleted while it was prepared, and then came a crash."""
        found = set(self._store.found_thumbnails(THUMBNAIL_WIDTHS[0]))
        for md5 in found - self._images.known_md5s(list(found)):
            self._images.unless_known(md5, partial(self._store.remove_thumbnails, md5, THUMBNAIL_WIDTHS))

    def _adopt(self, path: Path) -> UploadResult | None:
        """Take a file of the folder in by its own name, and move it to its place. What is no picture stays put.

        ``None``: it is left to the next start, since it may still be being written.
        """
        try:
            before = path.stat()
            if not _is_settled(path, before):
                log.info("file in the picture folder may not be whole yet path=%s", path)
                return None
            pictures.identify(path, self._max_pixels)  # before it is copied: it may be large, and no picture
            with self.incoming() as incoming, path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    incoming.write(chunk)
                result = self.add(incoming, path.name)
            if result.outcome is not Outcome.REJECTED and not self._is_original(path, incoming.md5):
                if result.image_id is None or not self.is_whole(result.image_id):
                    log.warning("file in the picture folder is kept: the library's own copy is damaged path=%s", path)
                elif _is_unchanged(path, before):
                    path.unlink()
                else:
                    log.warning("file in the picture folder was written to meanwhile path=%s", path)
            return result
        except PictureError as error:
            log.info("file in the picture folder rejected path=%s reason=%s", path, error)
            return UploadResult(clean_name(path.name), Outcome.REJECTED, reason=str(error))
        except OSError as error:
            log.warning("file in the picture folder can't be read path=%s reason=%s", path, error)
            return UploadResult(path.name, Outcome.REJECTED, reason=f"The file can't be read: {error.strerror}.")

    def _is_original(self, path: Path, md5: str) -> bool:
        image = self._images.by_md5(md5)
        return image is not None and self._store.location(md5, image.format) == str(path)


def _reported(results: Iterable[UploadResult | None]) -> list[UploadResult]:
    return [result for result in results if result is not None]


def _is_settled(path: Path, status: os.stat_result) -> bool:
    """Whether nobody is writing this file any more, as far as can be told.

    That is so if its last change was a while ago (or is to come: a clock was wrong), or if it is named after its own
    bytes: an original that came to its place just before a crash.
    """
    if abs(time.time() - status.st_mtime) >= SETTLED_SECONDS:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == path.stem


def _is_unchanged(path: Path, before: os.stat_result) -> bool:
    now = path.stat()
    return (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def clean_name(filename: str) -> str:
    """A file name for showing: its last part, printable, of bounded length. Never used as a path."""
    name = filename.replace("\\", "/").rsplit("/", 1)[-1]
    name = unicodedata.normalize("NFC", name)  # as people type it, and the web shows it
    name = "".join(character for character in name if character.isprintable()).strip()
    if len(name) > LONGEST_NAME:
        stem, dot, ending = name.rpartition(".")
        ending = dot + ending if stem and len(ending) <= 10 else ""
        name = name[: LONGEST_NAME - len(ending)] + ending
    return name or "unnamed"
