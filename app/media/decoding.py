"""Decoding in processes that may die: hostile bytes cost one picture, never the program.

Each picture has a time limit, after which its process is killed, and the processes have a memory limit. Only
`app.media` is imported there: no model, no catalog.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool
from PIL import Image

from app.errors import PictureError
from app.media import copies, pictures
from app.models import Captions

log = logging.getLogger(__name__)

MEMORY_LIMIT = 4 << 30
"""Bytes of address space for one decoding process: an 80-megapixel picture takes well under 1 GB."""
SECRET_SETTINGS = ("AWS_", "GLIMPSE_", "PG")
"""How names of variables begin that hold credentials; decoding takes none of them."""
TASKS_PER_PROCESS = 1000
"""A process is replaced after this many pictures, so that what a decoder leaks does not add up."""

JUMP_SECONDS = 1.0
"""By so much the two clocks never part while a machine is awake and its time is right."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Task(Generic[T]):
    """``scheduled``: when, by the clock of the wall that the pool goes by, and by the one that stands still while the
    machine sleeps."""

    work: Callable[..., T]
    argument: Path | bytes
    future: ProcessFuture[T]
    scheduled: tuple[float, float]


class Decoder:
    """A pool of ``processes``; each picture may take ``seconds`` and have ``max_pixels``. Starts with its first use."""

    def __init__(self, processes: int, seconds: float, max_pixels: int) -> None:
        self._processes = processes
        self._seconds = seconds
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._processes,
            max_tasks=TASKS_PER_PROCESS,
            initializer=_give_up_rights,
            # Not fork: a forked copy of a process with torch's threads may hang.
            context=multiprocessing.get_context("spawn"),
        )

    def prepare(self, paths: Sequence[Path]) -> Iterator[pictures.Prepared | PictureError]:
        """For each original, in order: derivatives and facts, or why it can't be read."""
        return self._each(pictures.prepare, paths)

    def read_captions(self, paths: Sequence[Path]) -> Iterator[Captions | PictureError]:
        """For each original, in order: the texts that stand in it, or why it can't be read."""
        return self._each(pictures.read_captions, paths)

    def write_without_location(self, source: Path, target: Path) -> str:
        """A copy that tells nothing but what is to be seen; its format. Raises `PictureError`."""
        return self._result(self._schedule(partial(copies.write_without_location, target=target), source))

    def _each(self, work: Callable[..., T], paths: Sequence[Path]) -> Iterator[T | PictureError]:
        waiting = [self._schedule(work, path) for path in paths]
        for task in waiting:
            try:
                yield self._result(task)
            except PictureError as error:
                yield error

    def load(self, data: bytes) -> Image.Image:
        """Decode a picture that is not kept. Raises `PictureError`."""
        return self._result(self._schedule(pictures.load, data))

    def _schedule(self, work: Callable[..., T], argument: Path | bytes) -> _Task[T]:
        with self._lock:
            try:
                future = self._pool.schedule(work, args=[argument, self._max_pixels], timeout=self._seconds)
            except RuntimeError:  # a process was killed while it had nothing to do, which the pool does not get over
                log.warning("decoding processes are gone, new ones are started")
                self._stop()
                self._pool = self._new_pool()
                future = self._pool.schedule(work, args=[argument, self._max_pixels], timeout=self._seconds)
        return _Task(work, argument, future, _now())

    def _result(self, task: _Task[T]) -> T:
        try:
            return task.future.result()
        except FutureTimeout as error:
            wall, awake = (now - then for now, then in zip(_now(), task.scheduled, strict=True))
            if wall - awake > JUMP_SECONDS:
                log.info("the clock jumped or the machine slept, a picture is read again")
                return self._result(self._schedule(task.work, task.argument))
            raise PictureError(f"Reading the picture takes longer than {self._seconds:g} seconds.") from error
        except ProcessExpired as error:
            raise PictureError("The picture stops the program that reads it, so it is left alone.") from error
        except (PictureError, BrokenExecutor, CancelledError):
            raise  # of the picture, or of the pool: then the batch is given back and tried again
        except FileNotFoundError as error:
            raise PictureError("The file of this picture is missing. Put it back, or delete the picture.") from error
        except Exception as error:  # a fault of ours, or of the disk: to be seen, but no reason to stop the others
            log.exception("reading a picture failed")
            raise PictureError("This picture could not be read. The log says more.") from error

    def close(self) -> None:
        """End the processes, also in the middle of a picture."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()


def _now() -> tuple[float, float]:
    return time.time(), time.monotonic()


def _give_up_rights() -> None:
    """What a decoder that was taken over could use: memory without end, and credentials of database and storage."""
    for name in [name for name in os.environ if name.startswith(SECRET_SETTINGS)]:
        del os.environ[name]
    with suppress(ImportError, ValueError, OSError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
