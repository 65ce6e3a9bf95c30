"""The engine: SQLite in WAL mode by default, transactions that say whether they write, migrations at start."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import make_url

from app.catalog.tables import identity

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30


class Database:
    """One catalog. Safe to share between threads; every process opens its own."""

    def __init__(self, url: str) -> None:
        path = make_url(url).database
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        # Requests run in up to 40 threads, and a transaction is short: connections are not what should run out.
        self._engine = create_engine(url, pool_size=20, max_overflow=40, connect_args={"timeout": BUSY_SECONDS})
        event.listen(self._engine, "connect", _prepare_connection)
        event.listen(self._engine, "begin", _begin)
        self._writing = self._engine.execution_options(glimpse_writes=True)

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine underneath (migrations and their test use it)."""
        return self._engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view; never waits for a writer."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The write lock from the first statement on; on disk (fsync) when the block has ended, undone if it raises."""
        with self._writing.begin() as connection:
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
        """Write the catalog as it is at this moment into one new file, while others go on reading and writing.

        https://sqlite.org/backup.html
        """
        with self.reading() as connection, closing(sqlite3.connect(path)) as copy:
            source: Any = connection.connection.driver_connection
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # nothing beside the file

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._engine.dispose()


def _prepare_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 must not open transactions by itself, late (sqlalchemy#8795)
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # an answered upload survives power loss: https://sqlite.org/pragma.html
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once and waits for it; a read that turns into a write would fail instead.
    writes = connection.get_execution_options().get("glimpse_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
