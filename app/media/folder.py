"""Pictures in a folder on disk, with writes that survive power loss.

Besides originals and derivatives there is ``.incoming/`` with the uploads under way. Whatever else lies in the folder
was put there by hand.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from app.errors import StorageUnavailable
from app.media.store import CHUNK, THUMBNAILS, Incoming, Store, original_name, parse_original, thumbnail_name

INCOMING = ".incoming"
STALE_SECONDS = 24 * 3600.0
"""An upload that is older than this is not under way any more."""


CATALOG, BACKUP_NOTE = "catalog.sqlite3", "backup-of"
"""In the folder `index/` beside the pictures: the catalog, and of which library a backup is."""


def is_library(folder: Path) -> bool:
    """Whether this is the data folder of a library or of a backup: the pictures in it belong to that."""
    # Not `Path.exists`, which raises where the folder may not be entered: what is in there is told by who goes in.
    return any(os.path.exists(folder / "index" / name) for name in (CATALOG, BACKUP_NOTE))


class Folder(Store):
    """The folder `images/`."""

    filled_by_hand = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = str(root)
        (root / INCOMING).mkdir(parents=True, exist_ok=True)
        self._volume = root.stat().st_dev

    def is_at(self, path: Path) -> bool:
        """Whether ``path`` is this folder, by whichever name: through links and mounts."""
        return path.exists() and self.root.samefile(path)

    def original(self, md5: str, format: str) -> Path:
        return self.root / original_name(md5, format)

    def thumbnail(self, md5: str, width: int) -> Path:
        return self.root / thumbnail_name(md5, width)

    @property
    def trouble(self) -> str | None:
        try:
            self.reach()
        except StorageUnavailable as error:
            return str(error)
        return None

    def reach(self) -> None:
        """Also raised where a disk was pulled off: what was written into the empty folder would vanish behind it."""
        try:
            volume = self.root.stat().st_dev
        except OSError as error:
            raise StorageUnavailable(
                f"The pictures in {self.root} can't be reached: {error.strerror}. Is their disk mounted?"
            ) from error
        if volume == self._volume:
            return
        if next(self.found_originals(), None) is None:
            raise StorageUnavailable(f"The pictures are not in {self.root} any more. Is their disk mounted?")
        self._volume = volume  # it is back, under another number

    def incoming(self) -> Incoming:
        """Room for a new file, on the same volume, so that keeping it is one rename."""
        self.reach()
        return Incoming(self.root / INCOMING)

    def linked(self, source: Path) -> Incoming:
        incoming = self.incoming()
        try:
            incoming.path.unlink()
            os.link(source.resolve(strict=True), incoming.path)  # a link to a link would be one
            incoming.read()
        except OSError:
            incoming.__exit__()
            raise
        return incoming

    def keep(self, incoming: Incoming, format: str) -> None:
        """Give a finished file its final name. On disk, name included, when this returns."""
        path = self.original(incoming.md5, format)
        _make_folder(path.parent)
        os.replace(incoming.path, path)
        _sync_folder(path.parent)
        incoming.kept = True

    def take_over(self, source: Path, name: str) -> None:
        """By a hard link where that is possible (files here are only ever replaced, never written to), else by a copy.

        On disk when this returns.
        """
        path = self.root / name
        _make_folder(path.parent)
        source.stat()  # what is here is not given up for nothing
        path.unlink(missing_ok=True)
        try:
            os.link(source, path)
        except FileNotFoundError:
            raise
        except OSError:  # another volume, or one without links
            self._copy(source, path)
        _sync_folder(path.parent)

    def _copy(self, source: Path, path: Path) -> None:
        with self.incoming() as incoming, source.open("rb") as file:
            while chunk := file.read(CHUNK):
                incoming.write(chunk)
            incoming.finish()
            os.replace(incoming.path, path)

    def save_thumbnail(self, md5: str, width: int, data: bytes) -> None:
        """Write a derivative: whole or not at all, but not forced to disk, since it can be made again."""
        path = self.thumbnail(md5, width)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.incoming() as incoming:
            incoming.write(data)
            incoming.finish(durable=False)
            os.replace(incoming.path, path)

    def size_of(self, name: str) -> int | None:
        try:
            return (self.root / name).stat().st_size
        except FileNotFoundError:
            return None

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        yield self.root / name

    def served(self, name: str) -> Path:
        path = self.root / name
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def delete(self, names: Sequence[str]) -> None:
        """On disk when this returns, for originals: one that came back by a power cut would be taken in again."""
        for name in names:
            path = self.root / name
            path.unlink(missing_ok=True)
            if parse_original(name) and path.parent.is_dir():  # also if it was gone: the sync may not have been reached
                _sync_folder(path.parent)

    def found_originals(self) -> Iterator[tuple[str, str]]:
        for path in self._files():
            if found := parse_original(self._name(path)):
                yield found

    def found_strangers(self) -> Iterator[Path]:
        for path in self._files():
            if not parse_original(self._name(path)):
                yield path

    def found_thumbnails(self, width: int) -> Iterator[str]:
        for path in (self.root / THUMBNAILS / str(width)).glob("??/*.webp"):
            yield path.stem

    def inventory(self) -> Folder:
        return self

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _files(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and not is_library(Path(folder, name))
            )
            if Path(folder) == self.root and THUMBNAILS in folders:
                folders.remove(THUMBNAILS)
            yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))

    def sweep(self) -> None:
        for path in (self.root / INCOMING).iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - STALE_SECONDS:
                    path.unlink()


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    # A rename is on disk only when its folder is: https://man7.org/linux/man-pages/man2/fsync.2.html
    if os.name == "nt":  # folders can't be opened there; NTFS journals the rename
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
