"""Catalogs for tests of the lower rooms: real SQLite files, rows without pictures behind them, a clock to turn."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from app.catalog.database import Database
from app.catalog.images import Images, NewImage, PreparedFacts
from app.models import EmbeddingSpace, FloatArray, ImageState
from app.vectors.index import Log

SPACE = EmbeddingSpace("colours", "1", 4)
OTHER_SPACE = EmbeddingSpace("colours", "2", 4)
FACTS = PreparedFacts(64, 48, None, None)


@cache
def _migrated() -> bytes:
    """An empty catalog at the newest version, to be copied: migrating would take longer than most tests do."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.sqlite3"
        database = Database(f"sqlite:///{path}")
        database.migrate()
        database.close()
        return path.read_bytes()


def empty_catalog_url(folder: Path) -> str:
    """A migrated catalog without a row, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "catalog.sqlite3"
    path.write_bytes(_migrated())
    return f"sqlite:///{path}"


def empty_catalog(folder: Path) -> Database:
    return Database(empty_catalog_url(folder))


def new_image(number: int, bytes: int = 1000) -> NewImage:
    """What intake knows of a picture; each ``number`` is a picture of its own."""
    return NewImage(f"{number:032x}", f"picture {number}.jpg", "jpeg", bytes, 64, 48)


def nothing() -> None:
    """In place of putting or unlinking a file."""


def add_pictures(images: Images, count: int, first: int = 0) -> list[int]:
    """Ids of ``count`` new pending pictures, oldest first."""
    return [images.add(new_image(first + index), nothing)[0] for index in range(count)]


def prepare_all(images: Images, worker: str = "preparer") -> None:
    """Make every pending picture prepared."""
    while batch := images.claim(ImageState.PENDING, worker, 100):
        for image in batch:
            images.record_prepared(worker, image.id, FACTS)


def unit_vectors(count: int, dimension: int = 4, seed: int = 0) -> FloatArray:
    """float32 [count, dimension], random directions."""
    vectors = np.random.default_rng(seed).normal(size=(count, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


class Clock:
    """In place of the `time` module where a test turns the time."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


def newest(log: Log) -> int:
    """The last ``seq`` of a space's log; 0 if it is empty."""
    return max((entry.seq for entries in log.entries(0) for entry in entries), default=0)
