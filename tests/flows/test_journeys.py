"""Whole journeys: a large import, another model, a second chance, two servers on one catalog."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from app.config import Settings
from app.models import FloatArray
from tests.conftest import Glimpse, running, wait_for
from tests.encoders import ColourEncoder, FailingEncoder
from tests.pictures import picture, unique_pictures
from tests.web.html import page


class SteppedEncoder(ColourEncoder):
    """Encodes one batch of pictures each time it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._steps = threading.Semaphore(0)
        self.batches: list[int] = []
        """How many pictures were in each."""

    def step(self, batches: int = 1) -> None:
        self._steps.release(batches)

    def encode_images(self, images: Sequence[Image.Image]) -> FloatArray:
        assert self._steps.acquire(timeout=300)
        self.batches.append(len(images))
        return super().encode_images(images)


class OppositeEncoder(ColourEncoder):
    """Other files of the model: their vectors point the other way, so that one of each space is last among others."""

    def __init__(self) -> None:
        super().__init__("colours", "2")

    def encode_images(self, images: Sequence[Image.Image]) -> FloatArray:
        return -super().encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        return -super().encode_texts(texts)


class TestALargeImport:
    def test_is_browsable_before_it_is_searchable_and_searchable_as_it_goes(self, settings: Settings) -> None:
        encoder = SteppedEncoder()
        with running(settings.model_copy(update={"page_size": 100}), lambda: encoder) as glimpse:
            files = ((f"{number}.jpg", data) for number, data in enumerate(unique_pictures(500)))
            while part := list(islice(files, 125)):
                assert {result["outcome"] for result in glimpse.upload(*part)} == {"added"}
            assert glimpse.counts() == {"total": 500, "pending": 500, "prepared": 0, "indexed": 0, "failed": 0}
            assert len(page(glimpse.client.get("/")).tiles) == 100
            with glimpse.working():
                wait_for(lambda: glimpse.counts()["prepared"] == 500)
                self.all_have_previews(glimpse)
                assert "No picture is searchable yet" in page(glimpse.client.get("/search?q=red")).words
                steps = 0
                for batches in (1, 2, 5):
                    encoder.step(batches)
                    steps += batches
                    wait_for(partial(self.encoded, encoder, steps))
                    indexed = sum(encoder.batches)  # the first batches may be smaller: they took what was there
                    wait_for(partial(self.indexed, glimpse, indexed))
                    self.so_many_are_searchable(glimpse, indexed)
                encoder.step(100)
                wait_for(glimpse.idle)
            self.so_many_are_searchable(glimpse, 500)
            assert glimpse.counts() == {"total": 500, "pending": 0, "prepared": 0, "indexed": 500, "failed": 0}
            assert glimpse.client.get("/api/v1/search?q=red&limit=1").json()["results"][0]["score"] > 0.9

    def encoded(self, encoder: SteppedEncoder, batches: int) -> bool:
        return len(encoder.batches) == batches

    def indexed(self, glimpse: Glimpse, count: int) -> bool:
        return glimpse.counts()["indexed"] >= count

    def all_have_previews(self, glimpse: Glimpse) -> None:
        address, tiles, previews = "/", 0, 0
        while address:
            html = page(glimpse.client.get(address))
            tiles, previews = tiles + len(html.tiles), previews + len(html.all("img"))
            address = html.link("next") or ""
        assert (tiles, previews) == (500, 500)

    def so_many_are_searchable(self, glimpse: Glimpse, indexed: int) -> None:
        found = glimpse.client.get("/api/v1/search?q=something&limit=1000").json()
        assert (found["indexed"], found["total"], len(found["results"])) == (indexed, 500, indexed)
        words = page(glimpse.client.get("/search?q=something")).words
        if indexed < 500:
            assert f"among the {indexed} of 500 pictures that are searchable so far" in words
            assert f"{indexed} of 500 pictures" in page(glimpse.client.get("/")).words
        else:
            assert "among 500 pictures" in words


class TestOtherFilesOfTheModel:
    COLOURS = ("red", "blue", "green", "yellow", "purple")

    def test_start_with_an_empty_space_and_the_first_is_kept(self, settings: Settings) -> None:
        files = [(f"{colour}.jpg", picture(colour)) for colour in self.COLOURS]
        with running(settings) as glimpse:
            glimpse.upload(*files)
            glimpse.work()
            first = glimpse.search("something red")
            assert first[0] == "red.jpg"

        with running(settings, OppositeEncoder) as glimpse:
            assert glimpse.counts() == {"total": 5, "pending": 0, "prepared": 5, "indexed": 0, "failed": 0}
            assert glimpse.search("something warm") == [], "no name has this word"
            [image, *_] = glimpse.client.get("/api/v1/images").json()["images"]
            assert glimpse.client.get(f"/api/v1/images/{image['id']}/similar").json()["results"] == []
            glimpse.upload(("pink.jpg", picture("pink")))
            glimpse.work()
            second = glimpse.search("something red")
            assert second[0] == "red.jpg"
            assert [name for name in second if name != "pink.jpg"] == first
            status = glimpse.client.get("/api/v1/status").json()["model"]
            assert (status["name"], status["space"]) == ("colours", "2")
            blue = glimpse.client.get("/api/v1/search?q=blue&limit=1").json()["results"][0]["id"]
            assert glimpse.client.delete(f"/api/v1/images/{blue}").status_code == 204

        with running(settings) as glimpse:
            assert glimpse.counts() == {"total": 5, "pending": 0, "prepared": 1, "indexed": 4, "failed": 0}
            assert glimpse.search("something red") == [name for name in first if name != "blue.jpg"]
            glimpse.work()
            assert sorted(glimpse.search("pink")) == sorted({*first, "pink.jpg"} - {"blue.jpg"})

    def test_never_has_its_pictures_indexed_by_a_worker_of_the_first(self, settings: Settings) -> None:
        with running(settings, OppositeEncoder) as glimpse:
            glimpse.upload(("red.jpg", picture("red")))
            stranger = Glimpse(glimpse.app, glimpse.client, settings, ColourEncoder)
            with stranger.working():
                wait_for(lambda: glimpse.counts()["prepared"] == 1)
                wait_for(lambda: bool(glimpse.client.get("/api/v1/status").json()["worker"]["alive"]))
            assert glimpse.counts()["indexed"] == 0
            glimpse.work()
            assert glimpse.client.get("/api/v1/search?q=red").json()["results"][0]["score"] > 0.9


def test_a_picture_that_failed_gets_a_second_chance(settings: Settings) -> None:
    with running(settings, FailingEncoder) as glimpse:
        glimpse.upload(("night.jpg", picture("black")), ("rose.jpg", picture("red")))
        glimpse.work()
        assert glimpse.counts() == {"total": 2, "pending": 0, "prepared": 0, "indexed": 1, "failed": 1}
        assert glimpse.search("black") == ["rose.jpg"]
        problems = page(glimpse.client.get("/problems"))
        assert "night.jpg" in problems.words
        assert "The model could not read this picture" in problems.words
        assert "Problems (1)" in page(glimpse.client.get("/")).words

    with running(settings) as glimpse:
        assert "/problems/retry" in [form["action"] for form in page(glimpse.client.get("/problems")).all("form")]
        assert glimpse.client.post("/problems/retry", follow_redirects=False).headers["location"] == "/problems"
        assert glimpse.counts()["pending"] == 1
        glimpse.work()
        assert glimpse.counts()["failed"] == 0
        assert glimpse.search("black")[0] == "night.jpg"
        assert "Every picture could be read" in page(glimpse.client.get("/problems")).words


class TestTwoServersOnOneCatalog:
    @pytest.fixture
    def both(self, settings: Settings) -> Iterator[tuple[Glimpse, Glimpse]]:
        with running(settings) as here, running(settings) as there:
            yield here, there

    def test_what_comes_in_here_is_found_there(self, both: tuple[Glimpse, Glimpse]) -> None:
        here, there = both
        [rose] = here.upload(("rose.jpg", picture("red")))
        assert page(there.client.get("/")).tiles == [rose["id"]]
        with here.working():
            wait_for(here.idle)
            assert there.search("red") == ["rose.jpg"]
            there.upload(("sea.jpg", picture("blue")))
            wait_for(there.idle)
            assert here.search("blue") == there.search("blue") == ["sea.jpg", "rose.jpg"]

    def test_what_is_deleted_here_is_gone_there_at_once(self, both: tuple[Glimpse, Glimpse]) -> None:
        here, there = both
        found = here.upload(*((f"{number}.jpg", data) for number, data in enumerate(unique_pictures(12))))
        here.work()
        assert len(here.search("red")) == len(there.search("red")) == 12
        for result in found:
            image = there.client.get(f"/api/v1{result['url']}").json()
            assert here.client.delete(f"/api/v1{result['url']}?forever=true").status_code == 204
            assert result["filename"] not in there.search("red")
            assert result["id"] not in page(there.client.get("/")).tiles
            for address in (result["url"], *image["urls"]["thumbnails"].values(), image["urls"]["original"]):
                assert there.client.get(str(address)).status_code == 404
        assert there.counts()["total"] == 0

    def test_the_same_file_handed_to_both_is_one_picture(self, both: tuple[Glimpse, Glimpse]) -> None:
        for data in unique_pictures(8):
            with ThreadPoolExecutor(2) as threads:
                sent = [threads.submit(glimpse.upload, ("a.jpg", data)) for glimpse in both]
            assert sorted(str(upload.result()[0]["outcome"]) for upload in sent) == ["added", "duplicate"]
        assert both[0].counts()["total"] == both[1].counts()["total"] == 8

    def test_two_workers_share_the_work(self, both: tuple[Glimpse, Glimpse]) -> None:
        here, there = both
        here.upload(*((f"{number}.jpg", data) for number, data in enumerate(unique_pictures(80))))
        with here.working(), there.working():
            wait_for(here.idle)
        assert here.counts()["indexed"] == 80
        assert len(set(here.search("red", limit=100))) == len(set(there.search("red", limit=100))) == 80


def test_pictures_put_into_the_folder_by_hand_are_taken_in_at_start(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "images" / "holiday" / "2024"
    folder.mkdir(parents=True)
    (folder / "beach.jpg").write_bytes(picture("yellow"))
    (folder / "notes.txt").write_text("not a picture")
    for path in folder.iterdir():
        os.utime(path, (0, 0))  # what was just written to is left to the next start
    with running(settings) as glimpse:
        wait_for(lambda: glimpse.counts()["total"] == 1)
        glimpse.work()
        assert glimpse.search("yellow") == ["beach.jpg"]
        assert not (folder / "beach.jpg").exists()
        assert (folder / "notes.txt").read_text() == "not a picture"
