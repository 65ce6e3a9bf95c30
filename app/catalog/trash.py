"""The trash: pictures that are nowhere to be found any more, and may come back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, delete, func, insert, select

from app.catalog.database import Database
from app.catalog.postgresql import take_turn
from app.catalog.tables import images, removals, trash, vectors
from app.catalog.words import add_words, captions_of, remove_words, set_caption
from app.models import ImageState

_KEPT = tuple(column for column in trash.c if column.name in images.c)
"""What a row of either table has."""


@dataclass(frozen=True, slots=True)
class Trashed:
    """A picture in the trash."""

    id: int
    md5: str
    filename: str
    format: str
    bytes: int
    width: int
    height: int
    trashed_at: datetime


@dataclass(frozen=True, slots=True)
class Removal:
    """Files that are to go."""

    md5: str
    format: str


class Trash:
    """Reads and writes `trash`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, image_id: int) -> bool:
        """From here on the picture is in no page and no search. ``False`` if there is no such picture."""
        now = datetime.now(UTC).replace(tzinfo=None)
        with self._database.writing() as connection:
            row = take_out(connection, image_id)
            if row is None:
                return False
            kept = {column.name: getattr(row, column.name) for column in _KEPT}
            prepared = row.state in (ImageState.PREPARED, ImageState.INDEXED)
            connection.execute(insert(trash).values(**kept, trashed_at=now, prepared=prepared))
            return True

    def restore(self, image_id: int) -> bool:
        """Bring a picture back under its id, to be indexed again. ``False`` if it is not in the trash."""
        with self._database.writing() as connection:
            take_turn(connection, select(trash.c.md5).where(trash.c.id == image_id))
            return bring_back(connection, image_id)

    def discard(self, image_id: int) -> Removal | None:
        """Give a picture up for good; its files are noted as to be removed. ``None`` if it is not in the trash."""
        with self._database.writing() as connection:
            take_turn(connection, select(trash.c.md5).where(trash.c.id == image_id))
            given_up = delete(trash).where(trash.c.id == image_id).returning(trash.c.md5, trash.c.format)
            gone = connection.execute(given_up).first()
            if gone is None:
                return None
            connection.execute(insert(removals).values(md5=gone.md5, format=gone.format))
            return Removal(gone.md5, gone.format)

    def get(self, image_id: int) -> Trashed | None:
        with self._database.reading() as connection:
            row = connection.execute(select(trash).where(trash.c.id == image_id)).first()
        return _trashed(row) if row else None

    def latest(self, limit: int, offset: int = 0) -> list[Trashed]:
        """What was deleted last comes first."""
        rows = select(trash).order_by(trash.c.trashed_at.desc(), trash.c.id.desc()).offset(offset).limit(limit)
        with self._database.reading() as connection:
            return [_trashed(row) for row in connection.execute(rows)]

    def count(self) -> int:
        with self._database.reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(trash)) or 0)

    def since_before(self, moment: datetime) -> list[int]:
        """Ids of what was deleted before ``moment`` (UTC)."""
        old = select(trash.c.id).where(trash.c.trashed_at < moment.replace(tzinfo=None))
        with self._database.reading() as connection:
            return list(connection.scalars(old))


def take_out(connection: Connection, image_id: int) -> Row[tuple[object, ...]] | None:
    """Delete a row of `images`, its words and its vector in every space. Returns the row; ``None`` if there is none."""
    gone = connection.execute(delete(images).where(images.c.id == image_id).returning(*images.c)).first()
    if gone is None:
        return None
    remove_words(connection, image_id)
    taken = delete(vectors).where(vectors.c.image_id == image_id).returning(vectors.c.space_id)
    if in_spaces := connection.scalars(taken).all():
        entries = [{"space_id": space, "image_id": image_id, "vector": None} for space in in_spaces]
        connection.execute(insert(vectors), entries)
    return gone


def bring_back(connection: Connection, image_id: int) -> bool:
    """Make a row of `trash` a row of `images` again: prepared, if it was, else pending."""
    row = connection.execute(delete(trash).where(trash.c.id == image_id).returning(*trash.c)).first()
    if row is None:
        return False
    kept = {column.name: getattr(row, column.name) for column in _KEPT}
    state = ImageState.PREPARED if row.prepared else ImageState.PENDING
    connection.execute(insert(images).values(**kept, state=state.value))
    add_words(connection, image_id, row.filename)
    if row.captions:
        set_caption(connection, image_id, captions_of(row.captions))
    return True


def _trashed(row: Row[tuple[object, ...]]) -> Trashed:
    moment = row.trashed_at.replace(tzinfo=UTC)
    return Trashed(row.id, row.md5, row.filename, row.format, row.bytes, row.width, row.height, moment)
