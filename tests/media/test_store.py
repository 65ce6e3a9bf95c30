"""Where files lie, and in which order they are written."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.media.folder import INCOMING, STALE_SECONDS, Folder
from app.media.store import THUMBNAILS, Incoming, original_name
from app.models import THUMBNAIL_WIDTHS

DATA = b"some bytes of a picture"
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "images")


@contextmanager
def received(store: Folder, data: bytes = DATA) -> Iterator[Incoming]:
    """A file that is whole."""
    with store.incoming() as incoming:
        incoming.write(data)
        incoming.finish()
        yield incoming


def everything_below(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


# -- coming in


def test_bytes_are_counted_and_hashed_while_they_come_in(store: Folder) -> None:
    with store.incoming() as incoming:
        for part in (DATA[:5], b"", DATA[5:]):
            incoming.write(part)
        incoming.finish()
        assert (incoming.md5, incoming.bytes) == (MD5, len(DATA))
        assert incoming.path.read_bytes() == DATA


def test_what_is_not_kept_is_gone(store: Folder) -> None:
    with received(store) as incoming:
        assert incoming.path.exists()
    assert everything_below(store.root) == set()


def test_an_upload_that_breaks_off_is_gone(store: Folder) -> None:
    def break_off() -> None:
        with store.incoming() as incoming:
            incoming.write(DATA)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        break_off()
    assert everything_below(store.root) == set()


def test_uploads_at_the_same_time_do_not_meet(store: Folder) -> None:
    with received(store, b"one") as first, received(store, b"two") as second:
        assert first.path != second.path
        assert (first.path.read_bytes(), second.path.read_bytes()) == (b"one", b"two")


# -- keeping


def test_an_original_is_kept_under_its_md5(store: Folder) -> None:
    with received(store) as incoming:
        store.keep(incoming, "jpeg")
    assert everything_below(store.root) == {f"{MD5[:2]}/{MD5}.jpeg"}
    assert store.original(MD5, "jpeg").read_bytes() == DATA


def test_keeping_it_again_leaves_the_same_file(store: Folder) -> None:
    for _ in range(2):
        with received(store) as incoming:
            store.keep(incoming, "jpeg")
    assert everything_below(store.root) == {f"{MD5[:2]}/{MD5}.jpeg"}


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be opened there")
def test_the_bytes_are_on_disk_before_the_name_and_the_name_before_keep_returns(
    store: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            is_folder = name == "fsync" and Path(f"/proc/self/fd/{arguments[0]}").is_dir()
            done.append(name + " folder" * is_folder)
            return original(*arguments)

        return call

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", noted("replace", os.replace))
    with received(store) as incoming:
        store.keep(incoming, "jpeg")
    # The first folder is `images`, which has a new entry: the folder of the original.
    assert done == ["fsync", "fsync folder", "replace", "fsync folder"]


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be opened there")
def test_an_original_is_gone_on_disk_when_it_was_removed(store: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    with received(store) as incoming:
        store.keep(incoming, "jpeg")
    path, synced = store.original(MD5, "jpeg"), list[tuple[int, bool]]()

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    for _ in range(2):  # again behind a crash between the two
        store.remove(MD5, "jpeg", THUMBNAIL_WIDTHS)
    assert synced == [(path.parent.stat().st_ino, False)] * 2


def test_a_disk_that_fills_up_leaves_no_half_original(store: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    def keep() -> None:
        with store.incoming() as incoming:
            incoming.write(DATA)
            incoming.finish()
            store.keep(incoming, "jpeg")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        keep()
    assert everything_below(store.root) == set()


def test_a_derivative_is_replaced_whole(store: Folder) -> None:
    path = store.thumbnail(MD5, 256)
    store.save_thumbnail(MD5, 256, b"first")
    with path.open("rb") as reading:
        store.save_thumbnail(MD5, 256, b"second")
        assert reading.read() == b"first"
    assert path.read_bytes() == b"second"
    assert everything_below(store.root) == {f"{THUMBNAILS}/256/{MD5[:2]}/{MD5}.webp"}


# -- removing


def test_removing_takes_the_original_and_every_derivative(store: Folder) -> None:
    with received(store) as incoming:
        store.keep(incoming, "jpeg")
    for width in THUMBNAIL_WIDTHS:
        store.save_thumbnail(MD5, width, b"small")
    other = hashlib.md5(b"other", usedforsecurity=False).hexdigest()
    store.save_thumbnail(other, 256, b"small")
    store.remove(MD5, "jpeg", THUMBNAIL_WIDTHS)
    assert everything_below(store.root) == {f"{THUMBNAILS}/256/{other[:2]}/{other}.webp"}


def test_what_is_missing_already_is_no_reason_to_fail(store: Folder) -> None:
    store.remove(MD5, "jpeg", THUMBNAIL_WIDTHS)


# -- looking around


def place(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(DATA)


def test_originals_and_strangers_are_told_apart(store: Folder) -> None:
    originals = {f"{MD5[:2]}/{MD5}.jpeg", f"{MD5[:2]}/{MD5}.png"}
    strangers = {
        "rose.jpg",
        "holidays/2024/sea.jpg",
        f"{MD5}.jpeg",  # not in its folder
        f"00/{MD5}.jpeg",  # in another one's
        f"{MD5[:2]}/{MD5}",
        f"{MD5[:2]}/{MD5.upper()}.jpeg",
        f"{MD5[:2]}/{MD5}.jpeg.exe",
        "holidays/thumbs/mine.jpg",
        "two\nlines.jpg",
    }
    ours = {f"{THUMBNAILS}/256/{MD5[:2]}/{MD5}.webp", f"{INCOMING}/under way", ".gitkeep", ".hidden/picture.jpg"}
    backup = {
        "backup/index/catalog.sqlite3",
        f"backup/images/{MD5[:2]}/{MD5}.jpeg",
        f"backup/images/thumbs/256/{MD5}.webp",
    }
    place(store.root, *originals, *strangers, *ours, *backup)
    found = {original_name(*found) for found in store.found_originals()}
    assert found == originals
    assert {md5 for md5, _ in store.found_originals()} == {MD5}
    assert {path.relative_to(store.root).as_posix() for path in store.found_strangers()} == strangers


def test_an_empty_folder_holds_nothing(store: Folder) -> None:
    assert (list(store.found_originals()), list(store.found_strangers())) == ([], [])


def test_sweeping_clears_away_only_what_no_upload_is_writing_any_more(store: Folder) -> None:
    place(store.root, f"{INCOMING}/left behind", "rose.jpg")
    long_ago = time.time() - STALE_SECONDS - 60
    for name in (f"{INCOMING}/left behind", "rose.jpg"):
        os.utime(store.root / name, (long_ago, long_ago))
    with received(store) as incoming:
        store.sweep()
        assert everything_below(store.root) == {f"{INCOMING}/{incoming.path.name}", "rose.jpg"}
