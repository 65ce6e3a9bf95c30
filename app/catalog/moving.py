"""Makes one catalog equal to another, whichever databases the two are on, while the first one is used.

Rows are compared in batches, and what differs is written: so a copy that was interrupted goes on where it was, and
another round costs reading and what has changed since. Ids, the numbers of the vector log and the catalog's identity
stay what they are. Counts and days come by themselves; who works now and what is watched is not copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnClause,
    Connection,
    TableClause,
    UniqueConstraint,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)

from app.catalog.database import Database
from app.catalog.health import Health
from app.catalog.tables import identity, images, metadata, vectors, workers
from app.catalog.words import words
from app.errors import InvalidInput

BATCH = 500
"""Rows compared at once; also what fits into one SQL statement with room to spare."""
ROUNDS = 5
NOT_COPIED = {"counts", "days", "count_changes", "day_changes", "workers", "leases", "watched"}
NUMBERED = (images.c.id, vectors.c.seq)
"""What is never given twice, also if the last one was deleted."""

Read = Callable[[], AbstractContextManager[Connection]]
Key = ColumnClause[Any]
Watch = Callable[[str, int], object]
"""Hears of each table and how many of its rows have been looked at."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Rows of a table on both sides, and the sums of their digests: in whatever order, equal rows have equal sums."""

    table: str
    rows: tuple[int, int]
    digests: tuple[int, int]

    @property
    def equal(self) -> bool:
        return self.rows[0] == self.rows[1] and self.digests[0] == self.digests[1]


class CatalogCopy:
    """Raises `InvalidInput` where the target holds another library, or has gone on by itself."""

    def __init__(self, source: Database, target: Database) -> None:
        self._source = source
        self._target = target
        if not self._may_be_written():
            raise InvalidInput(
                "There is another library in this catalog already, or it is in use. Name an empty database."
            )

    def run(self, watch: Watch = lambda _table, _rows: None) -> list[Checked]:
        """Copy until a round finds nothing to copy, or a few have passed while the source is used; then compare."""
        for _ in range(ROUNDS):
            if not _update(self._source.reading, self._target, watch):
                break
        return self.check()

    def check(self) -> list[Checked]:
        """Both sides, each as it is at one moment."""
        with self._source.reading() as here, self._target.reading() as there:
            return [_checked(here, there, table, key) for table, key in _tables()]

    def _may_be_written(self) -> bool:
        """It is empty, or was copied from this one before and not used since."""
        with self._target.reading() as there:
            same = there.scalar(select(identity.c.uuid)) == self._source.identity()
            used = there.scalar(select(func.count()).select_from(workers))
            ahead = [_last(there, column) for column in NUMBERED]
        with self._source.reading() as here:
            reached = [_last(here, column) for column in NUMBERED]
        if same:
            return not used and all(there <= here for there, here in zip(ahead, reached, strict=True))
        return Health(self._target).is_empty() and not any(ahead)


def copy_to_file(source: Connection, path: Path) -> None:
    """The catalog as this connection sees it, as an SQLite file."""
    target = Database(f"sqlite:///{path}")
    try:
        target.migrate()
        _update(lambda: nullcontext(source), target, lambda _table, _rows: None)
    finally:
        target.close()


def _tables() -> Iterator[tuple[TableClause, Key]]:
    """What is copied, in an order that references allow, each with its key.

    The identity comes first: by it a copy that was interrupted is known again.
    """
    yield identity, identity.c.uuid
    for table in metadata.sorted_tables:
        if table.name not in NOT_COPIED and table is not identity:
            (key,) = table.primary_key.columns
            yield table, key
    yield words, words.c.rowid


def _update(read: Read, target: Database, watch: Watch) -> int:
    changed = 0
    for table, key in _tables():
        changed += _remove_gone(read, target, table, key)
        changed += _write_changed(read, target, table, key, watch)
    with read() as here, target.writing() as there:
        _go_on_counting(here, there)
    return changed


def _write_changed(read: Read, target: Database, table: TableClause, key: Key, watch: Watch) -> int:
    changed = looked_at = 0
    for rows in _batches(read, table, key):
        with target.reading() as there:
            known = {row._mapping[key]: tuple(row) for row in there.execute(select(table).where(key.in_(list(rows))))}
        differing = {value: row for value, row in rows.items() if known.get(value) != tuple(row.values())}
        if differing:
            with target.writing() as there:
                _write(there, table, key, differing, known.keys() & differing.keys())
        changed += len(differing)
        looked_at += len(rows)
        watch(table.name, looked_at)
    return changed


def _write(
    there: Connection, table: TableClause, key: Key, rows: Mapping[Any, Mapping[str, Any]], known: set[Any]
) -> None:
    """Rows by key; ``known``: keys that are there already."""
    for unique in _unique_columns(table):  # a row of the target that was deleted here, and has not been there yet
        taken = tuple_(*unique).in_([tuple(row[column.name] for column in unique) for row in rows.values()])
        _remove(there, table, key, there.scalars(select(key).where(taken, key.not_in(list(rows)))).all())
    changed = [{"key_of_row": value, **rows[value]} for value in known]
    if changed:
        there.execute(update(table).where(key == bindparam("key_of_row")), changed)
    if new := [dict(row) for value, row in rows.items() if value not in known]:
        there.execute(insert(table), new)


def _remove_gone(read: Read, target: Database, table: TableClause, key: Key) -> int:
    gone = 0
    for rows in _batches(target.reading, table, key, only_keys=True):
        with read() as here:
            left = set(rows) - set(here.scalars(select(key).where(key.in_(list(rows)))))
        if left:
            with target.writing() as there:
                _remove(there, table, key, list(left))
        gone += len(left)
    return gone


def _remove(there: Connection, table: TableClause, key: Key, values: Sequence[Any]) -> None:
    """Delete rows of the target, and what refers to them there; if it should be there, it is copied later."""
    if not values:
        return
    for reference in (key for other in metadata.sorted_tables for key in other.foreign_keys):
        if reference.column is key:
            referring = reference.parent.in_(values)
            other = reference.parent.table
            there.execute(
                update(other).where(referring).values({reference.parent: None})
                if reference.parent.nullable
                else delete(other).where(referring)
            )
    there.execute(delete(table).where(key.in_(values)))


def _batches(
    read: Read, table: TableClause, key: Key, only_keys: bool = False
) -> Iterator[dict[Any, Mapping[str, Any]]]:
    """All rows by key, in the order that this database has for keys; each batch is a read of its own."""
    wanted = (select(key) if only_keys else select(table)).order_by(key).limit(BATCH)
    after = None
    while True:
        with read() as connection:
            found = connection.execute(wanted if after is None else wanted.where(key > after)).all()
        if not found:
            return
        yield {row._mapping[key]: {str(name): value for name, value in row._mapping.items()} for row in found}
        after = found[-1]._mapping[key]


def _unique_columns(table: TableClause) -> Iterator[tuple[Column[Any], ...]]:
    for constraint in getattr(table, "constraints", ()):
        if isinstance(constraint, UniqueConstraint):
            yield tuple(constraint.columns)


def _checked(here: Connection, there: Connection, table: TableClause, key: Key) -> Checked:
    rows, digests = [], []
    for connection in (here, there):
        count = total = 0
        for batch in _batches(lambda side=connection: nullcontext(side), table, key):  # type: ignore[misc]
            count += len(batch)
            total += sum(_digest(row) for row in batch.values())
        rows.append(count)
        digests.append(total % 2**64)
    return Checked(table.name, (rows[0], rows[1]), (digests[0], digests[1]))


def _digest(row: Mapping[str, Any]) -> int:
    return int.from_bytes(hashlib.blake2b(repr(tuple(row.values())).encode(), digest_size=8).digest())


def _go_on_counting(here: Connection, there: Connection) -> None:
    """The next numbers come after the last ones that were ever given."""
    for column in NUMBERED:
        _continue_after(there, column, _last(here, column))
    if there.dialect.name == "postgresql":
        for table in metadata.sorted_tables:
            if (key := table.autoincrement_column) is not None and key not in NUMBERED:
                _continue_after(there, key, there.scalar(select(func.max(key))) or 0)


def _last(connection: Connection, column: Column[Any]) -> int:
    """The last number that was given; 0 before the first."""
    if connection.dialect.name == "postgresql":
        given = "SELECT pg_sequence_last_value(pg_get_serial_sequence(:table, :column)::regclass)"
    else:
        given = "SELECT seq FROM sqlite_sequence WHERE name = :table AND :column <> ''"
    found = connection.scalar(text(given), {"table": column.table.name, "column": column.name})
    return int(found or 0)


def _continue_after(connection: Connection, column: Column[Any], last: int) -> None:
    if last < 1:
        return
    names = {"table": column.table.name, "column": column.name, "last": last}
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"), names)
        return
    connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), names)
    connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)"), names)
