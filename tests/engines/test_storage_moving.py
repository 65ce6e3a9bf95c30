"""Moving pictures to a bucket and back, while the library is used."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from app.catalog.health import Health
from app.errors import InvalidInput, StorageUnavailable
from app.library.intake import Intake
from app.library.moving import Mover
from app.media.folder import Folder
from app.media.store import Store, original_name
from tests.engines import needs
from tests.engines.objects import ObjectServer
from tests.library.conftest import Rooms, decoder, md5, rooms
from tests.pictures import picture, unique_pictures

needs.package("obstore")

import obstore  # noqa: E402

from app.media.bucket import Bucket  # noqa: E402

__all__ = ["decoder", "rooms"]


@pytest.fixture
def bucket(objects: ObjectServer, tmp_path: Path) -> Bucket:
    return Bucket(f"s3://{objects.new_bucket()}/moved", tmp_path / "scratch", objects.endpoint)


def mover(rooms: Rooms, target: Store, source: Store | None = None) -> Mover:
    source = source or rooms.store
    health = Health(rooms.database)
    return Mover(rooms.database.identity(), health, rooms.images, rooms.trash, source, target)


def content(store: Store) -> dict[str, bytes]:
    """Originals and previews, by their names."""
    names = [original_name(*found) for found in store.found_originals()]
    names += [f"thumbs/{width}/{md5[:2]}/{md5}.webp" for width in (256, 640) for md5 in store.found_thumbnails(width)]
    return {name: store.read(name) for name in names}


def test_there_and_back_again_everything_is_the_same(rooms: Rooms, bucket: Bucket, tmp_path: Path) -> None:
    rooms.add("red", "green", "blue")
    rooms.index()
    rooms.intake.throw_away(2)
    before = content(rooms.store)
    moved = mover(rooms, bucket).run()
    assert (moved.pictures, moved.new, moved.removed, moved.problems) == (3, 3, 0, ())
    assert content(bucket) == before, "previews of the trash too"
    assert content(rooms.store) == before, "nothing is taken away where it was"
    assert list(bucket.found_strangers()) == []
    back = Folder(tmp_path / "back")
    assert mover(rooms, back, bucket).run().new == 3
    assert content(back) == content(bucket)


def test_again_it_takes_only_what_is_new_and_forgets_what_was_deleted(rooms: Rooms, bucket: Bucket) -> None:
    rooms.add("red", "green")
    rooms.index()
    mover(rooms, bucket).run()
    rooms.add("blue")
    rooms.intake.remove(1)
    moved = mover(rooms, bucket).run()
    assert (moved.pictures, moved.new, moved.removed, moved.problems) == (2, 1, 1, ())
    assert set(bucket.found_originals()) == set(rooms.store.found_originals())


def test_what_comes_back_at_the_last_moment_is_not_taken_away(
    rooms: Rooms, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    [red] = rooms.add("red")
    mover(rooms, bucket).run()
    rooms.intake.remove(red)
    known = rooms.images.known_md5s

    def known_before(md5s: list[str]) -> set[str]:
        found = known(md5s)
        rooms.add("red")
        return found

    monkeypatch.setattr(rooms.images, "known_md5s", known_before)
    assert mover(rooms, bucket)._prune() == 0
    assert set(bucket.found_originals()) == {(md5(picture("red")), "jpeg")}


def test_back_in_the_old_folder_what_was_deleted_meanwhile_stays_deleted(rooms: Rooms, bucket: Bucket) -> None:
    red, _ = rooms.add("red", "green")
    mover(rooms, bucket).run()
    intake = Intake(rooms.images, rooms.trash, bucket, 1_000_000, lambda: None)  # the library lives there now
    intake.remove(red)
    intake.add_bytes(picture("blue"), "blue.jpg")
    moved = mover(rooms, rooms.store, bucket).run()
    assert (moved.pictures, moved.new, moved.removed, moved.problems) == (2, 1, 1, ())
    rooms.intake.recover()
    assert rooms.images.get(red) is None
    assert rooms.images.counts().total == 2


def test_what_changed_on_the_way_is_found_and_copied_again(rooms: Rooms, bucket: Bucket) -> None:
    red, _ = rooms.add("red", "green")
    mover(rooms, bucket).run()
    name = original_name(rooms.image(red).md5, "jpeg")
    obstore.put(bucket.quick, name, b"x" * rooms.image(red).bytes)
    moved = mover(rooms, bucket).run()
    assert (moved.pictures, moved.problems) == (2, ())
    assert bucket.read(name) == picture("red")


def test_what_is_missing_or_damaged_at_the_source_is_told_by_name(rooms: Rooms, bucket: Bucket) -> None:
    red, green, _ = rooms.add("red", "green", "blue")
    rooms.store.original(rooms.image(red).md5, "jpeg").unlink()
    rooms.store.original(rooms.image(green).md5, "jpeg").write_bytes(b"damaged")
    moved = mover(rooms, bucket).run()
    assert moved.pictures == 1
    assert sorted(moved.problems) == [
        "The original of green.jpg is not what was handed in.",
        "The original of red.jpg is missing.",
    ]


def test_pictures_of_two_libraries_do_not_mix(rooms: Rooms, bucket: Bucket, tmp_path: Path) -> None:
    rooms.add("red")
    mover(rooms, bucket).run()
    health = Health(rooms.database)
    stranger = Mover("another library", health, rooms.images, rooms.trash, rooms.store, bucket)
    with pytest.raises(InvalidInput, match="another library"):
        stranger.run()
    used = Folder(tmp_path / "used")
    with used.incoming() as incoming:
        incoming.write(b"somebody's picture")
        incoming.finish()
        used.keep(incoming, "jpeg")
    with pytest.raises(InvalidInput, match="Choose a place that is empty"):
        mover(rooms, used).run()


def test_it_goes_on_where_it_was_interrupted(rooms: Rooms, bucket: Bucket, objects: ObjectServer) -> None:
    for number, data in enumerate(unique_pictures(30)):
        rooms.intake.add_bytes(data, f"{number}.jpg")

    def stop(step: str, done: int) -> None:
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mover(rooms, bucket).run(stop)
    with objects.stopped(), pytest.raises(StorageUnavailable):
        mover(rooms, bucket).run()
    there = len(list(bucket.found_originals()))
    assert there >= 12
    moved = mover(rooms, bucket).run()
    assert (moved.pictures, moved.new, moved.problems) == (30, 30 - there, ())


def test_the_library_is_used_meanwhile(rooms: Rooms, bucket: Bucket) -> None:
    files = list(unique_pictures(60))
    for number, data in enumerate(files[:30]):
        rooms.intake.add_bytes(data, f"{number}.jpg")

    def change() -> None:
        for number, data in enumerate(files[30:], start=30):
            rooms.intake.add_bytes(data, f"{number}.jpg")
            rooms.intake.remove(rooms.images.newest(99)[-1].id)

    changing = threading.Thread(target=change)
    changing.start()
    while changing.is_alive():
        assert mover(rooms, bucket).run().problems == ()
    changing.join()
    moved = mover(rooms, bucket).run()
    assert (moved.pictures, moved.problems) == (30, ())
    assert set(bucket.found_originals()) == set(rooms.store.found_originals())
