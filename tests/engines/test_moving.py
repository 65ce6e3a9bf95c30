"""A library moves to PostgreSQL and back, and nobody can tell the difference."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from app.catalog.access import AccessRecords
from app.catalog.database import Database
from app.catalog.health import Health
from app.catalog.images import Images
from app.catalog.imports import Imports
from app.catalog.leftovers import Leftovers
from app.catalog.moving import CatalogCopy
from app.catalog.receipts import Receipts
from app.catalog.trash import Trash
from app.catalog.vectors import Vectors
from app.catalog.words import Words
from app.catalog.workers import Workers
from app.errors import InvalidInput
from app.models import Captions, EmbeddingSpace, ImageState, Outcome, Scope, UploadResult
from tests.catalogs import (
    FACTS,
    OTHER_SPACE,
    SPACE,
    add_pictures,
    empty_catalog,
    new_image,
    newest,
    nothing,
    prepare_all,
    unit_vectors,
)
from tests.engines.postgres import PostgresServer


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Database]:
    database = empty_catalog(tmp_path / "here")
    yield database
    database.close()


@pytest.fixture
def on_postgres(postgres: PostgresServer, migrated: str) -> Iterator[Database]:
    url = postgres.new_database(migrated)
    database = Database(url)
    yield database
    database.close()
    postgres.drop(url)


def fill(database: Database, pictures: int = 1200) -> None:
    """Everything that a library may hold."""
    images, vectors, trash = Images(database), Vectors(database), Trash(database)
    ids = add_pictures(images, pictures)
    for space in (OTHER_SPACE, SPACE):
        serving = vectors.serve(space)
        prepare_all(images)
        for _ in range(3):
            batch = images.claim(ImageState.PREPARED, "w", 100)
            vectors.record("w", serving, [image.id for image in batch], unit_vectors(len(batch)))
    vectors.keep_bank(serving, "digest", unit_vectors(3))
    images.record_captions(ids[5], Captions("Sunset über Łódź", "two\nlines", ("a", "b")))
    add_pictures(images, 3, first=pictures)
    for image in images.claim(ImageState.PENDING, "w", 2):
        images.record_failed("w", image.id, "It is torn.")
    for image_id in ids[10:14]:
        trash.put(image_id)
    trash.restore(ids[10])
    trash.discard(ids[11])
    images.remove(ids[20])
    images.remove(max(image.id for image in images.newest(1)))  # the highest id is never given again
    Imports(database).record({"/pictures/é.jpg": ((10, 1 << 60), ids[0]), "/pictures/B.jpg": ((1, 1), 0)})
    Receipts(database).write([UploadResult("ä.jpg", Outcome.REJECTED, reason="It is torn.")])
    records = AccessRecords(database)
    records.write_password("$argon2id$…")
    records.add_key("backup", "0" * 64, Scope.READ)
    Workers(database).report("host:1", 1.0, None)


def contents(path: Path) -> dict[str, list[object]]:
    """All that SQLite holds, and up to where it has counted."""
    skipped = {"workers", "leases", "watched", "alembic_version"}
    with closing(sqlite3.connect(path)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = [name for name in tables if name not in skipped and not name.startswith("words_")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in kept}  # noqa: S608


def test_there_and_back_again(on_sqlite: Database, on_postgres: Database, tmp_path: Path) -> None:
    fill(on_sqlite)
    checks = CatalogCopy(on_sqlite, on_postgres).run()
    assert all(check.equal for check in checks)
    assert {check.table: check.rows[0] for check in checks}["images"] == 1200 + 3 - 5
    assert on_postgres.identity() == on_sqlite.identity()
    assert Images(on_postgres).counts() == Images(on_sqlite).counts()
    assert Images(on_postgres).months() == Images(on_sqlite).months()
    assert Words(on_postgres).search("lodz sunset") == Words(on_sqlite).search("lodz sunset")
    serving = Vectors(on_postgres).serving()
    assert serving == Vectors(on_sqlite).serving()
    assert serving is not None
    assert newest(Vectors(on_postgres).log(serving.id)) == newest(Vectors(on_sqlite).log(serving.id))
    back = empty_catalog(tmp_path / "back")
    assert all(check.equal for check in CatalogCopy(on_postgres, back).run())
    back.close()
    on_sqlite.close()
    assert contents(tmp_path / "back" / "catalog.sqlite3") == contents(tmp_path / "here" / "catalog.sqlite3")


def test_ids_and_numbers_of_the_log_go_on_behind_the_last_that_was_ever_given(
    on_sqlite: Database, on_postgres: Database
) -> None:
    fill(on_sqlite, 300)
    CatalogCopy(on_sqlite, on_postgres).run()
    next_ids = [add_pictures(Images(database), 1, first=9000)[0] for database in (on_sqlite, on_postgres)]
    assert next_ids[0] == next_ids[1]
    spaces = [Vectors(database).serve(SPACE) for database in (on_sqlite, on_postgres)]
    logs = []
    for database, space in zip((on_sqlite, on_postgres), spaces, strict=True):
        Images(database).remove(2)
        logs.append(newest(Vectors(database).log(space)))
    assert logs[0] == logs[1]
    AccessRecords(on_postgres).add_key("another", "1" * 64, Scope.WRITE)


def test_what_changes_meanwhile_is_copied_by_the_next_round(on_sqlite: Database, on_postgres: Database) -> None:
    fill(on_sqlite)
    images, done = Images(on_sqlite), threading.Event()

    def use() -> None:
        for number in range(40):
            (added,) = add_pictures(images, 1, first=5000 + number)
            images.remove(added - 700)
            for image in images.claim(ImageState.PENDING, "v", 1):
                images.record_prepared("v", image.id, FACTS)
        done.set()

    using = threading.Thread(target=use)
    using.start()
    rounds = 0
    while not done.is_set() or not rounds:
        CatalogCopy(on_sqlite, on_postgres).run()
        rounds += 1
    using.join()
    assert all(check.equal for check in CatalogCopy(on_sqlite, on_postgres).run())
    assert not Health(on_postgres).miscounted()


def test_a_copy_that_was_interrupted_goes_on(on_sqlite: Database, on_postgres: Database) -> None:
    fill(on_sqlite)

    def cut(table: str, rows: int) -> None:
        if (table, rows) == ("images", 1000):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CatalogCopy(on_sqlite, on_postgres).run(cut)
    assert 0 < Images(on_postgres).counts().total < Images(on_sqlite).counts().total
    assert all(check.equal for check in CatalogCopy(on_sqlite, on_postgres).run())


def test_a_space_that_was_given_up_and_made_anew_replaces_the_old_one(
    on_sqlite: Database, on_postgres: Database
) -> None:
    fill(on_sqlite, 30)
    CatalogCopy(on_sqlite, on_postgres).run()
    old = next(space for space in Leftovers(on_sqlite).old_spaces() if space.vectors)
    Leftovers(on_sqlite).forget_space(old.id)
    Vectors(on_sqlite).serve(EmbeddingSpace("between", "1", 4))
    assert Vectors(on_sqlite).serve(OTHER_SPACE) != old.id
    assert all(check.equal for check in CatalogCopy(on_sqlite, on_postgres).run())
    assert Vectors(on_postgres).serving() == Vectors(on_sqlite).serving()


def test_a_difference_is_found(on_sqlite: Database, on_postgres: Database) -> None:
    fill(on_sqlite, 30)
    copy = CatalogCopy(on_sqlite, on_postgres)
    copy.run()
    Images(on_sqlite).start_over([1])
    assert {check.table for check in copy.check() if not check.equal} == {"images"}


def test_another_library_is_not_written_over(on_sqlite: Database, on_postgres: Database) -> None:
    fill(on_sqlite, 30)
    Images(on_postgres).add(new_image(7), nothing)
    with pytest.raises(InvalidInput, match="another library"):
        CatalogCopy(on_sqlite, on_postgres)
    assert Images(on_postgres).by_md5(new_image(7).md5) is not None


def test_a_copy_that_went_on_by_itself_is_not_set_back(on_sqlite: Database, on_postgres: Database) -> None:
    fill(on_sqlite, 30)
    CatalogCopy(on_sqlite, on_postgres).run()
    add_pictures(Images(on_postgres), 1, first=9000)
    with pytest.raises(InvalidInput, match="in use"):
        CatalogCopy(on_sqlite, on_postgres)
    Workers(on_sqlite).leave("host:1")
    assert all(check.equal for check in CatalogCopy(on_postgres, on_sqlite).run()), "but it may go back"
    assert Images(on_sqlite).newest(1)[0].date > datetime(2020, 1, 1)
