"""One gallery that is attacked by all of these tests, and must serve after each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.config import Settings
from tests.conftest import Glimpse, running, wait_for
from tests.pictures import picture

MAX_MEGAPIXELS = 20
DECODE_SECONDS = 20.0


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glimpse]:
    """A gallery that holds a red and a blue picture, with a worker beside it."""
    settings = Settings(
        _env_file=None,
        data=tmp_path_factory.mktemp("besieged"),
        worker=False,
        model="colours",
        max_file_mb=30,
        max_megapixels=MAX_MEGAPIXELS,
        decode_processes=1,
        decode_seconds=DECODE_SECONDS,
        page_size=500,
    )
    with pytest.MonkeyPatch.context() as patch, running(settings) as glimpse:
        patch.setattr("app.worker.POLL_SECONDS", 0.05)
        yield from _with_two_pictures(glimpse)


def _with_two_pictures(glimpse: Glimpse) -> Iterator[Glimpse]:
    with glimpse.working():
        glimpse.upload(("red wall.jpg", picture("red")), ("blue wall.jpg", picture("blue")))
        wait_for(lambda: glimpse.counts()["indexed"] == 2)
        yield glimpse


@pytest.fixture(autouse=True)
def _it_still_serves(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every attack pages come, and searches find what they found before."""
    yield
    if "besieged" in request.fixturenames:
        glimpse: Glimpse = request.getfixturevalue("besieged")
        assert glimpse.client.get("/").status_code == 200
        assert glimpse.search("red name:wall") == ["red wall.jpg", "blue wall.jpg"]
