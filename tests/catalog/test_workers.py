"""Signs of life, and receipts."""

from __future__ import annotations

import pytest

from app.catalog.database import Database
from app.catalog.receipts import KEEP_SECONDS, Receipts
from app.catalog.workers import SILENT_SECONDS, Workers
from app.models import Outcome, UploadResult, WorkerStatus
from tests.catalogs import Clock


@pytest.fixture
def workers(database: Database) -> Workers:
    return Workers(database)


@pytest.fixture
def receipts(database: Database) -> Receipts:
    return Receipts(database)


def test_without_a_worker_nobody_is_alive(workers: Workers) -> None:
    assert workers.status() == WorkerStatus(alive=False, rate=0)


def test_rates_of_all_workers_add_up(workers: Workers) -> None:
    workers.report("a", 2.5, None)
    workers.report("b", 4.0, None)
    workers.report("a", 3.0, None)
    assert workers.status() == WorkerStatus(alive=True, rate=7.0)


def test_the_latest_complaint_is_told(workers: Workers, clock: Clock) -> None:
    workers.report("a", 0, "There is no such model.")
    clock.now += 1
    workers.report("b", 0, "The disk is full.")
    clock.now += 1
    workers.report("c", 0, None)
    assert workers.status().message == "The disk is full."
    workers.report("b", 0, None)
    assert workers.status().message == "There is no such model."


def test_a_worker_that_falls_silent_is_taken_for_dead(workers: Workers, clock: Clock) -> None:
    workers.report("a", 1.0, "oh")
    clock.now += SILENT_SECONDS - 1
    assert workers.status().alive
    clock.now += 2
    assert workers.status() == WorkerStatus(alive=False, rate=0)


def test_a_worker_that_leaves_is_gone_at_once(workers: Workers) -> None:
    workers.report("a", 1.0, None)
    workers.leave("a")
    assert not workers.status().alive


RESULTS = [
    UploadResult("rose.jpg", Outcome.ADDED, 1),
    UploadResult('<b>"rose"</b> 🌹.jpg', Outcome.DUPLICATE, 1),
    UploadResult("diary.txt", Outcome.REJECTED, reason="This is not a picture."),
]


def test_a_receipt_tells_what_was_written_on_it(receipts: Receipts) -> None:
    token, empty = receipts.write(RESULTS), receipts.write([])
    assert receipts.read(token) == RESULTS
    assert receipts.read(empty) == []
    assert receipts.read("0" * 32) is None


def test_receipts_are_kept_for_a_week(receipts: Receipts, clock: Clock) -> None:
    old = receipts.write(RESULTS)
    clock.now += KEEP_SECONDS - 1
    receipts.write([])
    assert receipts.read(old) == RESULTS
    clock.now += 2
    new = receipts.write([])
    assert (receipts.read(old), receipts.read(new)) == (None, [])


def test_nobody_guesses_a_receipt(receipts: Receipts) -> None:
    tokens = {receipts.write([]) for _ in range(5)}
    assert len(tokens) == 5
    assert all(len(bytes.fromhex(token)) == 16 for token in tokens)
