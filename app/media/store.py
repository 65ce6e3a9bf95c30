"""Where picture files lie, and writes that survive power loss.

::

    images/ab/<md5>.<format>              originals, as they were handed in
    images/thumbs/<width>/ab/<md5>.webp   derivatives, made again when missing
    images/.incoming/                     uploads under way

Names are made of digests and known formats only: what people call their files never becomes a path.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

THUMBNAILS = "thumbs"
INCOMING = ".incoming"
STALE_SECONDS = 24 * 3600.0
"""An upload that is older than this is not under way any more."""
CHUNK = 1 << 20

_ORIGINAL = re.compile(r"(?P<md5>[0-9a-f]{32})\.(?P<format>[a-z0-9]{1,8})")


class Incoming:
    """A file on its way in: counted and hashed while it is written. A context manager; gone at its end unless kept."""

    def __init__(self, folder: Path) -> None:
        descriptor, name = tempfile.mkstemp(dir=folder)
        self.path = Path(name)
        self.bytes = 0
        self.kept = False
        self._file: BinaryIO = os.fdopen(descriptor, "wb")
        self._digest = hashlib.md5(usedforsecurity=False)

    @property
    def md5(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.bytes += len(data)

    def read(self) -> None:
        """Take what lies at `path` by now for what was written."""
        self._file.close()
        self._file = self.path.open("rb")
        while chunk := self._file.read(CHUNK):
            self._digest.update(chunk)
            self.bytes += len(chunk)

    def finish(self, durable: bool = True) -> None:
        """No more will be written. ``durable``: everything is on disk when this returns."""
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(OSError):  # a full disk: what is still in the buffer is not wanted either
            self._file.close()
        self.path.unlink(missing_ok=True)


class Store:
    """The folder `images/`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / INCOMING).mkdir(parents=True, exist_ok=True)

    def incoming(self) -> Incoming:
        """Room for a new file, on the same volume, so that keeping it is one rename."""
        return Incoming(self.root / INCOMING)

    def linked(self, source: Path) -> Incoming:
        """A hard link to a file elsewhere, instead of a copy; read and hashed. Raises `OSError` where that can't be."""
        incoming = self.incoming()
        try:
            incoming.path.unlink()
            os.link(source, incoming.path)
            incoming.read()
        except OSError:
            incoming.__exit__()
            raise
        return incoming

    def original(self, md5: str, format: str) -> Path:
        return self.root / md5[:2] / f"{md5}.{format}"

    def thumbnail(self, md5: str, width: int) -> Path:
        return self.root / THUMBNAILS / str(width) / md5[:2] / f"{md5}.webp"

    def keep(self, incoming: Incoming, format: str) -> None:
        """Give a finished file its final name. On disk, name included, when this returns."""
        path = self.original(incoming.md5, format)
        _make_folder(path.parent)
        os.replace(incoming.path, path)
        _sync_folder(path.parent)
        incoming.kept = True

    def save_thumbnail(self, md5: str, width: int, data: bytes) -> None:
        """Write a derivative: whole or not at all, but not forced to disk, since it can be made again."""
        path = self.thumbnail(md5, width)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.incoming() as incoming:
            incoming.write(data)
            incoming.finish(durable=False)
            os.replace(incoming.path, path)

    def take_over(self, source: Path, path: Path) -> bool:
        """Have the content of ``source``, a file of another store, at ``path`` of this one: by a hard link where that
        is possible (files here are only ever replaced, never written to), else by a copy. On disk when this returns.

        Returns whether it was new; a file of the same size is the same. Raises `FileNotFoundError`.
        """
        size = source.stat().st_size
        if path.is_file() and path.stat().st_size == size:
            return False
        _make_folder(path.parent)
        path.unlink(missing_ok=True)
        try:
            os.link(source, path)
        except FileNotFoundError:
            raise
        except OSError:  # another volume, or one without links
            self._copy(source, path)
        _sync_folder(path.parent)
        return True

    def _copy(self, source: Path, path: Path) -> None:
        with self.incoming() as incoming, source.open("rb") as file:
            while chunk := file.read(CHUNK):
                incoming.write(chunk)
            incoming.finish()
            os.replace(incoming.path, path)

    def remove(self, md5: str, format: str, widths: tuple[int, ...]) -> None:
        """Take an original and its derivatives away; what is missing already is fine."""
        self.original(md5, format).unlink(missing_ok=True)
        self.remove_thumbnails(md5, widths)

    def remove_thumbnails(self, md5: str, widths: tuple[int, ...]) -> None:
        """Take derivatives away, the last of ``widths`` first: while any is left, the first is."""
        for width in reversed(widths):
            self.thumbnail(md5, width).unlink(missing_ok=True)

    def found_originals(self) -> Iterator[tuple[str, Path]]:
        """MD5 and path of each file that lies where an original of that MD5 belongs."""
        for path in self._files():
            match = _ORIGINAL.fullmatch(path.name)
            if match and path == self.original(match["md5"], match["format"]):
                yield match["md5"], path

    def found_strangers(self) -> Iterator[Path]:
        """Files that somebody put into the folder by hand."""
        for path in self._files():
            match = _ORIGINAL.fullmatch(path.name)
            if not (match and path == self.original(match["md5"], match["format"])):
                yield path

    def found_thumbnails(self, width: int) -> Iterator[str]:
        """MD5 of each picture that has a derivative of this width."""
        for path in (self.root / THUMBNAILS / str(width)).glob("??/*.webp"):
            yield path.stem

    def _files(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if Path(folder) == self.root and THUMBNAILS in folders:
                folders.remove(THUMBNAILS)
            yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))

    def sweep(self) -> None:
        """Clear away what interrupted uploads left behind."""
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
