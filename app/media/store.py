"""Where picture files lie: what a folder on disk (`folder`) and a bucket (`bucket`) have in common.

::

    ab/<md5>.<format>              originals, as they were handed in
    thumbs/<width>/ab/<md5>.webp   derivatives, made again when missing

Names are made of digests and known formats only: what people call their files never becomes a path.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import BinaryIO, Protocol

THUMBNAILS = "thumbs"
NOTE = ".glimpse-library"
"""Says which library the pictures here are of, once they were moved."""
CHUNK = 1 << 20

_ORIGINAL = re.compile(r"(?P<shard>[0-9a-f]{2})/(?P<md5>(?P=shard)[0-9a-f]{30})\.(?P<format>[a-z0-9]{1,8})")


def original_name(md5: str, format: str) -> str:
    """Where an original lies, below the root of a store."""
    return f"{md5[:2]}/{md5}.{format}"


def thumbnail_name(md5: str, width: int) -> str:
    """Where a derivative lies, below the root of a store."""
    return f"{THUMBNAILS}/{width}/{md5[:2]}/{md5}.webp"


def parse_original(name: str) -> tuple[str, str] | None:
    """MD5 and format, if this is a name that `original_name` gives."""
    match = _ORIGINAL.fullmatch(name)
    return (match["md5"], match["format"]) if match else None


class Incoming:
    """A file on its way in: counted and hashed while it is written. A context manager; gone at its end unless kept."""

    def __init__(self, folder: Path, durable: bool = True) -> None:
        """``durable``: its bytes are to stay on this disk."""
        descriptor, name = tempfile.mkstemp(dir=folder)
        self.path = Path(name)
        self.bytes = 0
        self.kept = False
        """Whether it was missing where it is kept."""
        self.sent_as: str | None = None
        """The name under which it was sent elsewhere."""
        self._durable = durable
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
        """No more will be written. ``durable``: everything is on disk when this returns, if it is to stay there."""
        self._file.flush()
        if durable and self._durable:
            os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(OSError):  # a full disk: what is still in the buffer is not wanted either
            self._file.close()
        self.path.unlink(missing_ok=True)


class Inventory(Protocol):
    """What there is, to be asked about every picture of the library."""

    def size(self, md5: str, format: str) -> int | None:
        """Bytes of an original; ``None`` if it is missing."""

    def has_thumbnail(self, md5: str, width: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What HTTP tells about a file. ``size`` in bytes; ``etag`` with its quotes (RFC 9110)."""

    size: int
    modified: datetime
    etag: str


class Remote(ABC):
    """A file elsewhere, on its way to a browser. Each method raises `FileNotFoundError` and `StorageUnavailable`."""

    @abstractmethod
    async def facts(self) -> Facts: ...

    @abstractmethod
    async def read(self, start: int | None = None, stop: int | None = None) -> tuple[Facts, AsyncIterator[bytes]]:
        """The bytes from ``start`` to before ``stop``, else all."""

    @abstractmethod
    async def address(self) -> str | None:
        """Where browsers can fetch it themselves, for a while; ``None`` if they are not to."""


class Store(ABC):
    """Originals and derivatives of one library. Names are those that `original_name` and `thumbnail_name` give.

    An original is handed over in three steps around the transaction that writes its row: `send` may take its time,
    `keep` is called under the catalog's write lock, and before anybody is told that the picture is here, `lost` asks
    whether `confirm` is needed, which is called under that lock again.
    """

    place: str
    """Where this is, for people."""
    filled_by_hand = False
    """Whether people put files here themselves, so that each start looks for them."""
    origin = ""
    """Scheme and host that browsers are sent to for pictures; empty: none but our own."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be read or written just now, as far as is known."""
        return None

    @abstractmethod
    def reach(self) -> None:
        """Raises `StorageUnavailable` where nothing can be read or written just now."""

    # -- coming in ----------------------------------------------------------------------------------------------

    @abstractmethod
    def incoming(self) -> Incoming:
        """Room for a new file, on this machine."""

    def linked(self, source: Path) -> Incoming:
        """A hard link to a file elsewhere, instead of a copy; read and hashed. Raises `OSError` where that can't be."""
        raise OSError(f"{source} can't be linked into {self.place}")

    def send(self, incoming: Incoming, format: str) -> None:  # noqa: B027 - a folder has nothing to do here
        """Before the row is written: what takes long."""

    @abstractmethod
    def keep(self, incoming: Incoming, format: str) -> None:
        """Give a finished file its final name. It survives a power cut when this returns."""

    def put_back(self, incoming: Incoming, format: str) -> bool:
        """Make a file the original of a known picture if that is missing, or was cut short. Returns whether it was."""
        missing = self.size(incoming.md5, format) != incoming.bytes
        if missing:
            self.keep(incoming, format)
        return missing

    def lost(self, incoming: Incoming) -> bool:
        """After the row was written: whether a removal of the same picture has taken the file away meanwhile."""
        return False

    def confirm(self, incoming: Incoming) -> None:  # noqa: B027 - nor here
        """Put it there again, while nobody adds or removes this picture."""

    @abstractmethod
    def save_thumbnail(self, md5: str, width: int, data: bytes) -> None:
        """Write a derivative: whole or not at all."""

    def save_thumbnails(self, md5: str, thumbnails: Mapping[int, bytes]) -> None:
        """Write the derivatives of a picture, by width; the smallest first: it tells a later start of the others."""
        for width, data in sorted(thumbnails.items()):
            self.save_thumbnail(md5, width, data)

    @abstractmethod
    def take_over(self, source: Path, name: str) -> None:
        """Have the content of ``source``, a file that nobody writes to, under this name. It survives a power cut."""

    # -- reading ------------------------------------------------------------------------------------------------

    @abstractmethod
    def size_of(self, name: str) -> int | None:
        """Bytes of a file; ``None`` if it is missing."""

    @abstractmethod
    def file(self, name: str) -> AbstractContextManager[Path]:
        """Where it can be read on this machine while the block lasts; nothing is there if it is missing."""

    @abstractmethod
    def served(self, name: str) -> Path | Remote:
        """What a browser is sent. Raises `FileNotFoundError`, or reading it does."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Raises `FileNotFoundError`."""

    def has_md5(self, name: str, md5: str) -> bool:
        """Whether a file is there and has this MD5. It may have to be read."""
        with self.file(name) as path:
            try:
                with path.open("rb") as file:
                    return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5
            except FileNotFoundError:
                return False

    def is_whole(self, md5: str, format: str) -> bool:
        """Whether an original is there as it was handed in. It may have to be read from end to end."""
        return self.has_md5(original_name(md5, format), md5)

    def vouches_for(self, name: str, md5: str) -> bool:
        """Whether the storage itself says that it took in content of this MD5. Nothing is read."""
        return False

    def size(self, md5: str, format: str) -> int | None:
        """Bytes of an original; ``None`` if it is missing."""
        return self.size_of(original_name(md5, format))

    def has_thumbnail(self, md5: str, width: int) -> bool:
        return self.size_of(thumbnail_name(md5, width)) is not None

    def original_file(self, md5: str, format: str) -> AbstractContextManager[Path]:
        """As `file`."""
        return self.file(original_name(md5, format))

    def thumbnail_bytes(self, md5: str, width: int) -> bytes:
        """As `read`."""
        return self.read(thumbnail_name(md5, width))

    def location(self, md5: str, format: str) -> str:
        """Where an original lies, for people."""
        return f"{self.place}/{original_name(md5, format)}"

    # -- removing -----------------------------------------------------------------------------------------------

    @abstractmethod
    def delete(self, names: Sequence[str]) -> None:
        """Take files away, one after the other; what is missing already is fine."""

    def remove(self, md5: str, format: str, widths: tuple[int, ...]) -> None:
        """Take an original and its derivatives away."""
        self.delete([original_name(md5, format), *_thumbnails(md5, widths)])

    def remove_thumbnails(self, md5: str, widths: tuple[int, ...]) -> None:
        """Take derivatives away, the last of ``widths`` first: while any is left, the first is."""
        self.delete(_thumbnails(md5, widths))

    # -- looking around -----------------------------------------------------------------------------------------

    @abstractmethod
    def found_originals(self) -> Iterator[tuple[str, str]]:
        """MD5 and format of each original."""

    @abstractmethod
    def found_strangers(self) -> Iterator[PurePath]:
        """What somebody put here by hand; a `Path` where this machine can read it."""

    @abstractmethod
    def found_thumbnails(self, width: int) -> Iterator[str]:
        """MD5 of each picture that has a derivative of this width."""

    @abstractmethod
    def inventory(self) -> Inventory:
        """For questions about every picture there is."""

    @abstractmethod
    def sweep(self) -> None:
        """Clear away what interrupted uploads left behind."""


def _thumbnails(md5: str, widths: tuple[int, ...]) -> list[str]:
    return [thumbnail_name(md5, width) for width in reversed(widths)]


def copy_file(source: Store, target: Store, name: str, size: int | None = None) -> tuple[int, bool]:
    """Copy a file between stores. Returns its bytes and whether it was new; a file of the same size is the same.

    ``size``: bytes that it should have. What is there with so many is not given up for a source that was cut short.
    Raises `FileNotFoundError` if there is none.
    """
    found = source.size_of(name)
    if found is None:
        raise FileNotFoundError(name)
    there = target.size_of(name)
    if there is not None and there in (found, size):
        return found, False
    with source.file(name) as path:
        target.take_over(path, name)
    return found, True
