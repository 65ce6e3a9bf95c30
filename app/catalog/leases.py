"""What only one process may do at a time, on whatever machine it runs."""

from __future__ import annotations

import time

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from app.catalog.database import Database
from app.catalog.tables import leases


class Leases:
    """Reads and writes `leases`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, name: str, holder: str, seconds: float) -> bool:
        """Whether ``name`` is the holder's for so long from now on: nobody else has it, or has let it run out."""
        now = time.time()
        run_out = or_(leases.c.until < now, leases.c.until > now + 2 * seconds)  # the latter: a clock was set back
        free = or_(leases.c.holder == holder, run_out)
        taken = update(leases).where(leases.c.name == name, free).values(holder=holder, until=now + seconds)
        with self._database.writing() as connection:
            if connection.execute(taken).rowcount:
                return True
        try:
            with self._database.writing() as connection:
                connection.execute(insert(leases).values(name=name, holder=holder, until=now + seconds))
            return True
        except IntegrityError:  # somebody else has it
            return False

    def holders(self) -> list[str]:
        """Everybody who has something, or had it when they died."""
        with self._database.reading() as connection:
            return list(connection.scalars(select(leases.c.holder).distinct()))

    def give_back(self, holder: str) -> None:
        """Somebody else may take at once what this one had."""
        with self._database.writing() as connection:
            connection.execute(delete(leases).where(leases.c.holder == holder))
