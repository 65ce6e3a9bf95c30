"""The catalog in one file: SQLite in WAL mode. Writers take turns, readers wait for nobody."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

BUSY_SECONDS = 30


def open_sqlite(url: URL) -> tuple[Engine, Engine]:
    """For reading, and for writing: the same file, and another BEGIN."""
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # Requests run in up to 40 threads, and a transaction is short: connections are not what should run out.
    engine = create_engine(url, pool_size=20, max_overflow=40, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    return engine, engine.execution_options(glimpse_writes=True)


def copy_file(connection: Connection, path: Path) -> None:
    """https://sqlite.org/backup.html"""
    with closing(sqlite3.connect(path)) as copy:
        source: Any = connection.connection.driver_connection
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # nothing beside the file


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
