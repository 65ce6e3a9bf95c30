"""The doctor: each thing that can go wrong is named, put right where it can be, and then not found again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.catalog.health import Health
from app.library.doctor import Doctor, Finding
from app.models import ImageState
from app.vectors.snapshots import IndexCache
from tests.library.conftest import Rooms
from tests.pictures import picture


@pytest.fixture
def doctor(rooms: Rooms) -> Doctor:
    """Of a library of three searchable pictures."""
    rooms.add("red", "green", "blue")
    rooms.index()
    indexes = IndexCache(rooms.folder, 60, rooms.database.identity)
    health = Health(rooms.database)
    return Doctor(health, rooms.images, rooms.trash, rooms.vectors, rooms.store, rooms.intake, indexes)


def found(doctor: Doctor, deep: bool = False) -> list[str]:
    return [finding.what for finding in doctor.examine(deep)]


def repair(findings: list[Finding]) -> None:
    for finding in findings:
        assert finding.repair is not None, finding
        finding.repair()


def change(rooms: Rooms, statement: str) -> None:
    """Somebody edits the catalog behind everybody's back."""
    with rooms.database.writing() as connection:
        connection.exec_driver_sql(statement)


def original(rooms: Rooms, image_id: int) -> Path:
    image = rooms.image(image_id)
    return rooms.store.original(image.md5, image.format)


def test_a_healthy_library_is_healthy(doctor: Doctor) -> None:
    assert found(doctor, deep=True) == []


def test_a_missing_original_is_named_and_what_to_do(doctor: Doctor, rooms: Rooms) -> None:
    original(rooms, 1).unlink()
    [finding] = doctor.examine()
    assert finding.what == "The original of red.jpg (picture 1) is missing."
    assert not finding.repairable
    assert "Add the same file again" in finding.help
    rooms.intake.add_bytes(picture("red"), "again.jpg")
    assert found(doctor) == []


def test_a_flipped_bit_is_found_by_looking_deep(doctor: Doctor, rooms: Rooms) -> None:
    path = original(rooms, 2)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert found(doctor) == []
    assert found(doctor, deep=True) == ["The original of green.jpg (picture 2) is not what was handed in."]
    path.write_bytes(data[:-9])
    assert found(doctor) == ["The original of green.jpg (picture 2) is not what was handed in."]


def lose_previews(rooms: Rooms) -> str:
    rooms.store.thumbnail(rooms.image(3).md5, 256).unlink()
    return "Previews of blue.jpg (picture 3) are missing."


def lose_a_row(rooms: Rooms) -> str:
    path = original(rooms, 1)
    change(rooms, "DELETE FROM vectors WHERE image_id = 1")
    change(rooms, "DELETE FROM images WHERE id = 1")
    return f"{path} is in no gallery."


def lose_a_vector(rooms: Rooms) -> str:
    change(rooms, "DELETE FROM vectors WHERE image_id = 2")
    return "1 picture counts as searchable and is not."


def cut_a_vector_short(rooms: Rooms) -> str:
    change(rooms, "UPDATE vectors SET vector = substr(vector, 1, 5) WHERE image_id = 2")
    return "1 picture counts as searchable and is not."


def leave_a_vector(rooms: Rooms) -> str:
    change(
        rooms, "INSERT INTO vectors (space_id, image_id, vector) SELECT 1, 77, vector FROM vectors WHERE image_id = 1"
    )
    return "1 vector belongs to a picture that is gone."


def lose_words(rooms: Rooms) -> str:
    change(rooms, "DELETE FROM words WHERE rowid = 3")
    change(rooms, "INSERT INTO words (rowid, name, caption) VALUES (77, 'nobody', '')")
    return "The index of words and the pictures differ in 2."


def miscount(rooms: Rooms) -> str:
    if rooms.database.is_one_file:
        change(rooms, "UPDATE counts SET pictures = pictures + 5 WHERE state = 'indexed'")
    else:
        change(rooms, "INSERT INTO count_changes VALUES ('indexed', 5, 0)")
    return "The numbers on the pages do not fit the pictures."


def leave_previews(rooms: Rooms) -> str:
    rooms.store.save_thumbnail("0" * 32, 256, b"webp")
    return f"There are previews of a picture that is gone ({'0' * 32})."


def die_while_deleting(rooms: Rooms) -> str:
    removal = rooms.images.remove(1)
    assert removal is not None
    return f"A deleted picture ({removal.md5}) still has files."


def damage_the_snapshot(rooms: Rooms) -> str:
    serving = rooms.vectors.serving()
    assert serving is not None
    (rooms.folder / f"space-{serving.id}.snapshot").write_bytes(b"{}\n\0\0\0")
    return f"The snapshot space-{serving.id}.snapshot can't be used; a start takes longer."


@pytest.mark.parametrize(
    "harm",
    [
        lose_previews, lose_words, lose_a_row, lose_a_vector, cut_a_vector_short, leave_a_vector, miscount,
        leave_previews, die_while_deleting, damage_the_snapshot,
    ],
)  # fmt: skip
def test_it_is_named_and_put_right(doctor: Doctor, rooms: Rooms, harm: Callable[[Rooms], str]) -> None:
    expected = harm(rooms)
    findings = list(doctor.examine())
    assert expected in [finding.what for finding in findings]
    repair(findings)
    rooms.index()  # what the worker does next
    assert found(doctor, deep=True) == []
    assert not rooms.images.newest(9, state=ImageState.FAILED)
    searcher = rooms.searcher()
    count = len(rooms.images.newest(9))
    assert {match.image.id for match in searcher.by_text("red", 0, 9).matches} == {
        image.id for image in rooms.images.newest(9)
    }
    assert searcher.by_text("name:blue", 0, 9).matches
    assert count == (2 if harm is die_while_deleting else 3)
    searcher.close()


def test_a_picture_put_there_by_hand_is_taken_in(doctor: Doctor, rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.library.intake.SETTLED_SECONDS", 0.0)
    by_hand = rooms.store.root / "holiday.jpg"
    by_hand.write_bytes(picture("yellow"))
    [finding] = doctor.examine()
    assert str(by_hand) in finding.what
    repair([finding])
    assert [image.filename for image in rooms.images.newest(1)] == ["holiday.jpg"]
    assert found(doctor) == []


def test_a_damaged_catalog_is_told_before_anything_else(doctor: Doctor, rooms: Rooms) -> None:
    if rooms.database.is_one_file:
        zero_indexes(rooms)
    else:
        change(rooms, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_images_format'::regclass")
    findings = list(doctor.examine())
    assert findings
    assert all(finding.what.startswith("The catalog is damaged") for finding in findings)
    assert "restore" in findings[0].help


def zero_indexes(rooms: Rooms) -> None:
    path = Path(str(rooms.database.engine.url.database))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    rooms.database.close()
    data = bytearray(path.read_bytes())
    page_size = int.from_bytes(data[16:18], "big")
    pages = range(page_size, len(data), page_size)
    for page in pages:
        if data[page] in (0x0A, 0x02):  # the pages of an index: https://sqlite.org/fileformat.html#b_tree_pages
            data[page + 8 : page + 40] = bytes(32)
    path.write_bytes(data)
