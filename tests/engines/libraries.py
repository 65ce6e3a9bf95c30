"""A library of pictures that have rows and vectors and no files, with a vector engine that follows its log."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from app.catalog.database import Database
from app.catalog.images import Images
from app.catalog.leases import Leases
from app.catalog.tables import images as rows
from app.catalog.vectors import Vectors
from app.library.following import Follower
from app.models import EmbeddingSpace, FloatArray
from app.vectors.engine import Engine
from app.vectors.index import VectorIndex
from app.vectors.relevance import neutral_digest
from app.vectors.shared import OpenEngine, SharedIndex, SharedIndexes
from tests.catalogs import empty_catalog, unit_vectors
from tests.conftest import wait_for

DIMENSION = 16
SPACE = EmbeddingSpace("random", "1", DIMENSION)
BANK = unit_vectors(60, DIMENSION, seed=7)
CAMERAS = ("Canon EOS 5D", "NIKON D3", 'a "quoted" \\ one', "Ünïcode 7", None)
FORMATS = ("jpeg", "png", "webp")
WORKER = "embedder"


@dataclass
class Library:
    """A catalog, an engine, and whoever carries the one into the other."""

    database: Database
    indexes: SharedIndexes
    space_id: int

    @classmethod
    def of(cls, folder: Path, open_engine: OpenEngine) -> Library:
        database = empty_catalog(folder)
        vectors = Vectors(database)
        space_id = vectors.serve(SPACE)
        vectors.keep_bank(space_id, neutral_digest(), BANK)
        unique = str(uuid.uuid4())  # empty catalogs are copies of one, and share an engine
        return cls(database, SharedIndexes(open_engine, lambda: unique, "test"), space_id)

    @property
    def images(self) -> Images:
        return Images(self.database)

    @property
    def vectors(self) -> Vectors:
        return Vectors(self.database)

    @property
    def engine(self) -> Engine:
        return self.indexes.engine(self.space_id, SPACE)

    @property
    def index(self) -> SharedIndex:
        """One that has counted nothing and sampled nothing yet."""
        return SharedIndex(self.engine, DIMENSION)

    def follower(self, name: str = "follower") -> Follower:
        return Follower(name, self.vectors, self.images, Leases(self.database), self.indexes)

    def follow(self) -> None:
        """Until the engine has all, and shows it."""
        follower = self.follower()
        follower.follow()
        assert follower.message is None
        assert self.engine.last_seq().seq == self.vectors.log(self.space_id).newest()
        wait_for(lambda: self.engine.count() == self.vectors.count(self.space_id))

    def in_memory(self) -> VectorIndex:
        """The same library as it is without an engine."""
        index = VectorIndex(DIMENSION)
        index.follow(self.vectors.log(self.space_id))
        index.use_bank(BANK)
        return index

    def add(self, vectors: FloatArray, first: int = 1) -> None:
        """Pictures with these vectors, all different in what conditions ask about."""
        ids = list(range(first, first + len(vectors)))
        with self.database.writing() as connection:
            connection.execute(insert(rows), [_row(image_id) for image_id in ids])
        self.vectors.record(WORKER, self.space_id, ids, vectors)

    def embed_again(self, image_id: int, vector: FloatArray) -> None:
        with self.database.writing() as connection:
            connection.execute(rows.update().where(rows.c.id == image_id).values(claimed_by=WORKER))
        self.vectors.record(WORKER, self.space_id, [image_id], vector[None])

    def close(self) -> None:
        self.indexes.close()
        self.database.close()


@contextmanager
def library(folder: Path, open_engine: OpenEngine, vectors: FloatArray | None = None) -> Iterator[Library]:
    """A library in ``folder``, with these pictures in catalog and engine; the engine is empty again afterwards."""
    opened = Library.of(folder, open_engine)
    try:
        if vectors is not None:
            opened.add(vectors)
            opened.follow()
        yield opened
        opened.engine.empty()
    finally:
        opened.close()


def _row(image_id: int) -> dict[str, object]:
    rng = np.random.default_rng(image_id)
    taken = None if image_id % 7 == 0 else datetime(1969, 1, 1) + timedelta(hours=int(rng.integers(0, 500_000)))
    added = datetime(2025, 1, 1) + timedelta(hours=int(rng.integers(0, 12_000)))
    return {
        "id": image_id,
        "md5": f"{zlib.crc32(str(image_id).encode()):032x}",
        "filename": f"picture {image_id}.jpg",
        "format": str(rng.choice(FORMATS)),
        "bytes": int(rng.integers(1000, 9_000_000)),
        "width": int(rng.integers(1, 4) * 1000),
        "height": int(rng.integers(1, 4) * 1000),
        "state": "prepared",
        "taken_at": taken,
        "camera": CAMERAS[int(rng.integers(len(CAMERAS)))],
        "added_at": added,
        "date": taken or added,
        "claimed_by": WORKER,
    }


def nearest(library: Library, query: FloatArray, allowed: Sequence[int] | None = None) -> tuple[list[int], FloatArray]:
    """All pictures by hand, best first, ties by id: what every index must agree with."""
    entries = [entry for entries in library.vectors.log(library.space_id).entries(0) for entry in entries]
    alive = [entry for entry in entries if entry.vector is not None and (allowed is None or entry.image_id in allowed)]
    if not alive:
        return [], np.empty(0, np.float32)
    ids = np.array([entry.image_id for entry in alive])
    kept = np.stack([entry.vector for entry in alive if entry.vector is not None]).astype(np.float16)
    scores = kept.astype(np.float64) @ query
    order = np.lexsort((ids, -scores))
    return ids[order].tolist(), scores[order].astype(np.float32)
