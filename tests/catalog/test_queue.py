"""The rows as the queue: claims, leases, blame."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from sqlalchemy import event

from app.catalog.database import Database
from app.catalog.images import LEASE_SECONDS, MAX_ATTEMPTS, Images
from app.models import Counts, Image, ImageState
from tests.catalogs import FACTS, Clock, add_pictures, prepare_all

PENDING = ImageState.PENDING


def ids_of(batch: list[Image]) -> list[int]:
    return [image.id for image in batch]


def test_the_newest_are_prepared_first_as_the_gallery_shows_them_and_the_oldest_embedded_first(images: Images) -> None:
    ids = add_pictures(images, 5)
    assert ids_of(images.claim(PENDING, "w", 3)) == ids[2:]
    assert ids_of(images.claim(PENDING, "w", 3)) == ids[:2]
    assert images.claim(PENDING, "w", 3) == []
    for image_id in ids:
        images.record_prepared("w", image_id, FACTS)
    assert ids_of(images.claim(ImageState.PREPARED, "w", 3)) == ids[:3]


def test_a_claim_sorts_nothing_however_much_waits(images: Images, database: Database) -> None:
    add_pictures(images, 20)
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool) -> None:
        if statement.startswith("SELECT images.id"):
            asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    assert images.claim(PENDING, "w", 4)
    event.remove(database.engine, "before_cursor_execute", note)
    [(statement, parameters)] = asked
    with database.writing() as connection:
        explain = "EXPLAIN QUERY PLAN"
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")  # twenty rows are read at once
            explain = "EXPLAIN"
        plan = " ".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters))
    assert "ix_images_state_attempts_id" in plan
    assert "sort" not in plan.lower()
    assert "B-TREE" not in plan


def test_only_pictures_of_the_state_asked_for_are_claimed(images: Images) -> None:
    ids = add_pictures(images, 2)
    assert images.claim(ImageState.PREPARED, "w", 9) == []
    prepare_all(images)
    assert images.claim(PENDING, "w", 9) == []
    assert ids_of(images.claim(ImageState.PREPARED, "w", 9)) == ids


def test_two_workers_never_have_the_same_picture(images: Images) -> None:
    ids = add_pictures(images, 6)
    assert ids_of(images.claim(PENDING, "a", 4)) == ids[2:]
    assert ids_of(images.claim(PENDING, "b", 4)) == ids[:2]


def test_six_threads_share_the_work_without_overlap(images: Images) -> None:
    ids, ready = add_pictures(images, 60), Barrier(6)

    def work(number: int) -> list[int]:
        ready.wait(10)
        mine: list[int] = []
        while batch := images.claim(PENDING, f"w{number}", 4):
            mine += ids_of(batch)
        return mine

    with ThreadPoolExecutor(6) as pool:
        claimed = [image_id for mine in pool.map(work, range(6)) for image_id in mine]
    assert sorted(claimed) == ids


def test_a_lease_that_ran_out_gives_the_work_back(images: Images, clock: Clock) -> None:
    (image_id,) = add_pictures(images, 1)
    assert images.claim(PENDING, "a", 1)
    clock.now += LEASE_SECONDS - 1
    assert images.claim(PENDING, "b", 1) == []
    clock.now += 2
    assert ids_of(images.claim(PENDING, "b", 1)) == [image_id]


def test_a_worker_that_lost_its_claim_records_nothing(images: Images, clock: Clock) -> None:
    (image_id,) = add_pictures(images, 1)
    images.claim(PENDING, "slow", 1)
    clock.now += LEASE_SECONDS + 1
    images.claim(PENDING, "other", 1)
    assert not images.record_prepared("slow", image_id, FACTS)
    images.record_failed("slow", image_id, "It is torn.")
    assert images.counts() == Counts(pending=1)
    assert images.record_prepared("other", image_id, FACTS)
    assert images.counts() == Counts(prepared=1)


def test_what_was_recorded_is_nobodys_any_more(images: Images) -> None:
    (image_id,) = add_pictures(images, 1)
    images.claim(PENDING, "w", 1)
    assert images.record_prepared("w", image_id, FACTS)
    assert not images.record_prepared("w", image_id, FACTS)
    assert images.claimers() == []


def test_recording_a_picture_that_was_removed_meanwhile_is_refused(images: Images) -> None:
    (image_id,) = add_pictures(images, 1)
    images.claim(PENDING, "w", 1)
    images.remove(image_id)
    assert not images.record_prepared("w", image_id, FACTS)
    images.record_failed("w", image_id, "It is torn.")
    assert images.counts() == Counts()


def test_a_picture_that_was_tried_before_is_taken_alone_and_after_the_others(images: Images, clock: Clock) -> None:
    first, second, third = add_pictures(images, 3)
    images.claim(PENDING, "dies", 2)
    clock.now += LEASE_SECONDS + 1
    assert ids_of(images.claim(PENDING, "w", 9)) == [first]
    assert ids_of(images.claim(PENDING, "w", 9)) == [third]
    assert ids_of(images.claim(PENDING, "w", 9)) == [second]


def test_a_picture_that_stops_its_worker_each_time_is_failed_with_a_reason(images: Images, clock: Clock) -> None:
    (poison,) = add_pictures(images, 1)
    for _ in range(MAX_ATTEMPTS):
        assert ids_of(images.claim(PENDING, "dies", 9)) == [poison]
        clock.now += LEASE_SECONDS + 1
    assert images.claim(PENDING, "w", 9) == []
    failed = images.get(poison)
    assert failed is not None
    assert failed.state is ImageState.FAILED
    assert failed.reason is not None
    assert "3 times" in failed.reason


def test_it_is_not_failed_while_its_last_try_is_under_way(images: Images, clock: Clock) -> None:
    poison, other = add_pictures(images, 2)
    for _ in range(MAX_ATTEMPTS):
        images.claim(PENDING, "slow", 1)  # the other has no tries yet, so it goes first
        images.claim(PENDING, "slow", 1)
        images.record_prepared("slow", other, FACTS)
        clock.now += LEASE_SECONDS + 1
    clock.now -= LEASE_SECONDS
    images.claim(PENDING, "w", 9)
    assert images.record_prepared("slow", poison, FACTS)
    assert images.counts() == Counts(prepared=2)


def test_a_retry_gives_all_tries_back(images: Images, clock: Clock) -> None:
    (poison,) = add_pictures(images, 1)
    for _ in range(MAX_ATTEMPTS):
        images.claim(PENDING, "dies", 1)
        clock.now += LEASE_SECONDS + 1
    images.claim(PENDING, "w", 1)
    images.start_over([poison])
    for _ in range(MAX_ATTEMPTS):
        assert ids_of(images.claim(PENDING, "dies", 1)) == [poison]
        clock.now += LEASE_SECONDS + 1


def test_a_picture_that_was_recorded_has_all_its_tries_in_the_next_step(images: Images, clock: Clock) -> None:
    (image_id,) = add_pictures(images, 1)
    for _ in range(MAX_ATTEMPTS - 1):
        images.claim(PENDING, "dies", 1)
        clock.now += LEASE_SECONDS + 1
    prepare_all(images)
    for _ in range(MAX_ATTEMPTS):
        assert ids_of(images.claim(ImageState.PREPARED, "dies", 1)) == [image_id]
        clock.now += LEASE_SECONDS + 1


def test_a_worker_that_stops_on_purpose_gives_back_what_it_had_without_blame(images: Images) -> None:
    ids = add_pictures(images, 3)
    for _ in range(MAX_ATTEMPTS + 1):
        assert ids_of(images.claim(PENDING, "w", 9)) == ids, "together, so none of them counts as tried"
        assert images.release("w") == 3
    assert images.release("w") == 0


def test_what_a_dead_worker_had_is_given_back_with_blame(images: Images) -> None:
    first, second = add_pictures(images, 2)
    images.claim(PENDING, "dead", 9)
    images.claim(PENDING, "other", 9)
    assert images.claimers() == ["dead"]
    assert images.release("dead", died=True) == 2
    assert ids_of(images.claim(PENDING, "w", 9)) == [second]
    assert ids_of(images.claim(PENDING, "w", 9)) == [first]


def test_releasing_one_worker_leaves_the_claims_of_others(images: Images) -> None:
    first, second = add_pictures(images, 2)
    images.claim(PENDING, "a", 1)
    images.claim(PENDING, "b", 1)
    assert sorted(images.claimers()) == ["a", "b"]
    images.release("a")
    assert images.claimers() == ["b"]
    assert ids_of(images.claim(PENDING, "c", 9)) == [second]
    assert images.record_prepared("b", first, FACTS)
