"""Indexes in memory and their snapshots on disk.

A snapshot holds an index together with the ``seq`` it has read the log to, in *one* file, so that the two can't come
apart, and only makes the next start fast: whatever is wrong with it, it is ignored and the log is read from its
beginning. One line of JSON, then the columns of `app.vectors.rows` as they lie in memory, then a checksum over both.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from cachetools import TTLCache

from app.models import EmbeddingSpace
from app.vectors.cells import Cells
from app.vectors.index import Log, VectorIndex
from app.vectors.rows import Rows

log = logging.getLogger(__name__)

FORMAT = 4
"""Of snapshot files; another number is not read."""
SNAPSHOT_SECONDS = 60.0
"""A growing index is written down at most this often."""
STALE_SECONDS = 3600.0
"""No snapshot takes this long to be written."""
PART = 16_384
"""Rows copied at once while searches wait: 16 MB at 512 dimensions."""


class MovedMeanwhileError(Exception):
    """Rows changed their place while they were written down."""


@dataclass(frozen=True, slots=True)
class SnapshotKey:
    """What a snapshot must agree with to be used: which catalog, which space."""

    catalog: str
    space: EmbeddingSpace


def save_snapshot(index: VectorIndex, path: Path, key: SnapshotKey) -> None:
    """Write a snapshot: whole or not at all, without a second copy in memory; searches wait for moments.

    Raises `MovedMeanwhileError`; then the older snapshot stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            seq = _write(index, key, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    index.saved_seq, index.saved_at = seq, time.monotonic()
    log.debug("snapshot written path=%s seq=%d", path.name, seq)


def _write(index: VectorIndex, key: SnapshotKey, file: BinaryIO) -> int:
    checksum = 0

    def put(data: bytes) -> None:
        nonlocal checksum
        checksum = zlib.crc32(data, checksum)
        file.write(data)

    with index.lock:
        moves, count = index.moves, len(index)
        cells = index.cells if index.cells is not None and index.cells.probes else None
        seq = index.seq
        header = {
            "format": FORMAT,
            "key": asdict(key),
            "seq": seq,
            "mark": index.mark,
            "count": count,
            "bank": index.compared_with,
            "cells": len(cells) if cells else 0,
            "probes": cells.probes if cells else 0,
            "ordered": index.ordered if cells else 0,
        }
    put(json.dumps(header).encode() + b"\n")
    if cells is not None:
        put(cells.centres.astype("<f4").tobytes())
    for column in range(len(_columns(index.rows, count))):
        for start in range(0, count, PART):
            with index.lock:
                if index.moves != moves:
                    raise MovedMeanwhileError
                # Looked up each time: rows that were added since may have moved everything to a larger room.
                data = _columns(index.rows, count)[column][start : start + PART].tobytes()
            put(data)
    file.write(checksum.to_bytes(4, "little"))
    return seq


def _columns(rows: Rows, count: int) -> tuple[npt.NDArray[Any], ...]:
    return rows.ids[:count], rows.vectors[:count], rows.stances[:count], rows.cells[:count]


def load_snapshot(path: Path, key: SnapshotKey) -> VectorIndex | None:
    """Read a snapshot; ``None``, with the reason in the log, if it is missing, damaged, or of something else."""
    try:
        with path.open("rb") as file:
            return _read(file, key, path.stat().st_size)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("snapshot ignored, the index is rebuilt from the catalog path=%s reason=%s", path.name, error)
        return None


def _read(file: BinaryIO, key: SnapshotKey, size: int) -> VectorIndex:
    line = file.readline(1 << 16)
    header: dict[str, Any] = json.loads(line)
    if header["format"] != FORMAT or header["key"] != asdict(key):
        raise ValueError("it is of another catalog, model or version")
    count, cells, dimension = int(header["count"]), int(header["cells"]), key.space.dimension
    rows = Rows(dimension, count + count // 8) if 0 <= count * dimension <= size else Rows(dimension)
    centres = np.empty((cells if 0 <= cells * dimension <= size else 0, dimension), np.float32)
    if len(line) + centres.nbytes + count * rows.bytes_of_one + 4 != size:
        raise ValueError("it is damaged")
    rows.extend(count)
    checksum = zlib.crc32(line)
    for column in (centres, *_columns(rows, count)):
        stored: memoryview = column.reshape(-1).view(np.uint8).data
        _fill(file, stored)  # to where it stays: no second copy
        checksum = zlib.crc32(stored, checksum)
    if file.read(4) != checksum.to_bytes(4, "little"):
        raise ValueError("it is damaged")
    divided = Cells(centres, int(header["probes"])) if cells else None
    return VectorIndex(
        dimension, rows, int(header["seq"]), int(header["mark"]), header["bank"], divided, int(header["ordered"])
    )


def _fill(file: BinaryIO, view: memoryview) -> None:
    while view:
        read = file.readinto(view)  # type: ignore[attr-defined]
        if not read:
            raise ValueError("it is damaged")
        view = view[read:]


class IndexCache:
    """Indexes in memory, by space. One that nobody used for ``ttl`` seconds is written down and let go.

    ``identity`` tells which catalog this is: a snapshot of another one is not used.
    """

    carries_facts = False
    """Whether searches take conditions as tests of facts: no, as ids."""

    def __init__(self, folder: Path, ttl: float, identity: Callable[[], str]) -> None:
        self._folder = folder
        self._identity = identity
        self._lock = threading.Lock()
        self._indexes: TTLCache[int, VectorIndex] = TTLCache(maxsize=4, ttl=ttl)
        self._keys: dict[int, SnapshotKey] = {}
        self._closing = threading.Event()

    def get(self, space_id: int, space: EmbeddingSpace, log: Log) -> VectorIndex:
        """The index of a space, up to date with its log."""
        with self._lock:
            index = self._indexes.get(space_id)
            if index is None or self._keys[space_id].space != space:  # ids of spaces are given again
                key = self._keys[space_id] = SnapshotKey(self._identity(), space)
                _sweep(self._folder)
                index = load_snapshot(self._path(space_id), key)
                if index is None or not _belongs(index, log):
                    index = VectorIndex(space.dimension)
            self._indexes[space_id] = index  # set anew, so that its time starts from its last use
        index.follow(log)
        return index

    def has_read(self, space_id: int, space: EmbeddingSpace, seq: int) -> bool:
        """Whether the log was followed this far: it is, by each search."""
        return True

    def unusable(self, space_id: int, space: EmbeddingSpace) -> Path | None:
        """The snapshot of a space, if there is one that can't be read."""
        path = self._path(space_id)
        damaged = path.exists() and load_snapshot(path, SnapshotKey(self._identity(), space)) is None
        return path if damaged else None

    def tend(self) -> None:
        """Called now and then: write down what has grown, put in order what is large, let go of what is unused."""
        with self._lock:
            in_use = dict(self._indexes)
            expired = {space_id: index for space_id, index in self._indexes.expire() if index.seq > index.saved_seq}
        for space_id, index in in_use.items():
            tidied = index.tidy(self._closing.is_set)
            grown = index.seq > index.saved_seq and time.monotonic() - index.saved_at > SNAPSHOT_SECONDS
            if tidied or grown:
                self._save(space_id, index)
        for space_id, index in expired.items():
            self._save(space_id, index)

    def close(self) -> None:
        """Write down what has changed, so that the next start is fast."""
        self._closing.set()
        with self._lock:
            indexes = dict(self._indexes)
        for space_id, index in indexes.items():
            if index.seq > index.saved_seq:
                self._save(space_id, index)

    def _save(self, space_id: int, index: VectorIndex) -> None:
        try:
            save_snapshot(index, self._path(space_id), self._keys[space_id])
        except MovedMeanwhileError:  # pictures were deleted just now: soon again
            log.debug("snapshot put off space=%d", space_id)
        except OSError as error:  # a full disk costs the next start some time, nothing else
            log.warning("snapshot not written space=%d reason=%s", space_id, error)

    def _path(self, space_id: int) -> Path:
        return self._folder / f"space-{space_id}.snapshot"


def _sweep(folder: Path) -> None:
    """Clear away what processes were killed over: as large as a snapshot each."""
    for path in folder.glob("*.snapshot.*.tmp"):
        with suppress(FileNotFoundError):  # somebody else is just as tidy
            if path.stat().st_mtime < time.time() - STALE_SECONDS:
                path.unlink()


def _belongs(index: VectorIndex, log: Log) -> bool:
    """Whether the log still has the entry that the index read last.

    It has not where the catalog was set back to an older copy, and has since grown past that ``seq`` in another way.
    """
    last = log.entry(index.seq)
    return index.seq == 0 or (last is not None and last.mark == index.mark)
