"""Signs of life: each worker says now and then that it is there and how fast it is."""

from __future__ import annotations

import time

from sqlalchemy import delete, insert, select

from app.catalog.database import Database
from app.catalog.tables import workers
from app.models import WorkerStatus

SILENT_SECONDS = 75.0
"""A worker that said nothing for this long is taken for dead. An idle one says something every 30 seconds."""


class Workers:
    """Reads and writes `workers`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, name: str, rate: float, message: str | None) -> None:
        """``rate``: pictures per second lately. ``message``: what the worker complains about, if anything."""
        now = time.time()
        with self._database.writing() as connection:
            connection.execute(delete(workers).where((workers.c.name == name) | (workers.c.seen_at < now - 3600)))
            connection.execute(insert(workers).values(name=name, seen_at=now, rate=rate, message=message))

    def leave(self, name: str) -> None:
        """The worker has stopped."""
        with self._database.writing() as connection:
            connection.execute(delete(workers).where(workers.c.name == name))

    def names(self) -> list[str]:
        """Everybody who reported and did not leave."""
        with self._database.reading() as connection:
            return [str(name) for name in connection.scalars(select(workers.c.name))]

    def status(self) -> WorkerStatus:
        """All workers of the last seconds taken together."""
        now = time.time()  # what was said in the future was said before the clock was set back
        lately = workers.c.seen_at.between(now - SILENT_SECONDS, now + SILENT_SECONDS)
        recent = select(workers).where(lately).order_by(workers.c.seen_at)
        with self._database.reading() as connection:
            rows = connection.execute(recent).all()
        messages = [row.message for row in rows if row.message]
        return WorkerStatus(bool(rows), sum(row.rate for row in rows), messages[-1] if messages else None)
