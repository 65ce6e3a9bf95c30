"""Vector indexes that follow a log. The only room that knows faiss.

The catalog's vector log is the truth; an index in memory is a reading of it up to some ``seq``. Snapshots of it are
kept by `app.vectors.snapshots`.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from app.models import FloatArray, LogEntry
from app.vectors.cells import SAMPLED, Cells, learned, number_for
from app.vectors.ranking import TIE_MARGIN, Candidates, Ranking, ranked
from app.vectors.relevance import stances
from app.vectors.rows import Positions, Rows

log = logging.getLogger(__name__)

UNCOMPARED = 0.0
"""In place of slope and intercept of a picture that was not compared with the bank yet; no slope is 0."""
COMPARE_BATCH = 4000
"""Pictures compared with the bank at once: 20 MB of scores."""

DIVIDED_FROM = 300_000
"""From so many pictures on, searches look into some cells only: `docs/performance.md` has what either costs."""
RECALL = 0.995
"""Share of the ten nearest that lies in the cells looked into, on the library's own pictures and neutral texts."""
LEAST_PROBED = 1 / 16
"""Share of the cells that is looked into at least: what people type may be unlike the neutral texts."""
MOST_PROBED = 0.35
"""A library that needs a larger share of its cells for that is searched whole."""
PROVING = 64
"""Texts, and as many pictures, that tell how many cells it takes."""
UNSORTED = 0.05
"""Share of pictures that may stand outside of their cells: those are looked at in every search."""
MANY = 0.25
"""Where a larger share of the pictures is allowed, all are looked at and the others left out: rows one after the other
are read twice as fast as rows with gaps."""
STEP = 1024
"""Pictures put into their cells at once, while searches wait for some milliseconds."""
NOWHERE = 2**16 - 1
"""The cell of a picture that has none yet."""


class Log(Protocol):
    """The vector log of one space."""

    def entries(self, after: int) -> Iterator[list[LogEntry]]:
        """Entries with ``seq > after`` in growing order, in batches."""
        ...

    def entry(self, seq: int) -> LogEntry | None:
        """The entry with this ``seq``, if it is still there."""
        ...


class VectorIndex:
    """Inner-product search over float16 vectors of one space. Safe to call from several threads.

    float16, because that halves memory and is several times as fast as float32 at the same ranking. Every vector is
    looked at, because a filter or a page further on must not change what is found. Only a large library is divided
    into cells (`tidy`); filters look at every vector that is allowed even then.
    """

    def __init__(
        self,
        dimension: int,
        rows: Rows | None = None,
        seq: int = 0,
        mark: int = 0,
        bank: int | None = None,
        cells: Cells | None = None,
        ordered: int = 0,
    ) -> None:
        self.dimension = dimension
        self.seq = seq
        self.mark = mark
        self.saved_seq = seq
        self.saved_at = time.monotonic()
        # One search at a time: it takes less time than the rest of its request does, and changes need the lock anyway.
        self.lock = threading.Lock()
        self.rows = rows if rows is not None else Rows(dimension)
        self.moves = 0
        """How often rows have changed their place."""
        self.compared_with = bank
        """Checksum of the bank that the rows' stances belong to."""
        self.cells = cells
        self.ordered = ordered
        """The first so many rows stand in the order of their cells."""
        self._scanner = _Scanner(dimension)
        self._bank: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def deepest(self) -> int:
        """Answers may be of any length."""
        return sys.maxsize

    # -- following the log --------------------------------------------------------------------------------------

    def follow(self, log: Log) -> None:
        """Take in everything the log has beyond `seq`."""
        for entries in log.entries(self.seq):
            with self.lock:  # somebody else may have read the same meanwhile
                self._apply([entry for entry in entries if entry.seq > self.seq])

    def _apply(self, entries: list[LogEntry]) -> None:
        if not entries:
            return
        latest = {entry.image_id: entry for entry in entries}
        self._remove(np.fromiter(latest, np.int64, len(latest)))
        added = [entry for entry in latest.values() if entry.vector is not None]
        if added:
            vectors = np.stack([entry.vector for entry in added if entry.vector is not None])
            self._add(np.array([entry.image_id for entry in added], np.int64), vectors)
        self.seq, self.mark = entries[-1].seq, entries[-1].mark

    def _remove(self, ids: npt.NDArray[np.int64]) -> None:
        positions = np.flatnonzero(np.isin(self.rows.ids, ids))
        if positions.size:
            self.rows.remove(positions)
            self.ordered -= int((positions < self.ordered).sum())
            self.moves += 1

    def _add(self, ids: npt.NDArray[np.int64], vectors: FloatArray) -> None:
        place = self.rows.extend(len(ids))
        self.rows.ids[place] = ids
        self.rows.vectors[place] = vectors
        if self._bank is None:
            self.rows.stances[place] = UNCOMPARED
        else:
            kept = self.rows.vectors[place].astype(np.float32)  # as `use_bank` sees them: the same whenever compared
            self.rows.stances[place] = stances(kept, self._bank)
        if self.cells is not None:
            self.rows.cells[place] = self.cells.of(vectors)

    # -- searching ----------------------------------------------------------------------------------------------

    def search(
        self, vector: FloatArray, k: int, allowed: npt.NDArray[np.int64] | None = None
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """The ``k`` nearest to ``vector`` [dimension]: ids and scores (cosine), best first, ties by id.

        The first k of a larger search are exactly the answer to a smaller one. With ``allowed``, only those ids
        compete: the answer is that of an index that holds nothing else. Of a library divided into cells, pictures of
        the cells nearest to the query come first, and behind those all others by score.
        """
        found = self._find(vector, k, allowed)
        return found.ids, found.scores

    def _find(self, vector: FloatArray, k: int, allowed: npt.NDArray[np.int64] | None) -> Candidates:
        query = np.ascontiguousarray(vector, dtype=np.float32)
        with self.lock:
            whole = [(0, len(self))]
            if allowed is not None:
                competing = np.isin(self.rows.ids, allowed)
                return self._nearest(query, k, whole, int(competing.sum()), competing)
            ranges = self._probed(query)
            inside = sum(end - start for start, end in ranges)
            near = self._nearest(query, min(k, inside), ranges, inside)
            if k > inside and inside < len(self):
                near = near.and_behind(self._nearest(query, k, whole, len(self)), k)
            return replace(near, competed=len(self))

    def _nearest(
        self,
        query: FloatArray,
        k: int,
        ranges: list[tuple[int, int]],
        most: int,
        competing: npt.NDArray[np.bool_] | None = None,
    ) -> Candidates:
        """Among the rows of ``ranges`` that are ``competing``, of which there are ``most``."""
        k = min(k, most)
        wanted = min(most, k + TIE_MARGIN) if k > 0 else 0
        while True:
            positions, scores = self._best(query, wanted, ranges, most, competing)
            order = np.lexsort((self.rows.ids[positions], -scores))
            positions, scores = positions[order], scores[order]
            if wanted in (0, most) or scores[-1] < scores[k - 1]:
                break
            wanted = min(most, wanted * 2)  # pictures with the same vector reach past the end: see them all
        chosen = positions[: max(k, 0)]
        return Candidates(self.rows.ids[chosen], scores[: max(k, 0)], self.rows.stances[chosen], most)

    def _best(
        self,
        query: FloatArray,
        wanted: int,
        ranges: list[tuple[int, int]],
        most: int,
        competing: npt.NDArray[np.bool_] | None,
    ) -> tuple[Positions, FloatArray]:
        """Positions and scores of the best ``wanted``, and perhaps of the next ones as well, in no order."""
        if competing is not None and most > MANY * len(self):
            more = min(len(self), 2 * wanted * len(self) // most)
            positions, scores = self._scanner.best(self.rows, query, more, ranges)
            allowed = competing[positions]
            if np.count_nonzero(allowed) >= wanted:
                return positions[allowed], scores[allowed]
        return self._scanner.best(self.rows, query, wanted, ranges, competing)

    def _probed(self, query: FloatArray) -> list[tuple[int, int]]:
        """Where the rows stand that a search looks at."""
        if self.cells is None or not self.cells.probes:
            return [(0, len(self))]
        chosen = np.sort(self.cells.order(query)[: self.cells.probes])
        cells = self.rows.cells[: self.ordered]
        starts, ends = np.searchsorted(cells, chosen, "left"), np.searchsorted(cells, chosen, "right")
        ranges = [(int(start), int(end)) for start, end in zip(starts, ends, strict=True) if start < end]
        return [*ranges, (self.ordered, len(self))] if self.ordered < len(self) else ranges

    # -- relevance ----------------------------------------------------------------------------------------------

    def use_bank(self, bank: FloatArray) -> None:
        """Compare every picture with these neutral texts [texts, dimension], now and as they come: see `rank`."""
        with self.lock:
            if self._bank is not None:
                return
            self._bank = bank
            checksum = zlib.crc32(np.ascontiguousarray(bank, "<f4").tobytes())
            if self.compared_with != checksum:
                self.rows.stances[:] = UNCOMPARED
            # A snapshot has it all, but of what came into the log after it.
            rest = np.flatnonzero(self.rows.stances[:, 0] == UNCOMPARED)
            for start in range(0, len(rest), COMPARE_BATCH):
                part = rest[start : start + COMPARE_BATCH]
                self.rows.stances[part] = stances(self.rows.vectors[part].astype(np.float32), bank)
            self.compared_with = checksum

    def rank(self, vector: FloatArray, k: int, allowed: npt.NDArray[np.int64] | None = None) -> Ranking:
        """The ``k`` most relevant for a text's ``vector``, after `use_bank`: the same order for every ``k``."""
        return ranked(lambda most: self._find(vector, most, allowed), len(self), k)

    # -- cells --------------------------------------------------------------------------------------------------

    def tidy(self, stopping: Callable[[], bool] = lambda: False, rest: float = 0.002) -> bool:
        """Divide a large library into cells, or put in order what has come since. To be called in the background.

        Works in small steps with a ``rest`` in seconds between them, in which searches go on; every state in between
        answers as right as the last. Needs `use_bank`. Moves vectors, never copies them. Ends early if ``stopping``.
        Returns whether there was anything to do.
        """
        if self._bank is None or len(self) < DIVIDED_FROM:
            return False
        if self.cells is None or len(self.cells) * 2 < number_for(len(self)):
            self._divide(stopping, rest)
            return True
        if self.cells.probes and len(self) - self.ordered > UNSORTED * len(self):
            self._sort(stopping, rest)
            return True
        return False

    def _divide(self, stopping: Callable[[], bool], rest: float) -> None:
        count = number_for(len(self))
        log.info("index is divided pictures=%d cells=%d", len(self), count)
        with self.lock:
            picked = np.linspace(0, len(self) - 1, min(len(self), SAMPLED * count)).astype(np.int64)
            sample = self.rows.vectors[picked]
        centres = learned(sample.astype(np.float32), count)
        with self.lock:
            self.cells, self.ordered = Cells(centres, 0), 0
            self.rows.cells[:] = NOWHERE
        while self._place_some(self.cells):
            if stopping():
                return
            time.sleep(rest)
        self._sort(stopping, rest)
        if stopping():
            return
        probes = self._probes_needed(self.cells, rest)
        if probes > MOST_PROBED * count:
            log.info("index stays whole, its vectors don't fall into cells needed=%d of=%d", probes, count)
            probes = 0
        with self.lock:
            self.cells = replace(self.cells, probes=probes and max(probes, round(LEAST_PROBED * count)))
        log.info("index divided probes=%d", probes)

    def _place_some(self, cells: Cells) -> bool:
        """Find the cells of some pictures that have none yet; who comes meanwhile finds its own."""
        with self.lock:
            waiting = np.flatnonzero(self.rows.cells == NOWHERE)[:STEP]
            self.rows.cells[waiting] = cells.of(self.rows.vectors[waiting])
            return bool(waiting.size)

    def _sort(self, stopping: Callable[[], bool], rest: float) -> None:
        """Bring the rows of each cell together. Until it is there, every search looks at a row."""
        with self.lock:
            self.ordered = 0
        while self._sort_some() and not stopping():
            time.sleep(rest)

    def _sort_some(self) -> bool:
        with self.lock:
            others = self.rows.cells[self.ordered :]
            reached = self.rows.cells[self.ordered - 1] if self.ordered else 0
            following = np.argsort(others, kind="stable")
            # What came too late for its cell stays behind all cells until the next time.
            following = following[np.searchsorted(others[following], reached) :][: 16 * STEP]
            if following.size:
                self.rows.bring(self.ordered + following, self.ordered)
                self.ordered += len(following)
                self.moves += 1
            return bool(following.size)

    def _probes_needed(self, cells: Cells, rest: float) -> int:
        """How many cells hold `RECALL` of the ten nearest, for texts and for pictures."""
        assert self._bank is not None  # noqa: S101 - `tidy` has looked
        with self.lock:
            picked = np.linspace(0, len(self) - 1, PROVING).astype(np.int64)
            pictures = self.rows.vectors[picked].astype(np.float32)
        texts = self._bank[np.linspace(0, len(self._bank) - 1, PROVING).astype(np.int64)]
        needed = []
        for queries in (texts, pictures):
            depths = []
            for query in np.ascontiguousarray(queries, np.float32):
                with self.lock:
                    best, _ = self._scanner.best(self.rows, query, 10, [(0, len(self))])
                    owners = self.rows.cells[best]
                depths.append(np.argsort(cells.order(query))[owners])
                time.sleep(rest)
            needed.append(int(np.quantile(np.concatenate(depths), RECALL, method="higher")) + 1)
        return max(needed)


class _Scanner:
    """faiss's own loop over float16 codes, run over rows that lie where we want them. For one thread at a time.

    `IndexScalarQuantizer.search` is the same loop, but enters an OpenMP region for it: with all cores busy, its threads
    wait for each other several times as long as the search takes.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._scanners: tuple[Any, Any] | None = None

    def best(
        self,
        rows: Rows,
        query: FloatArray,
        k: int,
        ranges: list[tuple[int, int]],
        competing: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[Positions, FloatArray]:
        """Positions and scores of the ``k`` best rows in ``ranges``, in no order; there must be as many."""
        import faiss

        everything, some = self._scanners or self._make()
        scanner = everything
        if competing is not None:
            scanner, bits = some, np.packbits(competing, bitorder="little")
            self._selector.n, self._selector.bitmap = len(bits), faiss.swig_ptr(bits)
        positions, scores = np.full(k, -1, np.int64), np.full(k, -np.inf, np.float32)  # a heap, worst first
        if k:
            scanner.set_query(faiss.swig_ptr(query))
        for start, end in ranges if k else ():
            if start < end:
                codes, numbers = rows.vectors[start:end].view(np.uint8), rows.numbers[start:end]
                result = faiss.swig_ptr(scores), faiss.swig_ptr(positions)
                scanner.scan_codes(end - start, faiss.swig_ptr(codes), faiss.swig_ptr(numbers), *result, k)
        return positions, scores

    def _make(self) -> tuple[Any, Any]:
        """A scanner for all rows, and one for those of a selector; made once, since Python can't free them."""
        import faiss

        quantizer: Any = faiss.ScalarQuantizer(self._dimension, faiss.ScalarQuantizer.QT_fp16)
        self._quantizer = quantizer  # the scanners read from it
        self._selector: Any = faiss.IDSelectorBitmap(np.zeros(1, np.uint8))  # type: ignore[call-arg,arg-type]
        make = quantizer.select_InvertedListScanner
        metric = faiss.METRIC_INNER_PRODUCT
        self._scanners = (make(metric, None, False, None), make(metric, None, False, self._selector))
        return self._scanners
