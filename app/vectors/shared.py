"""Indexes that live in an engine: the same answers and the same relevance as one in memory gives.

What relevance needs of each picture lies beside its vector and comes with the hits. Filters on facts are the engine's,
all others come as ids.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.errors import EngineUnavailable
from app.models import EmbeddingSpace, FloatArray
from app.vectors.engine import Engine, Filter
from app.vectors.index import Log
from app.vectors.ranking import TIE_MARGIN, Candidates, Ranking, ranked

log = logging.getLogger(__name__)

LEAST_ASKED = 512
"""Hits asked for at least. Otherwise a power of two times this: an approximate engine looks further for more hits, and
may then find a better one; within such a step, pages are parts of one answer."""
REST_SECONDS = 3.0
"""An engine that did not answer is left alone for so long: pages must not wait for it one after the other."""

LAYOUT = 2
"""Of what lies beside each vector. With another number another collection is filled, and the old one left."""
COUNTED_AGAIN = 50.0
"""How many there are is known for this many times as long as counting took: some engines look at every row for it."""
FEW, FEW_SECONDS = 100_000, 3.0
"""So few are counted fast. Where it took long, connecting or loading did, and in a moment there may be more: this is
known for no longer."""

OpenEngine = Callable[[str, int], Engine]
"""Takes the name under which a space's vectors are kept, and their dimension."""


class SharedIndex:
    """One space in an engine, asked as `app.vectors.index.VectorIndex` is. Safe to call from several threads."""

    def __init__(self, engine: Engine, dimension: int) -> None:
        self._engine = engine
        self._away = _Away()
        self._counted = 0, 0.0  # how many pictures there are, and until when (monotonic) that holds

    @property
    def deepest(self) -> int:
        """No answer is longer than this."""
        return self._engine.deepest

    def use_bank(self, bank: FloatArray) -> None:
        """What relevance needs of each picture was computed when it was written to the engine."""

    def search(
        self, vector: FloatArray, k: int, allowed: Filter | None = None
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """As `app.vectors.index.VectorIndex.search`, as far as the engine is exact."""
        with self._away.unless():
            found = self._nearest(vector, k, allowed, self._competing(allowed))
        return found.ids, found.scores

    def rank(self, vector: FloatArray, k: int, allowed: Filter | None = None) -> Ranking:
        """As `app.vectors.index.VectorIndex.rank`, as far as the engine is exact and goes."""
        with self._away.unless():
            total, competing = self._competing(None), self._competing(allowed)
            return ranked(lambda most: self._nearest(vector, most, allowed, competing), total, k)

    def _competing(self, allowed: Filter | None) -> int:
        if allowed is not None:
            none = isinstance(allowed, np.ndarray) and not allowed.size
            return 0 if none else self._engine.count(allowed)
        count, until = self._counted
        if time.monotonic() > until:
            began = time.monotonic()
            count = self._engine.count()
            ended = time.monotonic()
            known = COUNTED_AGAIN * (ended - began)
            self._counted = count, ended + (known if count > FEW else min(known, FEW_SECONDS))
        return count

    def _nearest(self, vector: FloatArray, k: int, allowed: Filter | None, competing: int) -> Candidates:
        query = np.ascontiguousarray(vector, np.float32)
        k = min(k, competing, self.deepest)
        asked = LEAST_ASKED
        while asked < k + TIE_MARGIN:
            asked *= 2
        while k > 0:
            asked = min(asked, self.deepest)
            hits = self._engine.search(query, asked, allowed)
            order = np.lexsort((hits.ids, -hits.scores))
            ids, scores, stances = hits.ids[order], hits.scores[order], hits.stances[order]
            if len(ids) < asked or asked == self.deepest or scores[-1] < scores[k - 1]:
                return Candidates(ids[:k], scores[:k], stances[:k], competing)
            asked *= 2  # pictures with the same vector reach past the end: see them all
        return Candidates(np.empty(0, np.int64), np.empty(0, np.float32), np.empty((0, 2), np.float32), competing)


class SharedIndexes:
    """The indexes of all spaces in one engine; takes the place of `app.vectors.snapshots.IndexCache`."""

    carries_facts = True
    """Whether searches take conditions as tests of facts (`app.vectors.engine.as_tests`)."""

    def __init__(self, open_engine: OpenEngine, identity: Callable[[], str], place: str) -> None:
        self.place = place
        """Which engine this is, without secrets."""
        self._open = open_engine
        self._identity = identity
        self._lock = threading.Lock()
        # By id and space: the number of a space may be given again.
        self._engines: dict[tuple[int, EmbeddingSpace], Engine] = {}
        self._indexes: dict[tuple[int, EmbeddingSpace], SharedIndex] = {}

    def get(self, space_id: int, space: EmbeddingSpace, log: Log) -> SharedIndex:
        """The index of a space. Somebody else follows its log."""
        engine = self.engine(space_id, space)
        with self._lock:
            return self._indexes.setdefault((space_id, space), SharedIndex(engine, space.dimension))

    def has_read(self, space_id: int, space: EmbeddingSpace, seq: int) -> bool:
        """Whether the log was followed this far. Raises `EngineUnavailable`."""
        return self.engine(space_id, space).last_seq().seq >= seq

    def engine(self, space_id: int, space: EmbeddingSpace) -> Engine:
        """Where a space's vectors are kept."""
        with self._lock:
            if (space_id, space) not in self._engines:
                self._engines[space_id, space] = self._open(self.name(space_id, space), space.dimension)
            return self._engines[space_id, space]

    def name(self, space_id: int, space: EmbeddingSpace) -> str:
        """How the engine calls it. The number of a space may be given again; what it is made of tells them apart."""
        made_of = zlib.crc32(f"{space.model} {space.fingerprint} {space.dimension} {LAYOUT}".encode())
        return f"glimpse_{self._identity().partition('-')[0]}_{space_id}_{made_of:08x}"

    def unusable(self, space_id: int, space: EmbeddingSpace) -> Path | None:
        """There is no snapshot."""
        return None

    def tend(self) -> None:
        """An engine looks after itself."""

    def close(self) -> None:
        """Give connections back."""
        with self._lock:
            engines = list(self._engines.values())
            self._engines.clear()
            self._indexes.clear()
        for engine in engines:
            engine.close()


@dataclass
class _Away:
    """Remembers that an engine did not answer."""

    until: float = 0.0
    message: str = ""

    @contextmanager
    def unless(self) -> Iterator[None]:
        """Raises at once what was raised a moment ago."""
        if time.monotonic() < self.until:
            raise EngineUnavailable(self.message)
        try:
            yield
        except EngineUnavailable as error:
            if not self.message:
                log.warning("%s reason=%s", error, error.__cause__)
            self.until, self.message = time.monotonic() + REST_SECONDS, str(error)
            raise
        self.message = ""
