"""Looking at the catalog from outside: what contradicts what, and how it is put right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, Select, and_, delete, exists, func, insert, select, text, update

from app.catalog.database import Database
from app.catalog.images import Images
from app.catalog.postgresql_schema import recount
from app.catalog.tables import counts, images, spaces, vectors
from app.catalog.trash import Trash
from app.catalog.words import add_words, remove_words, set_caption, words
from app.models import Image, ImageState

BATCH = 500
"""Pictures read at once; also what fits into one SQL statement with room to spare."""


class Health:
    """Questions that nobody asks in daily work, each over the whole catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._images = Images(database)

    def damage(self) -> list[str]:
        """What the database itself finds wrong. https://sqlite.org/pragma.html#pragma_integrity_check

        PostgreSQL checks each page when it is read and keeps its references; it is asked what it has met so far.
        """
        with self._database.reading() as connection:
            if connection.dialect.name == "postgresql":
                return _met_by_postgresql(connection)
            found = [str(row) for row in connection.scalars(text("PRAGMA integrity_check(20)")) if row != "ok"]
            broken = connection.execute(text("PRAGMA foreign_key_check")).all()
        return found + [f"a row of {row[0]} refers to a missing row of {row[2]}" for row in broken]

    def pictures(self) -> Iterator[Image]:
        """All of them, newest first; each batch is a read of its own."""
        before = None
        while batch := self._images.newest(BATCH, before):
            yield from batch
            before = batch[-1].id

    def is_empty(self) -> bool:
        """Whether there is no picture, in the trash neither."""
        return not self._images.newest(1) and Trash(self._database).count() == 0

    def miscounted(self) -> bool:
        """Whether the counts that pages show differ from the pictures there are."""
        with self._database.reading() as connection:
            return _kept_counts(connection) != _real_counts(connection)

    def recount(self) -> None:
        with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                recount(connection)
                return
            real = _real_counts(connection)
            for state in ImageState:
                pictures, size = real.get(state.value, (0, 0))
                of_state = update(counts).where(counts.c.state == state.value)
                connection.execute(of_state.values(pictures=pictures, bytes=size))

    def without_vector(self) -> list[int]:
        """Pictures that count as searchable and have no usable vector in the space that serves."""
        with self._database.reading() as connection:
            return list(connection.scalars(_without_vector()))

    def embed_again(self, ids: Sequence[int]) -> None:
        """Have the worker make the vectors of these pictures anew."""
        with self._database.writing() as connection:
            for start in range(0, len(ids), BATCH):
                part = ids[start : start + BATCH]
                wanted = update(images).where(images.c.id.in_(part), images.c.state == ImageState.INDEXED.value)
                connection.execute(wanted.values(state=ImageState.PREPARED.value))

    def unindexed(self) -> list[int]:
        """Pictures whose names are not in the index of words, and entries there whose pictures are gone."""
        both = exists().where(words.c.rowid == images.c.id)
        lost = ~exists().where(images.c.id == words.c.rowid)
        with self._database.reading() as connection:
            return [
                *connection.scalars(select(images.c.id).where(~both)),
                *connection.scalars(select(words.c.rowid).where(lost)),
            ]

    def index_words(self, ids: Sequence[int]) -> None:
        """Make these entries of the index of words anew."""
        found = self._images.get_many(ids)
        with self._database.writing() as connection:
            for image_id in ids:
                remove_words(connection, image_id)
                if image := found.get(image_id):
                    add_words(connection, image_id, image.filename)
                    set_caption(connection, image_id, image.captions)

    def astray(self) -> list[tuple[int, int]]:
        """(space, picture) of vectors whose picture is not there."""
        lost = select(vectors.c.space_id, vectors.c.image_id).where(
            vectors.c.vector.is_not(None), ~exists().where(images.c.id == vectors.c.image_id)
        )
        with self._database.reading() as connection:
            return [(row.space_id, row.image_id) for row in connection.execute(lost)]

    def withdraw(self, lost: Sequence[tuple[int, int]]) -> None:
        """Take vectors out of the log, so that every index that follows it forgets them."""
        with self._database.writing() as connection:
            for space_id, image_id in lost:
                this = (vectors.c.space_id == space_id, vectors.c.image_id == image_id)
                connection.execute(delete(vectors).where(*this))
            for space_id, image_id in lost:
                connection.execute(insert(vectors).values(space_id=space_id, image_id=image_id, vector=None))


def _without_vector() -> Select[tuple[int]]:
    usable = exists().where(
        vectors.c.space_id == spaces.c.id,
        vectors.c.image_id == images.c.id,
        func.length(vectors.c.vector) == 4 * spaces.c.dimension,
    )
    serving = and_(spaces.c.serving, ~usable)
    return select(images.c.id).join(spaces, serving).where(images.c.state == ImageState.INDEXED.value)


def _kept_counts(connection: Connection) -> dict[str, tuple[int, int]]:
    rows = connection.execute(select(counts.c.state, counts.c.pictures, counts.c.bytes))
    return {row.state: (row.pictures, row.bytes) for row in rows if row.pictures or row.bytes}


def _real_counts(connection: Connection) -> dict[str, tuple[int, int]]:
    grouped = select(images.c.state, func.count(), func.sum(images.c.bytes)).group_by(images.c.state)
    return {state: (int(pictures), int(size)) for state, pictures, size in connection.execute(grouped)}


def _met_by_postgresql(connection: Connection) -> list[str]:
    checksums = "SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()"
    failures = connection.scalar(text(checksums)) or 0
    torn = [f"{failures} pages do not fit their checksums"] if failures else []
    invalid = connection.scalars(text("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"))
    return torn + [f"the index {name} is not valid (REINDEX INDEX {name} makes it anew)" for name in invalid]
