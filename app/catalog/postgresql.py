"""The catalog on PostgreSQL, for any number of processes on any number of machines.

Readers see one moment from their first statement to their last (REPEATABLE READ). Writers see what is committed and
work side by side; where that would not do, they take turns (`take_turn`).
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from sqlalchemy import URL, Connection, Engine, Select, create_engine, event, func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from app.errors import CatalogUnavailable, InvalidInput

log = logging.getLogger(__name__)

INSTALL = "pip install -r requirements-postgres.txt"
AWAY = "The database that keeps the catalog can't be reached just now. Nothing is lost: try again in a moment."

PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""Seconds (the last: milliseconds) after which a silent server counts as gone; the URL may say otherwise.

https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""
_GONE = ("08", "57P01", "57P02", "57P03", "53300")
"""Connection lost or refused, shutting down, starting, too many clients:
https://www.postgresql.org/docs/18/errcodes-appendix.html"""

FEW = 0.03
"""Share of all pictures."""
_OTHER_WAYS = ("indexscan", "indexonlyscan", "seqscan", "hashjoin", "mergejoin")
_BY_INDEX = "SELECT set_config('max_parallel_workers_per_gather', '0', true), " + ", ".join(
    f"set_config('enable_{way}', 'off', true)" for way in _OTHER_WAYS
)
"""What is left is the bitmap of the words' index, and of the pictures' for each row found.
https://www.postgresql.org/docs/18/runtime-config-query.html"""

# An answered upload survives power loss, whatever the server's default is; a stricter setting stays. The rest is what
# dates are read and written by.
_SESSION = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local');
SELECT set_config('DateStyle', 'ISO, YMD', false);
"""


def _key(name: str) -> int:
    """A signed 64-bit number."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


FOLDING, LOG_ORDER = _key("folding of counts"), _key("order of the vector log")
"""What the triggers of `app.catalog.postgresql_schema` take turns for."""


def open_postgresql(url: URL) -> tuple[Engine, Engine]:
    """For reading, and for writing. Raises `InvalidInput` where the driver is not installed."""
    patience = {name: value for name, value in PATIENCE.items() if name not in url.query}
    try:
        # A server has 100 connections by default, for all processes: each takes few.
        engine = create_engine(url, pool_size=5, max_overflow=10, pool_pre_ping=True, connect_args=patience)
    except ModuleNotFoundError as error:
        raise InvalidInput(f"PostgreSQL is spoken to by a package that is not installed: {INSTALL}.") from error
    event.listen(engine, "connect", _prepare_connection)
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True), engine


def take_turn(connection: Connection, subject: str | Select[str]) -> None:
    """Wait until no other transaction works on this subject; it is ours until this one ends.

    SQLite needs none of it, since all its writers take turns. ``subject``: its name, or where to look it up; without
    a row there is nothing to wait for. Take one only, and before anything is written: so nobody waits in a circle.

    https://www.postgresql.org/docs/18/explicit-locking.html#ADVISORY-LOCKS
    """
    if connection.dialect.name != "postgresql":
        return
    name = subject if isinstance(subject, str) else connection.scalar(subject)
    if name is not None:
        connection.execute(select(func.pg_advisory_xact_lock(_key(name))))


def look_up_words(connection: Connection, expression: str) -> None:
    """Have words (a tsquery) looked up in their index, if few pictures have them. Holds for this transaction.

    Of a word it has no statistics of, PostgreSQL believes that one picture in two hundred has it, and then reads all
    pictures, newest first, until it has met enough: 90 ms instead of 0.1 at 300,000. Words that many have are found
    sooner that way, since it can stop.
    """
    asked = "EXPLAIN (FORMAT JSON) SELECT FROM words WHERE places @@ CAST(:expression AS tsquery)"
    expected = connection.scalar(text(asked), {"expression": expression})[0]["Plan"]["Plan Rows"]
    pictures = connection.scalar(text("SELECT reltuples FROM pg_class WHERE oid = 'words'::regclass")) or 0
    if expected <= FEW * max(pictures, 1 / FEW):
        connection.execute(text(_BY_INDEX))


def raise_if_away(error: DBAPIError) -> None:
    """Raise `CatalogUnavailable` if it is the server that is missing. Why stands in the log: pages are for anybody."""
    state = getattr(error.orig, "sqlstate", None) or ""
    refused = isinstance(error, OperationalError) and error.statement is None
    if error.connection_invalidated or refused or state.startswith(_GONE):
        log.warning("catalog can't be reached reason=%s", " ".join(str(error.orig).split()))
        raise CatalogUnavailable(AWAY) from error


def _prepare_connection(connection: Any, _record: object) -> None:
    from psycopg.types.string import StrDumperUnknown

    class WithoutNul(StrDumperUnknown):
        """PostgreSQL keeps no NUL in texts. Who asks for one finds nothing, instead of an error."""

        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))

    connection.adapters.register_dumper(str, WithoutNul)
    connection.execute(_SESSION)
    connection.commit()
