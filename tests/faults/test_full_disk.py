"""A disk that is full at whichever write: what was answered holds, what could not be done is refused in words, and with
room again everything goes on. `tests/faults/test_failing_calls.py` does the like where no disk can be mounted.
"""

from __future__ import annotations

import hashlib
import os

import pytest

from app.config import Settings
from tests.conftest import Glimpse, running, wait_for
from tests.faults.disks import Disk
from tests.flows.test_crashes import assert_consistent
from tests.pictures import encoded, noise
from tests.web.html import page

BLOCKS = [*range(16), *range(16, 96, 4)]
"""Left on the disk, in turn: none is enough for anything, and the most for one of these pictures with its previews."""


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.mark.usefixtures("impatient")
def test_nothing_is_lost_wherever_it_is_full(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(_env_file=None, data=disk.path / "data", worker=False, model="colours")
    pictures = {f"{number}.jpg": encoded(noise((300, 200), number)) for number in range(len(BLOCKS))}
    first = [encoded(noise((300, 200), 1000 + number)) for number in range(len(BLOCKS))]
    acknowledged, deleted, refused = {md5(data) for data in first}, set[str](), 0
    last = put_by_hand(settings, 1)
    acknowledged.add(last)
    with running(settings) as glimpse, glimpse.working():
        # What the start repairs is over, else it takes in what is refused below and left a file.
        wait_for(lambda: last in md5s(glimpse))
        glimpse.upload(*((f"first {number}.jpg", data) for number, data in enumerate(first)))
        wait_for(lambda: glimpse.counts()["pending"] < len(first))  # decoders run, else it has nothing to write yet
        for left, (name, data) in zip(BLOCKS, pictures.items(), strict=True):
            disk.fill(left)
            answer = glimpse.client.post("/api/v1/images", files=[("files", (name, data))])
            if answer.status_code == 200 and answer.json()["results"][0]["outcome"] == "added":
                acknowledged.add(md5(data))
            else:
                assert answer.status_code in (200, 503), answer.text
                assert "disk is full" in answer.text
                refused += 1
            deleted |= delete_one_of(glimpse, acknowledged - deleted) if left % 3 == 1 else set()
            assert page(glimpse.client.get("/"))
            disk.make_room()
        wait_for(glimpse.idle)
        assert 5 < refused < len(BLOCKS) - 5
        assert md5s(glimpse) == acknowledged - deleted
    assert "work failed" in caplog.text, "the disk was never full for the worker"
    last = put_by_hand(settings, 2)
    with running(settings) as glimpse:
        wait_for(lambda: acknowledged - deleted | {last} <= md5s(glimpse))
        assert not md5s(glimpse) & deleted
        glimpse.work()
        assert_consistent(glimpse)


def put_by_hand(settings: Settings, number: int) -> str:
    """The MD5 of a picture that the next start finds as the last of what it looks for."""
    path, data = settings.images / "by hand.jpg", encoded(noise((300, 200), 2000 + number))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (0, 0))  # nobody is writing to it any more
    return md5(data)


def delete_one_of(glimpse: Glimpse, known: set[str]) -> set[str]:
    """What was deleted: nothing, if the catalog has no room to note it."""
    image = next(image for image in glimpse.client.get("/api/v1/images").json()["images"] if image["md5"] in known)
    answer = glimpse.client.delete(f"/api/v1/images/{image['id']}?forever=true")
    if answer.status_code == 503:
        assert "disk is full" in answer.json()["detail"]
        return set()
    assert answer.status_code == 204
    return {image["md5"]}


def md5s(glimpse: Glimpse) -> set[str]:
    return {image["md5"] for image in glimpse.client.get("/api/v1/images?limit=1000").json()["images"]}
