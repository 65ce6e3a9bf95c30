"""Prune: only what is derived and of no use, each with what it frees; nothing before it is asked for."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from app.catalog.database import Database
from app.catalog.imports import Imports
from app.catalog.leftovers import Leftovers
from app.catalog.switching import Switches
from app.catalog.vectors import write_entries
from app.catalog.watched import Watched
from app.errors import CatalogUnavailable, NotFound
from app.library import watching
from app.library.importing import Importer
from app.library.pruning import Pruner
from app.library.watching import Watcher
from app.vectors.compiled import folder_of
from tests.encoders import ColourEncoder
from tests.library.conftest import Rooms
from tests.pictures import picture


@pytest.fixture
def pruner(rooms: Rooms) -> Pruner:
    (rooms.folder / "index").mkdir(exist_ok=True)
    return Pruner(Leftovers(rooms.database), rooms.images, rooms.store, rooms.intake, rooms.folder / "index")


def pruned(pruner: Pruner, old_models: bool = False) -> list[str]:
    """What there was; it is gone."""
    found = []
    for useless in pruner.find(old_models):
        found.append(useless.what)
        useless.remove()
    assert list(pruner.find(old_models)) == []
    return found


def put(path: Path, size: int = 10, age: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    return path


def test_in_a_library_in_use_there_is_nothing_to_prune(rooms: Rooms, pruner: Pruner) -> None:
    rooms.add("red", "blue")
    rooms.index()
    rooms.intake.throw_away(1)
    put(rooms.folder / "index" / "space-1.snapshot")
    put(rooms.folder / "index" / "compiled" / ColourEncoder().space.fingerprint / "choice.json")
    before = rooms.files()
    assert pruned(pruner, old_models=True) == []
    assert rooms.files() == before


def test_the_compiled_model_that_serves_stays(rooms: Rooms, pruner: Pruner) -> None:
    """Its folder is named after the first letters of its digest."""
    rooms.add("red")
    rooms.index(ColourEncoder(fingerprint=64 * "a"))
    compiled = rooms.folder / "index" / "compiled"
    stays = put(folder_of(compiled, 64 * "a") / "choice.json")
    goes = put(folder_of(compiled, 64 * "b") / "choice.json")
    assert pruned(pruner) == ["a compiled model that is not kept, bbbbbbbbbbbbbbbb"]
    assert stays.exists()
    assert not goes.exists()


def test_snapshots_and_compiled_models_of_nothing_go(rooms: Rooms, pruner: Pruner) -> None:
    rooms.add("red")
    rooms.index()
    index = rooms.folder / "index"
    stay = [put(index / "space-1.snapshot"), put(index / "space-1.snapshot.77.tmp"), put(index / "compiled/1/x.onnx")]
    go = [
        put(index / "space-9.snapshot", 1000),
        put(index / "space-9.snapshot.77.tmp", age=90_000),
        put(index / "compiled" / "2" / "image.onnx", 500),
    ]
    sizes = [useless.bytes for useless in pruner.find()]
    assert sorted(sizes) == [10, 500, 1000]
    assert all(path.exists() for path in go)
    assert len(pruned(pruner)) == 3
    assert all(path.exists() for path in stay)
    assert not any(path.exists() for path in go)


def test_previews_of_nothing_go_and_originals_never(rooms: Rooms, pruner: Pruner) -> None:
    rooms.add("red")
    rooms.index()
    for width in (256, 640):
        rooms.store.save_thumbnail("0" * 32, width, b"webp")
    put(rooms.store.root / "ab" / f"ab{'0' * 30}.jpeg")
    before = rooms.files()
    [useless] = pruner.find()
    assert (useless.what, useless.bytes) == ("previews of 1 picture that is gone", 8)
    pruned(pruner)
    assert before - rooms.files() == {f"thumbs/{width}/00/{'0' * 32}.webp" for width in (256, 640)}


def test_vectors_of_another_model_go_only_when_told_to(rooms: Rooms, pruner: Pruner) -> None:
    rooms.add("red", "blue")
    rooms.index(ColourEncoder("old", "1"))
    rooms.index(ColourEncoder("new", "2"))
    index = rooms.folder / "index"
    put(index / "space-1.snapshot")
    put(index / "compiled" / "1" / "choice.json")
    assert pruned(pruner) == []
    found = pruned(pruner, old_models=True)
    assert found[0] == "2 vectors of the model old, which does not serve"
    assert len(found) == 3
    serving = rooms.vectors.serving()
    assert serving is not None
    assert serving.space.model == "new"
    assert all(rooms.vectors.get(serving.id, image_id) is not None for image_id in (1, 2))
    assert rooms.searcher(lambda: ColourEncoder("new", "2")).by_text("something red").matches[0].image.id == 1


def test_a_space_that_is_being_filled_stays_and_the_way_back_goes_only_when_told_to(
    rooms: Rooms, pruner: Pruner
) -> None:
    switches = Switches(rooms.database)
    rooms.add("red")
    rooms.index(ColourEncoder("first", "1"))
    rooms.index(ColourEncoder("second", "2"))
    switches.want("third")
    switches.begin("third", ColourEncoder("third", "3").space, "third")
    assert pruned(pruner) == []
    assert switches.read().previous is not None
    assert pruned(pruner, old_models=True) == ["1 vector of the model first, which does not serve"]
    assert switches.read().previous is None
    with pytest.raises(NotFound):
        switches.roll_back()
    filling = switches.read().filling
    assert filling is not None
    assert filling.space.model == "third"


@pytest.mark.parametrize("name", ["disk", "Party!"])
def test_what_was_deleted_does_not_come_back_with_a_disk_that_was_away(
    rooms: Rooms, pruner: Pruner, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SETTLE_SECONDS", 1e-9)
    disk, away = tmp_path / name, tmp_path / "away"
    put(disk / "red.jpg").write_bytes(picture("red"))
    imports = Imports(rooms.database)
    importer = Importer(rooms.intake, imports, rooms.store, 9_000_000)
    watcher = Watcher(importer, imports, Watched(rooms.database), [disk], (), 60, rooms.store.root)
    watcher.look()
    watcher.look()
    assert rooms.images.counts().total == 1
    rooms.intake.remove(1)
    disk.rename(away)
    disk.mkdir()  # where it is mounted
    assert pruned(pruner) == []
    disk.rmdir()
    away.rename(disk)
    watcher.look()
    watcher.look()
    assert rooms.images.counts().total == 0


def test_the_room_of_deleted_vectors_is_given_back_to_the_disk_once_all_are_gone(
    rooms: Rooms, pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free_pages() -> int:
        with rooms.database.reading() as connection:
            return int(connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0)

    rooms.add("red")
    for number in range(3):
        rooms.index(ColourEncoder(f"model {number}", str(number)))
        with rooms.database.writing() as connection:
            write_entries(connection, number + 1, {1: np.zeros(50_000, np.float32)})
    pruned(pruner, old_models=True)
    assert len(Leftovers(rooms.database).fingerprints()) == 1
    if rooms.database.is_one_file:  # others see to it themselves
        assert free_pages() > 0
        with closing(sqlite3.connect(str(rooms.database.engine.url.database))) as other:
            other.execute("BEGIN IMMEDIATE")
            monkeypatch.setattr("app.catalog.sqlite.BUSY_SECONDS", 0.1)
            impatient = Database(str(rooms.database.engine.url))
            with pytest.raises(CatalogUnavailable, match=r"held .* too long\. .* Run this again"):
                Leftovers(impatient).compact()
            impatient.close()
            other.rollback()
        pruner.compact()
        assert free_pages() == 0
        with rooms.database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    pruner.compact()
