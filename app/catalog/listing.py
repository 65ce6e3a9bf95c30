"""All pictures with everything that is known about them, for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.catalog.database import Database
from app.catalog.images import Images
from app.catalog.tables import images
from app.models import Image

BATCH = 1000
"""Pictures read at once; each batch is a read of its own, so that a slow reader holds nothing up."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A picture, and where it was imported from."""

    image: Image
    folder: str | None
    file_time: datetime | None


class Listing:
    """Reads `images`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._images = Images(database)

    def pictures(self) -> Iterator[Listed]:
        """By id: each one that was there from the beginning to the end stands in it once."""
        wanted = select(images.c.id, images.c.folder, images.c.file_time).order_by(images.c.id).limit(BATCH)
        last = 0
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(wanted.where(images.c.id > last)).all()
            if not rows:
                return
            found = self._images.get_many([row.id for row in rows])
            yield from (Listed(found[row.id], row.folder, row.file_time) for row in rows if row.id in found)
            last = rows[-1].id
