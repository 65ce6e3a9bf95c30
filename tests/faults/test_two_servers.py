"""Two real servers on one folder, each with a worker of its own, by mistake or on purpose: they work together."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_for
from tests.crash.audit import Audit
from tests.crash.ledger import Picture, State, becoming, patchwork
from tests.crash.rounds import UNLIMITED, quick_model
from tests.flows.processes import Server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")

PICTURES = [patchwork(number, 1) for number in range(60)]
"""What becomes of them is noted in them, so there is one test for all of it."""


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Started one after the other, the second while the first one takes pictures in."""
    model = quick_model(tmp_path / "tiny", tmp_path / "data")
    with ExitStack() as ending:
        here, there = (
            ending.enter_context(closing(Server(tmp_path / "data", model=str(model), **UNLIMITED))) for _ in range(2)
        )
        here.start()
        with ThreadPoolExecutor(1) as uploading:
            sent = uploading.submit(lambda: [upload(here, picture) for picture in PICTURES[:30]])
            there.start()
            assert sent.result() == ["added"] * 30
        yield here, there


def upload(server: Server, picture: Picture) -> str:
    with becoming(State.KEPT, [picture]):
        answer = server.client.post("/api/v1/images", files={"files": (picture.filename, picture.data)})
        [result] = answer.json()["results"]
        picture.id, picture.shown_as = result["id"], picture.filename
    return str(result["outcome"])


def shown(server: Server) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = server.get("/api/v1/images?limit=1000")["images"]
    return images


def is_indexed(server: Server) -> bool:
    counts = server.counts()
    return counts["total"] == counts["indexed"]


def is_ready(server: Server) -> bool:
    return server.client.get("/readyz").status_code == 200


def nearest(server: Server, image_id: int | None) -> list[int]:
    return [match["id"] for match in server.get(f"/api/v1/images/{image_id}/similar?limit=100")["results"]]


def test_they_work_together(both: tuple[Server, Server]) -> None:
    take_in_what_the_other_one_shows(both)
    let_go_of_what_the_other_one_deletes(both)
    finish_what_the_other_one_was_killed_over(both)
    both[1].start()
    for server in both:
        assert Audit(server, PICTURES).whole(restarted=True) == len(PICTURES)


def take_in_what_the_other_one_shows(both: tuple[Server, Server]) -> None:
    for number, picture in enumerate(PICTURES[30:]):
        if number % 2:  # handed to both at once
            with ThreadPoolExecutor(2) as threads:
                assert sorted(threads.map(upload, both, [picture, picture])) == ["added", "duplicate"]
        else:
            assert upload(both[number // 2 % 2], picture) == "added"
    here, there = both
    for server in both:
        wait_for(partial(is_indexed, server))
        wait_for(partial(is_ready, server))
        assert len(server.workers()) == 1
    assert shown(here) == shown(there)
    assert len(shown(here)) == len(PICTURES)
    for picture in PICTURES[::10]:
        assert nearest(here, picture.id) == nearest(there, picture.id)


def let_go_of_what_the_other_one_deletes(both: tuple[Server, Server]) -> None:
    for number, picture in enumerate(PICTURES[:12]):
        deleting, other = both if number % 2 else both[::-1]
        for_good = number % 3 == 0
        with becoming(State.ABSENT if for_good else State.TRASHED, [picture]):
            path = f"/api/v1/images/{picture.id}?forever={for_good}"
            assert deleting.client.delete(path).status_code == 204
        assert picture.id not in nearest(other, PICTURES[-1].id)
        assert other.client.get(f"/images/{picture.id}").status_code == 404
        assert other.client.get(f"/images/{picture.id}/original").status_code == 404


def finish_what_the_other_one_was_killed_over(both: tuple[Server, Server]) -> None:
    here, there = both
    assert [upload(here, picture) for picture in PICTURES[:12]] == ["added"] * 12
    there.kill_everything()
    wait_for(partial(is_indexed, here))
    assert len(shown(here)) == len(PICTURES)
