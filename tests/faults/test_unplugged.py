"""The disk with the pictures is pulled off while a server runs, and plugged in again: nothing is lost or given up."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from app.catalog.database import Database
from app.catalog.switching import Switches
from app.config import Settings
from tests.conftest import Glimpse, running, wait_for
from tests.faults.disks import Disk
from tests.pictures import picture


@pytest.fixture
def settings(disk: Disk, tmp_path: Path) -> Settings:
    """The catalog stays on this machine."""
    return Settings(_env_file=None, data=tmp_path / "data", storage=str(disk.path), worker=False, model="colours")


def names(glimpse: Glimpse) -> set[str]:
    return {image["filename"] for image in glimpse.client.get("/api/v1/images").json()["images"]}


@pytest.mark.usefixtures("impatient")
def test_nothing_is_taken_in_given_up_or_brought_back(disk: Disk, settings: Settings) -> None:
    with running(settings) as glimpse:
        glimpse.upload(("red.jpg", picture("red")), ("green.jpg", picture("green")), ("blue.jpg", picture("blue")))
        glimpse.work()
        with closing(Database(settings.catalog_url)) as database, glimpse.working(), disk.away():
            answer = glimpse.client.post("/api/v1/images", files=[("files", ("new.jpg", picture("pink")))])
            assert "Is their disk mounted?" in answer.text
            Switches(database).anew()
            assert "Is their disk mounted?" in glimpse.client.get("/").text
            wait_for(
                lambda: (
                    "Is their disk mounted?" in str(glimpse.client.get("/api/v1/status").json()["worker"]["message"])
                )
            )
            assert glimpse.client.delete("/api/v1/images/2?forever=true").status_code == 204
            assert names(glimpse) == {"red.jpg", "blue.jpg"}
            assert glimpse.counts()["failed"] + glimpse.counts()["pending"] == 0
        with closing(Database(settings.catalog_url)) as database, glimpse.working():
            wait_for(lambda: Switches(database).read().wanted is None)
        assert sorted(glimpse.search("red")) == ["blue.jpg", "red.jpg"]
        assert glimpse.upload(("new.jpg", picture("pink")))[0]["outcome"] == "added"
    with running(settings) as glimpse:
        glimpse.work()
        assert names(glimpse) == {"red.jpg", "blue.jpg", "new.jpg"}
        wait_for(lambda: len(list(settings.images.glob("??/*"))) == 3)
