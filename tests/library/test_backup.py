"""Backups: whole while the library is used, cheap the second time, and back again without a loss."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.catalog.database import Database
from app.catalog.images import Images
from app.errors import CatalogUnavailable, InvalidInput
from app.library import backup
from app.library.backup import Copied, back_up, restore_library
from app.media.folder import BACKUP_NOTE, CATALOG, Folder
from app.media.store import copy_file, original_name
from app.models import Outcome
from tests.library.conftest import Rooms, md5
from tests.pictures import picture, unique_pictures


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of the picture folder, by its path."""
    images = folder / "images"
    return {path.relative_to(images).as_posix(): path.read_bytes() for path in images.rglob("*") if path.is_file()}


def opened(data: Path, rooms: Rooms) -> Rooms:
    """The library in a data folder."""
    return Rooms(data, Database(f"sqlite:///{data / 'index' / CATALOG}"), rooms.decoder)


def make(rooms: Rooms, to: Path) -> Copied:
    return back_up(rooms.database, rooms.store, to)


def restored(backup: Path, data: Path) -> Copied:
    return restore_library(backup, data, Folder(data / "images"))


def test_a_round_trip_brings_everything_back(rooms: Rooms, tmp_path: Path) -> None:
    rooms.add("red", "green", "blue")
    rooms.index()
    assert make(rooms, tmp_path / "backup") == Copied(3, 3, ())
    assert restored(tmp_path / "backup", tmp_path / "new") == Copied(3, 3, ())
    assert tree(tmp_path / "new") == tree(tmp_path / "backup")
    back = opened(tmp_path / "new", rooms)
    assert [image.filename for image in back.images.newest(9)] == ["blue.jpg", "green.jpg", "red.jpg"]
    searcher = back.searcher()
    assert searcher.by_text("something red", 0, 9).matches[0].image.filename == "red.jpg"
    searcher.close()
    back.database.close()


def test_a_second_backup_copies_only_what_is_new_and_forgets_what_is_gone(rooms: Rooms, tmp_path: Path) -> None:
    red, _green = rooms.add("red", "green")
    rooms.index()
    make(rooms, tmp_path / "backup")
    rooms.intake.remove(red)
    rooms.add("blue")
    rooms.index()
    assert make(rooms, tmp_path / "backup") == Copied(2, 1, ())
    assert tree(tmp_path / "backup") == tree(rooms.folder)


def refuse_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(_source: object, _to: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)


@pytest.mark.parametrize("linked", [True, False])
def test_files_are_linked_where_that_is_possible_else_copied(
    rooms: Rooms, tmp_path: Path, linked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not linked:
        refuse_links(monkeypatch)
    rooms.add("red")
    rooms.index()
    make(rooms, tmp_path / "backup")
    [found] = rooms.store.found_originals()
    original, copied = rooms.store.original(*found), tmp_path / "backup" / "images" / original_name(*found)
    assert copied.read_bytes() == original.read_bytes()
    assert copied.samefile(original) is linked


def test_it_is_of_one_moment_while_others_add_and_delete(rooms: Rooms, tmp_path: Path) -> None:
    files = list(unique_pictures(60))
    for number, data in enumerate(files[:30]):
        rooms.intake.add_bytes(data, f"{number}.jpg")
    done = threading.Event()

    def change() -> None:
        for number, data in enumerate(files[30:], start=30):
            rooms.intake.add_bytes(data, f"{number}.jpg")
            rooms.intake.remove(rooms.images.newest(99)[-1].id)  # the oldest
        done.set()

    changing = threading.Thread(target=change)
    changing.start()
    rounds = 0
    while not done.is_set() or not rounds:
        folder = tmp_path / f"backup {rounds % 2}"
        copied = make(rooms, folder)
        assert copied.missing == ()
        backup = opened(folder, rooms)
        rows = {(image.md5, image.bytes) for image in backup.images.newest(99)}
        assert len(rows) == copied.pictures
        assert rows == {(md5, backup.store.size(md5, format)) for md5, format in backup.store.found_originals()}
        backup.database.close()
        rounds += 1
    changing.join()
    assert rounds


def test_a_missing_original_is_told_and_costs_the_others_nothing(rooms: Rooms, tmp_path: Path) -> None:
    rooms.add("red", "green")
    rooms.store.original(rooms.image(1).md5, "jpeg").unlink()
    assert make(rooms, tmp_path / "backup") == Copied(2, 1, ("red.jpg",))


def test_a_whole_copy_is_not_given_up_for_a_damaged_original(rooms: Rooms, tmp_path: Path) -> None:
    red, _ = rooms.add("red", "green")
    rooms.add("blue")
    rooms.intake.throw_away(red)
    make(rooms, tmp_path / "backup")
    before = tree(tmp_path / "backup")
    for path in rooms.store.root.glob("??/*.jpeg"):
        path.unlink()  # the backup may have hard links to these
        path.write_bytes(b"")
    assert make(rooms, tmp_path / "backup") == Copied(2, 0, (), ("blue.jpg", "green.jpg"))
    assert tree(tmp_path / "backup") == before
    assert make(rooms, tmp_path / "another").damaged == ("blue.jpg", "green.jpg")


@pytest.mark.parametrize("moment", ["before the catalog", "before the old files go"])
def test_a_backup_that_is_cut_off_leaves_the_older_one(
    rooms: Rooms, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    red, _ = rooms.add("red", "green")
    make(rooms, tmp_path / "backup")
    rooms.intake.remove(red)
    rooms.add("blue")
    step = "_replace" if moment == "before the catalog" else "_prune"
    with monkeypatch.context() as power:
        power.setattr(f"app.library.backup.{step}", _cut)
        with pytest.raises(KeyboardInterrupt):
            make(rooms, tmp_path / "backup")
    backup = opened(tmp_path / "backup", rooms)
    present = dict(backup.store.found_originals())
    for image in backup.images.newest(9):
        assert image.md5 in present
    backup.database.close()
    assert make(rooms, tmp_path / "backup").pictures == 2
    assert tree(tmp_path / "backup").keys() == tree(rooms.folder).keys()


def test_two_backups_into_one_folder_do_not_get_into_each_others_way(rooms: Rooms, tmp_path: Path) -> None:
    """The nightly one that is slow, and the next: one would take away what the other has just copied."""
    rooms.add("red", "green")
    refused = []

    def another(_done: int) -> None:
        with pytest.raises(InvalidInput, match=r"Another backup .* is under way"):
            make(rooms, tmp_path / "backup")
        refused.append(make(rooms, tmp_path / "elsewhere"))

    assert back_up(rooms.database, rooms.store, tmp_path / "backup", another) == Copied(2, 2, ())
    assert refused == [Copied(2, 2, ()), Copied(2, 0, ())]
    assert make(rooms, tmp_path / "backup") == Copied(2, 0, ())


def test_what_a_restore_that_was_killed_left_does_not_get_into_the_next_one(rooms: Rooms, tmp_path: Path) -> None:
    rooms.add("red")
    make(rooms, tmp_path / "backup")
    part = tmp_path / "new" / "index" / f"{CATALOG}.part"
    part.parent.mkdir(parents=True)
    with closing(sqlite3.connect(part, isolation_level=None)) as killed:
        killed.execute("PRAGMA journal_mode=WAL")
        killed.execute("CREATE TABLE other (page)")
        killed.executemany("INSERT INTO other VALUES (?)", [(bytes(4000),)] * 300)
        log = part.with_name(part.name + "-wal").read_bytes()
    part.unlink()
    part.with_name(part.name + "-wal").write_bytes(log)
    assert restored(tmp_path / "backup", tmp_path / "new") == Copied(1, 1, ())
    back = opened(tmp_path / "new", rooms)
    assert [image.filename for image in back.images.newest(9)] == ["red.jpg"]
    back.database.close()


def _cut(*_anything: object) -> None:
    raise KeyboardInterrupt


def test_restoring_takes_nothing_away(rooms: Rooms, tmp_path: Path) -> None:
    """The damaged catalog was moved away, the pictures were left: some are younger than the backup."""
    rooms.add("red")
    make(rooms, tmp_path / "backup")
    younger = tmp_path / "new" / "images" / original_name("0" * 32, "jpeg")
    younger.parent.mkdir(parents=True)
    younger.write_bytes(b"younger")
    assert restored(tmp_path / "backup", tmp_path / "new") == Copied(1, 1, ())
    assert younger.read_bytes() == b"younger"


class TestBackupRefuses:
    @pytest.fixture
    def other(self, rooms: Rooms, tmp_path: Path) -> Iterator[Rooms]:
        """Another library, with pictures of its own."""
        (tmp_path / "other" / "index").mkdir(parents=True)
        database = Database(f"sqlite:///{tmp_path / 'other' / 'index' / CATALOG}")
        database.migrate()
        other = Rooms(tmp_path / "other", database, rooms.decoder)
        other.add("white")
        yield other
        database.close()

    def refused(self, rooms: Rooms, to: Path, why: str) -> None:
        catalog = to / "index" / CATALOG
        before = tree(to), catalog.read_bytes() if catalog.exists() else None
        with pytest.raises(InvalidInput, match=why):
            make(rooms, to)
        assert (tree(to), catalog.read_bytes() if catalog.exists() else None) == before

    def test_a_folder_among_the_pictures(self, rooms: Rooms) -> None:
        """The next start would take its pictures in, and away."""
        rooms.add("red")
        with pytest.raises(InvalidInput, match="lies among the pictures of the library itself"):
            make(rooms, rooms.folder / "images" / "backup")
        assert not (rooms.folder / "images" / "backup").exists()

    def test_another_library(self, rooms: Rooms, other: Rooms) -> None:
        rooms.add("red")
        other.database.close()  # nothing tells that it is in use
        self.refused(rooms, other.folder, "nothing there says that they are a backup of this library")

    def test_pictures_whose_catalog_is_elsewhere(self, rooms: Rooms, other: Rooms) -> None:
        rooms.add("red")
        other.database.close()
        (other.folder / "index" / CATALOG).unlink()
        self.refused(rooms, other.folder, "nothing there says")

    def test_the_library_that_the_backup_is_of(self, rooms: Rooms, other: Rooms, tmp_path: Path) -> None:
        make(other, tmp_path / "backup")
        other.add("red")
        other.database.close()
        backup = opened(tmp_path / "backup", rooms)
        self.refused(backup, other.folder, "nothing there says")
        backup.database.close()

    def test_a_backup_of_another_library(self, rooms: Rooms, other: Rooms, tmp_path: Path) -> None:
        rooms.add("red")
        make(other, tmp_path / "backup")
        self.refused(rooms, tmp_path / "backup", "is a backup of another library")

    def test_a_backup_that_is_served(self, rooms: Rooms, tmp_path: Path) -> None:
        rooms.add("red")
        make(rooms, tmp_path / "backup")
        (tmp_path / "backup" / "index" / f"{CATALOG}-wal").touch()
        self.refused(rooms, tmp_path / "backup", "Stop it first")

    @pytest.mark.parametrize("linked", [True, False])
    def test_the_pictures_of_the_library_itself(self, rooms: Rooms, tmp_path: Path, linked: bool) -> None:
        rooms.add("red")
        to = rooms.folder
        if linked:
            to = tmp_path / "disk"
            to.mkdir()
            (to / "images").symlink_to(rooms.store.root)
        (to / "index").mkdir(exist_ok=True)
        (to / "index" / BACKUP_NOTE).write_text(rooms.database.identity())
        with pytest.raises(InvalidInput, match="of the library itself"):
            make(rooms, to)

    def test_but_not_a_first_one_that_was_cut_off(
        self, rooms: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rooms.add("red")
        with monkeypatch.context() as power:
            power.setattr("app.library.backup._replace", _cut)
            with pytest.raises(KeyboardInterrupt):
                make(rooms, tmp_path / "backup")
        assert make(rooms, tmp_path / "backup") == Copied(1, 0, ())


class TestRestoreRefuses:
    def backup(self, rooms: Rooms, tmp_path: Path) -> Path:
        rooms.add("red")
        make(rooms, tmp_path / "backup")
        return tmp_path / "backup"

    def test_a_folder_that_is_no_backup(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="is no backup"):
            restored(tmp_path, tmp_path / "new")

    def test_a_folder_with_a_library_in_it(self, rooms: Rooms, tmp_path: Path) -> None:
        backup = self.backup(rooms, tmp_path)
        restored(backup, tmp_path / "new")
        before = tree(tmp_path / "new")
        with pytest.raises(InvalidInput, match="already"):
            restored(backup, tmp_path / "new")
        assert tree(tmp_path / "new") == before

    def test_a_folder_whose_pictures_are_all_in_the_trash(self, rooms: Rooms, tmp_path: Path) -> None:
        backup = self.backup(rooms, tmp_path)
        restored(backup, tmp_path / "new")
        trashed = opened(tmp_path / "new", rooms)
        trashed.intake.throw_away(1)
        trashed.add("blue")
        trashed.intake.throw_away(2)
        trashed.database.close()
        before = tree(tmp_path / "new")
        with pytest.raises(InvalidInput, match="already"):
            restored(backup, tmp_path / "new")
        assert tree(tmp_path / "new") == before

    @pytest.mark.parametrize("where", ["backup", "new"])
    def test_while_a_server_runs(self, rooms: Rooms, tmp_path: Path, where: str) -> None:
        backup = self.backup(rooms, tmp_path)
        (tmp_path / where / "index").mkdir(parents=True, exist_ok=True)
        (tmp_path / where / "index" / f"{CATALOG}-wal").touch()
        with pytest.raises(InvalidInput, match="Stop it first"):
            restored(backup, tmp_path / "new")


def test_a_picture_that_was_removed_meanwhile_may_have_come_again_when_it_is_restored(
    rooms: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = rooms.add("red", "blue")[1:]

    def and_remove(*arguments: Any) -> tuple[int, bool]:
        while waiting:
            rooms.intake.remove(waiting.pop())
        return copy_file(*arguments)

    monkeypatch.setattr(backup, "copy_file", and_remove)
    assert make(rooms, tmp_path / "backup").pictures == 1
    copy = Database(f"sqlite:///{tmp_path / 'backup' / 'index' / CATALOG}")
    assert (Images(copy).counts().total, Images(copy).unfinished_removals()) == (1, [])
    copy.close()


def test_what_is_younger_than_the_backup_outlives_a_damaged_catalog(rooms: Rooms, tmp_path: Path) -> None:
    rooms.add("red")
    make(rooms, tmp_path / "backup")
    data = tmp_path / "new"
    restored(tmp_path / "backup", data)
    library = opened(data, rooms)
    library.add("blue")
    library.database.close()
    catalog = data / "index" / CATALOG
    catalog.write_bytes(b"\xff" * 4096 + catalog.read_bytes()[4096:])
    for _ in range(2):
        with pytest.raises(CatalogUnavailable, match=r"damaged.*move the folder index away, leave images"):
            restored(tmp_path / "backup", data)
    (data / "index").rename(data / "damaged")
    assert restored(tmp_path / "backup", data) == Copied(1, 0, ())
    library = opened(data, rooms)
    assert [result.outcome for result in library.intake.recover()] == [Outcome.ADDED]
    assert {image.md5 for image in library.images.newest(9)} == {md5(picture("red")), md5(picture("blue"))}
    library.database.close()


Watch = Callable[[int], object]


def test_it_tells_how_far_it_is(rooms: Rooms, tmp_path: Path) -> None:
    rooms.add("red", "green", "blue")
    heard: list[int] = []
    back_up(rooms.database, rooms.store, tmp_path / "backup", heard.append)
    assert heard == [1, 2, 3]
