"""The vectors of an index as columns in memory: one row per picture, in no particular order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from app.models import FloatArray

LEAST = 1024
"""Rows there is room for at first."""
SHIFTED = 16_384
"""Rows moved at once when some are removed: 16 MB at 512 dimensions."""

Positions = npt.NDArray[np.int64]
Column = TypeVar("Column", bound=np.generic)


class Rows:
    """Columns of equal length: the first ``len(rows)`` places are in use, the others are room to grow.

    ``vectors``: float16 [n, dimension]. ``stances``: float32 [n, 2], what relevance needs. ``cells``: uint16 [n], which
    part of space a vector lies in, where that is known. ``numbers`` are just the positions 0, 1, 2, …
    """

    def __init__(self, dimension: int, room: int = 0) -> None:
        room = max(room, LEAST)
        self._count = 0
        # Memory that was never written to costs nothing yet.
        self._ids = np.empty(room, np.int64)
        self._vectors = np.empty((room, dimension), np.float16)
        self._stances = np.zeros((room, 2), np.float32)
        self._cells = np.zeros(room, np.uint16)
        self._numbers = np.arange(room, dtype=np.int64)

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        return self._ids[: self._count]

    @property
    def vectors(self) -> npt.NDArray[np.float16]:
        return self._vectors[: self._count]

    @property
    def stances(self) -> FloatArray:
        return self._stances[: self._count]

    @property
    def cells(self) -> npt.NDArray[np.uint16]:
        return self._cells[: self._count]

    @property
    def numbers(self) -> Positions:
        return self._numbers[: self._count]

    @property
    def bytes_of_one(self) -> int:
        """What a row takes in a snapshot."""
        return sum(column[:1].nbytes for column in self._columns())

    def _columns(self) -> Iterator[npt.NDArray[Any]]:
        yield from (self._ids, self._vectors, self._stances, self._cells)

    def extend(self, count: int) -> slice:
        """Add ``count`` rows, to be filled in by the caller. Returns where they are."""
        first = self._count
        if first + count > len(self._ids):
            self._grow(first + count)
        self._count += count
        return slice(first, self._count)

    def _grow(self, least: int) -> None:
        room = least + least // 4
        self._ids = _longer(self._ids, room)
        self._vectors = _longer(self._vectors, room)
        self._stances = _longer(self._stances, room)
        self._cells = _longer(self._cells, room)
        self._numbers = np.arange(room, dtype=np.int64)

    def remove(self, positions: Positions) -> None:
        """Take rows away; the others keep their order. Costs a move of all that stand behind the first of them."""
        kept = np.ones(self._count, bool)
        kept[positions] = False
        to = int(positions.min())
        for start in range(to, self._count, SHIFTED):
            part = kept[start : start + SHIFTED]
            moved = int(part.sum())
            for column in self._columns():
                column[to : to + moved] = column[start : start + len(part)][part]
            to += moved
        self._count = to

    def bring(self, positions: Positions, start: int) -> None:
        """Move these rows to ``start`` and behind it; what stood there takes the places they left."""
        end = start + len(positions)
        left = positions[positions >= end]
        stayed = np.zeros(len(positions), bool)
        stayed[positions[positions < end] - start] = True
        displaced = start + np.flatnonzero(~stayed)
        for column in self._columns():
            brought = column[positions]
            column[left] = column[displaced]
            column[start:end] = brought


def _longer(column: npt.NDArray[Column], room: int) -> npt.NDArray[Column]:
    longer = np.empty((room, *column.shape[1:]), column.dtype)
    longer[: len(column)] = column
    return longer
