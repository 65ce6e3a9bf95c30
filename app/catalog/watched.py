"""Folders that are watched: who watches one says what it saw there."""

from __future__ import annotations

import time
from dataclasses import asdict

from sqlalchemy import delete, insert, select

from app.catalog.database import Database
from app.catalog.tables import watched
from app.models import WatchedFolder

KEEP_SECONDS = 7 * 24 * 3600.0
"""A folder that nobody looked at for so long is forgotten."""


class Watched:
    """Reads and writes `watched`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, folder: WatchedFolder) -> None:
        """What a look at a folder has seen, in place of what the last one saw."""
        old = (watched.c.folder == folder.folder) | (watched.c.seen_at < time.time() - KEEP_SECONDS)
        with self._database.writing() as connection:
            connection.execute(delete(watched).where(old))
            connection.execute(insert(watched).values(**asdict(folder)))

    def leave(self, folder: str) -> None:
        """Nobody watches it any more."""
        with self._database.writing() as connection:
            connection.execute(delete(watched).where(watched.c.folder == folder))

    def all(self) -> tuple[WatchedFolder, ...]:
        """By name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(watched).order_by(watched.c.folder))
            return tuple(WatchedFolder(**row._mapping) for row in rows)
