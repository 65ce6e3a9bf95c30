"""Watch: folders whose new and changed pictures are taken in by themselves.

The base is a look at all of a folder now and then, by path, size and time of the last change: it works on every disk
and misses nothing. Events of the operating system only make the next look come sooner. What was read before is known
by its row in `imports`, also across restarts, and also if its picture was deleted here since: that is not brought back.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path

from app.catalog.imports import REFUSED, Imports, Stamp
from app.catalog.watched import Watched
from app.errors import CatalogUnavailable, GlimpseError, StorageUnavailable
from app.library.importing import (
    ARCHIVE,
    Fate,
    Imported,
    Importer,
    Source,
    find_sources,
    folders_below,
    is_excluded,
)
from app.models import WatchedFolder

log = logging.getLogger(__name__)

SETTLE_SECONDS = 2.0
"""A file is whole when its size and time were the same in two looks that are so far apart."""
REPORT_SECONDS = 10.0
"""How often a long import says how far it is."""
MOST_FOLDERS = 5000
"""Folders that events are asked for: operating systems bound how many. Above it, looks alone have to do."""
NOT_THERE = "It is not there. Is its disk plugged in? Its pictures stay, and it is looked at again."
EMPTIED = "Nothing is in it any more. Is its disk plugged in? Its pictures stay, and it is looked at again."
_ESCAPED = re.compile(r"\\x[0-9a-f]{2}")
"""Bytes that are no UTF-8, in the name of a `Source`."""
_ARCHIVE = re.compile(rf"(.*?{re.escape(ARCHIVE)})!/", re.IGNORECASE | re.DOTALL)

Seen = dict[str, tuple[Stamp, float]]
"""New files by name: their stamp, and since when (seconds, monotonic) it has been that."""


class Watcher:
    """``every``: seconds between looks. ``library``: the folder of the originals, which is never looked into."""

    def __init__(
        self,
        importer: Importer,
        imports: Imports,
        watched: Watched,
        folders: Iterable[Path],
        exclude: Sequence[str],
        every: float,
        library: Path,
    ) -> None:
        self._importer = importer
        self._imports = imports
        self._watched = watched
        self._folders = tuple(folder.expanduser().absolute() for folder in folders)
        self._exclude = [pattern.rstrip("/") for pattern in exclude]
        self._every = every
        self._library = library
        self._seen: dict[Path, Seen] = {}
        self._said: set[str] = set()
        self._stopping = threading.Event()
        self._events = Events(self._exclude)

    def stop(self) -> None:
        """End after the file under way."""
        self._stopping.set()
        self._events.stop()

    def run(self) -> None:
        """Watch until `stop`."""
        for folder in self._folders:
            log.info("watching folder=%s", folder)
        self._events.start()
        while not self._stopping.is_set():
            began = time.monotonic()
            waiting = self.look()
            self._events.listen([below for folder in self._folders for below in self._below(folder)])
            # However many events there are, most of the time is not spent looking.
            self._stopping.wait(max(SETTLE_SECONDS, 3 * (time.monotonic() - began)))
            if not self._stopping.is_set() and not waiting:
                self._events.wait(self._every - SETTLE_SECONDS)
        for folder in self._folders:
            self._watched.leave(str(folder))

    def run_once(self) -> bool:
        """Take in what is whole by now. Returns whether all folders could be looked into."""
        if self.look() and not self._stopping.wait(SETTLE_SECONDS):
            self.look()
        return not any(f"{folder}!" in self._said for folder in self._folders)

    def look(self) -> bool:
        """Look at each folder, and take in what is new there and whole. Returns whether something is not whole yet."""
        waiting = False
        for folder in self._folders:
            try:
                waiting |= self._look_into(folder)
            except OSError as error:
                self._complain(folder, f"It can't be looked into: {error.strerror}.")
            except GlimpseError as error:
                waiting |= isinstance(error, StorageUnavailable | CatalogUnavailable)  # they come back by themselves
                self._complain(folder, str(error))
            except Exception:
                log.exception("watched folder could not be looked at folder=%s", folder)
                self._said.add(f"{folder}!")
                self._stopping.wait(SETTLE_SECONDS)
        return waiting

    def _below(self, folder: Path) -> Iterable[Path]:
        try:
            return folders_below(folder.resolve(), self._exclude) if folder.is_dir() else ()
        except OSError:  # said by `look`
            return ()

    def _look_into(self, folder: Path) -> bool:
        known = self._imports.under(Source(folder.resolve(), (0, 0)).name)  # it may be a link
        if not folder.is_dir():
            return self._complain(folder, NOT_THERE)
        found = list(find_sources([folder], self._exclude, self._library))
        if known and not found:
            return self._complain(folder, EMPTIED)
        self._complain(folder, None)
        sources = [item for item in found if isinstance(item, Source)]
        problems = [item for item in found if isinstance(item, Imported)]
        new = [source for source in sources if known.get(source.name, (None,))[0] != source.stamp]
        whole = self._whole(folder, new)
        report = _Report(self._watched, str(folder), self._every, len(sources), len(new) - len(whole))
        names = {item.name for item in found}
        report.gone = self._gone(known.keys() - names)
        again = {source.name for source in new}
        report.refused = sum(known[name][1] == REFUSED for name in known.keys() & names - again)
        with closing(self._importer.run(whole)) as running:  # what was learned is kept, also when it is stopped
            for result in chain(problems, running):
                self._tell(result)
                report.count(result)
                if self._stopping.is_set():
                    break
        report.write()
        return len(new) > len(whole)

    def _whole(self, folder: Path, new: Sequence[Source]) -> list[Source]:
        """Those that nobody writes to any more, as far as can be told."""
        now, before = time.monotonic(), self._seen.get(folder, {})
        seen: Seen = {}
        for source in new:
            stamp, since = before.get(source.name, (None, now))
            seen[source.name] = source.stamp, since if stamp == source.stamp else now
        self._seen[folder] = seen
        return [source for source in new if now - seen[source.name][1] >= SETTLE_SECONDS]

    def _gone(self, missing: Iterable[str]) -> int:
        """How many files are not there any more whose pictures are here. They are told once."""
        gone = [name for name in missing if is_gone(name) and not is_excluded(Path(name), self._exclude)]
        here = self._imports.known(gone)
        for name in here.keys() - self._said:
            log.warning("file is gone, its picture stays path=%r", name)
            self._said.add(name)
        return len(here)

    def _tell(self, result: Imported) -> None:
        if result.fate is Fate.PROBLEM and (line := f"{result.name}: {result.reason}") not in self._said:
            self._said.add(line)
            log.warning("file not taken path=%r reason=%s", result.name, result.reason)

    def _complain(self, folder: Path, message: str | None) -> bool:
        """Said once, and again when it is so again."""
        line = f"{folder}!"
        if message is None:
            self._said.discard(line)
            return False
        if line not in self._said:
            self._said.add(line)
            log.warning("watched folder=%s %s", folder, message)
        self._seen.pop(folder, None)
        with suppress(CatalogUnavailable):  # which may be the very complaint
            self._watched.report(WatchedFolder(str(folder), time.time(), self._every, message=message))
        return False


class _Report:
    """What is seen in one folder, written when it is known, and now and then while it takes long."""

    def __init__(self, watched: Watched, folder: str, every: float, files: int, waiting: int) -> None:
        self._watched = watched
        self._folder, self._every, self._files, self._waiting = folder, every, files, waiting
        self._fates = dict.fromkeys(Fate, 0)
        self._written = time.monotonic()
        self.gone = 0
        self.refused = 0

    def count(self, result: Imported) -> None:
        self._fates[result.fate] += 1
        self.refused += result.fate is Fate.PROBLEM
        if time.monotonic() - self._written > REPORT_SECONDS:
            self._write()

    def write(self) -> None:
        """The look is over."""
        if added := self._fates[Fate.ADDED]:
            log.info("watched folder=%s added=%d already here=%d", self._folder, added, self._fates[Fate.DUPLICATE])
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        seen = WatchedFolder(
            self._folder, time.time(), self._every, self._files, self._waiting, self.gone, self.refused
        )
        self._watched.report(seen)


class Events:
    """The operating system's word that something changed in a folder: a hint, which may be missing.

    Folders are named one by one, so that neither excluded ones nor what links lead to is asked for.
    """

    def __init__(self, exclude: Sequence[str]) -> None:
        self._exclude = exclude
        self._folders: tuple[Path, ...] = ()
        self._changed = threading.Event()
        self._anew = threading.Event()
        self._wanted = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="folder-events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._changed.set()
        self._anew.set()
        self._wanted.set()

    def listen(self, folders: Iterable[Path]) -> None:
        """To these folders from now on, and to none below them that is not named."""
        wanted = tuple(folders)
        if wanted != self._folders:
            self._folders = wanted
            self._anew.set()
            self._wanted.set()

    def wait(self, seconds: float) -> None:
        """Until something has changed, at most so long."""
        self._changed.wait(max(seconds, 0))
        self._changed.clear()

    def _run(self) -> None:
        while not self._stopping:
            self._wanted.wait()
            self._wanted.clear()
            self._anew.clear()
            if 0 < len(self._folders) <= MOST_FOLDERS and not self._stopping:
                self._follow()

    def _follow(self) -> None:
        from watchfiles import watch  # its native part is loaded only where folders are watched

        def wanted(_change: object, path: str) -> bool:
            return not is_excluded(Path(path), self._exclude)

        try:
            begun = False
            events = watch(
                *self._folders,
                watch_filter=wanted,
                stop_event=self._anew,
                recursive=False,
                step=200,
                rust_timeout=1000,
                yield_on_timeout=True,
            )
            for changes in events:
                if changes or not begun:  # what came before the first word was not heard
                    self._changed.set()
                begun = True
        except (OSError, RuntimeError) as error:  # too many folders for this machine, or one has just gone
            log.info("no events of folders, they are looked at now and then reason=%s", error)


def is_gone(name: str) -> bool:
    """Whether a file is certainly not there, by its `Source.name`; one inside an archive goes with the archive."""
    if _ESCAPED.search(name):
        return False  # on disk it has another name
    archive = _ARCHIVE.match(name)
    return _is_missing(name) and (archive is None or _is_missing(archive[1]))


def _is_missing(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False
