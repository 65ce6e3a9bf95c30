"""The catalog in one file: SQLite in WAL mode. Writers take turns, readers wait for nobody."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from app.errors import CatalogUnavailable

log = logging.getLogger(__name__)

BUSY_SECONDS = 30
"""How long a writer waits for another one. Ours take milliseconds; this is for other programs, and slow disks."""

RESTORE = (
    "Stop the server, move the folder index away, leave images where it is, and bring a backup back: "
    "python run.py restore FOLDER. Pictures that came after the backup are kept."
)
DAMAGED = f"The library's catalog is damaged. {RESTORE}"
TROUBLE = {
    sqlite3.SQLITE_BUSY: "Another program has held the library's catalog for too long. Try again in a moment.",
    sqlite3.SQLITE_FULL: "The server's disk is full. Make room and try again.",
    sqlite3.SQLITE_READONLY: "The library's catalog can't be written to: its disk or folder is read-only.",
    sqlite3.SQLITE_CANTOPEN: "The library's catalog can't be opened. The server's log names it.",
    sqlite3.SQLITE_IOERR: "The disk that holds the library's catalog fails. The server's log says more.",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}
"""What is nobody's mistake here, by SQLite's primary result codes: https://sqlite.org/rescode.html"""


def open_sqlite(url: URL) -> tuple[Engine, Engine]:
    """For reading, and for writing: the same file, and another BEGIN."""
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # Requests run in up to 40 threads, and a transaction is short: connections are not what should run out.
    # The one used last is taken first: what it has read is still in its cache.
    pool: dict[str, Any] = {"pool_size": 20, "max_overflow": 40, "pool_use_lifo": True}
    engine = create_engine(url, **pool, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    return engine, engine.execution_options(glimpse_writes=True)


def copy_file(connection: Connection, path: Path) -> None:
    """https://sqlite.org/backup.html"""
    with closing(sqlite3.connect(path)) as copy:
        source: Any = connection.connection.driver_connection
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # nothing beside the file


@contextmanager
def alone(lock: Path) -> Iterator[bool]:
    """Whether nobody else on this machine is in such a block with the file ``lock``; ends with its process at the
    latest."""
    with closing(sqlite3.connect(lock, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise_if_in_trouble(error)
                raise
            yield False
        else:
            yield True


def raise_if_in_trouble(error: BaseException | None) -> None:
    """Raise `CatalogUnavailable` if it is the file, its disk, or somebody else who holds it."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if message := TROUBLE.get(code & 0xFF):
        log.error("catalog can't be used reason=%s %s", getattr(error, "sqlite_errorname", ""), error)
        raise CatalogUnavailable(message) from error


def _prepare_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 must not open transactions by itself, late (sqlalchemy#8795)
    cursor = connection.cursor()
    _keep_a_log(cursor)
    cursor.execute("PRAGMA synchronous=FULL")  # an answered upload survives power loss: https://sqlite.org/pragma.html
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _keep_a_log(cursor: sqlite3.Cursor) -> None:
    """WAL, which stays in the file. Where processes open a new catalog together, SQLite refuses this at once to all but
    one, instead of waiting as for any other lock."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


def _begin(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once and waits for it; a read that turns into a write would fail instead.
    writes = connection.get_execution_options().get("glimpse_writes", False)
    driver: Any = connection.connection.driver_connection  # past SQLAlchemy, which takes as long as a statement for it
    driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
