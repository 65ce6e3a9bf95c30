"""Pictures' rows: taken in once, counted right, gone for good."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from threading import Barrier

import pytest
from sqlalchemy import select

from app.catalog.database import Database
from app.catalog.images import SQL_BATCH, Images, Place, PreparedFacts
from app.catalog.tables import vectors as vector_log
from app.catalog.trash import Removal
from app.catalog.vectors import Vectors
from app.library.query import parse
from app.models import Counts, ImageState
from tests.catalogs import (
    FACTS,
    OTHER_SPACE,
    SPACE,
    add_pictures,
    new_image,
    newest,
    nothing,
    prepare_all,
    unit_vectors,
)

# -- taking in


def test_a_new_picture_is_pending_and_known_by_everything_that_was_said_of_it(images: Images) -> None:
    before = datetime.now(UTC)
    image_id, added = images.add(new_image(7, bytes=123), nothing)
    assert added
    image = images.get(image_id)
    assert image is not None
    assert image == images.by_md5(new_image(7).md5)
    assert (image.filename, image.format, image.bytes) == ("picture 7.jpg", "jpeg", 123)
    assert (image.width, image.height, image.state) == (64, 48, ImageState.PENDING)
    assert (image.reason, image.taken_at, image.camera) == (None, None, None)
    assert before <= image.added_at <= datetime.now(UTC)


def test_adding_the_same_md5_again_answers_with_the_picture_that_is_there(images: Images) -> None:
    first = images.add(new_image(1), nothing)
    placed: list[str] = []
    second = images.add(new_image(1), lambda: placed.append("again"))
    assert (first[1], second) == (True, (first[0], False))
    assert placed == [], "the file that is there stays as it is"
    assert images.counts().total == 1


def test_threads_that_add_the_same_picture_at_once_make_one(images: Images) -> None:
    ready, placed = Barrier(6), list[int]()

    def add(number: int) -> tuple[int, bool]:
        ready.wait(10)
        return images.add(new_image(1), lambda: placed.append(number))

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(add, range(6)))
    assert len({image_id for image_id, _ in results}) == 1
    assert [added for _, added in results].count(True) == len(placed) == 1


def add_in_a_process(url: str) -> list[bool]:
    """Whether each of twenty pictures was new."""
    database = Database(url)
    added = [Images(database).add(new_image(number), nothing)[1] for number in range(20)]
    database.close()
    return added


def test_processes_that_add_the_same_pictures_at_once_make_one_of_each(catalog_url: str) -> None:
    database = Database(catalog_url)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        first, second = pool.map(add_in_a_process, [catalog_url, catalog_url])
    assert [(a or b, a and b) for a, b in zip(first, second, strict=True)] == [(True, False)] * 20
    assert Images(database).counts() == Counts(pending=20)
    database.close()


def test_a_file_that_cannot_be_placed_leaves_no_row(images: Images) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        images.add(new_image(1), full)
    assert images.counts() == Counts()
    assert images.by_md5(new_image(1).md5) is None
    assert images.add(new_image(1), nothing)[1], "and it can be added once there is room"


def test_a_file_is_placed_before_its_row_can_be_seen(images: Images) -> None:
    seen = []
    images.add(new_image(1), lambda: seen.append(images.by_md5(new_image(1).md5)))
    assert seen == [None]


# -- reading


def test_newest_first_page_by_page(images: Images) -> None:
    ids = add_pictures(images, 5)
    pages = [images.newest(2), images.newest(2, before=ids[3]), images.newest(2, before=ids[1]), images.newest(2, 1)]
    assert [[image.id for image in page] for page in pages] == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]], []]


def test_newest_of_one_state(images: Images) -> None:
    ids = add_pictures(images, 3)
    images.claim(ImageState.PENDING, "w", 3)
    images.record_failed("w", ids[0], "It is torn.")
    assert [image.id for image in images.newest(9, state=ImageState.FAILED)] == ids[:1]
    assert [image.id for image in images.newest(9, state=ImageState.PENDING)] == [ids[2], ids[1]]
    assert [image.id for image in images.newest(9, before=ids[2], state=ImageState.PENDING)] == [ids[1]]


def test_neighbours_are_the_next_newer_and_the_next_older(images: Images) -> None:
    first, second, third = add_pictures(images, 3)
    assert images.neighbours(second) == (third, first)
    assert images.neighbours(third) == (None, second)
    assert images.neighbours(first) == (second, None)
    images.remove(second)
    assert images.neighbours(first) == (third, None)
    assert images.neighbours(second) == (third, first), "also those of a picture that is gone"


def dated(images: Images, *taken: datetime | None) -> list[int]:
    """Ids of new pictures, prepared, taken at these moments."""
    ids = add_pictures(images, len(taken))
    images.claim(ImageState.PENDING, "w", len(ids))
    for image_id, moment in zip(ids, taken, strict=True):
        images.record_prepared("w", image_id, replace(FACTS, taken_at=moment))
    return ids


def test_by_date_is_when_it_was_taken_or_else_added(images: Images) -> None:
    may, march, today, noon = datetime(2021, 5, 4), datetime(2020, 3, 1), None, datetime(2021, 5, 4, 12)
    ids = dated(images, may, march, today, noon, may)
    order = [ids[2], ids[3], ids[4], ids[0], ids[1]]
    assert [image.id for image in images.by_date(9)] == order
    whole = images.by_date(9)
    for at, image in enumerate(whole):
        assert [below.id for below in images.by_date(2, Place.of(image))] == order[at + 1 : at + 3]
        assert [above.id for above in images.just_newer(Place.of(image), 2)] == order[max(at - 2, 0) : at]
        nearest = (order[at - 1] if at else None, order[at + 1] if at < 4 else None)
        assert images.neighbours_by_date(image) == nearest
    assert images.months() == {f"{datetime.now():%Y-%m}": 1, "2021-05": 3, "2020-03": 1}
    assert images.days(date(2020, 1, 1), date(2021, 5, 4)) == {date(2021, 5, 4): 3, date(2020, 3, 1): 1}
    assert images.matching_days(parse("name:picture").conditions, date(2021, 1, 1), date(2021, 12, 31)) == {
        date(2021, 5, 4): 3
    }


def test_a_page_by_date_is_read_from_the_index(database: Database, images: Images) -> None:
    below = "SELECT * FROM images WHERE (date, id) < ('2021-05-04', 9) ORDER BY date DESC, id DESC LIMIT 60"
    with database.reading() as connection:
        if connection.dialect.name == "postgresql":
            for other in ("seqscan", "bitmapscan", "sort"):  # what an empty table is read by
                connection.exec_driver_sql(f"SET LOCAL enable_{other} = off")
            plan = " ".join(connection.exec_driver_sql(f"EXPLAIN {below}").scalars())
            assert re.search("Index Scan Backward using ix_images_date_id .* Index Cond: .*ROW", plan)
            return
        (step,) = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {below}").all()
    assert step.detail.startswith("SEARCH images USING INDEX ix_images_date_id")


def test_many_by_id_leave_out_those_that_are_gone(images: Images) -> None:
    first, second, third = add_pictures(images, 3)
    images.remove(second)
    assert {key: image.id for key, image in images.get_many([third, 999, second, first]).items()} == {
        first: first,
        third: third,
    }
    assert images.get_many([]) == {}
    assert images.get(second) is None


def test_more_values_than_one_statement_holds(images: Images) -> None:
    ids = add_pictures(images, 3)
    others = list(range(10_000, 10_000 + SQL_BATCH))
    assert images.get_many([ids[0], *others, ids[2]]).keys() == {ids[0], ids[2]}
    md5s = [new_image(number).md5 for number in [0, *others, 2]]
    assert images.known_md5s(md5s) == {new_image(0).md5, new_image(2).md5}


def test_names_are_data_whatever_stands_in_them(images: Images) -> None:
    name = '\'; DROP TABLE images; -- 🏖️ "quoted" <b>.jpg'
    new = new_image(1)
    image_id, _ = images.add(type(new)(new.md5, name, new.format, new.bytes, new.width, new.height), nothing)
    image = images.get(image_id)
    assert image is not None
    assert image.filename == name


# -- counting


def test_counts_and_bytes_follow_every_step_of_a_picture(images: Images, vectors: Vectors) -> None:
    space = vectors.serve(SPACE)
    first, second = (images.add(new_image(number, bytes=100 + number), nothing)[0] for number in (1, 2))
    assert (images.counts(), images.total_bytes()) == (Counts(pending=2), 203)

    images.claim(ImageState.PENDING, "w", 9)
    assert images.counts() == Counts(pending=2)
    images.record_prepared("w", first, FACTS)
    images.record_failed("w", second, "It is torn.")
    assert (images.counts(), images.total_bytes()) == (Counts(prepared=1, failed=1), 203)

    images.claim(ImageState.PREPARED, "w", 9)
    vectors.record("w", space, [first], unit_vectors(1))
    assert images.counts() == Counts(indexed=1, failed=1)

    vectors.serve(OTHER_SPACE)
    assert images.counts() == Counts(prepared=1, failed=1)
    vectors.serve(SPACE)
    assert images.counts() == Counts(indexed=1, failed=1)

    images.start_over_failed()
    assert images.counts() == Counts(pending=1, indexed=1)
    images.remove(first)
    assert (images.counts(), images.total_bytes()) == (Counts(pending=1), 102)
    images.remove(second)
    assert (images.counts(), images.total_bytes()) == (Counts(), 0)


# -- removing


def test_a_removed_picture_is_nowhere(images: Images) -> None:
    (image_id,) = add_pictures(images, 1)
    assert images.remove(image_id) == Removal(new_image(0).md5, "jpeg")
    assert images.get(image_id) is None
    assert images.by_md5(new_image(0).md5) is None
    assert images.newest(9) == []
    assert images.remove(image_id) is None, "a second time there is nothing to remove"


def test_a_removal_is_an_entry_in_the_log_of_every_space(database: Database, images: Images, vectors: Vectors) -> None:
    kept, gone = add_pictures(images, 2)
    spaces = [vectors.serve(SPACE), vectors.serve(OTHER_SPACE)]
    prepare_all(images)
    for space in spaces:
        vectors.serve(SPACE if space == spaces[0] else OTHER_SPACE)
        images.claim(ImageState.PREPARED, "w", 9)
        vectors.record("w", space, [kept, gone], unit_vectors(2))
    before = max(newest(vectors.log(space)) for space in spaces)
    images.remove(gone)
    for space in spaces:
        (batch,) = vectors.log(space).entries(before)
        assert [(entry.image_id, entry.vector) for entry in batch] == [(gone, None)]
    with database.reading() as connection:
        assert len(connection.execute(select(vector_log).where(vector_log.c.image_id == gone)).all()) == 2


def test_a_picture_that_was_never_embedded_leaves_no_entry(images: Images, vectors: Vectors) -> None:
    space = vectors.serve(SPACE)
    (image_id,) = add_pictures(images, 1)
    images.remove(image_id)
    assert list(vectors.log(space).entries(0)) == []


def test_added_again_it_is_a_new_picture_under_a_new_id(images: Images) -> None:
    (image_id,) = add_pictures(images, 1)
    images.remove(image_id)
    again, added = images.add(new_image(0), nothing)
    assert added
    assert again > image_id


def test_a_removal_stays_noted_until_the_files_are_gone(images: Images) -> None:
    (image_id,) = add_pictures(images, 1)
    removal = images.remove(image_id)
    assert removal is not None
    assert images.unfinished_removals() == [removal]

    def busy() -> None:
        raise PermissionError("in use")

    with pytest.raises(PermissionError):
        images.finish_removal(removal, busy)
    assert images.unfinished_removals() == [removal], "it is tried again at the next start"
    unlinked: list[str] = []
    images.finish_removal(removal, lambda: unlinked.append(removal.md5))
    assert (images.unfinished_removals(), unlinked) == ([], [removal.md5])


def test_files_of_a_picture_that_was_added_again_are_left_alone(images: Images) -> None:
    (image_id,) = add_pictures(images, 1)
    removal = images.remove(image_id)
    assert removal is not None
    images.add(new_image(0), nothing)
    unlinked: list[str] = []
    images.finish_removal(removal, lambda: unlinked.append(removal.md5))
    assert (unlinked, images.unfinished_removals()) == ([], [])


def test_a_picture_comes_and_goes_any_number_of_times(images: Images) -> None:
    for _ in range(3):
        (image_id,) = add_pictures(images, 1)
        assert images.remove(image_id) is not None
    assert len(images.unfinished_removals()) == 1


# -- trying again


def test_a_retry_makes_a_failed_picture_pending_without_its_reason(images: Images) -> None:
    first, second = add_pictures(images, 2)
    images.claim(ImageState.PENDING, "w", 9)
    for image_id in (first, second):
        images.record_failed("w", image_id, "It is torn.")
    failed = images.get(first)
    assert failed is not None
    assert (failed.state, failed.reason) == (ImageState.FAILED, "It is torn.")

    assert images.start_over([first]) == 1
    again = images.get(first)
    assert again is not None
    assert (again.state, again.reason) == (ImageState.PENDING, None)
    assert images.start_over_failed() == 1
    assert [image.id for image in images.claim(ImageState.PENDING, "w", 9)] == [first, second]
    assert images.start_over([999]) == 0


def test_preparing_finds_the_facts(images: Images) -> None:
    (image_id,) = add_pictures(images, 1)
    images.claim(ImageState.PENDING, "w", 1)
    taken = datetime(2021, 5, 4, 12, 30, 15)
    assert images.record_prepared("w", image_id, PreparedFacts(30, 40, taken, "Halden R2"))
    image = images.get(image_id)
    assert image is not None
    assert (image.width, image.height, image.taken_at, image.camera) == (30, 40, taken, "Halden R2")
    assert image.has_thumbnails
