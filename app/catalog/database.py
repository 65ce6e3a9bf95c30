"""The engine: SQLite by default or PostgreSQL, transactions that say whether they write, migrations at start."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from app.catalog.postgresql import open_postgresql, raise_if_away, take_turn
from app.catalog.sqlite import copy_file, open_sqlite, raise_if_in_trouble
from app.catalog.tables import identity
from app.errors import InvalidInput

MIGRATIONS = Path(__file__).parent / "migrations"
KINDS = {"sqlite": open_sqlite, "postgresql": open_postgresql}


class Database:
    """One catalog. Safe to share between threads; every process opens its own.

    ``url``: ``sqlite:///path`` or ``postgresql://user:password@host/database``. Raises `InvalidInput` for others.
    All blocks raise `CatalogUnavailable` where that can't be reached, read or written.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            kind = KINDS[parsed.get_backend_name()]
        except (ArgumentError, KeyError):
            raise InvalidInput("A catalog is at sqlite:///path or postgresql://user:password@host/database.") from None
        self._reading, self._writing = kind(parsed)

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine underneath (migrations and their test use it)."""
        return self._writing

    @property
    def is_one_file(self) -> bool:
        """Whether the catalog is a file of the data folder, so that a copy of the folder has it."""
        return self._writing.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view; never waits for a writer."""
        with _told(), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """On disk (fsync) when the block has ended, undone if it raises.

        SQLite: has the write lock from the first statement on. PostgreSQL: see `app.catalog.postgresql.take_turn`.
        """
        with _told(), self._writing.begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the schema to the newest version. Processes that start together do it one after the other."""
        if self._is_newest():
            return
        from alembic import command  # 0.15 s to import, for nothing at most starts
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self.writing() as connection:
            take_turn(connection, "migrations")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _is_newest(self) -> bool:
        """Whether there is nothing to migrate. The files of the versions are named after them."""
        newest = max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
        with self.reading() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return False
            return connection.scalars(text("SELECT version_num FROM alembic_version")).all() == [newest]

    def identity(self) -> str:
        """Which catalog this is: a UUID given when it was made."""
        with self.reading() as connection:
            return str(connection.scalars(select(identity.c.uuid)).one())

    def copy_to(self, path: Path) -> None:
        """Write the catalog as it is at this moment into one new SQLite file, while others go on writing."""
        from app.catalog.moving import copy_to_file

        with self.reading() as connection:
            if self.is_one_file:
                copy_file(connection, path)
            else:
                copy_to_file(connection, path)

    def compact(self) -> None:
        """Give the room of deleted rows back to the disk. https://sqlite.org/lang_vacuum.html

        Other databases see to that themselves. It needs room for a copy, and the write lock.
        """
        if not self.is_one_file:
            return
        with _told(), self._writing.connect() as connection:
            if connection.exec_driver_sql("PRAGMA freelist_count").scalar():
                connection.exec_driver_sql("ROLLBACK")  # not inside of the transaction that each connection begins with
                connection.exec_driver_sql("VACUUM")
                connection.exec_driver_sql("BEGIN")

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._writing.dispose()


@contextmanager
def _told() -> Iterator[None]:
    """Raises `CatalogUnavailable` for trouble that is not ours."""
    try:
        yield
    except (DBAPIError, sqlite3.DatabaseError) as error:  # the latter while a connection is made
        raise_if_in_trouble(error.orig if isinstance(error, DBAPIError) else error)
        if isinstance(error, DBAPIError):
            raise_if_away(error)
        raise
