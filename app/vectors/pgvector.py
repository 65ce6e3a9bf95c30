"""PostgreSQL with pgvector as a vector engine: `postgresql://…`, or `pgvector` for the catalog's own server.

The SQL of this file is not the catalog's: it knows none of the catalog's tables, may lie on another server, and is
emptied and filled again like any other engine. So it stands here, beside the others, and speaks through psycopg alone.

One table for each space, exact up to `EXACT_UP_TO` pictures; from then on with HNSW over float16. That index filters
behind its search, so it is told to go on until it has enough (`hnsw.iterative_scan`, pgvector ≥ 0.8:
https://github.com/pgvector/pgvector#iterative-index-scans), and few pictures are compared one by one.
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from app.errors import EngineUnavailable
from app.models import FloatArray
from app.vectors.engine import FACTS, STANCES, Among, Between, Filter, Hits, Points, Reached

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import SQL, Composed

log = logging.getLogger(__name__)

DEEPEST = 100_000
"""PostgreSQL has no limit of its own; nobody looks further (`app.library.search.DEEPEST_RESULT`)."""
EXACT_UP_TO = 20_000
"""So many pictures are compared one by one: some 10 ms."""
WIDEST = 1000
"""Largest hnsw.ef_search there is; an iterative scan goes on from there."""
ANSWER_SECONDS = 5
WORK_SECONDS = 120
"""Writing may take this long: it waits while the index is built."""
MARGIN_SECONDS = 5
"""For so much longer than the server should take an answer is waited for: it may hang."""
MOST_CONNECTIONS = 5
"""Of one process, for each space: a server has 100 by default, for all processes."""
PATIENCE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""Seconds (the last: milliseconds) after which a silent server counts as gone; the URL may say otherwise.
https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS"""
SURE_SECONDS = 1.0
"""A connection that was used within this time is not tried before it is used again."""
LINKS, BUILD_WIDTH = 16, 128
"""m and ef_construction of HNSW (Malkov and Yashunin 2018, arXiv 1603.09320)."""
BUILD_MEMORY = """
SELECT set_config('maintenance_work_mem', greatest(
    pg_size_bytes(current_setting('maintenance_work_mem')), pg_size_bytes('512MB')) / 1024 || 'kB', true)
"""
"""For building; the server's own setting if that is larger. What does not fit is built several times as slowly."""
BY_GRAPH = """
SELECT set_config('enable_seqscan', 'off', true), set_config('hnsw.ef_search', %s, true),
    set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.max_scan_tuples', '2147483647', true),
    set_config('hnsw.scan_mem_multiplier', '64', true)
"""
"""For this transaction: go on until there are enough, within 64 times work_mem, 256 MB by default."""
NEAREST = """
SELECT id, -(vector::vector <#> %(query)s::vector), slope, intercept FROM (
    SELECT * FROM (SELECT * FROM {table} {where} {fence}) allowed
    ORDER BY vector <#> %(query)s::vector::halfvec LIMIT %(k)s
) nearest
"""
"""Found by float16, as they lie there; scored by the query as it is."""
WRITE = """
INSERT INTO {table} ({columns}) SELECT {columns} FROM incoming ON CONFLICT (id) DO UPDATE SET {kept}
"""


class Pgvector:
    """One table (`app.vectors.engine.Engine`)."""

    deepest = DEEPEST

    def __init__(self, url: str, name: str, dimension: int) -> None:
        self._url = url
        self._name = name
        self._dimension = dimension
        self._idle: list[tuple[Connection[Any], float]] = []  # and since when (monotonic)
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._made = False
        self._closed = False

    def search(self, vector: FloatArray, k: int, allowed: Filter | None) -> Hits:
        with self._answering() as connection:
            there, indexed = self._tables(connection)
            if not there:
                return _hits([])
            where, values = _where(allowed)
            one_by_one = indexed and allowed is not None and self._few(connection, where, values)
            if indexed and not one_by_one:
                connection.execute(BY_GRAPH, [str(min(k, WIDEST))])
            fence = self._sql("OFFSET 0" if one_by_one else "")  # behind which no index is looked for
            nearest = self._sql(NEAREST, where=where, fence=fence)
            found = connection.execute(nearest, values | {"query": _text(vector), "k": k})
            return _hits(found.fetchall())

    def count(self, allowed: Filter | None = None) -> int:
        with self._answering() as connection:
            if not self._exists(connection):
                return 0
            where, values = _where(allowed)
            row = connection.execute(self._sql("SELECT count(*) FROM {table} {where}", where=where), values).fetchone()
            return int(row[0]) if row else 0

    def upsert(self, points: Points) -> None:
        columns = ["id", "vector", *STANCES, *FACTS]
        kept = self._sql(", ".join(f"{column} = excluded.{column}" for column in columns[1:]))
        with self._answering(WORK_SECONDS) as connection:
            self._make(connection)
            connection.execute(self._sql("CREATE TEMP TABLE incoming (LIKE {table}) ON COMMIT DROP"))
            listed = self._sql(", ".join(columns))
            rows = zip(points.ids, points.vectors, points.stances, points.facts, strict=True)
            with connection.cursor() as cursor:
                wanted = self._sql("COPY incoming ({columns}) FROM STDIN (FORMAT BINARY)", columns=listed)
                with cursor.copy(wanted) as copy:
                    texts = ["text" if kind is str else "int8" for kind in FACTS.values()]
                    copy.set_types(["int8", "bytea", *["float4"] * len(STANCES), *texts])
                    for image_id, vector, stance, facts in rows:
                        known = (facts[fact] for fact in FACTS)
                        copy.write_row([int(image_id), _binary(vector), *map(float, stance), *known])
                cursor.execute(self._sql(WRITE, columns=listed, kept=kept))

    def delete(self, ids: Sequence[int]) -> None:
        with self._answering(WORK_SECONDS) as connection:
            if self._exists(connection):
                connection.execute(self._sql("DELETE FROM {table} WHERE id = ANY(%s)"), [list(ids)])

    def last_seq(self) -> Reached:
        with self._answering() as connection:
            if not self._exists(connection):
                return Reached()
            known = connection.execute("SELECT seq, mark, bank FROM glimpse_state WHERE name = %s", [self._name])
            row = known.fetchone()
            return Reached(*row) if row else Reached()

    def reached(self, reached: Reached) -> None:
        with self._answering() as connection:
            self._make(connection)
            connection.execute(
                "INSERT INTO glimpse_state VALUES (%s, %s, %s, %s) ON CONFLICT (name) DO UPDATE"
                " SET seq = excluded.seq, mark = excluded.mark, bank = excluded.bank",
                [self._name, reached.seq, reached.mark, reached.bank],
            )

    def tidy(self) -> None:
        with self._answering(0) as connection:
            if not self._exists(connection):
                return
            # Nobody else builds it already, which takes hours over many millions.
            alone = connection.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [self._name]).fetchone()
            few = self._few(connection, self._sql(""), {})
            if alone == (True,) and not few and not self._tables(connection)[1]:
                log.info("pgvector builds its index name=%s", self._name)
                connection.execute(BUILD_MEMORY)
                connection.execute(
                    self._sql(
                        "CREATE INDEX IF NOT EXISTS {graph} ON {table} USING hnsw (vector halfvec_ip_ops)"
                        " WITH (m = {links}, ef_construction = {width})",
                        links=self._sql(str(LINKS)),
                        width=self._sql(str(BUILD_WIDTH)),
                    )
                )
            connection.execute(self._sql("ANALYZE {table}"))

    def empty(self) -> None:
        with self._answering() as connection:
            self._made = False
            connection.execute(self._sql("DROP TABLE IF EXISTS {table}"))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection, _since in idle:
            connection.close()

    # -- what stands in the database ----------------------------------------------------------------------------

    def _make(self, connection: Connection[Any]) -> None:
        """The tables, if they are not there yet."""
        if self._made and self._exists(connection):
            return
        facts = ", ".join(f"{fact} {'text' if kind is str else 'bigint'} NOT NULL" for fact, kind in FACTS.items())
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS glimpse_state"
            " (name text PRIMARY KEY, seq bigint NOT NULL, mark bigint NOT NULL, bank bigint NOT NULL)"
        )
        if not self._exists(connection):
            connection.execute("DELETE FROM glimpse_state WHERE name = %s", [self._name])  # of one that was dropped
            connection.execute(
                self._sql(
                    "CREATE TABLE {table} (id bigint PRIMARY KEY, vector halfvec({dimension}) NOT NULL,"
                    " slope real NOT NULL, intercept real NOT NULL, {facts})",
                    dimension=self._sql(str(self._dimension)),
                    facts=self._sql(facts),
                )
            )
            others = ", ".join(fact for fact in FACTS if fact not in ("taken", "added"))
            # Narrow, and with all facts: what is counted and filtered by need not be read with the vectors.
            connection.execute(self._sql("CREATE INDEX ON {table} (taken, added, {others})", others=self._sql(others)))
        self._made = True

    def _exists(self, connection: Connection[Any]) -> bool:
        return self._tables(connection)[0]

    def _tables(self, connection: Connection[Any]) -> tuple[bool, bool]:
        """Whether there are a table and an HNSW index."""
        names = [self._name, f"{self._name}_graph"]
        found = connection.execute("SELECT to_regclass(%s) IS NOT NULL, to_regclass(%s) IS NOT NULL", names).fetchone()
        return found or (False, False)

    def _few(self, connection: Connection[Any], where: SQL | Composed, values: dict[str, Any]) -> bool:
        """Whether there are so few that looking at each is best."""
        counted = self._sql("SELECT count(*) FROM (SELECT 1 FROM {table} {where} LIMIT %(most)s) few", where=where)
        row = connection.execute(counted, values | {"most": EXACT_UP_TO + 1}).fetchone()
        return row is not None and row[0] <= EXACT_UP_TO

    def _sql(self, text: str, **parts: SQL | Composed) -> Composed:
        """SQL of this file, with the names of table and index in their places."""
        from psycopg.sql import SQL, Identifier

        names = {"table": Identifier(self._name), "graph": Identifier(f"{self._name}_graph")}
        return SQL(text).format(**names, **parts)

    # -- connections --------------------------------------------------------------------------------------------

    @contextmanager
    def _answering(self, seconds: float = ANSWER_SECONDS) -> Iterator[Connection[Any]]:
        """A transaction; what fails is told as `EngineUnavailable`. ``seconds``: for a statement, 0: without end."""
        try:
            import psycopg
        except ImportError as error:
            raise EngineUnavailable(
                "GLIMPSE_VECTORS names pgvector; psycopg is not installed: pip install -r requirements-postgres.txt."
            ) from error
        if not self._places.acquire(timeout=max(seconds, ANSWER_SECONDS)):
            raise EngineUnavailable("The vector engine, PostgreSQL with pgvector, is busy: try again in a moment.")
        connection = None
        try:
            connection = self._take()
            _limit(connection, seconds + MARGIN_SECONDS if seconds else None)
            with connection.transaction():
                connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(seconds * 1000))])
                yield connection
        except psycopg.Error as error:
            if connection is not None:
                connection.close()
            raise EngineUnavailable("The vector engine, PostgreSQL with pgvector, does not answer.") from error
        finally:
            if connection is not None:
                self._put_back(connection)
            self._places.release()

    def _take(self) -> Connection[Any]:
        import psycopg

        while True:
            with self._lock:
                idle, since = self._idle.pop() if self._idle else (None, 0.0)
            if idle is None:
                break
            try:
                if time.monotonic() - since > SURE_SECONDS:
                    _limit(idle, ANSWER_SECONDS)
                    idle.execute("SELECT 1")
                return idle
            except psycopg.Error:  # the server was away meanwhile, or a firewall forgot about it
                idle.close()
        options = PATIENCE | psycopg.conninfo.conninfo_to_dict(self._url) | {"connect_timeout": ANSWER_SECONDS}
        return psycopg.connect(psycopg.conninfo.make_conninfo("", **options), autocommit=True)

    def _put_back(self, connection: Connection[Any]) -> None:
        with self._lock:
            if not self._closed and not connection.closed:
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()


def _limit(connection: Connection[Any], seconds: float | None) -> None:
    """From here on, wait this long for each answer of the server, and then give the connection up."""
    import psycopg

    def wait(*given: Any, **options: Any) -> Any:
        try:
            return type(connection).wait(connection, *given, **{"timeout": seconds} | options)
        except psycopg.OperationalError:
            connection.close()
            raise

    connection.wait = wait  # type: ignore[method-assign]


def _text(vector: FloatArray) -> str:
    """As pgvector reads it."""
    return str(vector.tolist())


def _binary(vector: FloatArray) -> bytes:
    """As pgvector receives a `halfvec`: its dimension, two bytes that are 0, then each number.

    A tenth of the time that writing the numbers out takes.
    https://github.com/pgvector/pgvector/blob/master/src/halfvec.c (`halfvec_recv`)
    """
    return struct.pack(">HH", len(vector), 0) + vector.astype(">f2").tobytes()


def _stances(rows: Sequence[tuple[Any, ...]], first: int) -> FloatArray:
    return np.array([row[first : first + len(STANCES)] for row in rows], np.float32).reshape(-1, len(STANCES))


def _hits(rows: Sequence[tuple[Any, ...]]) -> Hits:
    ids, scores = np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float32)
    return Hits(ids, scores, _stances(rows, 2))


def _where(allowed: Filter | None) -> tuple[SQL | Composed, dict[str, Any]]:
    """A WHERE clause, and the values in it."""
    from psycopg.sql import SQL

    if allowed is None:
        return SQL(""), {}
    if isinstance(allowed, np.ndarray):
        return SQL("WHERE id = ANY(%(ids)s)"), {"ids": allowed.tolist()}
    tests: list[SQL | Composed] = [SQL("true")]
    values: dict[str, Any] = {}
    for number, test in enumerate(allowed):
        test_sql, test_values = _tested(test, f"value{number}")
        tests.append(test_sql)
        values |= test_values
    return SQL("WHERE ") + SQL(" AND ").join(tests), values


def _tested(test: Among | Between, name: str) -> tuple[Any, dict[str, Any]]:
    from psycopg.sql import SQL, Identifier

    values: dict[str, Any]
    if isinstance(test, Between):
        said, values = "{fact} BETWEEN {low} AND {high}", {f"{name}_low": test.low, f"{name}_high": test.high}
    else:
        said, values = "{fact} = ANY({all})", {f"{name}_all": list(test.values)}
    placeholders = {key: SQL(f"%({name}_{key})s") for key in ("low", "high", "all")}
    composed = SQL(f"{'NOT ' if test.negated else ''}({said})").format(fact=Identifier(test.fact), **placeholders)
    return composed, values
