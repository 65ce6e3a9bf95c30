"""Filling a vector engine before it serves: from the log, while the library is used, and compared with exact search."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.catalog.vectors import KeptSpace, Vectors
from app.errors import EngineUnavailable, InvalidInput
from app.library.following import Follower
from app.models import FloatArray
from app.vectors.shared import SharedIndex, SharedIndexes

ASKED = 20
"""Neutral texts, and as many pictures, that are searched for."""
NEAREST = 10
SHOWN_SECONDS = 30.0
"""Engines show what was written some seconds late."""
REST_SECONDS = 0.5
CLOSE = 1e-4
"""Scores that differ by less count as the same: vectors are kept in float16."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A space in the log and in the engine: how many pictures, and the share of the `NEAREST` that exact search finds
    for some texts and pictures and the engine finds, too."""

    model: str
    pictures: int
    in_engine: int
    recall: float

    @property
    def complete(self) -> bool:
        return self.pictures == self.in_engine


class EngineFilling:
    """Of the engine behind ``indexes``, by ``follower``."""

    def __init__(self, vectors: Vectors, follower: Follower, indexes: SharedIndexes) -> None:
        self._vectors = vectors
        self._follower = follower
        self._indexes = indexes

    def run(
        self, tell: Callable[[str], object] = lambda _how_far: None, stopping: Callable[[], bool] = lambda: False
    ) -> list[Comparison]:
        """Follow the log to its end, then compare. Raises `EngineUnavailable`; run again, it goes on where it was.

        ``stopping`` is asked now and then: nothing is compared once it says so.
        """
        searched = self._vectors.searched()
        spaces = [kept for kept in searched if self._vectors.bank(kept.id) is not None]
        if not spaces:
            raise InvalidInput("No picture was ever searchable here. Start the server once, and move it then.")
        self._follow(tell, stopping)
        while not stopping() and not all(self._follower.has_all(kept.id) for kept in spaces):
            time.sleep(REST_SECONDS)  # there was something new meanwhile, or somebody else follows
            self._follow(tell, stopping)
        return [] if stopping() else [self._compare(kept) for kept in spaces]

    def _follow(self, tell: Callable[[str], object], stopping: Callable[[], bool]) -> None:
        def asked_before_each_batch() -> bool:
            tell(self._follower.message or "")
            return stopping()

        self._follower.follow(asked_before_each_batch)
        if self._follower.away:
            raise EngineUnavailable("The vector engine does not answer. Run this again: it goes on where it was.")

    def _compare(self, kept: KeptSpace) -> Comparison:
        engine = self._indexes.engine(kept.id, kept.space)
        end = time.monotonic() + SHOWN_SECONDS
        while (counted := engine.count()) != self._vectors.count(kept.id) and time.monotonic() < end:
            time.sleep(1)
        index = SharedIndex(engine, kept.space.dimension)
        queries = self._queries(kept)
        exact = self._least_of_the_nearest(kept, queries)
        found = [index.search(query, NEAREST)[1] for query in queries]
        hits = sum(int((scores >= least - CLOSE).sum()) for scores, least in zip(found, exact, strict=True))
        wanted = min(NEAREST, counted) * len(queries)
        return Comparison(kept.space.model, self._vectors.count(kept.id), counted, hits / wanted if wanted else 1.0)

    def _queries(self, kept: KeptSpace) -> FloatArray:
        """Texts of the bank, and the first pictures of the log."""
        bank = self._vectors.bank(kept.id)
        texts = [] if bank is None else list(bank[np.linspace(0, len(bank) - 1, ASKED).astype(np.int64)])
        first = next(self._vectors.log(kept.id).entries(0), [])
        pictures = [entry.vector for entry in first if entry.vector is not None][:ASKED]
        return np.stack([*texts, *pictures])

    def _least_of_the_nearest(self, kept: KeptSpace, queries: FloatArray) -> FloatArray:
        """The score of the last of the nearest, for each query: every vector of the log is looked at."""
        best = np.full((len(queries), NEAREST), -np.inf, np.float32)
        for entries in self._vectors.log(kept.id).entries(0):
            vectors = [entry.vector for entry in entries if entry.vector is not None]
            if vectors:
                scores = queries @ np.stack(vectors).astype(np.float16).astype(np.float32).T
                both = np.concatenate([best, scores], axis=1)
                best = -np.partition(-both, NEAREST - 1, axis=1)[:, :NEAREST]
        return np.asarray(best.min(axis=1))
