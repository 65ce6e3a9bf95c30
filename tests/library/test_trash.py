"""The trash: gone at once, back under the same id, gone for good in the end; and no crash or start undoes a delete."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from app.catalog.tables import trash
from app.errors import NotFound
from app.models import THUMBNAIL_WIDTHS, ImageState, Outcome
from tests.library.conftest import Rooms, md5
from tests.pictures import picture, with_captions, with_facts


def found(rooms: Rooms, query: str = "something red") -> list[str]:
    searcher = rooms.searcher()
    names = [match.image.filename for match in searcher.by_text(query, 0, 9).matches]
    searcher.close()
    return names


@pytest.fixture
def library(rooms: Rooms) -> Rooms:
    """Three searchable pictures: 1 is red, 2 green, 3 blue."""
    rooms.add("red", "green", "blue")
    rooms.index()
    return rooms


def test_it_is_nowhere_to_be_found_but_in_the_trash(library: Rooms) -> None:
    files = library.files()
    library.intake.throw_away(1)
    assert found(library) == ["blue.jpg", "green.jpg"] or found(library) == ["green.jpg", "blue.jpg"]
    assert library.images.get(1) is None
    assert [image.id for image in library.images.newest(9)] == [3, 2]
    assert library.images.counts().total == 2
    assert [item.filename for item in library.trash.latest(9)] == ["red.jpg"]
    assert library.files() == files


def test_it_comes_back_under_its_id_with_its_dates(library: Rooms) -> None:
    before = library.image(1)
    library.intake.throw_away(1)
    library.intake.restore(1)
    assert library.trash.count() == 0
    library.index()
    after = library.image(1)
    assert (after.added_at, after.date, after.filename, after.state) == (
        before.added_at, before.date, before.filename, before.state,
    )  # fmt: skip
    assert found(library)[0] == "red.jpg"
    assert found(library, "name:red") == ["red.jpg"]


def test_it_is_shown_at_once_when_it_comes_back(rooms: Rooms) -> None:
    file = with_facts()
    rooms.intake.add_bytes(file, "red.jpg")
    rooms.intake.add_bytes(with_captions("Ferry at dawn"), "ferry.jpg")
    rooms.index()
    before = [rooms.image(image_id) for image_id in (1, 2)]
    for image_id in (1, 2):
        rooms.intake.throw_away(image_id)
    rooms.intake.restore(1)
    rooms.intake.add_bytes(with_captions("Ferry at dawn"), "ferry again.jpg")
    assert [rooms.image(image_id) for image_id in (1, 2)] == [
        replace(image, state=ImageState.PREPARED) for image in before
    ]
    assert found(rooms, "dawn") == ["ferry.jpg"], "words need no worker"
    rooms.index()
    assert [rooms.image(image_id) for image_id in (1, 2)] == before


def test_one_that_was_not_prepared_or_lost_its_previews_is_prepared_when_it_comes_back(rooms: Rooms) -> None:
    rooms.add("red")
    rooms.intake.throw_away(1)
    rooms.intake.restore(1)
    assert rooms.image(1).state is ImageState.PENDING
    rooms.index()
    rooms.intake.throw_away(1)
    rooms.store.remove_thumbnails(md5(picture("red")), THUMBNAIL_WIDTHS)
    rooms.intake.restore(1)
    rooms.index()
    rooms.index()
    assert rooms.image(1).state is ImageState.INDEXED
    assert found(rooms) == ["red.jpg"]


def test_the_same_file_handed_in_again_brings_it_back(library: Rooms) -> None:
    library.intake.throw_away(1)
    result = library.intake.add_bytes(picture("red"), "another name.jpg")
    assert (result.outcome, result.image_id) == (Outcome.ADDED, 1)
    assert library.image(1).filename == "red.jpg"
    assert library.trash.count() == 0


def test_no_start_brings_it_back_or_takes_its_files_away(library: Rooms) -> None:
    library.intake.throw_away(1)
    files = library.files()
    assert library.intake.recover() == []
    assert library.files() == files
    assert library.images.get(1) is None


def test_after_its_time_it_is_gone_for_good(library: Rooms) -> None:
    for image_id in (1, 2):
        library.intake.throw_away(image_id)
    md5 = library.trash.latest(1)[0].md5
    with library.database.writing() as connection:
        old = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=30, minutes=1)
        connection.execute(update(trash).where(trash.c.id == 1).values(trashed_at=old))
    assert library.intake.empty_trash(30) == 1
    assert [item.id for item in library.trash.latest(9)] == [2]
    assert any(md5 in name for name in library.files())
    assert library.intake.empty_trash() == 1
    assert len({name.rsplit("/", 1)[-1].split(".")[0] for name in library.files()}) == 1
    assert library.intake.recover() == []


def test_a_crash_while_it_is_given_up_is_finished_at_the_next_start(library: Rooms) -> None:
    library.intake.throw_away(1)
    md5 = library.trash.latest(1)[0].md5
    library.trash.discard(1)  # … and the power goes
    assert any(md5 in name for name in library.files())
    library.intake.recover()
    assert not any(md5 in name for name in library.files())


def test_what_is_not_there_is_told(library: Rooms) -> None:
    for missing in (library.intake.throw_away, library.intake.restore, library.intake.discard):
        with pytest.raises(NotFound):
            missing(77)
    library.intake.throw_away(1)
    with pytest.raises(NotFound):
        library.intake.throw_away(1)


def test_a_picture_that_is_being_worked_on_can_be_thrown_away(rooms: Rooms) -> None:
    rooms.add("red")

    assert rooms.images.claim(ImageState.PENDING, "worker", 1)
    rooms.intake.throw_away(1)
    rooms.intake.restore(1)
    rooms.index()
    assert rooms.image(1).state is ImageState.INDEXED
