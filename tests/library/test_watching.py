"""Watch: what comes into a folder is taken in once it is whole; what vanishes, or was deleted here, is left alone."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from app.catalog.imports import Imports
from app.catalog.watched import Watched
from app.errors import CatalogUnavailable
from app.library import watching
from app.library.importing import Importer
from app.library.watching import Watcher, is_gone
from app.models import UploadResult, WatchedFolder
from tests.conftest import wait_for
from tests.library.conftest import Rooms
from tests.pictures import picture, text_file, unique_pictures

LIMIT = 5_000_000


@pytest.fixture(autouse=True)
def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks, one straight after the other, are enough."""
    monkeypatch.setattr(watching, "SETTLE_SECONDS", 1e-9)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    folder = tmp_path / "camera"
    folder.mkdir()
    return folder


class Watch:
    """A watcher, made anew as after a restart whenever asked for."""

    def __init__(self, rooms: Rooms, *folders: Path, exclude: tuple[str, ...] = (), every: float = 3600) -> None:
        self.rooms = rooms
        imports, self.watched = Imports(rooms.database), Watched(rooms.database)
        importer = Importer(rooms.intake, imports, rooms.store, LIMIT)
        self.watcher = Watcher(importer, imports, self.watched, folders, exclude, every, rooms.store.root)

    def look(self) -> WatchedFolder:
        """Two looks; what the last one saw."""
        self.watcher.look()
        self.watcher.look()
        return self.watched.all()[0]

    @property
    def names(self) -> list[str]:
        return sorted(image.filename for image in self.rooms.images.newest(99))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of files that are opened to be read."""
    opened: list[str] = []
    real = Path.open

    def note(path: Path, *arguments: object, **options: object) -> object:
        opened.append(path.name)
        return real(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", note)
    return opened


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_what_comes_is_taken_in_and_what_was_seen_is_told(rooms: Rooms, disk: Path) -> None:
    watch = Watch(rooms, disk)
    put(disk / "red.jpg", picture("red"))
    put(disk / "deep" / "er" / "blue.jpg", picture("blue"))
    put(disk / "notes.jpg", text_file())
    seen = watch.look()
    assert watch.names == ["blue.jpg", "red.jpg"]
    assert (seen.files, seen.waiting, seen.gone, seen.refused, seen.message) == (3, 0, 0, 1, None)
    put(disk / "green.jpg", picture("green"))
    watch.look()
    assert watch.names == ["blue.jpg", "green.jpg", "red.jpg"]


def test_stopping_ends_after_the_file_under_way_and_what_was_taken_in_is_remembered(
    rooms: Rooms, disk: Path, monkeypatch: pytest.MonkeyPatch, read: list[str]
) -> None:
    watch = Watch(rooms, disk)
    for number, data in enumerate(unique_pictures(5)):
        put(disk / f"{number}.jpg", data)
    watch.watcher.look()
    add = rooms.intake.add

    def add_and_stop(*arguments: Any) -> UploadResult:
        if rooms.images.counts().total == 1:
            watch.watcher.stop()
        return add(*arguments)

    with monkeypatch.context() as patching:
        patching.setattr(rooms.intake, "add", add_and_stop)
        watch.watcher.look()
    assert watch.names == ["0.jpg", "1.jpg"]
    read.clear()
    Watch(rooms, disk).look()
    assert len(watch.names) == 5
    assert {name for name in read if name.endswith(".jpg")} == {"2.jpg", "3.jpg", "4.jpg"}


def test_a_file_that_is_being_written_is_waited_for(rooms: Rooms, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(rooms, disk)
    data = picture("red", (400, 300))
    for end in (100, 200, 300):
        put(disk / "red.jpg", data[:end])
        os.utime(disk / "red.jpg", (end, end))
        assert watch.watcher.look()
        assert watch.watched.all()[0].waiting == 1
    put(disk / "red.jpg", data)
    assert watch.watcher.look()
    assert not watch.watcher.look()
    [image] = rooms.images.newest(9)
    assert image.bytes == len(data)
    monkeypatch.setattr(watching, "SETTLE_SECONDS", 3600.0)
    put(disk / "blue.jpg", picture("blue"))
    assert all(watch.watcher.look() for _ in range(5))
    assert watch.names == ["red.jpg"]


def test_after_a_restart_nothing_is_read_again(rooms: Rooms, disk: Path, read: list[str]) -> None:
    for number, data in enumerate(unique_pictures(5)):
        put(disk / f"{number}.jpg", data)
    put(disk / "broken.jpg", text_file())
    Watch(rooms, disk).look()
    assert "broken.jpg" in read
    assert "4.jpg" in read
    read.clear()
    seen = Watch(rooms, disk).look()
    assert not [name for name in read if name.endswith(".jpg")]
    assert (seen.files, seen.refused) == (6, 1)


def test_what_was_deleted_here_does_not_come_back_until_it_changes(rooms: Rooms, disk: Path) -> None:
    put(disk / "red.jpg", picture("red"))
    put(disk / "blue.jpg", picture("blue"))
    watch = Watch(rooms, disk)
    watch.look()
    ids = {image.filename: image.id for image in rooms.images.newest(9)}
    rooms.intake.remove(ids["red.jpg"])
    rooms.intake.throw_away(ids["blue.jpg"])
    Watch(rooms, disk).look()
    assert watch.names == []
    os.utime(disk / "red.jpg", (5, 5))
    watch.look()
    assert watch.names == ["red.jpg"]


def test_what_vanishes_is_told_once_and_its_picture_stays(
    rooms: Rooms, disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, data in zip("abc", unique_pictures(3), strict=True):
        put(disk / f"{name}.jpg", data)
    watch = Watch(rooms, disk)
    watch.look()
    (disk / "b.jpg").unlink()
    with caplog.at_level(logging.WARNING):
        assert watch.look().gone == 1
    assert len([record for record in caplog.records if "b.jpg" in record.getMessage()]) == 1
    assert len(watch.names) == 3
    rooms.intake.remove(next(image.id for image in rooms.images.newest(9) if image.filename == "b.jpg"))
    assert watch.look().gone == 0


@pytest.mark.parametrize("emptied", [True, False])
def test_a_disk_that_is_not_plugged_in_is_not_an_emptied_folder(
    rooms: Rooms, disk: Path, tmp_path: Path, emptied: bool
) -> None:
    put(disk / "red.jpg", picture("red"))
    watch = Watch(rooms, disk)
    watch.look()
    disk.rename(tmp_path / "unplugged")
    if emptied:
        disk.mkdir()
    seen = watch.look()
    assert "Is its disk plugged in?" in (seen.message or "")
    assert seen.gone == 0
    assert watch.names == ["red.jpg"]
    if emptied:
        disk.rmdir()
    (tmp_path / "unplugged").rename(disk)
    put(disk / "blue.jpg", picture("blue"))
    seen = watch.look()
    assert (seen.files, seen.gone, seen.message) == (2, 0, None)
    assert watch.names == ["blue.jpg", "red.jpg"]


def test_what_was_moved_away_by_an_import_is_not_missed(rooms: Rooms, disk: Path) -> None:
    from app.library.importing import Mode, Source, find_sources

    put(disk / "red.jpg", picture("red"))
    put(disk / "blue.jpg", picture("blue"))
    watch = Watch(rooms, disk)
    importer = Importer(rooms.intake, Imports(rooms.database), rooms.store, LIMIT)
    moved = [item for item in find_sources([disk / "red.jpg"]) if isinstance(item, Source)]
    list(importer.run(moved, Mode.MOVE))
    assert (watch.look().files, watch.look().gone) == (1, 0)


def test_links_in_a_circle_and_excluded_folders_are_not_followed(rooms: Rooms, disk: Path, tmp_path: Path) -> None:
    put(disk / "red.jpg", picture("red"))
    put(disk / "private" / "blue.jpg", picture("blue"))
    put(tmp_path / "elsewhere" / "green.jpg", picture("green"))
    (disk / "circle").symlink_to(disk)
    (disk / "away").symlink_to(tmp_path / "elsewhere")
    assert Watch(rooms, disk, exclude=("private/",)).look().files == 1
    watch = Watch(rooms, tmp_path, exclude=("private", "elsewhere"))
    watch.look()
    assert watch.names == ["red.jpg"]  # and no original of the library, which lies below as well


def test_a_link_to_a_folder_may_be_watched_like_the_folder(
    rooms: Rooms, disk: Path, tmp_path: Path, read: list[str]
) -> None:
    (tmp_path / "link").symlink_to(disk)
    put(disk / "red.jpg", picture("red"))
    put(disk / "broken.jpg", text_file())
    watch = Watch(rooms, tmp_path / "link")
    seen = watch.look()
    assert (seen.folder, seen.files, seen.refused) == (str(tmp_path / "link"), 2, 1)
    rooms.intake.remove(1)
    read.clear()
    assert (watch.look().refused, watch.names) == (1, [])
    assert "broken.jpg" not in read
    (disk / "red.jpg").unlink()
    (tmp_path / "link").unlink()
    assert "Is its disk plugged in?" in (watch.look().message or "")


def test_one_folder_that_cannot_be_looked_into_does_not_hinder_others(
    rooms: Rooms, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk / "red.jpg", picture("red"))
    other = tmp_path / "broken disk"
    other.mkdir()
    listed = Path.is_dir

    def fail(path: Path) -> bool:
        if path == other:
            raise OSError(5, "Input/output error")
        return listed(path)

    monkeypatch.setattr(Path, "is_dir", fail)
    watch = Watch(rooms, other, disk)
    watch.look()
    told = {seen.folder: seen.message for seen in watch.watched.all()}
    assert told == {str(other): "It can't be looked into: Input/output error.", str(disk): None}
    assert watch.names == ["red.jpg"]
    assert not watch.watcher.run_once(), "which is told by the exit code"

    running = threading.Thread(target=watch.watcher.run)
    running.start()
    wait_for(lambda: [seen.folder for seen in watch.watched.all() if seen.message] == [str(other)])
    put(disk / "blue.jpg", picture("blue"))
    wait_for(lambda: watch.names == ["blue.jpg", "red.jpg"])
    watch.watcher.stop()
    running.join()


def test_a_folder_of_the_library_itself_is_told_on_the_pages(
    rooms: Rooms, disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(disk / "red.jpg", picture("red"))
    watch = Watch(rooms, rooms.store.root, disk)
    with caplog.at_level(logging.WARNING):
        watch.look()
        watch.look()
    told = {seen.folder: seen.message for seen in watch.watched.all()}
    assert "belongs to the library itself" in (told[str(rooms.store.root)] or "")
    assert watch.names == ["red.jpg"]
    assert [record.exc_info for record in caplog.records] == [None], "said once, in a sentence"


def test_while_the_catalog_is_away_looking_goes_on(
    rooms: Rooms, disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(disk / "red.jpg", picture("red"))
    watch = Watch(rooms, disk)

    def fail(*_: object) -> None:
        raise CatalogUnavailable("The disk is full.")

    with monkeypatch.context() as trouble, caplog.at_level(logging.WARNING):
        trouble.setattr(Imports, "under", fail)
        trouble.setattr(Watched, "report", fail)
        assert watch.watcher.look(), "it is asked again soon"
    assert [(record.exc_info, "The disk is full." in record.getMessage()) for record in caplog.records] == [
        (None, True)
    ]
    watch.look()
    assert watch.names == ["red.jpg"]


@pytest.mark.parametrize(
    ("kept", "name", "gone"),
    [
        ("Party!/a.jpg", "Party!/a.jpg", False),
        ("Party/b.jpg", "Party!/a.jpg", True),
        ("all.ZIP", "all.ZIP!/a.jpg", False),
        ("b.zip", "all.zip!/a.jpg", True),
        ("b.jpg", "a.jpg", True),
        ("b.jpg", r"\xff.jpg", False),
    ],
)
def test_what_is_certainly_gone(disk: Path, kept: str, name: str, gone: bool) -> None:
    put(disk / kept, b"")
    assert is_gone(f"{disk}/{name}") is gone


def test_an_event_makes_the_next_look_come_sooner(rooms: Rooms, disk: Path) -> None:
    """The time between two looks is an hour: only events can be the reason that anything happens."""
    (disk / "sub").mkdir()
    put(disk / "red.jpg", picture("red"))
    watch = Watch(rooms, disk)
    thread = threading.Thread(target=watch.watcher.run)
    thread.start()
    try:
        wait_for(lambda: watch.names == ["red.jpg"])
        put(disk / "sub" / "blue.jpg", picture("blue"))
        wait_for(lambda: watch.names == ["blue.jpg", "red.jpg"])
        put(disk / "new" / "green.jpg", picture("green"))
        wait_for(lambda: watch.names == ["blue.jpg", "green.jpg", "red.jpg"])
        put(disk / "new" / "white.jpg", picture("white"))
        wait_for(lambda: "white.jpg" in watch.names)
    finally:
        watch.watcher.stop()
        thread.join()
    assert watch.watched.all() == ()


def test_without_events_looks_are_enough(rooms: Rooms, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("watchfiles.watch", none)
    watch = Watch(rooms, disk, every=0.1)
    thread = threading.Thread(target=watch.watcher.run)
    thread.start()
    try:
        wait_for(lambda: bool(watch.watched.all()))
        put(disk / "red.jpg", picture("red"))
        wait_for(lambda: watch.names == ["red.jpg"])
    finally:
        watch.watcher.stop()
        thread.join()
