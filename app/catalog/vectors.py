"""Embedding spaces and the vector log that every index follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Exists, Row, and_, bindparam, case, delete, exists, func, insert, or_, select, update

from app.catalog.database import Database
from app.catalog.postgresql import take_turn
from app.catalog.tables import images, spaces, switching, vectors
from app.models import EmbeddingSpace, FloatArray, ImageState, LogEntry

LOG_BATCH = 10_000
"""Log entries read at once: 20 MB of 512-d vectors."""


@dataclass(frozen=True, slots=True)
class KeptSpace:
    """A space of which vectors are kept. ``id`` is its row in the catalog."""

    id: int
    space: EmbeddingSpace
    source: str | None = None
    """What its model is loaded from: a name or a folder; ``None`` if that is not known."""

    @classmethod
    def of(cls, row: Row[Any]) -> KeptSpace:
        return cls(row.id, EmbeddingSpace(row.model, row.fingerprint, row.dimension), row.source)


class Vectors:
    """Reads and writes `spaces` and `vectors`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def serving(self) -> KeptSpace | None:
        """The space that serves; ``None`` before the first model was ever loaded."""
        with self._database.reading() as connection:
            row = connection.execute(select(spaces).where(spaces.c.serving)).first()
        return None if row is None else KeptSpace.of(row)

    def spaces(self) -> list[KeptSpace]:
        """Every space that ever served or was filled, the first one first."""
        with self._database.reading() as connection:
            return [KeptSpace.of(row) for row in connection.execute(select(spaces).order_by(spaces.c.id))]

    def searched(self) -> list[KeptSpace]:
        """The space that serves, and the one that is filled to serve next."""
        filled = select(switching.c.filling_id).scalar_subquery()
        wanted = select(spaces).where(or_(spaces.c.serving, spaces.c.id == filled)).order_by(spaces.c.serving.desc())
        with self._database.reading() as connection:
            return [KeptSpace.of(row) for row in connection.execute(wanted)]

    def serve(self, space: EmbeddingSpace, source: str | None = None) -> int:
        """Make ``space``, whose model comes from ``source``, the serving one at once, and return its id.

        Vectors of other spaces stay, and are not searched. Where it was another one before, each prepared picture
        counts as indexed only if it has a vector in this one. `app.catalog.switching` changes over without that gap.
        """
        serving = self.serving()
        if serving is not None and (serving.space, serving.source) == (space, source):
            return serving.id  # as at most starts: nothing to wait for where somebody holds the catalog
        with self._database.writing() as connection:
            take_turn(connection, "spaces")
            space_id = space_row(connection, space, source)
            change_over(connection, space_id)
            return space_id

    def bank(self, space_id: int, texts: str | None = None) -> FloatArray | None:
        """Vectors [n, dimension] of the neutral texts with the digest ``texts``, or of any, if they were kept."""
        wanted = select(spaces.c.bank, spaces.c.dimension).where(spaces.c.id == space_id, spaces.c.bank.is_not(None))
        if texts is not None:
            wanted = wanted.where(spaces.c.bank_texts == texts)
        with self._database.reading() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else np.frombuffer(row.bank, "<f4").reshape(-1, row.dimension)

    def keep_bank(self, space_id: int, texts: str, bank: FloatArray) -> None:
        """Keep the vectors of the neutral texts with the digest ``texts``."""
        with self._database.writing() as connection:
            values = {"bank": bank.astype("<f4").tobytes(), "bank_texts": texts}
            connection.execute(update(spaces).where(spaces.c.id == space_id).values(**values))

    def record(self, worker: str, space_id: int, ids: Sequence[int], embedded: FloatArray) -> int:
        """Write a batch of vectors (float32 [n, dimension], unit rows) for pictures that ``worker`` has claimed.

        State and vector change in one transaction. Pictures removed meanwhile are skipped, and so are all if the space
        serves no more. Returns how many it wrote.
        """
        by_id = dict(zip(ids, embedded, strict=True))
        serves = select(spaces.c.serving).where(spaces.c.id == space_id).with_for_update(read=True)
        with self._database.writing() as connection:
            if connection.scalar(serves) is False:
                return 0
            mine = and_(images.c.id.in_(list(by_id)), images.c.claimed_by == worker)
            done = (
                update(images)
                .where(mine)
                .values(state=ImageState.INDEXED, attempts=0, claimed_by=None, claimed_until=None)
            )
            alive = sorted(connection.scalars(done.returning(images.c.id)))
            write_entries(connection, space_id, {image_id: by_id[image_id] for image_id in alive})
            return len(alive)

    def get(self, space_id: int, image_id: int) -> FloatArray | None:
        """One picture's vector, float32 [dimension]."""
        wanted = select(vectors.c.vector).where(vectors.c.space_id == space_id, vectors.c.image_id == image_id)
        with self._database.reading() as connection:
            return _vector(connection.scalar(wanted))

    def count(self, space_id: int) -> int:
        """How many pictures have a vector in this space."""
        # An empty one stands for a picture that could not be read.
        counted = select(func.count()).where(vectors.c.space_id == space_id, func.length(vectors.c.vector) > 0)
        with self._database.reading() as connection:
            return int(connection.scalar(counted) or 0)

    def log(self, space_id: int) -> SpaceLog:
        """The vector log of a space, for an index to follow."""
        return SpaceLog(self._database, space_id)


_NEWER = (
    select(vectors.c.seq, vectors.c.image_id, vectors.c.vector)
    .where(vectors.c.space_id == bindparam("space"), vectors.c.seq > bindparam("after"))
    .order_by(vectors.c.seq)
    .limit(bindparam("most"))
)
"""Asked before each search, so made once: building a statement takes as long as running it."""


class SpaceLog:
    """The vector log of one space (`app.vectors.index.Log`)."""

    def __init__(self, database: Database, space_id: int) -> None:
        self._database = database
        self._space_id = space_id

    def entries(self, after: int) -> Iterator[list[LogEntry]]:
        """Entries with ``seq > after`` in growing order, in batches; each batch is a read of its own."""
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(_NEWER, {"space": self._space_id, "after": after, "most": LOG_BATCH}).all()
            if rows:
                yield [LogEntry(row.seq, row.image_id, _vector(row.vector)) for row in rows]
                after = rows[-1].seq
            if len(rows) < LOG_BATCH:
                return

    def entry(self, seq: int) -> LogEntry | None:
        """The entry with this ``seq``; ``None`` if there is none, or a newer one of its picture took its place."""
        wanted = select(vectors.c.seq, vectors.c.image_id, vectors.c.vector)
        wanted = wanted.where(vectors.c.space_id == self._space_id, vectors.c.seq == seq)
        with self._database.reading() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else LogEntry(row.seq, row.image_id, _vector(row.vector))

    def last_seq_of(self, image_id: int) -> int:
        """The ``seq`` of a picture's newest entry, a removal as well; 0 if it never had one."""
        last = select(func.max(vectors.c.seq))
        with self._database.reading() as connection:
            found = last.where(vectors.c.space_id == self._space_id, vectors.c.image_id == image_id)
            return int(connection.scalar(found) or 0)

    def newest(self) -> int:
        """The ``seq`` of the newest entry; 0 if there is none."""
        last = select(func.max(vectors.c.seq)).where(vectors.c.space_id == self._space_id)
        with self._database.reading() as connection:
            return int(connection.scalar(last) or 0)


def space_row(connection: Connection, space: EmbeddingSpace, source: str | None) -> int:
    """Id of a space's row, made where there is none; it learns where its model comes from."""
    same = and_(
        spaces.c.model == space.model,
        spaces.c.fingerprint == space.fingerprint,
        spaces.c.dimension == space.dimension,
    )
    known = connection.execute(select(spaces.c.id, spaces.c.source).where(same)).first()
    if known is None:
        values = {"model": space.model, "fingerprint": space.fingerprint, "dimension": space.dimension}
        added = insert(spaces).values(**values, serving=False, source=source)
        return int(connection.execute(added.returning(spaces.c.id)).scalar_one())
    if source is not None and source != known.source:
        connection.execute(update(spaces).where(spaces.c.id == known.id).values(source=source))
    return int(known.id)


def change_over(connection: Connection, space_id: int) -> None:
    """Make a space the serving one, and the one that served the way back. Ends a filling of either, in place too."""
    before = connection.scalar(select(spaces.c.id).where(spaces.c.serving).with_for_update())
    if before != space_id:
        connection.execute(update(spaces).values(serving=spaces.c.id == space_id))
        connection.execute(update(switching).values(previous_id=before))
        _set_states(connection, space_id)
    done = update(switching).where(switching.c.filling_id.in_([space_id, before or space_id]))
    connection.execute(done.values(wanted=None, filling_id=None, failure=None))


def write_entries(connection: Connection, space_id: int, entries: Mapping[int, FloatArray | None]) -> None:
    """Put vectors into the log of a space, in place of older ones; ``None``: its model could not read the picture."""
    if not entries:
        return
    connection.execute(delete(vectors).where(vectors.c.space_id == space_id, vectors.c.image_id.in_(list(entries))))
    rows = [
        {
            "space_id": space_id,
            "image_id": image_id,
            "vector": b"" if vector is None else vector.astype("<f4").tobytes(),
        }
        for image_id, vector in entries.items()
    ]
    connection.execute(insert(vectors), rows)


def has_vector(space_id: int) -> Exists:
    """Whether a space finds the picture of a row of `images`."""
    return exists().where(
        vectors.c.space_id == space_id, vectors.c.image_id == images.c.id, func.length(vectors.c.vector) > 0
    )


def _set_states(connection: Connection, space_id: int) -> None:
    state = case((has_vector(space_id), ImageState.INDEXED.value), else_=ImageState.PREPARED.value)
    ready = images.c.state.in_([ImageState.PREPARED, ImageState.INDEXED])
    changes = or_(images.c.state != state, images.c.claimed_by.is_not(None), images.c.attempts != 0)
    values = {"state": state, "attempts": 0, "claimed_by": None, "claimed_until": None}
    connection.execute(update(images).where(ready, changes).values(**values))


def _vector(blob: bytes | None) -> FloatArray | None:
    return np.frombuffer(blob, dtype="<f4") if blob else None
