"""Another program holds the catalog: writers wait for it, and say so when that takes too long. Reading goes on."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from typing import Any

import pytest

from app.catalog.images import Images
from app.config import Settings
from tests.conftest import Glimpse, running, wait_for
from tests.library.conftest import md5
from tests.pictures import picture
from tests.web.html import page

RED, BLUE, GREEN = (("red.jpg", picture("red")), ("blue.jpg", picture("blue")), ("green.jpg", picture("green")))


@pytest.fixture
def glimpse(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Glimpse]:
    """A searchable red picture; writers wait for a moment only."""
    monkeypatch.setattr("app.catalog.sqlite.BUSY_SECONDS", 0.3)
    with running(settings) as started:
        started.upload(RED)
        started.work()
        yield started


@contextmanager
def held(settings: Settings) -> Iterator[sqlite3.Connection]:
    """The write lock is somebody else's."""
    path = settings.catalog_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other
        if other.in_transaction:
            other.execute("ROLLBACK")


def test_an_upload_is_answered_with_503_and_can_be_sent_again(glimpse: Glimpse) -> None:
    with held(glimpse.settings):
        for path in ("/api/v1/images", "/upload"):
            answer = glimpse.client.post(path, files=[("files", BLUE), ("files", GREEN)])
            assert answer.status_code == 503
            assert "Another program has held the library" in answer.text
            assert answer.headers["Retry-After"]
    assert [result["outcome"] for result in glimpse.upload(BLUE, GREEN)] == ["added", "added"]
    glimpse.work()
    assert glimpse.counts()["indexed"] == 3


def test_of_several_files_those_that_came_before_are_told_to_be_there(
    glimpse: Glimpse, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, calls = Images.add, count()

    def held_from_the_second_on(images: Images, *arguments: Any) -> tuple[int, bool]:
        if next(calls):
            with held(glimpse.settings):
                return add(images, *arguments)
        return add(images, *arguments)

    monkeypatch.setattr(Images, "add", held_from_the_second_on)
    first, second = glimpse.upload(BLUE, GREEN)
    assert [first["outcome"], second["outcome"]] == ["added", "rejected"]
    assert "Another program has held the library's catalog" in str(second["reason"])


def test_a_delete_is_answered_with_503_and_has_not_happened(glimpse: Glimpse) -> None:
    with held(glimpse.settings):
        answer = glimpse.client.delete("/api/v1/images/1")
        assert (answer.status_code, answer.json()["title"]) == (503, "The catalog is out of reach")
        assert answer.headers["Retry-After"]
        assert "Another program" in page(glimpse.client.post("/images/1/delete"), 503).words
    assert glimpse.search("red") == ["red.jpg"]
    assert glimpse.client.delete("/api/v1/images/1").status_code == 204


def test_pages_and_searches_go_on(glimpse: Glimpse) -> None:
    with held(glimpse.settings):
        assert page(glimpse.client.get("/")).tiles == [1]
        assert glimpse.search("red") == ["red.jpg"]
        assert glimpse.client.get("/readyz").status_code == 200


def test_who_holds_it_for_a_short_while_is_waited_for(glimpse: Glimpse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.catalog.sqlite.BUSY_SECONDS", 60)
    with running(glimpse.settings) as patient, held(glimpse.settings) as other:
        outcomes: list[object] = []
        uploading = threading.Thread(
            target=lambda: outcomes.extend(result["outcome"] for result in patient.upload(BLUE))
        )
        uploading.start()
        uploading.join(0.5)
        assert outcomes == []
        other.execute("ROLLBACK")
        uploading.join(60)
        assert outcomes == ["added"]


def test_a_start_finishes_later_what_a_crash_left_behind(glimpse: Glimpse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.main.TEND_SECONDS", 0.1)
    left = glimpse.settings.images / md5(BLUE[1])[:2] / f"{md5(BLUE[1])}.jpeg"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(BLUE[1])
    with held(glimpse.settings) as other, running(glimpse.settings) as started:
        assert started.counts()["total"] == 1
        time.sleep(1)  # longer than it is tried at first
        other.execute("ROLLBACK")
        wait_for(lambda: started.counts()["total"] == 2)


def test_a_worker_tries_again(
    glimpse: Glimpse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.worker.RETRY_SECONDS", 0.1)
    glimpse.upload(BLUE)
    with held(glimpse.settings) as other, glimpse.working():
        wait_for(lambda: "work failed" in caplog.text)
        other.execute("ROLLBACK")
        glimpse.work()
    assert glimpse.counts()["indexed"] == 2
