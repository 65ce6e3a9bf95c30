"""Import: folders, files and archives from this machine's disks, by the same way that uploads take.

What was imported before and has not changed since is known by its path, size and time, and is not read again: so an
import that was interrupted goes on where it stopped, and one that is repeated costs a look at each file.
"""

from __future__ import annotations

import errno
import fnmatch
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from glob import escape
from pathlib import Path
from typing import BinaryIO

from app.catalog.imports import REFUSED, Imports, Stamp
from app.errors import InvalidInput, StorageUnavailable
from app.library.intake import Intake, Origin
from app.media.folder import is_library
from app.media.store import CHUNK, THUMBNAILS, Incoming, Store
from app.models import Outcome

PICTURES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff",
    ".heic", ".heif", ".hif",
})  # fmt: skip
"""Endings of files in folders and archives that are looked into. A file named itself is, whatever its ending."""
ARCHIVE = ".zip"
MOST_MEMBERS = 200_000
"""Files in one archive: more is no collection of pictures but an attack on the memory of who lists them."""
LARGE, MOST_TIMES = 2_000_000_000, 100
"""An archive that says it unpacks to more bytes than the first, and to more than so many times its own size, is a bomb:
pictures hardly shrink."""
NO_ALBUMS = frozenset({"@eadir", "#recycle", "$recycle.bin", "__macosx", "lost+found", "system volume information"})
"""Folders of systems, in small letters: trash, and thumbnails that network disks make. As hidden as what begins with a
dot: looked into only where a person names them."""
EARLIEST = datetime(1980, 1, 2)
"""Files that say they are older have no date: zero on most disks is 1970, in archives 1980."""
BATCH = 200
"""Files looked up, and remembered, at once."""
COPIED = "It was copied: hard links reach no other volume, and no archive."
_GROWS = "it is being written to; import it again when it is whole"
_DAMAGED_HERE = "It was left where it is: the original here is damaged. `python run.py doctor --deep` says what to do."
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_UNREADABLE = (
    OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What reading files and members of archives raises: missing rights, broken disks, passwords, damage."""


class Mode(StrEnum):
    """What becomes of the file that was imported."""

    COPY = "copy"
    MOVE = "move"
    LINK = "link"


class Fate(StrEnum):
    """What became of one file."""

    ADDED = "added"
    DUPLICATE = "duplicate"
    UNCHANGED = "unchanged"
    """Imported before, and the same since."""
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Source:
    """A file to import. ``member``: its name inside the archive ``path``."""

    path: Path
    stamp: Stamp
    member: str | None = None

    @property
    def name(self) -> str:
        """Absolute, and fit for a database also where the name on disk is no UTF-8."""
        whole = os.fsencode(self.path).decode("utf-8", "backslashreplace")
        return whole if self.member is None else f"{whole}!/{self.member}"

    @property
    def filename(self) -> str:
        return self.path.name if self.member is None else _in_utf8(self.member.rsplit("/", 1)[-1])

    @property
    def origin(self) -> Origin:
        try:
            moment = datetime.fromtimestamp(self.stamp[1] / 1e9)  # as cameras: the local clock, without a zone
        except (OverflowError, ValueError, OSError):  # disks may say anything
            moment = datetime.min
        return Origin(self.name.rpartition("/")[0], moment if moment >= EARLIEST else None)


@dataclass(frozen=True, slots=True)
class Imported:
    """One line of the report. ``reason``: why it is a problem, or what was not done as asked."""

    name: str
    fate: Fate
    image_id: int | None = None
    reason: str = ""
    refused: bool = False
    """It was read and is no picture, or too large: reading it again changes nothing until it changes."""
    gone: bool = False
    """It was moved."""


class Importer:
    """``max_bytes``: the largest file taken in."""

    def __init__(self, intake: Intake, imports: Imports, store: Store, max_bytes: int) -> None:
        self._intake = intake
        self._imports = imports
        self._store = store
        self._max_bytes = max_bytes
        self._archives = _Archives()

    def run(self, sources: Sequence[Source], mode: Mode = Mode.COPY, dry: bool = False) -> Generator[Imported]:
        """Import, in order. ``dry``: only say what would be looked at. May be given up after any of them."""
        with closing(self._archives):
            for start in range(0, len(sources), BATCH):
                yield from self._run_batch(sources[start : start + BATCH], mode, dry)

    def _run_batch(self, batch: Sequence[Source], mode: Mode, dry: bool) -> Iterator[Imported]:
        known = self._imports.known([source.name for source in batch])
        learned: dict[str, tuple[Stamp, int]] = {}
        try:
            for source in batch:
                result = self._one(source, mode, dry, known.get(source.name))
                if not dry and not result.gone and result.fate is not Fate.UNCHANGED:
                    if result.image_id is not None:
                        learned[source.name] = source.stamp, result.image_id
                    elif result.refused:
                        learned[source.name] = source.stamp, REFUSED
                yield result
        finally:
            self._imports.record(learned)

    def _one(self, source: Source, mode: Mode, dry: bool, known: tuple[Stamp, int] | None) -> Imported:
        if known is not None and known[0] == source.stamp:
            if mode is Mode.MOVE and not dry:
                return self._take_in(source, mode)  # it is read once more: only what is here for sure is moved
            return Imported(source.name, Fate.UNCHANGED, known[1])
        if source.stamp[0] > self._max_bytes:
            limit = f"It is larger than {self._max_bytes // 1_000_000:,} MB (GLIMPSE_MAX_FILE_MB)."
            return Imported(source.name, Fate.PROBLEM, reason=limit, refused=True)
        return Imported(source.name, Fate.ADDED) if dry else self._take_in(source, mode)

    def _take_in(self, source: Source, mode: Mode) -> Imported:
        try:
            with ExitStack() as stack:
                linked = self._linked(source) if mode is Mode.LINK else None
                incoming = stack.enter_context(linked or self._copied(source))
                if linked and _stamp(source.path) != source.stamp:
                    raise ValueError(_GROWS)
                result = self._intake.add(incoming, source.filename, source.origin)
        except _UNREADABLE as error:
            if isinstance(error, OSError) and error.errno in _FULL:  # ours: what is read from does not fill up
                raise StorageUnavailable(
                    "The library's disk is full, or read-only. Make room and try again."
                ) from error
            return Imported(source.name, Fate.PROBLEM, reason=_reason(error))
        if result.outcome is Outcome.REJECTED:
            return Imported(source.name, Fate.PROBLEM, reason=result.reason or "", refused=True)
        fate = Fate.ADDED if result.outcome is Outcome.ADDED else Fate.DUPLICATE
        imported = Imported(source.name, fate, result.image_id)
        if mode is Mode.LINK and linked is None:
            return replace(imported, reason=COPIED)
        if mode is not Mode.MOVE or source.member is not None:
            return imported
        if fate is Fate.DUPLICATE and result.image_id is not None and not self._intake.is_whole(result.image_id):
            return replace(imported, reason=_DAMAGED_HERE)
        return _moved(source, imported)

    def _linked(self, source: Source) -> Incoming | None:
        """``None``: on another volume, on one without links, or inside an archive."""
        try:
            return None if source.member else self._store.linked(source.path)
        except OSError:
            return None

    @contextmanager
    def _copied(self, source: Source) -> Iterator[Incoming]:
        before = _stamp(source.path)
        with self._intake.incoming() as incoming, self._archives.open(source) as file:
            while part := file.read(CHUNK):
                if incoming.bytes + len(part) > self._max_bytes:  # an archive may lie about the size of its members
                    raise ValueError(f"it is larger than {self._max_bytes // 1_000_000:,} MB (GLIMPSE_MAX_FILE_MB)")
                incoming.write(part)
            if _stamp(source.path) != before:
                raise ValueError(_GROWS)
            yield incoming


class _Archives:
    """Keeps the archive open that was read last: its members follow each other, and its list is long."""

    def __init__(self) -> None:
        self._open: tuple[Path, zipfile.ZipFile] | None = None

    @contextmanager
    def open(self, source: Source) -> Iterator[BinaryIO]:
        """The bytes of a source."""
        if source.member is None:
            with source.path.open("rb") as file:
                yield file
            return
        if self._open is None or self._open[0] != source.path:
            self.close()
            self._open = source.path, zipfile.ZipFile(source.path)
        with self._open[1].open(source.member) as member:
            yield member  # type: ignore[misc]

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


def _moved(source: Source, imported: Imported) -> Imported:
    """Take the file away, now that it is here for sure; unless it has changed meanwhile."""
    try:
        if _stamp(source.path) != source.stamp:
            return imported
        source.path.unlink()
    except OSError as error:
        return replace(imported, reason=f"It is here, and could not be taken away there: {error.strerror}.")
    return replace(imported, gone=True)


def find_sources(
    paths: Iterable[Path], exclude: Sequence[str] = (), library: Path | None = None
) -> Iterator[Source | Imported]:
    """Files to import, in the order of their names, and what can't be looked into.

    Folders are gone through to the bottom, without what is hidden and without other libraries and backups; links to
    folders are not followed. ``exclude``: patterns such as ``*.png``
    or ``*/private/*``, held against name and whole path. What lies in the folder ``library`` is left out: those are
    the originals themselves. Raises `InvalidInput` for a path that is not there.
    """
    patterns = [pattern.rstrip("/") for pattern in exclude]
    if library is not None:
        patterns.append(escape(str(library.resolve())))
        inside = [path for path in paths if path.resolve().is_relative_to(library.resolve())]
        if inside:
            raise InvalidInput(f"{inside[0]} belongs to the library itself: what lies there is here already.")
    for path in paths:
        if path.is_dir():
            yield from _in_folder(path.resolve(), patterns)
        elif path.is_file():
            yield from _in_file(path.resolve(), patterns)
        else:
            raise InvalidInput(f"There is no file or folder {path}.")


def folders_below(folder: Path, exclude: Sequence[str] = ()) -> Iterator[Path]:
    """``folder`` and every folder in it that `find_sources` would look into."""
    for place, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_left_out(Path(place, name), exclude))
        yield Path(place)


def _in_folder(folder: Path, exclude: Sequence[str]) -> Iterator[Source | Imported]:
    problems: list[Imported] = []

    def complain(error: OSError) -> None:
        problems.append(Imported(Source(Path(error.filename), (0, 0)).name, Fate.PROBLEM, reason=_reason(error)))

    for place, folders, names in os.walk(folder, onerror=complain):
        folders[:] = sorted(name for name in folders if not _is_left_out(Path(place, name), exclude))
        for name in sorted(names):
            path = Path(place, name)
            if not _is_hidden(name) and path.suffix.lower() in (*PICTURES, ARCHIVE):
                yield from _in_file(path, exclude)
        yield from problems
        problems.clear()
    yield from problems


def _in_file(path: Path, exclude: Sequence[str]) -> Iterator[Source | Imported]:
    if is_excluded(path, exclude):
        return
    try:
        stamp = _stamp(path)
        if path.suffix.lower() == ARCHIVE:
            yield from _in_archive(path, stamp, exclude)
        else:
            yield Source(path, stamp)
    except _UNREADABLE as error:
        yield Imported(Source(path, (0, 0)).name, Fate.PROBLEM, reason=_reason(error))


def _in_archive(path: Path, stamp: Stamp, exclude: Sequence[str]) -> Iterator[Source | Imported]:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"it holds more than {MOST_MEMBERS:,} files")
    if sum(member.file_size for member in members) > max(LARGE, MOST_TIMES * stamp[0]):
        raise ValueError(f"it says that it unpacks to more than {MOST_TIMES} times its size, as pictures never do")
    for member in members:
        name = Path(member.filename)
        if any(map(_is_hidden, member.filename.replace("\\", "/").split("/"))):
            continue
        if name.suffix.lower() in PICTURES and not is_excluded(path / name, exclude):
            yield Source(path, (member.file_size, _moment(member, stamp)), member.filename)


def _moment(member: zipfile.ZipInfo, stamp: Stamp) -> int:
    """When a member was last changed, in nanoseconds; that of the archive where it says nonsense."""
    try:
        moment = datetime(*member.date_time)  # archives keep the local clock
        return stamp[1] if moment < EARLIEST else int(moment.timestamp() * 1e9)
    except ValueError:
        return stamp[1]


def _stamp(path: Path) -> Stamp:
    """Raises `OSError`, `ValueError` for what is no file: opening a pipe, say, would wait for ever."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no file")
    return found.st_size, found.st_mtime_ns


def is_excluded(path: Path, exclude: Sequence[str]) -> bool:
    """Whether one of these patterns fits the name or the whole path."""
    return any(fnmatch.fnmatch(path.name, pattern) or fnmatch.fnmatch(str(path), pattern) for pattern in exclude)


def _in_utf8(name: str) -> str:
    """As it was meant: many programs write UTF-8 into archives without saying so, which then reads as code page 437."""
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:  # it was said, or is another code page
        return name


def _is_hidden(name: str) -> bool:
    return (name.startswith(".") and name.strip(".") != "") or name.lower() in NO_ALBUMS


def _is_left_out(path: Path, exclude: Sequence[str]) -> bool:
    if _is_hidden(path.name) or is_excluded(path, exclude):
        return True
    # The pictures of another library, or of a backup, belong to that: `--move` would empty it. Asked for by its own
    # path it is gone through, but for the previews.
    return is_library(path) or (path.name == THUMBNAILS and is_library(path.parent.parent))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"It can't be read: {error.strerror}."
    text = str(error).strip().rstrip(".")
    return f"It can't be read: {text}." if text else "It can't be read."
