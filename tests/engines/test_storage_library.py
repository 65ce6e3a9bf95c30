"""What keeps a library in good order, where its pictures lie in a bucket."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.catalog.health import Health
from app.errors import StorageUnavailable
from app.library.backup import Copied, back_up, restore_library
from app.library.doctor import Doctor, Finding
from app.library.indexing import Indexer
from app.library.intake import Intake
from app.media.decoding import Decoder
from app.media.folder import Folder
from app.media.store import original_name
from app.models import Outcome
from app.vectors.snapshots import IndexCache
from tests.catalogs import empty_catalog
from tests.engines import needs
from tests.engines.objects import SECRET, ObjectServer
from tests.library.conftest import MAX_PIXELS, Rooms, md5
from tests.pictures import picture

needs.package("obstore")

import obstore  # noqa: E402

from app.media.bucket import Bucket  # noqa: E402

RED, BLUE = picture("red"), picture("blue")


class BucketRooms(Rooms):
    """The same library, its pictures in a bucket."""

    bucket: Bucket
    objects: ObjectServer

    def move(self, objects: ObjectServer) -> None:
        self.objects = objects
        self.bucket = Bucket(f"s3://{objects.new_bucket()}/glimpse", self.folder / "scratch", objects.endpoint)
        wake = self.wakes.append
        self.intake = Intake(self.images, self.trash, self.bucket, MAX_PIXELS, lambda: wake("wake"))
        self.indexer = Indexer("worker", self.images, self.vectors, self.bucket, self.decoder)

    def doctor(self) -> Doctor:
        indexes = IndexCache(self.folder / "index", 300, self.database.identity)
        health = Health(self.database)
        return Doctor(health, self.images, self.trash, self.vectors, self.bucket, self.intake, indexes)

    def put(self, name: str, data: bytes) -> None:
        """Put an object there behind the library's back."""
        obstore.put(self.bucket.quick, name, data)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(1, 30, MAX_PIXELS)
    yield made
    made.close()


@pytest.fixture
def rooms(tmp_path: Path, decoder: Decoder, objects: ObjectServer) -> Iterator[BucketRooms]:
    database = empty_catalog(tmp_path / "index")
    rooms = BucketRooms(tmp_path, database, decoder)
    rooms.move(objects)
    yield rooms
    database.close()


def told(findings: list[Finding]) -> str:
    return "\n".join(finding.what for finding in findings)


def test_a_whole_library_is_in_good_order(rooms: BucketRooms) -> None:
    rooms.add("red", "green")
    rooms.index()
    rooms.intake.throw_away(1)
    assert list(rooms.doctor().examine(deep=True)) == []


def test_a_crash_behind_sending_leaves_an_object_that_the_doctor_takes_in(rooms: BucketRooms) -> None:
    with rooms.intake.incoming() as incoming:
        incoming.write(RED)
        incoming.finish()
        rooms.bucket.send(incoming, "jpeg")  # … and here the process ends, before anybody was told "added"
    assert rooms.intake.recover() == [], "a start does not read through a whole bucket"
    [finding] = rooms.doctor().examine()
    assert f"{rooms.bucket.place}/{original_name(md5(RED), 'jpeg')} is in no gallery" in finding.what
    assert finding.repair
    finding.repair()
    assert [image.md5 for image in rooms.images.newest(9)] == [md5(RED)]
    assert list(rooms.doctor().examine(deep=True)) == []


def test_what_somebody_put_there_by_hand_is_told_and_left_alone(rooms: BucketRooms) -> None:
    rooms.put("holiday/rose.jpg", RED)
    [finding] = rooms.doctor().examine()
    assert f"{rooms.bucket.place}/holiday/rose.jpg was put there by hand" in finding.what
    assert "import" in finding.help
    assert not finding.repairable
    rooms.intake.recover(thorough=True)
    assert rooms.images.counts().total == 0


def test_the_doctor_finds_what_is_missing_changed_and_left_over(rooms: BucketRooms) -> None:
    rooms.add("red", "green", "blue", "white")
    rooms.index()
    red, green, blue, white = (rooms.image(image_id) for image_id in (1, 2, 3, 4))
    rooms.bucket.delete([original_name(red.md5, "jpeg")])
    rooms.put(original_name(green.md5, "jpeg"), b"x" * green.bytes)
    rooms.bucket.remove_thumbnails(blue.md5, (256,))
    rooms.put(original_name(white.md5, "jpeg"), b"short")
    rooms.bucket.save_thumbnail("0" * 32, 256, b"webp")
    shallow, deep = told(list(rooms.doctor().examine())), list(rooms.doctor().examine(deep=True))
    assert "original of red.jpg (picture 1) is missing" in shallow
    assert "green.jpg" not in shallow
    assert "original of green.jpg (picture 2) is not what was handed in" in told(deep)
    assert "original of white.jpg (picture 4) is not what was handed in" in shallow
    assert "Previews of blue.jpg (picture 3) are missing" in shallow
    assert f"previews of a picture that is gone ({'0' * 32})" in shallow
    for finding in deep:
        if finding.repair:
            finding.repair()
    rooms.index()
    for colour in ("red", "green", "white"):
        again = rooms.intake.add_bytes(picture(colour), f"{colour}.jpg")
        assert again.outcome is Outcome.DUPLICATE
    # What has another size is put right by handing it in again. Same size, other content: only after it was moved away.
    assert "green.jpg" in told(list(rooms.doctor().examine(deep=True)))
    rooms.bucket.delete([original_name(green.md5, "jpeg")])
    rooms.intake.add_bytes(picture("green"), "green.jpg")
    assert list(rooms.doctor().examine(deep=True)) == []


def test_deleting_is_finished_when_the_object_store_is_back(rooms: BucketRooms, objects: ObjectServer) -> None:
    rooms.add("red")
    rooms.index()
    with objects.stopped():
        rooms.intake.remove(1)
        assert rooms.images.get(1) is None
        rooms.intake.finish_removals()
    assert rooms.bucket.size(md5(RED), "jpeg") == len(RED)
    rooms.intake.finish_removals()
    assert list(rooms.bucket.found()) == []


def test_who_is_added_again_before_that_keeps_its_file(rooms: BucketRooms, objects: ObjectServer) -> None:
    rooms.add("red")
    with objects.stopped():
        rooms.intake.remove(1)
    assert rooms.intake.add_bytes(RED, "red.jpg").outcome is Outcome.ADDED
    rooms.intake.finish_removals()
    assert rooms.bucket.size(md5(RED), "jpeg") == len(RED)


@pytest.mark.parametrize("colour", ["red", "green"], ids=["a duplicate", "a new one"])
def test_what_is_removed_while_it_is_added_stays_removed(
    rooms: BucketRooms, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms.add("red")
    adding, data = rooms.images.add, picture(colour)

    def add(*given: Any) -> tuple[int, bool]:
        image_id, added = adding(*given)
        rooms.intake.remove(image_id)  # somebody else does, at this moment
        return image_id, added

    monkeypatch.setattr(rooms.images, "add", add)
    rooms.intake.add_bytes(data, "again.jpg")
    assert rooms.bucket.size(md5(data), "jpeg") is None
    assert list(rooms.doctor().examine()) == []


def test_an_object_that_a_removal_took_away_behind_sending_is_sent_again(
    rooms: BucketRooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms.add("red")
    sending = rooms.bucket.send

    def send(*given: Any) -> None:
        sending(*given)
        if rooms.images.get(1):
            rooms.intake.remove(1)

    monkeypatch.setattr(rooms.bucket, "send", send)
    assert rooms.intake.add_bytes(RED, "red.jpg").outcome is Outcome.ADDED
    assert rooms.bucket.size(md5(RED), "jpeg") == len(RED)


def test_a_picture_whose_object_is_lost_costs_itself_only(rooms: BucketRooms) -> None:
    rooms.add("red", "blue")
    rooms.bucket.delete([original_name(md5(RED), "jpeg")])
    rooms.index()
    assert "missing" in (rooms.image(1).reason or "")
    assert (rooms.image(1).state, rooms.image(2).state) == ("failed", "indexed")
    rooms.intake.add_bytes(RED, "red.jpg")
    rooms.index()
    assert rooms.image(1).state == "indexed", "handed in again, it is put back and tried again"


def test_a_backup_is_a_data_folder_and_comes_back_into_a_bucket(rooms: BucketRooms, tmp_path: Path) -> None:
    rooms.add("red", "green", "blue")
    rooms.index()
    rooms.intake.throw_away(2)
    assert back_up(rooms.database, rooms.bucket, tmp_path / "backup") == Copied(2, 2, ())
    assert back_up(rooms.database, rooms.bucket, tmp_path / "backup") == Copied(2, 0, ())
    folder = Folder(tmp_path / "backup" / "images")
    assert set(folder.found_originals()) == set(rooms.bucket.found_originals())
    other = Bucket(f"s3://{rooms.objects.new_bucket()}", tmp_path / "scratch", rooms.objects.endpoint)
    other.take_over(tmp_path / "index" / "catalog.sqlite3", "younger/than the backup")
    assert restore_library(tmp_path / "backup", tmp_path / "new", other) == Copied(2, 2, ())
    assert set(other.found_originals()) == set(rooms.bucket.found_originals())
    for name, size in rooms.bucket.found():
        assert (other.read(name), size) == (rooms.bucket.read(name), len(other.read(name)))
    assert [str(path) for path in other.found_strangers()] == ["younger/than the backup"]


def test_decoding_holds_no_credentials_and_knows_no_object_store(decoder: Decoder, tmp_path: Path) -> None:
    import os

    from tests.engines import probes

    assert os.environ["AWS_SECRET_ACCESS_KEY"] == SECRET
    path = tmp_path / "picture.jpg"
    path.write_bytes(RED)
    [seen] = decoder._each(probes.surroundings, [path])
    assert seen == ([], [])


def test_errors_say_what_to_do_and_nothing_secret(objects: ObjectServer, tmp_path: Path) -> None:
    nowhere = Bucket("s3://no-such-bucket-here/pictures", tmp_path / "scratch", objects.endpoint)
    with pytest.raises(StorageUnavailable, match=r"s3://no-such-bucket-here/pictures .* there is no such bucket"):
        nowhere.size("0" * 32, "jpeg")
    with objects.stopped(), pytest.raises(StorageUnavailable, match="does not answer") as caught:
        nowhere.read("any")
    assert caught.value.__cause__ is None
    assert nowhere.trouble == str(caught.value)


def test_without_obstore_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from app.cli import cli

    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "app.media.bucket")
    monkeypatch.setenv("GLIMPSE_STORAGE", "s3://bucket/pictures")
    for command in (["doctor"], ["status"], []):
        result = CliRunner().invoke(cli, ["--data", str(tmp_path), *command])
        assert result.exit_code == 1
        assert "pip install -r requirements-s3.txt" in result.output, command


def test_the_command_line_finds_saves_and_says_where(rooms: BucketRooms, tmp_path: Path) -> None:
    from app.finding import Hit, draw_hits, save_hits

    rooms.add("red")
    rooms.index()
    hit = Hit(rooms.image(1), 0.5, None, None, rooms.bucket)
    assert hit.cells()[-1] == f"{rooms.bucket.place}/{original_name(md5(RED), 'jpeg')}"
    save_hits([hit], tmp_path / "saved")
    [saved] = (tmp_path / "saved").iterdir()
    assert hashlib.md5(saved.read_bytes(), usedforsecurity=False).hexdigest() == md5(RED)
    draw_hits([hit], tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 500
