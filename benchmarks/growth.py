"""What an index costs from 10,000 to 1,000,000 pictures: exact search, cells, recall, memory, and how it is divided.

Vectors are drawn around the bundled model's own vectors: each picture near to a mixture of two of the neutral texts,
off by what separates pictures from texts in such models (Liang et al. 2022, "Mind the gap") and by noise of its own;
queries are texts about them that no picture was drawn around. Random directions would be no test: they have no near
neighbours, and an index that sees no cells in them stays whole.
"""

from __future__ import annotations

import argparse
import resource
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from app.config import STARTER_MODEL
from app.models import FloatArray, LogEntry
from app.vectors import index as module
from app.vectors.encoder import load_encoder
from app.vectors.index import VectorIndex
from app.vectors.relevance import neutral_texts
from benchmarks.measure import Table, interleaved, percentiles
from benchmarks.synthetic import Log

DIMENSION = 512
PAGE = 25
ASKED = 60
SCENES = ("in the evening", "in winter", "seen from above", "with a child", "in black and white", "on a wooden table")
BUILT = 50_000


def run(arguments: argparse.Namespace) -> Iterator[Table]:
    sizes = (10_000, 30_000) if arguments.quick else (100_000, 300_000, 1_000_000)
    if arguments.quick:
        module.DIVIDED_FROM = sizes[-1]
    texts, queries = texts_and_queries()
    index = VectorIndex(DIMENSION)
    index.use_bank(texts)
    log = GrowingLog(texts)
    for size in sizes:
        log.size = size
        index.follow(log)
        exact = _asked(index, queries)
        rows, building = [_row(index, "exact", queries, exact)], []
        if size >= module.DIVIDED_FROM:
            building.append(_divide(index, queries))
            rows.append(_row(index, f"{index.cells.probes} of {len(index.cells)} cells", queries, exact))
            few, half = np.arange(1, size + 1, 997), np.arange(1, size + 1, 2)
            rows.append(_row(index, "filter, 1 in 997", queries, None, few))
            rows.append(_row(index, "filter, every other", queries, None, half))
            index.cells, index.ordered = None, 0  # the next size starts whole
        columns = ("pictures", "how", "undisturbed ms", "p95 ms", "recall@10", "with relevance ms")
        note = f"recall against exact search, on {len(queries)} texts; {_bytes_of_one(index):,} bytes a picture"
        yield Table(f"Search among {size:,}", columns, tuple(rows), note)
        if building:
            columns = ("pictures", "seconds", "computed", "searches", "p50 ms", "p95 ms", "p99 ms", "more memory, MB")
            yield Table("Dividing in the background, searched all the time", columns, tuple(building))


class GrowingLog(Log):
    """Pictures up to ``size``, made as they are read."""

    def __init__(self, texts: FloatArray) -> None:
        self.size = 0
        self._texts = texts

    def entries(self, after: int) -> Iterator[list[LogEntry]]:
        for start in range(after, self.size, BUILT):
            made = pictures(self._texts, min(BUILT, self.size - start), seed=start)
            for entries in Log(made).entries(0):
                yield [replace(entry, seq=entry.seq + start, image_id=entry.image_id + start) for entry in entries]


def pictures(texts: FloatArray, count: int, seed: int) -> FloatArray:
    """Unit vectors [count, dimension] around mixtures of two texts."""
    rng = np.random.default_rng(seed)
    gap = np.random.default_rng(0).standard_normal(texts.shape[1]).astype(np.float32)
    one, other = rng.integers(0, len(texts), (2, count))
    share = rng.uniform(0, 0.4, (count, 1)).astype(np.float32)
    made = (1 - share) * texts[one] + share * texts[other] + gap / np.linalg.norm(gap)
    noise = rng.standard_normal((count, texts.shape[1]), dtype=np.float32)
    # Steeper than white: a few directions hold most of what pictures of one thing differ in.
    noise *= (np.arange(1, texts.shape[1] + 1, dtype=np.float32) ** -0.5)[None, :]
    made += 0.9 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def texts_and_queries() -> tuple[FloatArray, FloatArray]:
    """Vectors of the neutral texts, and of queries about the same things, at `DIMENSION`."""
    encoder = load_encoder(str(STARTER_MODEL), STARTER_MODEL)
    known = list(neutral_texts())
    asked = [f"{text} {SCENES[n % len(SCENES)]}" for n, text in enumerate(known[:: max(1, len(known) // ASKED)])][
        :ASKED
    ]
    encoded = encoder.encode_texts(known + asked)
    # The bundled model has fewer dimensions than CLIP: turned into a larger space, which leaves all angles as they are.
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((DIMENSION, encoded.shape[1])))[0].astype(np.float32)
    turned = np.ascontiguousarray(encoded @ turn.T)
    return turned[: len(known)], turned[len(known) :]


def _asked(index: VectorIndex, queries: FloatArray) -> list[set[int]]:
    return [set(index.search(query, 10)[0].tolist()) for query in queries]


def _row(
    index: VectorIndex,
    how: str,
    queries: FloatArray,
    exact: list[set[int]] | None,
    allowed: np.ndarray | None = None,
) -> tuple[str | float, ...]:
    times = interleaved(
        {
            "search": lambda n: index.search(queries[n % len(queries)], PAGE, allowed),
            "rank": lambda n: index.rank(queries[n % len(queries)], PAGE, allowed),
        },
        ASKED,
    )
    found = _asked(index, queries)
    recall = np.mean([len(a & b) / 10 for a, b in zip(found, exact, strict=True)]) if exact else ""
    search, rank = times["search"], times["rank"]
    return (
        f"{len(index):,}",
        how,
        1e3 * search.undisturbed,
        1e3 * search.percentile(95),
        recall if isinstance(recall, str) else float(recall),
        1e3 * rank.undisturbed,
    )


def _divide(index: VectorIndex, queries: FloatArray) -> tuple[str | float, ...]:
    """Divide while somebody searches."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    computed = time.process_time()
    began = time.perf_counter()
    thread = threading.Thread(target=index.tidy)
    thread.start()
    waited: list[float] = []
    searching = 0.0
    while thread.is_alive():
        start, used = time.perf_counter(), time.thread_time()
        index.search(queries[len(waited) % len(queries)], PAGE)
        waited.append(time.perf_counter() - start)
        searching += time.thread_time() - used
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    computed = time.process_time() - computed - searching
    return (f"{len(index):,}", seconds, computed, float(len(waited)), *percentiles(waited), more)


def _bytes_of_one(index: VectorIndex) -> int:
    return index.rows.bytes_of_one + index.rows.numbers[:1].nbytes
