"""What was imported from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, insert, select

from app.catalog.database import Database
from app.catalog.postgresql import take_turn
from app.catalog.tables import images, imports

SQL_BATCH = 500

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds: a file with the same two is the same."""


REFUSED = 0
"""Stands for a picture where a file was read and is none."""


class Imports:
    """Reads and writes `imports`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, paths: Sequence[str]) -> dict[str, tuple[Stamp, int]]:
        """Of ``paths``, those whose picture is (still) here: stamp and picture."""
        found: dict[str, tuple[Stamp, int]] = {}
        with self._database.reading() as connection:
            for start in range(0, len(paths), SQL_BATCH):
                rows = select(imports).join(images, images.c.id == imports.c.image_id)
                for row in connection.execute(rows.where(imports.c.path.in_(paths[start : start + SQL_BATCH]))):
                    found[row.path] = (row.bytes, row.modified), row.image_id
        return found

    def under(self, folder: str) -> dict[str, tuple[Stamp, int]]:
        """All that was ever read below ``folder``, also what is no picture and what was deleted since."""
        start = folder.rstrip("/") + "/"
        below = imports.c.path.startswith(start, autoescape=True)
        with self._database.reading() as connection:
            rows = connection.execute(select(imports).where(below))
            # Some databases compare without regard to case.
            return {r.path: ((r.bytes, r.modified), r.image_id) for r in rows if r.path.startswith(start)}

    def record(self, imported: Mapping[str, tuple[Stamp, int]]) -> None:
        """Remember that these files are in the library, by path: stamp and picture."""
        if not imported:
            return
        rows = [
            {"path": path, "bytes": size, "modified": modified, "image_id": image_id}
            for path, ((size, modified), image_id) in imported.items()
        ]
        with self._database.writing() as connection:
            take_turn(connection, "imports")
            connection.execute(delete(imports).where(imports.c.path.in_(list(imported))))
            connection.execute(insert(imports), rows)
