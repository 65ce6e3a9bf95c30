"""Libraries made of nothing: rows and vectors as a real one has them, in a real catalog, within seconds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from app.catalog.database import Database
from app.catalog.tables import images, vectors
from app.catalog.vectors import Vectors
from app.models import EmbeddingSpace, FloatArray, ImageState, LogEntry

BATCH = 10_000
CAMERAS = ("Canon EOS R6", "FUJIFILM X-T5", "Apple iPhone 15", "SONY ILCE-7M4", "NIKON Z 6", None)
FORMATS = ("jpeg",) * 7 + ("png", "webp", "heic")
SIZES = ((4032, 3024), (3024, 4032), (6000, 4000), (1920, 1080), (1080, 2340), (1200, 1200))
WORDS = ("beach", "garden", "birthday", "mountain", "dog", "receipt", "market", "bridge", "snow", "harbour")
NEWEST = datetime(2026, 11, 1, 12)


def unit_vectors(count: int, dimension: int, seed: int = 0) -> FloatArray:
    """Random directions, float32 [count, dimension]."""
    made = np.random.default_rng(seed).standard_normal((count, dimension), dtype=np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def fill(folder: Path, embedded: FloatArray, space: EmbeddingSpace) -> Database:
    """A catalog in ``folder`` with a picture for each row of ``embedded``, all indexed in ``space``, which serves.

    Ids are 1, 2, 3, … in the order of the rows. There are no files behind the pictures.
    """
    database = Database(f"sqlite:///{folder / 'catalog.sqlite3'}")
    database.migrate()
    space_id = Vectors(database).serve(space)
    for start in range(0, len(embedded), BATCH):
        part = embedded[start : start + BATCH]
        numbers = range(start + 1, start + 1 + len(part))
        with database.writing() as connection:
            connection.execute(insert(images), [_row(number) for number in numbers])
            entries = zip(numbers, part, strict=True)
            connection.execute(
                insert(vectors),
                [{"space_id": space_id, "image_id": n, "vector": v.astype("<f4").tobytes()} for n, v in entries],
            )
    return database


def _row(number: int) -> dict[str, object]:
    # Multiplied by odd constants, so that facts do not go by the clock together.
    width, height = SIZES[number * 7 % len(SIZES)]
    added = NEWEST - timedelta(seconds=20 * (2_000_000 - number))
    taken = NEWEST - timedelta(minutes=(number * 7919) % (10 * 365 * 24 * 60)) if number % 5 else None
    word = WORDS[number * 13 % len(WORDS)]
    return {
        "id": number,
        "md5": f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}",
        "filename": f"IMG_{number:06} {word}.jpg",
        "format": FORMATS[number * 11 % len(FORMATS)],
        "bytes": 200_000 + number * 104_729 % 6_000_000,
        "width": width,
        "height": height,
        "state": ImageState.INDEXED,
        "added_at": added,
        "date": taken or added,
        "taken_at": taken,
        "camera": CAMERAS[number * 17 % len(CAMERAS)],
    }


class Log:
    """Vectors as a log without a catalog (`app.vectors.index.Log`), with ids and numbers from 1."""

    def __init__(self, embedded: FloatArray) -> None:
        self._embedded = embedded

    def entries(self, after: int) -> Iterator[list[LogEntry]]:
        for start in range(after, len(self._embedded), BATCH):
            part = self._embedded[start : start + BATCH]
            yield [LogEntry(n, n, vector) for n, vector in enumerate(part, start=start + 1)]

    def entry(self, seq: int) -> LogEntry | None:
        return LogEntry(seq, seq, self._embedded[seq - 1]) if 0 < seq <= len(self._embedded) else None
