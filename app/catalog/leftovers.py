"""What stands in the catalog and is of no use any more: vectors of models that don't serve."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, exists, func, select, update

from app.catalog.database import Database
from app.catalog.postgresql import take_turn
from app.catalog.tables import spaces, switching, vectors
from app.errors import CatalogUnavailable

BATCH = 2000
"""Rows deleted at once, so that nobody waits long for the write lock."""


@dataclass(frozen=True, slots=True)
class OldSpace:
    """A space that doesn't serve. ``bytes``: of its vectors."""

    id: int
    model: str
    fingerprint: str
    vectors: int
    bytes: int


class Leftovers:
    """Reads and deletes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def fingerprints(self) -> dict[int, str]:
        """Of every space there is, by its id."""
        with self._database.reading() as connection:
            return {row.id: row.fingerprint for row in connection.execute(select(spaces.c.id, spaces.c.fingerprint))}

    def old_spaces(self) -> list[OldSpace]:
        """By id. One that is being filled is on its way to serve."""
        size = func.coalesce(func.sum(func.length(vectors.c.vector)), 0)
        grouped = (
            select(spaces.c.id, spaces.c.model, spaces.c.fingerprint, func.count(vectors.c.vector), size)
            .join(vectors, vectors.c.space_id == spaces.c.id, isouter=True)
            .where(~spaces.c.serving, ~exists().where(switching.c.filling_id == spaces.c.id))
            .group_by(spaces.c.id, spaces.c.model, spaces.c.fingerprint)
            .order_by(spaces.c.id)
        )
        with self._database.reading() as connection:
            return [OldSpace(*row) for row in connection.execute(grouped)]

    def forget_space(self, space_id: int) -> None:
        """Delete its vectors, and then it, unless it serves or is filled by now. There is no going back to it."""
        some = select(vectors.c.seq).where(vectors.c.space_id == space_id).limit(BATCH)
        while True:
            with self._database.writing() as connection:
                take_turn(connection, "spaces")
                filling = connection.scalar(select(switching.c.filling_id))
                serves = connection.scalar(select(spaces.c.serving).where(spaces.c.id == space_id))
                if serves is not False or filling == space_id:
                    return
                back = update(switching).where(switching.c.previous_id == space_id)
                connection.execute(back.values(previous_id=None))
                if not connection.execute(delete(vectors).where(vectors.c.seq.in_(some))).rowcount:
                    connection.execute(delete(spaces).where(spaces.c.id == space_id))
                    return

    def compact(self) -> None:
        """Give the room of deleted rows back to the disk."""
        try:
            self._database.compact()
        except CatalogUnavailable as error:
            raise CatalogUnavailable(
                f"{error} What was deleted is gone; its room in the catalog is used for what comes next. "
                "Run this again to give it back to the disk."
            ) from error
