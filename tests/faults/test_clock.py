"""A clock that was set back, by a year: after the battery ran out, or before the network told the time."""

from __future__ import annotations

import time

import pytest

from app.catalog.leases import Leases
from app.catalog.workers import Workers
from app.config import Settings
from app.models import ImageState
from tests.conftest import running
from tests.library.conftest import Rooms
from tests.pictures import picture

YEAR = 365 * 24 * 3600.0


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The clock is ahead until this is undone."""
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + YEAR)
    return monkeypatch


def test_a_library_of_the_future_is_used_as_any_other(settings: Settings, ahead: pytest.MonkeyPatch) -> None:
    with running(settings) as glimpse:
        glimpse.upload(("red.jpg", picture("red")), ("green.jpg", picture("green")))
        glimpse.work()
        glimpse.client.delete("/api/v1/images/2")
    ahead.undo()
    with running(settings) as glimpse:
        glimpse.upload(("blue.jpg", picture("blue")))
        assert glimpse.client.post("/api/v1/images/2/restore").status_code == 200
        glimpse.work()
        for colour in ("red", "green", "blue"):
            assert glimpse.search(colour)[0] == f"{colour}.jpg"
        assert glimpse.client.delete("/api/v1/images/1?forever=true").status_code == 204
        assert sorted(glimpse.search("red")) == ["blue.jpg", "green.jpg"]


def test_what_a_worker_claimed_in_the_future_does_not_wait_for_it(rooms: Rooms, ahead: pytest.MonkeyPatch) -> None:
    [red] = rooms.add("red")
    assert rooms.images.claim(ImageState.PENDING, "elsewhere:1", 1)
    ahead.undo()
    assert [image.id for image in rooms.images.claim(ImageState.PENDING, "worker", 1)] == [red]


def test_other_machines_clocks_may_differ_by_a_lease(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms.add("red")
    true = time.time
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(time, "time", lambda: true() + 250)
        assert rooms.images.claim(ImageState.PENDING, "elsewhere:1", 1)
    assert rooms.images.claim(ImageState.PENDING, "worker", 1) == []


def test_what_only_one_may_do_does_not_wait_either(rooms: Rooms, ahead: pytest.MonkeyPatch) -> None:
    leases = Leases(rooms.database)
    assert leases.take("following", "elsewhere:1", 150)
    ahead.undo()
    assert leases.take("following", "worker", 150)
    assert not leases.take("following", "another", 150)


def test_a_worker_of_the_future_is_not_taken_for_alive(rooms: Rooms, ahead: pytest.MonkeyPatch) -> None:
    workers = Workers(rooms.database)
    workers.report("elsewhere:1", 1.0, None)
    assert workers.status().alive
    ahead.undo()
    assert not workers.status().alive
    workers.report("worker", 1.0, None)
    assert workers.status().alive
