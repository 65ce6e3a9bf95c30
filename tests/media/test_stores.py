"""What every storage of pictures promises: the same tests for a folder and for a bucket on a real object store."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.media.folder import Folder
from app.media.store import Incoming, Store, copy_file, original_name, thumbnail_name
from app.models import THUMBNAIL_WIDTHS

DATA = b"some bytes of a picture"
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
NAME = original_name(MD5, "jpeg")
OTHER = hashlib.md5(b"other", usedforsecurity=False).hexdigest()

NewStore = Callable[[str], Store]


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.engines)])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> NewStore:
    """Makes an empty store of a name; the same one, seen by another process, the next time."""
    if request.param == "folder":
        return lambda name: Folder(tmp_path / name / "images")
    objects = request.getfixturevalue("objects")
    from app.media.bucket import Bucket

    bucket = objects.new_bucket()
    return lambda name: Bucket(f"s3://{bucket}/{name}/images", tmp_path / "scratch" / name, objects.endpoint)


@pytest.fixture
def store(new_store: NewStore) -> Store:
    return new_store("first")


@contextmanager
def received(store: Store, data: bytes = DATA) -> Iterator[Incoming]:
    """A file that is whole."""
    with store.incoming() as incoming:
        incoming.write(data)
        incoming.finish()
        yield incoming


def add(store: Store, data: bytes = DATA, format: str = "jpeg") -> bool:
    """The steps of taking a picture in. Returns whether it was new."""
    with received(store, data) as incoming:
        store.send(incoming, format)
        store.keep(incoming, format)
        assert not store.lost(incoming)
        return incoming.kept


def content(store: Store, name: str = NAME) -> bytes:
    with store.file(name) as path:
        return path.read_bytes()


def test_an_original_lies_under_its_md5_byte_for_byte(store: Store) -> None:
    assert add(store)
    assert content(store) == store.read(NAME) == DATA
    assert (store.size(MD5, "jpeg"), store.size_of(NAME)) == (len(DATA), len(DATA))
    assert list(store.found_originals()) == [(MD5, "jpeg")]
    assert store.location(MD5, "jpeg") == f"{store.place}/{NAME}"


def test_another_process_sees_it(store: Store, new_store: NewStore) -> None:
    add(store)
    assert content(new_store("first")) == DATA
    assert new_store("second").size(MD5, "jpeg") is None


def test_adding_it_again_leaves_it_as_it_is(store: Store) -> None:
    add(store)
    add(store)
    assert content(store) == DATA
    assert list(store.found_originals()) == [(MD5, "jpeg")]


def test_what_is_torn_is_made_whole_by_adding_it_again(store: Store, tmp_path: Path) -> None:
    (tmp_path / "torn").write_bytes(DATA[:5])
    store.take_over(tmp_path / "torn", NAME)
    add(store)
    assert content(store) == DATA


def test_what_is_missing_is_put_back_and_only_then(store: Store) -> None:
    with received(store) as incoming:
        store.send(incoming, "jpeg")
        assert store.put_back(incoming, "jpeg")
    with received(store) as incoming:
        store.send(incoming, "jpeg")
        assert not store.put_back(incoming, "jpeg")
    assert content(store) == DATA


def test_a_removal_between_sending_and_the_row_takes_nothing_away(store: Store) -> None:
    """The lock of the catalog orders `keep` and `remove`; what is sent before it is looked at again."""
    with received(store) as incoming:
        store.send(incoming, "jpeg")
        store.remove(MD5, "jpeg", THUMBNAIL_WIDTHS)
        store.keep(incoming, "jpeg")
        if store.lost(incoming):
            store.confirm(incoming)
    assert content(store) == DATA


def test_a_file_larger_than_one_piece(store: Store) -> None:
    data = os.urandom(17 << 20)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    add(store, data, "png")
    assert content(store, original_name(md5, "png")) == data


def test_what_is_not_kept_leaves_nothing(store: Store) -> None:
    with received(store) as incoming:
        assert incoming.path.exists()
        assert (incoming.md5, incoming.bytes) == (MD5, len(DATA))
    assert not incoming.path.exists()
    assert list(store.found_originals()) == []


def test_a_derivative_is_replaced_whole(store: Store) -> None:
    for data in (b"first", b"second"):
        store.save_thumbnail(MD5, 256, data)
        assert store.thumbnail_bytes(MD5, 256) == data
    assert store.has_thumbnail(MD5, 256)
    assert not store.has_thumbnail(MD5, 640)


def test_the_derivatives_of_a_picture_are_written_together(store: Store) -> None:
    store.save_thumbnails(MD5, {640: b"larger", 256: b"small"})
    assert [store.thumbnail_bytes(MD5, width) for width in (256, 640)] == [b"small", b"larger"]
    store.save_thumbnails(OTHER, {})
    assert not store.has_thumbnail(OTHER, 256)


def test_what_is_not_there(store: Store) -> None:
    assert store.size(MD5, "jpeg") is None
    assert not store.has_thumbnail(MD5, 256)
    with pytest.raises(FileNotFoundError):
        store.thumbnail_bytes(MD5, 256)
    with store.file(NAME) as path:
        assert not path.exists()
    store.remove(MD5, "jpeg", THUMBNAIL_WIDTHS)
    assert not [*store.found_originals(), *store.found_strangers(), *store.found_thumbnails(256)]


def test_removing_takes_the_original_and_every_derivative_and_nothing_else(store: Store) -> None:
    add(store)
    add(store, b"other")
    for md5 in (MD5, OTHER):
        for width in THUMBNAIL_WIDTHS:
            store.save_thumbnail(md5, width, b"small")
    store.remove(MD5, "jpeg", THUMBNAIL_WIDTHS)
    assert list(store.found_originals()) == [(OTHER, "jpeg")]
    assert [list(store.found_thumbnails(width)) for width in THUMBNAIL_WIDTHS] == [[OTHER]] * len(THUMBNAIL_WIDTHS)
    store.remove_thumbnails(OTHER, THUMBNAIL_WIDTHS)
    assert [list(store.found_thumbnails(width)) for width in THUMBNAIL_WIDTHS] == [[]] * len(THUMBNAIL_WIDTHS)
    assert content(store, original_name(OTHER, "jpeg")) == b"other"


def test_what_was_put_there_by_hand_is_told_apart(store: Store, tmp_path: Path) -> None:
    add(store)
    store.save_thumbnail(MD5, 256, b"small")
    source = tmp_path / "by hand"
    source.write_bytes(DATA)
    for name in ("holiday/rose.jpg", f"00/{MD5}.jpeg"):
        store.take_over(source, name)
    assert sorted(str(path).rpartition("images/")[2] for path in store.found_strangers()) == [
        f"00/{MD5}.jpeg",
        "holiday/rose.jpg",
    ]
    assert list(store.found_originals()) == [(MD5, "jpeg")]


def test_an_inventory_knows_what_came_in_before_and_since(store: Store) -> None:
    add(store)
    inventory = store.inventory()
    add(store, b"other")
    store.save_thumbnail(OTHER, 256, b"small")
    assert inventory.size(MD5, "jpeg") == len(DATA)
    assert inventory.size(OTHER, "jpeg") == len(b"other")
    assert inventory.size(MD5, "png") is None
    assert inventory.has_thumbnail(OTHER, 256)
    assert not inventory.has_thumbnail(MD5, 256)


def test_files_are_copied_to_another_store_once(store: Store, new_store: NewStore) -> None:
    other = new_store("second")
    add(store)
    store.save_thumbnail(MD5, 256, b"small")
    names = (NAME, thumbnail_name(MD5, 256))
    for is_new in (True, False):
        copied = [copy_file(store, other, name) for name in names]
        assert copied == [(len(DATA), is_new), (len(b"small"), is_new)]
    assert (content(other), other.thumbnail_bytes(MD5, 256)) == (DATA, b"small")
    with pytest.raises(FileNotFoundError):
        copy_file(store, other, original_name(OTHER, "jpeg"))


def test_sweeping_clears_away_only_what_no_upload_is_writing_any_more(store: Store) -> None:
    with received(store) as left, received(store) as under_way:
        long_ago = time.time() - 25 * 3600
        os.utime(left.path, (long_ago, long_ago))
        store.sweep()
        assert (left.path.exists(), under_way.path.exists()) == (False, True)
