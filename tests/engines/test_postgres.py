"""What the catalog promises on PostgreSQL, where writers work side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import insert, text

from app.catalog.database import Database
from app.catalog.health import Health
from app.catalog.images import Images
from app.catalog.postgresql import look_up_words
from app.catalog.tables import vectors as rows
from app.catalog.trash import Trash
from app.catalog.vectors import Vectors
from app.catalog.words import LONGEST_WORD, Words
from app.errors import CatalogUnavailable, InvalidInput
from app.models import Captions, Counts, ImageState, LogEntry
from tests.catalog.test_life import PictureLives
from tests.catalogs import FACTS, SPACE, add_pictures, empty_catalog, new_image, nothing, prepare_all, unit_vectors
from tests.conftest import wait_for
from tests.engines.postgres import PostgresServer

T = TypeVar("T")


@pytest.fixture
def database(postgres: PostgresServer, migrated: str) -> Iterator[Database]:
    """An empty catalog on PostgreSQL."""
    url = postgres.new_database(migrated)
    opened = Database(url)
    yield opened
    opened.close()
    postgres.drop(url)


@pytest.fixture
def images(database: Database) -> Images:
    return Images(database)


def waiting(database: Database) -> int:
    """How many transactions wait for their turn."""
    with database.reading() as connection:
        found = connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
    return int(found or 0)


@contextmanager
def meanwhile(work: Callable[[], T]) -> Iterator[Future[T]]:
    """Another thread does this while the block runs."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)


# -- the vector log


def test_a_follower_misses_nothing_of_transactions_that_end_in_another_order(database: Database) -> None:
    """With a sequence alone, the second would be seen first, and the first, with the smaller number, never."""
    space = Vectors(database).serve(SPACE)
    log = Vectors(database).log(space)
    seen: list[LogEntry] = []

    def follow() -> None:
        seen.extend(entry for batch in log.entries(seen[-1].seq if seen else 0) for entry in batch)

    def append(image_id: int) -> None:
        with database.writing() as connection:
            connection.execute(insert(rows).values(space_id=space, image_id=image_id, vector=None))

    with database.writing() as first:
        first.execute(insert(rows).values(space_id=space, image_id=1, vector=None))
        with meanwhile(lambda: append(2)) as second:
            wait_for(lambda: second.done() or waiting(database) == 1)
            follow()
            first.commit()
            second.result(60)
    follow()
    assert [entry.image_id for entry in seen] == [1, 2]


def test_every_way_into_the_log_keeps_its_order(database: Database, images: Images) -> None:
    """Workers record and people delete, all at once, while somebody follows: afterwards the two agree."""
    vectors = Vectors(database)
    space = vectors.serve(SPACE)
    ids = add_pictures(images, 40)
    prepare_all(images)
    followed: dict[int, bool] = {}
    last = 0
    done = Event()

    def record(worker: str) -> None:
        while batch := images.claim(ImageState.PREPARED, worker, 3):
            vectors.record(worker, space, [image.id for image in batch], unit_vectors(len(batch)))

    def remove(part: list[int]) -> None:
        for image_id in part:
            images.remove(image_id)

    def follow() -> None:
        nonlocal last
        ending = False
        while not ending:
            ending = done.is_set()
            for batch in vectors.log(space).entries(last):
                for entry in batch:
                    followed[entry.image_id] = entry.vector is not None
                last = batch[-1].seq

    with meanwhile(follow) as following:
        with ThreadPoolExecutor(5) as pool:
            work = [pool.submit(record, f"w{number}") for number in range(3)]
            work += [pool.submit(remove, ids[first:20:2]) for first in (0, 1)]
            for each in work:
                each.result(60)
        done.set()
        following.result(60)
    there = {image.id for image in images.newest(99)}
    assert {image_id for image_id, has_vector in followed.items() if has_vector} == there == set(ids[20:])


# -- turns


def test_a_picture_is_not_added_while_its_older_files_are_being_taken_away(database: Database, images: Images) -> None:
    (image_id,) = add_pictures(images, 1)
    removal = images.remove(image_id)
    assert removal is not None
    order: list[str] = []

    unlinking, go_on = Event(), Event()

    def unlink() -> None:
        unlinking.set()
        go_on.wait(60)
        order.append("unlinked")

    with ThreadPoolExecutor(1) as pool:
        finishing = pool.submit(images.finish_removal, removal, unlink)
        assert unlinking.wait(60)
        with meanwhile(lambda: images.add(new_image(0), lambda: order.append("placed"))) as adding:
            wait_for(lambda: adding.done() or waiting(database) == 1)
            go_on.set()
            finishing.result(60)
            adding.result(60)
    images.finish_removal(removal, lambda: order.append("unlinked again"))
    assert order == ["unlinked", "placed"], "and the new file stays"


@pytest.mark.parametrize("ending", ["restore", "discard"])
def test_a_picture_added_while_it_leaves_the_trash_is_there_once(
    database: Database, images: Images, ending: str
) -> None:
    trash = Trash(database)
    for number in range(10):
        (image_id,) = add_pictures(images, 1, first=number)
        trash.put(image_id)
        with meanwhile(lambda which=image_id: getattr(trash, ending)(which)) as leaving:  # type: ignore[misc]
            added, _ = images.add(new_image(number), nothing)
        leaving.result(60)
        assert images.get(added) is not None
        assert trash.get(image_id) is None


def test_pictures_that_differ_are_added_side_by_side(database: Database, images: Images) -> None:
    def place() -> None:
        assert images.add(new_image(2), nothing)[1], "while the first is being placed"

    assert images.add(new_image(1), place)[1]
    assert images.counts() == Counts(pending=2)


# -- counts


def test_counts_hold_whoever_writes_at_once(database: Database, images: Images) -> None:
    vectors = Vectors(database)
    space = vectors.serve(SPACE)

    def live(number: int) -> None:
        worker = f"w{number}"
        ids = add_pictures(images, 12, first=100 * number)
        for image in images.claim(ImageState.PENDING, worker, 6):
            images.record_prepared(worker, image.id, FACTS)
        batch = images.claim(ImageState.PREPARED, worker, 4)
        vectors.record(worker, space, [image.id for image in batch], unit_vectors(len(batch)))
        images.remove(ids[0])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(live, range(6)))
    assert images.counts().total == 66
    assert not Health(database).miscounted()
    before, days = images.counts(), images.months()
    with database.writing() as connection:
        connection.execute(text("SELECT fold_counts(), fold_days()"))
        assert connection.scalar(text("SELECT count(*) FROM count_changes")) <= len(ImageState)
    assert (images.counts(), images.months()) == (before, days)


def test_counts_are_put_right(database: Database, images: Images) -> None:
    add_pictures(images, 3)
    with database.writing() as connection:
        connection.execute(text("INSERT INTO count_changes VALUES ('indexed', 7, 7)"))
    health = Health(database)
    assert health.miscounted()
    health.recount()
    assert not health.miscounted()
    assert images.counts() == Counts(pending=3)


# -- the same answers as on SQLite


def test_pictures_live_as_they_do_on_sqlite(postgres: PostgresServer, migrated: str) -> None:
    class OnPostgreSQL(PictureLives):
        def open(self) -> Database:
            self.url = postgres.new_database(migrated)
            return Database(self.url)

        def teardown(self) -> None:
            super().teardown()
            postgres.drop(self.url)

    run_state_machine_as_test(OnPostgreSQL, settings=settings(deadline=None, max_examples=15, stateful_step_count=30))


NAMES = """
IMG_2041.jpg img-20410.png MüllerStraße.jpg MÜLLER.gif Çédille.jpg ΟΔΥΣΣΕΥΣ.jpg смотри.png 東京タワー.jpg x½y.jpg
ﬁnal.jpg WhatsAppImage.webp naïve.jpg Łódź.jpg 123.jpg 1a2b3c.jpg don't.jpg a_b-c.d.jpg İstanbul.jpg
"""
QUERIES = """
img 2041|2041|204|20410|muller|müller|mull|strasse|straße|stra|cedille|οδυσσευς|οδυσ|смотр|東京|東京タワー|whats|image
whatsapp image|1⁄2|x|naive|łódź|lodz|final|fin|123|12|1a2b3c|a 2 b|don|don't|t|a b c|istanbul|i̇stanbul|jpg|img|b-c
'|\\|:*|!|&|sunset beach|beach sunset|suns bea|keyword beach|sunset|beach keyword
"""


def test_the_same_words_find_the_same_pictures(database: Database, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = empty_catalog(tmp_path_factory.mktemp("sqlite"))
    for each in (database, other):
        for number, name in enumerate(NAMES.split()):
            Images(each).add(replace(new_image(number), filename=name), nothing)
        Images(each).record_captions(1, Captions("Sunset", "at the beach", ("keyword", "sunset beach")))
    queries = QUERIES.strip().replace("\n", "|").split("|")
    found = {query: Words(database).search(query) for query in queries}
    assert found == {query: Words(other).search(query) for query in queries}
    assert sum(bool(hits) for hits in found.values()) > len(queries) / 2
    other.close()


def test_a_word_longer_than_a_lexeme_may_be_is_found_by_its_beginning(database: Database, images: Images) -> None:
    (image_id,) = add_pictures(images, 1)
    images.record_captions(image_id, Captions(description="長" * 2000))
    for query in ("長" * 2000, "長" * LONGEST_WORD, "長長長"):
        assert [hit.image_id for hit in Words(database).search(query)] == [image_id]


def test_rare_words_are_looked_up_in_their_index(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(
            text("INSERT INTO words SELECT n, 'img ' || n || ' beach', '' FROM generate_series(1, 20000) AS n")
        )
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE words"))
    newest = "EXPLAIN SELECT rowid FROM words WHERE places @@ '{}'::tsquery ORDER BY rowid DESC LIMIT 500"
    for expression, index in (("'img' <-> '12345'", "ix_words_places"), ("'img' & 'beach'", "words_pkey")):
        with database.reading() as connection:
            look_up_words(connection, expression)
            plan = connection.execute(text(newest.format(expression.replace("'", "''")))).scalars().all()
        assert index in " ".join(plan), plan


# -- the server


def test_a_database_that_is_not_there_is_told_as_such(postgres: PostgresServer) -> None:
    for url in ("postgresql://nobody@127.0.0.1:1/none", postgres.url("no_such_database")):
        database = Database(url)
        with pytest.raises(CatalogUnavailable, match="can't be reached"):
            database.migrate()
        database.close()


def test_another_kind_of_url_is_refused() -> None:
    for url in ("mysql://host/database", "not a url", "postgres://host/database"):
        with pytest.raises(InvalidInput, match="postgresql://user:password@host/database"):
            Database(url)
