"""Export: every picture once, in formats that other programs read, and nothing half written."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from app.catalog import listing, vectors
from app.catalog.listing import Listing
from app.library.exporting import COLUMNS, whole_file, write_catalog, write_vectors
from app.library.intake import Origin
from app.models import EmbeddingSpace, ExportFormat, LogEntry
from tests.library.conftest import Rooms
from tests.pictures import picture


@pytest.fixture
def full(rooms: Rooms) -> Rooms:
    """Three indexed pictures with odd names, one of them imported, and one that is not indexed."""
    rooms.add("red")
    with rooms.intake.incoming() as incoming:
        incoming.write(picture("blue"))
        rooms.intake.add(incoming, 'comma, "quote" é.jpg', Origin("/disk/a", datetime(2020, 1, 2, 3, 4, 5)))
    rooms.add("green")
    rooms.index()
    rooms.add("white")
    return rooms


def written(rooms: Rooms, format: ExportFormat) -> str:
    file = io.StringIO(newline="")
    write_catalog(Listing(rooms.database).pictures(), format, file)
    return file.getvalue()


def test_csv_is_read_by_the_standard_reader(full: Rooms) -> None:
    rows = list(csv.DictReader(io.StringIO(written(full, ExportFormat.CSV))))
    assert [row["id"] for row in rows] == ["1", "2", "3", "4"]
    assert tuple(rows[0]) == COLUMNS
    assert rows[1]["filename"] == 'comma, "quote" é.jpg'
    assert (rows[1]["folder"], rows[1]["file_time"]) == ("/disk/a", "2020-01-02T03:04:05")
    assert [row["state"] for row in rows] == ["indexed"] * 3 + ["pending"]
    for row in rows:
        assert (full.folder / row["original"]).stat().st_size == int(row["bytes"])


def test_json_lines_are_the_same_with_types(full: Rooms) -> None:
    facts = [json.loads(line) for line in written(full, ExportFormat.JSONL).splitlines()]
    assert [fact["id"] for fact in facts] == [1, 2, 3, 4]
    assert tuple(facts[0]) == COLUMNS
    assert facts[0]["keywords"] == []
    assert facts[0]["taken_at"] is None


def test_batches_leave_nothing_out_and_nothing_double(full: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "BATCH", 1)
    full.intake.remove(2)
    assert [listed.image.id for listed in Listing(full.database).pictures()] == [1, 3, 4]


def test_vectors_are_read_by_numpy(full: Rooms, tmp_path: Path) -> None:
    serving = full.vectors.serving()
    assert serving is not None
    full.intake.remove(1)
    folder = tmp_path / "a" / "vectors"
    assert write_vectors(serving.space, full.vectors.log(serving.id).entries(0), folder) == 2
    rows, ids = np.load(folder / "vectors.npy"), np.load(folder / "ids.npy")
    assert (rows.dtype, rows.shape, ids.dtype) == (np.float32, (2, 4), np.int64)
    assert ids.tolist() == [2, 3]
    np.testing.assert_array_equal(rows[1], full.vectors.get(serving.id, 3))
    assert json.loads((folder / "space.json").read_text())["pictures"] == 2
    assert {path.name for path in folder.iterdir()} == {"vectors.npy", "ids.npy", "space.json"}


def test_pictures_that_are_embedded_again_meanwhile_are_written_once(
    full: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "LOG_BATCH", 1)
    serving = full.vectors.serving()
    assert serving is not None

    def entries(space: int) -> Iterator[list[LogEntry]]:
        for number, batch in enumerate(full.vectors.log(space).entries(0)):
            yield batch
            if number == 0:  # one that has been written, and one that has not
                with full.database.writing() as connection:
                    vectors.write_entries(connection, space, {1: np.ones(4, np.float32), 3: np.ones(4, np.float32)})

    assert write_vectors(serving.space, entries(serving.id), tmp_path) == 3
    assert sorted(np.load(tmp_path / "ids.npy").tolist()) == [1, 2, 3]
    assert np.load(tmp_path / "vectors.npy").shape == (3, 4)


def test_a_hundred_thousand_vectors_are_never_in_memory_together(tmp_path: Path) -> None:
    count, dimension = 100_000, 64

    def entries() -> Iterator[list[LogEntry]]:
        for start in range(0, count, 10_000):
            batch = np.full((10_000, dimension), start, np.float32)
            yield [LogEntry(start + row, start + row + 1, batch[row]) for row in range(10_000)]

    tracemalloc.start()
    try:
        assert write_vectors(EmbeddingSpace("m", "f", dimension), entries(), tmp_path) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * count * dimension / 2
    rows = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert rows.shape == (count, dimension)
    assert float(rows[-1, 0]) == count - 10_000
    assert np.load(tmp_path / "ids.npy")[-1] == count


def test_a_file_that_is_not_finished_does_not_take_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "catalog.csv"
    path.write_text("old")

    def fail() -> None:
        with whole_file(path) as file:
            file.write(b"ne")
            raise RuntimeError("full")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
