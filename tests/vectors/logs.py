"""A vector log in memory, as `app.vectors.index.Log` describes it, and the search that every index must agree with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from app.models import FloatArray, LogEntry


class MemoryLog:
    """One entry per picture, like the catalog's: a newer one replaces the older under a higher seq."""

    def __init__(self, batch: int = 7) -> None:
        self._entries: list[LogEntry] = []
        self._batch = batch
        self._seq = 0

    def put(self, image_id: int, vector: FloatArray | None) -> None:
        self._seq += 1
        # A new list, so that readers in other threads keep theirs.
        kept = [entry for entry in self._entries if entry.image_id != image_id]
        self._entries = [*kept, LogEntry(self._seq, image_id, vector)]

    def put_all(self, vectors: FloatArray, first: int = 1) -> None:
        for offset, vector in enumerate(vectors):
            self.put(first + offset, vector)

    def entries(self, after: int) -> Iterator[list[LogEntry]]:
        newer = [entry for entry in self._entries if entry.seq > after]
        for start in range(0, len(newer), self._batch):
            yield newer[start : start + self._batch]

    def entry(self, seq: int) -> LogEntry | None:
        return next((entry for entry in self._entries if entry.seq == seq), None)

    def alive(self) -> dict[int, FloatArray]:
        return {entry.image_id: entry.vector for entry in self._entries if entry.vector is not None}


def brute_force(log: MemoryLog, query: FloatArray, k: int) -> tuple[list[int], list[float]]:
    """The k nearest of the log over vectors rounded to float16, ties by id."""
    alive = log.alive()
    scores = {i: float(np.dot(vector.astype(np.float16).astype(np.float64), query)) for i, vector in alive.items()}
    best = sorted(scores, key=lambda image_id: (-scores[image_id], image_id))[:k]
    return best, [scores[image_id] for image_id in best]
