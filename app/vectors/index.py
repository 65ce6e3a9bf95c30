"""Vector indexes that follow a log, and their snapshots. The only room that knows faiss.

The catalog's vector log is the truth; an index in memory is a reading of it up to some ``seq``. A snapshot on disk
holds an index together with that ``seq`` in *one* file, so the two can't come apart, and only makes the next start
fast: whatever is wrong with it, it is ignored and the log is read from its beginning.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from cachetools import TTLCache

from app.models import EmbeddingSpace, FloatArray, LogEntry
from app.vectors.relevance import LIKELY, Yardstick, stances

if TYPE_CHECKING:
    import faiss

log = logging.getLogger(__name__)

FORMAT = 2
"""Of snapshot files; another number is not read."""
TIE_MARGIN = 16
"""Neighbours looked at beyond those asked for, to see whether a tie crosses the end of the page."""
COMPARE_BATCH = 10_000
"""Pictures compared with the bank at once: 20 MB of scores."""
WINDOW = 400
"""Nearest pictures that relevance puts in order; more where matches reach to the end of it."""
SAMPLE = 1000
"""Pictures that tell how a text scores in general."""
SNAPSHOT_SECONDS = 60.0
"""A growing index is written down at most this often."""


class Log(Protocol):
    """The vector log of one space."""

    def entries(self, after: int) -> Iterator[list[LogEntry]]:
        """Entries with ``seq > after`` in growing order, in batches."""
        ...

    def entry(self, seq: int) -> LogEntry | None:
        """The entry with this ``seq``, if it is still there."""
        ...


@dataclass(frozen=True, slots=True)
class SnapshotKey:
    """What a snapshot must agree with to be used: which catalog, which space."""

    catalog: str
    space: EmbeddingSpace


@dataclass(frozen=True, slots=True)
class Ranking:
    """Pictures in order, with cosine and relevance. Of all that competed, ``total``, so many are ``matches``."""

    ids: npt.NDArray[np.int64]
    scores: FloatArray
    relevance: npt.NDArray[np.float64]
    matches: int
    total: int


class VectorIndex:
    """Exact inner-product search over float16 vectors of one space. Safe to call from several threads.

    Exact, because a filter or a page further on must not change what is found; float16, because that halves memory
    and is four times as fast as float32 at the same ranking.
    """

    def __init__(self, dimension: int, index: faiss.IndexIDMap | None = None, seq: int = 0, mark: int = 0) -> None:
        self._index = index if index is not None else _empty(dimension)
        self._lock = threading.Lock()  # faiss allows searches at the same time, but no change during one
        self._bank: FloatArray | None = None
        self._stances = np.zeros((0, 3), np.float32)  # by id
        self._sampled = -1  # how many pictures there were when the sample was taken
        self._sample_vectors = np.empty((0, dimension), np.float32)
        self._sample_stances = np.empty((0, 3), np.float32)
        self.dimension = dimension
        self.seq = seq
        self.mark = mark
        self.saved_seq = seq
        self.saved_at = time.monotonic()

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def follow(self, log: Log) -> None:
        """Take in everything the log has beyond `seq`."""
        with self._lock:
            for entries in log.entries(self.seq):
                self._apply(entries)

    def _apply(self, entries: list[LogEntry]) -> None:
        latest = {entry.image_id: entry for entry in entries}
        self._remove(np.fromiter(latest, np.int64, len(latest)))
        added = [entry for entry in latest.values() if entry.vector is not None]
        if added:
            vectors = np.stack([entry.vector for entry in added if entry.vector is not None])
            ids = np.array([entry.image_id for entry in added], np.int64)
            self._index.add_with_ids(vectors, ids)
            self._compare(ids, vectors)
        self.seq, self.mark = entries[-1].seq, entries[-1].mark

    def _remove(self, ids: npt.NDArray[np.int64]) -> None:
        import faiss

        known = ids[np.isin(ids, self._ids())]
        if known.size:  # costs a pass over the whole index, so only where there is something to remove
            self._index.remove_ids(faiss.IDSelectorBatch(known))

    def search(
        self, vector: FloatArray, k: int, allowed: npt.NDArray[np.int64] | None = None
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """The ``k`` nearest to ``vector`` [dimension]: ids and scores (cosine), best first, ties by id.

        The first k of a larger search are exactly the answer to a smaller one. With ``allowed``, only those ids
        compete: the answer is that of an index that holds nothing else.
        """
        query = np.ascontiguousarray(vector[None, :], dtype=np.float32)
        with self._lock:
            most = len(self) if allowed is None else min(len(self), allowed.size)
            k = min(k, most)
            if k <= 0:
                return np.empty(0, np.int64), np.empty(0, np.float32)
            only = _only(allowed)
            wanted = min(most, k + TIE_MARGIN)
            while True:
                scores, ids = self._index.search(query, wanted, params=only)
                if wanted == most or scores[0, wanted - 1] < scores[0, k - 1]:
                    break
                wanted = min(most, wanted * 2)  # pictures with the same vector reach past the end: see them all
        found = ids[0] >= 0  # fewer of `allowed` may be embedded than there are
        order = np.lexsort((ids[0][found], -scores[0][found]))[:k]
        return ids[0][found][order], scores[0][found][order]

    def use_bank(self, bank: FloatArray) -> None:
        """Compare every picture with these neutral texts [texts, dimension], now and as they come: see `rank`."""
        with self._lock:
            if self._bank is not None:
                return
            self._bank = bank
            ids = self._ids()
            for start in range(0, len(ids), COMPARE_BATCH):
                part = ids[start : start + COMPARE_BATCH]
                self._compare(part, self._index.index.reconstruct_n(start, len(part)))

    def _compare(self, ids: npt.NDArray[np.int64], vectors: FloatArray) -> None:
        if self._bank is None or not len(ids):
            return
        missing = int(ids.max()) + 1 - len(self._stances)
        if missing > 0:  # by half as much again, so that growing one by one costs little
            room = np.zeros((missing + len(self._stances) // 2, 3), np.float32)
            self._stances = np.concatenate([self._stances, room])
        self._stances[ids] = stances(vectors, self._bank)

    def rank(self, vector: FloatArray, k: int, allowed: npt.NDArray[np.int64] | None = None) -> Ranking:
        """The ``k`` most relevant for a text's ``vector``, after `use_bank`: the same order for every ``k``."""
        yardstick = self._yardstick(vector)
        window = WINDOW
        while True:
            ids, scores = self.search(vector, window, allowed)
            relevance = yardstick.relevance(scores, self._stances[ids])
            # Relevance follows the score closely: with no match in the last quarter there are none behind it.
            if len(ids) < window or relevance[-window // 4 :].max() < LIKELY:
                break
            window *= 2
        order = np.lexsort((ids, -relevance))
        ids, scores, relevance = ids[order], scores[order], relevance[order]
        matches = int((relevance >= LIKELY).sum())
        if k > len(ids):  # far behind every match: the rest comes by score
            ids, scores = self._with_rest(ids, scores, *self.search(vector, k, allowed))
            behind = yardstick.relevance(scores[len(relevance) :], self._stances[ids[len(relevance) :]])
            relevance = np.concatenate([relevance, np.minimum(behind, relevance[-1:])])
        total = len(self) if allowed is None else int(np.isin(allowed, self._ids()).sum())
        return Ranking(ids[:k], scores[:k], relevance[:k], matches, total)

    @staticmethod
    def _with_rest(
        ids: npt.NDArray[np.int64], scores: FloatArray, all_ids: npt.NDArray[np.int64], all_scores: FloatArray
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        rest = ~np.isin(all_ids, ids)
        return np.concatenate([ids, all_ids[rest]]), np.concatenate([scores, all_scores[rest]])

    def _yardstick(self, vector: FloatArray) -> Yardstick:
        """How this text scores on pictures in general."""
        with self._lock:
            total = len(self)
            if not 0.8 * total <= self._sampled <= total:
                self._take_sample()
            return Yardstick.of(self._sample_vectors @ vector, self._sample_stances, total)

    def _take_sample(self) -> None:
        """Evenly spread over the library: the same pictures give the same sample in every process."""
        total = len(self)
        positions = np.unique(np.linspace(0, max(total - 1, 0), min(total, SAMPLE)).astype(np.int64))
        vectors = [self._index.index.reconstruct(int(position)) for position in positions]
        self._sample_vectors = np.array(vectors, np.float32).reshape(len(positions), self.dimension)
        self._sample_stances = self._stances[self._ids()[positions]]
        self._sampled = total

    def _ids(self) -> npt.NDArray[np.int64]:
        import faiss

        return np.asarray(faiss.vector_to_array(self._index.id_map), np.int64)

    def save(self, path: Path, key: SnapshotKey) -> None:
        """Write a snapshot: whole or not at all. Searches wait only while memory is copied."""
        import faiss

        with self._lock:
            seq, mark, data = self.seq, self.mark, faiss.serialize_index(self._index).tobytes()
        checksum = _checksum(seq, mark, data)
        header = {"format": FORMAT, "seq": seq, "mark": mark, "bytes": len(data), "crc32": checksum, "key": asdict(key)}
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(json.dumps(header).encode() + b"\n")
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        self.saved_seq, self.saved_at = seq, time.monotonic()
        log.debug("snapshot written path=%s seq=%d", path.name, seq)


def load_snapshot(path: Path, key: SnapshotKey) -> VectorIndex | None:
    """Read a snapshot; ``None``, with the reason in the log, if it is missing, damaged, or of something else."""
    import faiss

    try:
        with path.open("rb") as file:
            header: dict[str, Any] = json.loads(file.readline())
            data = file.read()
        if header["format"] != FORMAT or header["key"] != asdict(key):
            raise ValueError("it is of another catalog, model or version")
        if len(data) != header["bytes"] or _checksum(header["seq"], header["mark"], data) != header["crc32"]:
            raise ValueError("it is damaged")
        index = faiss.deserialize_index(np.frombuffer(data, np.uint8))  # of its real class already, and the owner
        if not isinstance(index, faiss.IndexIDMap) or index.d != key.space.dimension:
            raise ValueError("it holds another kind of index")
        return VectorIndex(key.space.dimension, index, int(header["seq"]), int(header["mark"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        log.warning("snapshot ignored, the index is rebuilt from the catalog path=%s reason=%s", path.name, error)
        return None


class IndexCache:
    """Indexes in memory, by space. One that nobody used for ``ttl`` seconds is written down and let go.

    ``identity`` tells which catalog this is: a snapshot of another one is not used.
    """

    def __init__(self, folder: Path, ttl: float, identity: Callable[[], str]) -> None:
        self._folder = folder
        self._identity = identity
        self._lock = threading.Lock()
        self._indexes: TTLCache[int, VectorIndex] = TTLCache(maxsize=4, ttl=ttl)
        self._keys: dict[int, SnapshotKey] = {}

    def get(self, space_id: int, space: EmbeddingSpace, log: Log) -> VectorIndex:
        """The index of a space, up to date with its log."""
        with self._lock:
            index = self._indexes.get(space_id)
            if index is None:
                key = self._keys[space_id] = SnapshotKey(self._identity(), space)
                index = load_snapshot(self._path(space_id), key)
                if index is None or not _belongs(index, log):
                    index = VectorIndex(space.dimension)
            self._indexes[space_id] = index  # set anew, so that its time starts from its last use
        index.follow(log)
        return index

    def tend(self) -> None:
        """Called now and then: write down what has grown, let go of what has not been used."""
        with self._lock:
            in_use = dict(self._indexes)
            expired = {space_id: index for space_id, index in self._indexes.expire() if index.seq > index.saved_seq}
        for space_id, index in in_use.items():
            if index.seq > index.saved_seq and time.monotonic() - index.saved_at > SNAPSHOT_SECONDS:
                self._save(space_id, index)
        for space_id, index in expired.items():
            self._save(space_id, index)

    def close(self) -> None:
        """Write down what has changed, so that the next start is fast."""
        with self._lock:
            indexes = dict(self._indexes)
        for space_id, index in indexes.items():
            if index.seq > index.saved_seq:
                self._save(space_id, index)

    def _save(self, space_id: int, index: VectorIndex) -> None:
        try:
            index.save(self._path(space_id), self._keys[space_id])
        except OSError as error:  # a full disk costs the next start some time, nothing else
            log.warning("snapshot not written space=%d reason=%s", space_id, error)

    def _path(self, space_id: int) -> Path:
        return self._folder / f"space-{space_id}.snapshot"


def _checksum(seq: int, mark: int, data: bytes) -> int:
    # Over `seq` as well: were that wrong, entries of the log would be passed over for ever.
    return zlib.crc32(data, zlib.crc32(f"{seq} {mark}".encode()))


def _belongs(index: VectorIndex, log: Log) -> bool:
    """Whether the log still has the entry that the index read last.

    It has not where the catalog was set back to an older copy, and has since grown past that ``seq`` in another way.
    """
    last = log.entry(index.seq)
    return index.seq == 0 or (last is not None and last.mark == index.mark)


def _empty(dimension: int) -> faiss.IndexIDMap:
    import faiss

    exact = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    return faiss.IndexIDMap(exact)


def _only(allowed: npt.NDArray[np.int64] | None) -> faiss.SearchParameters | None:
    import faiss

    if allowed is None:
        return None
    return faiss.SearchParameters(sel=faiss.IDSelectorBatch(allowed))  # type: ignore[call-arg]
