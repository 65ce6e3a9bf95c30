"""The schema and its migrations, and what transactions promise."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
import uuid
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from app.catalog.database import MIGRATIONS, Database
from app.catalog.images import Images
from app.catalog.postgresql import take_turn
from app.catalog.tables import identity, metadata, vectors, workers


def open_and_migrate(url: str) -> str:
    """What each process does at its start. Returns which catalog it found."""
    database = Database(url)
    database.migrate()
    found = database.identity()
    database.close()
    return found


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'folder that is not there yet' / 'catalog.sqlite3'}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.engines)])
def url(request: pytest.FixtureRequest) -> str:
    """Of a catalog that was not made yet."""
    found: str = request.getfixturevalue({"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param])
    return found


def test_migrations_build_what_the_tables_say(url: str) -> None:
    database = Database(url)
    database.migrate()
    kind = database.engine.dialect.name

    def is_ordinary(name: str | None, type: str, _parents: object) -> bool:
        """Not the full-text index, nor what SQLite keeps it in: no metadata can describe those."""
        return type != "table" or name is None or name.partition("_")[0] != "words"

    def is_of_this_kind(found: object, _name: str | None, _type: str, _reflected: bool, _other: object) -> bool:
        info = getattr(found, "info", {})
        return info.get("only on", kind) == kind and info.get("a view on") != kind

    with database.reading() as connection:
        opts = {"compare_type": True, "include_name": is_ordinary, "include_object": is_of_this_kind}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []
        for table in metadata.tables.values():
            if table.info.get("only on", kind) == kind:
                connection.execute(select(table)).all()  # views are not compared: they have these columns at least
    database.close()


def test_pictures_of_an_older_catalog_stand_under_their_days(sqlite_url: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    database = Database(sqlite_url)
    old = (
        "INSERT INTO images (md5, filename, format, bytes, width, height, state, added_at, taken_at) "
        "VALUES (:md5, 'a.jpg', 'jpeg', 1, 1, 1, 'indexed', '2024-02-29 12:00:00.250000', :taken)"
    )
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(
            text(old), [{"md5": "a", "taken": "2021-05-04 12:30:15.000000"}, {"md5": "b", "taken": None}]
        )
    database.migrate()
    images = Images(database)
    added = datetime(2024, 2, 29, 12, 0, 0, 250_000, UTC).astimezone().replace(tzinfo=None)
    assert [image.date for image in images.by_date(9)] == [added, datetime(2021, 5, 4, 12, 30, 15)]
    assert images.days(date.min, date.max) == {added.date(): 1, date(2021, 5, 4): 1}
    images.remove(1)
    assert images.months() == {f"{added:%Y-%m}": 1}
    database.close()


def test_migrating_twice_changes_nothing(url: str) -> None:
    assert open_and_migrate(url) == open_and_migrate(url)


def test_the_newest_version_is_the_one_that_its_file_is_named_after(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each start would take the time to find out that there is nothing to migrate."""
    open_and_migrate(url)
    asked: list[str] = []
    monkeypatch.setattr("alembic.command.upgrade", lambda _config, revision: asked.append(revision))
    open_and_migrate(url)
    assert asked == []
    database = Database(url)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    database.migrate()
    assert asked == ["head"]
    database.close()


def test_threads_that_start_together_find_one_catalog(url: str) -> None:
    ready = Barrier(4)

    def start() -> str:
        ready.wait(10)
        return open_and_migrate(url)

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(start) for _ in range(4)]
    assert len({future.result() for future in found}) == 1


def test_processes_that_start_together_find_one_catalog(url: str) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        assert len(set(pool.map(open_and_migrate, [url, url]))) == 1


def test_each_catalog_has_an_identity_of_its_own(tmp_path: Path) -> None:
    first, second = (open_and_migrate(f"sqlite:///{tmp_path / name}.sqlite3") for name in ("a", "b"))
    assert uuid.UUID(first) != uuid.UUID(second)


def test_a_migration_that_fails_leaves_the_catalog_as_it_was(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    upgrade = command.upgrade

    def fail(config: object, revision: str) -> None:
        upgrade(config, revision)  # type: ignore[arg-type]
        raise RuntimeError("power cut")

    monkeypatch.setattr(command, "upgrade", fail)
    database = Database(url)
    with pytest.raises(RuntimeError, match="power cut"):
        database.migrate()
    with database.reading() as connection:
        assert inspect(connection).get_table_names() == []
    monkeypatch.undo()
    database.migrate()
    assert database.identity()
    database.close()


def test_a_new_catalog_waits_for_another_process_that_begins_it_too(sqlite_url: str) -> None:
    """SQLite itself does not wait here, whatever its timeout says."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, other.execute, ["COMMIT"]).start()
        database = Database(sqlite_url)
        with database.reading() as connection:
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        database.close()


def test_it_writes_ahead_and_survives_a_power_cut(database: Database) -> None:
    with database.reading() as connection:
        if connection.dialect.name == "postgresql":
            assert connection.scalar(text("SHOW synchronous_commit")) == "on"
            return
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2  # FULL
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(insert(vectors).values(space_id=99, image_id=1))


def test_a_block_that_raises_is_undone(database: Database) -> None:
    def write_and_fail() -> None:
        with database.writing() as connection:
            connection.execute(insert(workers).values(name="w", seen_at=0, rate=0))
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_and_fail()
    with database.reading() as connection:
        assert connection.execute(select(workers)).all() == []


def test_a_reader_neither_waits_for_a_writer_nor_sees_half_of_what_it_does(database: Database) -> None:
    with database.writing() as writing:
        writing.execute(insert(workers).values(name="w", seen_at=0, rate=0))
        with database.reading() as reading:
            assert reading.execute(select(workers)).all() == []
    with database.reading() as reading:
        assert len(reading.execute(select(workers)).all()) == 1


def test_a_read_is_one_view_from_its_first_statement_to_its_last(database: Database) -> None:
    with database.reading() as reading:
        before = reading.scalars(select(identity.c.uuid)).all()
        with database.writing() as writing:
            writing.execute(insert(identity).values(uuid=str(uuid.uuid4())))
        assert reading.scalars(select(identity.c.uuid)).all() == before


def test_writers_of_one_subject_wait_for_each_other(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(insert(workers).values(name="count", seen_at=0, rate=0))

    def count_up() -> None:
        for _ in range(10):
            with database.writing() as connection:
                take_turn(connection, "the count")
                seen = connection.scalar(select(workers.c.rate)) or 0.0
                connection.execute(workers.update().values(rate=seen + 1))

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(count_up) for _ in range(4)]:
            future.result()
    with database.reading() as connection:
        assert connection.scalar(select(workers.c.rate)) == 40
