"""Take in, and the ways back: outcomes, removal, repair, names."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.images import Images
from app.errors import NotFound
from app.library.intake import LONGEST_NAME, SETTLED_SECONDS, clean_name
from app.media.folder import INCOMING, STALE_SECONDS
from app.media.store import THUMBNAILS, Incoming
from app.models import THUMBNAIL_WIDTHS, Counts, ImageState, Outcome, UploadResult
from tests.library.conftest import Rooms, md5
from tests.pictures import AWKWARD_NAMES, REJECTED_FILES, html_page, picture

RED = picture("red")


def original(data: bytes, format: str = "jpeg") -> str:
    return f"{md5(data)[:2]}/{md5(data)}.{format}"


# -- outcomes


def test_a_picture_is_added_and_wakes_the_worker(rooms: Rooms) -> None:
    result = rooms.intake.add_bytes(RED, "rose.jpg")
    assert result == UploadResult("rose.jpg", Outcome.ADDED, 1)
    image = rooms.image(1)
    assert (image.md5, image.bytes, image.format) == (md5(RED), len(RED), "jpeg")
    assert (image.width, image.height, image.state) == (64, 48, ImageState.PENDING)
    assert rooms.files() == {original(RED)}
    assert rooms.wakes == ["wake"]


def test_the_same_bytes_again_are_a_duplicate_under_whatever_name(rooms: Rooms) -> None:
    rooms.intake.add_bytes(RED, "rose.jpg")
    assert rooms.intake.add_bytes(RED, "other.png") == UploadResult("other.png", Outcome.DUPLICATE, 1)
    assert rooms.image(1).filename == "rose.jpg"
    assert rooms.files() == {original(RED)}
    assert rooms.wakes == ["wake"], "there is nothing new to do"


def test_simultaneous_uploads_of_one_file_give_one_picture(rooms: Rooms) -> None:
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda number: rooms.intake.add_bytes(RED, f"{number}.jpg"), range(6)))
    assert {result.image_id for result in results} == {1}
    assert sorted(result.outcome for result in results) == [Outcome.ADDED] + [Outcome.DUPLICATE] * 5
    assert rooms.files() == {original(RED)}


@pytest.mark.parametrize("name", REJECTED_FILES)
def test_what_is_no_picture_is_rejected_and_leaves_nothing(name: str, rooms: Rooms) -> None:
    result = rooms.intake.add_bytes(REJECTED_FILES[name], name)
    assert (result.filename, result.outcome, result.image_id) == (name, Outcome.REJECTED, None)
    assert result.reason
    assert (rooms.files(), rooms.images.counts(), rooms.wakes) == (set(), Counts(), [])


def test_a_format_is_decided_by_content(rooms: Rooms) -> None:
    data = picture("blue", format="PNG")
    rooms.intake.add_bytes(data, "really a png.jpg")
    assert rooms.files() == {original(data, "png")}
    assert rooms.intake.add_bytes(html_page(), "page.jpg").outcome is Outcome.REJECTED


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_no_name_becomes_a_path(name: str, rooms: Rooms) -> None:
    before = {path for path in rooms.folder.rglob("*") if "index" not in path.parts}
    result = rooms.intake.add_bytes(RED, name)
    assert result.outcome is Outcome.ADDED
    assert rooms.files() == {original(RED)}
    after = {path for path in rooms.folder.rglob("*") if "index" not in path.parts}
    expected = rooms.store.root / original(RED)
    assert after - before == {expected, expected.parent}
    assert rooms.image(1).filename == result.filename == clean_name(name)


# -- an original that vanished


@pytest.fixture
def lost(rooms: Rooms) -> int:
    """A picture that failed, since its file is gone."""
    (image_id,) = rooms.add("red")
    (rooms.store.root / original(RED)).unlink()
    rooms.prepare()
    assert rooms.image(image_id).state is ImageState.FAILED
    return image_id


def test_a_missing_original_that_is_uploaded_again_is_put_back_and_tried_again(rooms: Rooms, lost: int) -> None:
    assert rooms.intake.add_bytes(RED, "again.jpg") == UploadResult("again.jpg", Outcome.DUPLICATE, lost)
    assert (rooms.store.root / original(RED)).read_bytes() == RED
    assert rooms.image(lost).state is ImageState.PENDING
    assert rooms.wakes == ["wake"] * 2
    rooms.index()
    assert rooms.image(lost).state is ImageState.INDEXED


def test_a_missing_original_that_is_put_into_the_folder_goes_to_its_place(rooms: Rooms, lost: int) -> None:
    put(rooms, "holiday.png", RED)
    assert rooms.intake.recover() == [UploadResult("holiday.png", Outcome.DUPLICATE, lost)]
    assert rooms.files() == {original(RED)}
    assert rooms.image(lost).state is ImageState.PENDING


def test_a_missing_original_goes_where_its_row_says(rooms: Rooms, lost: int) -> None:
    with rooms.database.writing() as connection:
        connection.exec_driver_sql("UPDATE images SET format = 'png'")
    rooms.intake.add_bytes(RED, "again.jpg")
    assert rooms.files() == {original(RED, "png")}


def test_an_indexed_picture_gets_its_original_back_and_stays_indexed(rooms: Rooms) -> None:
    (image_id,) = rooms.add("red")
    rooms.index()
    (rooms.store.root / original(RED)).unlink()
    rooms.intake.add_bytes(RED, "again.jpg")
    assert original(RED) in rooms.files()
    assert rooms.image(image_id).state is ImageState.INDEXED


# -- names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("rose.jpg", "rose.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Pictures\\rose.jpg", "rose.jpg"),
        ("two\nlines.jpg", "twolines.jpg"),
        ("nul\0byte.jpg", "nulbyte.jpg"),
        ("holiday 🏖️.jpg", "holiday 🏖️.jpg"),
        ("<script>.jpg", "<script>.jpg"),
        ("   ", "unnamed"),
        ("", "unnamed"),
        ("folder/", "unnamed"),
        ("x" * 300 + ".jpeg", "x" * 250 + ".jpeg"),
        ("x" * 300, "x" * 255),
        ("x." + "y" * 300, "x." + "y" * 253),
        ("\u202egpj.exe", "gpj.exe"),
        ("Mu\u0308ller.jpg", "M\u00fcller.jpg"),
    ],
)
def test_names_for_showing(name: str, shown: str) -> None:
    assert clean_name(name) == shown


@given(st.one_of(st.text(), st.text(st.sampled_from("ab./\\\0\n \u202e\ud800é"), max_size=600)))
def test_any_name_is_short_printable_and_has_no_folder(name: str) -> None:
    shown = clean_name(name)
    assert 1 <= len(shown) <= LONGEST_NAME
    assert shown.isprintable()
    assert not set(shown) & set("/\\\0")
    assert shown.encode()
    assert clean_name(shown).startswith(shown.strip())


# -- removing


def test_a_removed_picture_is_gone_with_all_its_files(rooms: Rooms) -> None:
    kept, gone = rooms.add("red", "blue")
    rooms.index()
    before = rooms.files()
    removed = rooms.intake.remove(gone)
    assert removed.filename == "blue.jpg"
    blue = md5(picture("blue"))
    assert before - rooms.files() == {original(picture("blue")), f"{THUMBNAILS}/256/{blue[:2]}/{blue}.webp"}
    assert rooms.images.get(gone) is None
    assert rooms.images.unfinished_removals() == []
    with pytest.raises(NotFound):
        rooms.intake.remove(gone)
    assert rooms.image(kept)


def test_it_can_be_uploaded_again(rooms: Rooms) -> None:
    (first,) = rooms.add("red")
    rooms.intake.remove(first)
    result = rooms.intake.add_bytes(RED, "again.jpg")
    assert result.outcome is Outcome.ADDED
    assert result.image_id != first
    assert rooms.files() == {original(RED)}


# -- trying again


def test_a_retry_wakes_the_worker(rooms: Rooms) -> None:
    (image_id,) = rooms.add("red")
    rooms.images.claim(ImageState.PENDING, "w", 1)
    rooms.images.record_failed("w", image_id, "It is torn.")
    rooms.intake.retry(image_id)
    assert rooms.image(image_id).state is ImageState.PENDING
    assert rooms.wakes == ["wake"] * 2
    with pytest.raises(NotFound):
        rooms.intake.retry(99)


def test_everything_that_failed_is_retried_together(rooms: Rooms) -> None:
    ids = rooms.add("red", "blue", "green")
    rooms.images.claim(ImageState.PENDING, "w", 3)
    for image_id in ids[:2]:
        rooms.images.record_failed("w", image_id, "It is torn.")
    assert rooms.intake.retry_failed() == 2
    assert rooms.images.counts() == Counts(pending=3)


def test_derivatives_that_vanished_are_made_again(rooms: Rooms) -> None:
    (image_id,) = rooms.add("red")
    rooms.index()
    thumbnail = rooms.store.thumbnail(md5(RED), 256)
    thumbnail.unlink()
    rooms.intake.restore_thumbnails(md5(RED), 256)
    assert rooms.image(image_id).state is ImageState.PENDING
    rooms.index()
    assert thumbnail.exists()
    assert rooms.image(image_id).state is ImageState.INDEXED


def test_nothing_is_restored_for_a_stranger_or_a_picture_still_to_come(rooms: Rooms) -> None:
    rooms.add("red")
    rooms.intake.restore_thumbnails("0" * 32, 256)
    rooms.intake.restore_thumbnails(md5(RED), 256)
    assert rooms.wakes == ["wake"]
    assert rooms.images.counts() == Counts(pending=1)


def test_without_its_original_a_picture_is_left_as_it_is(rooms: Rooms) -> None:
    """Its disk may not be mounted just now."""
    (image_id,) = rooms.add("red")
    rooms.index()
    rooms.store.thumbnail(md5(RED), 256).unlink()
    rooms.store.original(md5(RED), "jpeg").unlink()
    rooms.intake.restore_thumbnails(md5(RED), 256)
    assert rooms.image(image_id).state is ImageState.INDEXED


def test_files_that_can_not_be_taken_away_hold_up_no_others(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that belongs to root, since somebody once imported as root."""
    red, green = rooms.add("red", "green")
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name == f"{md5(RED)}.jpeg":
            raise PermissionError(errno.EACCES, "Permission denied")
        unlink(path, missing_ok)

    with monkeypatch.context() as patching:
        patching.setattr(Path, "unlink", refuse)
        rooms.intake.remove(red)
        rooms.intake.remove(green)
        rooms.intake.recover()
    assert [path.stem for path in rooms.store.root.glob("??/*.jpeg")] == [md5(RED)]
    assert rooms.images.counts().total == 0
    rooms.intake.recover()
    assert list(rooms.store.root.glob("??/*.jpeg")) == []


def test_a_width_that_a_picture_never_has_is_not_missing(rooms: Rooms) -> None:
    (image_id,) = rooms.add("red")
    rooms.index()
    rooms.intake.restore_thumbnails(md5(RED), 1280)
    assert rooms.image(image_id).state is ImageState.INDEXED
    assert rooms.wakes == ["wake"]


# -- repair at the start


def put(rooms: Rooms, name: str, data: bytes) -> Path:
    path = rooms.store.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    settle(path)
    return path


def settle(path: Path, ago: float = SETTLED_SECONDS + 5) -> None:
    """Make the file one whose last change was that many seconds ago."""
    os.utime(path, (time.time() - ago,) * 2)


def test_a_good_copy_is_kept_while_the_librarys_own_is_damaged(rooms: Rooms) -> None:
    rooms.add("red")
    own = rooms.folder / "images" / original(RED)
    own.write_bytes(RED[:-9] + bytes(9))
    good = put(rooms, "good.jpg", RED)
    assert [result.outcome for result in rooms.intake.recover()] == [Outcome.DUPLICATE]
    assert good.read_bytes() == RED
    own.write_bytes(RED)
    rooms.intake.recover()
    assert not good.exists()


def test_a_crash_between_file_and_row_is_repaired(rooms: Rooms) -> None:
    put(rooms, original(RED), RED)
    (result,) = rooms.intake.recover()
    assert result.outcome is Outcome.ADDED
    assert rooms.image(1).md5 == md5(RED)
    assert rooms.files() == {original(RED)}
    assert rooms.intake.recover() == [], "a second start finds nothing to do"


def test_a_crash_between_the_row_and_the_files_of_a_removal_is_repaired(rooms: Rooms) -> None:
    (image_id,) = rooms.add("red")
    rooms.index()
    rooms.images.remove(image_id)
    assert rooms.files()
    assert rooms.intake.recover() == [], "it is not taken for a picture that somebody put there"
    assert rooms.files() == set()
    assert rooms.images.counts() == Counts()


def test_a_catalog_that_was_lost_comes_back_from_the_originals(rooms: Rooms) -> None:
    rooms.add("red", "blue", "green")
    rooms.index()
    originals = {name for name in rooms.files() if not name.startswith(THUMBNAILS)}
    with rooms.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM images")
    assert [result.outcome for result in rooms.intake.recover()] == [Outcome.ADDED] * 3
    assert {name for name in rooms.files() if not name.startswith(THUMBNAILS)} == originals


def test_pictures_put_there_by_hand_are_taken_in_by_their_names(rooms: Rooms) -> None:
    rooms.add("red")
    put(rooms, "sea.jpg", picture("blue"))
    put(rooms, "holidays/2024/wood.png", picture("green", format="PNG"))
    put(rooms, "holidays/rose again.jpg", RED)
    results = {result.filename: result.outcome for result in rooms.intake.recover()}
    assert results == {
        "sea.jpg": Outcome.ADDED,
        "wood.png": Outcome.ADDED,
        "rose again.jpg": Outcome.DUPLICATE,
    }
    green = picture("green", format="PNG")
    assert rooms.files() == {original(RED), original(picture("blue")), original(green, "png")}
    assert {image.filename for image in rooms.images.newest(9)} == {"red.jpg", "sea.jpg", "wood.png"}
    assert rooms.intake.recover() == []


def test_what_is_no_picture_stays_where_it_is(rooms: Rooms) -> None:
    notes = put(rooms, "notes.txt", b"remember the milk")
    hidden = put(rooms, ".DS_Store", b"desk")
    (result,) = rooms.intake.recover()
    assert (result.filename, result.outcome) == ("notes.txt", Outcome.REJECTED)
    assert (notes.read_bytes(), hidden.read_bytes()) == (b"remember the milk", b"desk")
    assert rooms.images.counts() == Counts()


def test_what_is_no_picture_is_not_even_copied(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    put(rooms, "film.mp4", b"moving pictures")
    copied: list[str] = []
    monkeypatch.setattr(rooms.intake, "incoming", lambda: copied.append("film.mp4"))
    (result,) = rooms.intake.recover()
    assert (result.outcome, copied) == (Outcome.REJECTED, [])


def test_a_file_that_may_still_be_being_copied_is_left_to_the_next_start(rooms: Rooms) -> None:
    half = put(rooms, "sea.jpg", picture("blue")[:-100])
    settle(half, ago=0)
    assert rooms.intake.recover() == []
    assert (rooms.files(), rooms.images.counts()) == ({"sea.jpg"}, Counts())
    whole = put(rooms, "sea.jpg", picture("blue"))
    assert [result.outcome for result in rooms.intake.recover()] == [Outcome.ADDED]
    assert not whole.exists()


def test_an_original_that_was_just_written_is_known_to_be_whole_by_its_name(rooms: Rooms) -> None:
    settle(put(rooms, original(RED), RED), ago=0)
    settle(put(rooms, original(picture("blue")), picture("blue")[:-100]), ago=0)
    assert [result.outcome for result in rooms.intake.recover()] == [Outcome.ADDED]
    assert rooms.image(1).md5 == md5(RED)
    assert rooms.files() == {original(RED), original(picture("blue"))}


def test_a_file_of_the_future_is_taken_in(rooms: Rooms) -> None:
    settle(put(rooms, "sea.jpg", picture("blue")), ago=-3600)
    assert [result.outcome for result in rooms.intake.recover()] == [Outcome.ADDED]


def test_a_file_that_is_written_to_while_it_is_taken_in_stays(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(rooms, "sea.jpg", picture("blue"))
    keep = rooms.store.keep

    def write_and_keep(incoming: Incoming, format: str) -> None:
        path.write_bytes(RED)
        keep(incoming, format)

    monkeypatch.setattr(rooms.store, "keep", write_and_keep)
    assert [result.outcome for result in rooms.intake.recover()] == [Outcome.ADDED]
    assert path.read_bytes() == RED


def test_previews_of_a_picture_that_is_gone_are_cleared_away(rooms: Rooms) -> None:
    rooms.add("red")
    rooms.index()
    before = rooms.files()
    for width in THUMBNAIL_WIDTHS:
        rooms.store.save_thumbnail(md5(b"gone"), width, b"preview")
    assert rooms.intake.recover() == []
    assert rooms.files() == before


def test_a_file_that_may_not_be_read_is_left_alone(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = put(rooms, "secret.jpg", RED)
    put(rooms, "sea.jpg", picture("blue"))
    open_any = Path.open

    def open_others(path: Path, *args: Any, **options: Any) -> Any:
        if path == secret:  # nothing is forbidden to root, so a mode would not do
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_any(path, *args, **options)

    monkeypatch.setattr(Path, "open", open_others)
    results = {result.filename: result.outcome for result in rooms.intake.recover()}
    assert results == {"secret.jpg": Outcome.REJECTED, "sea.jpg": Outcome.ADDED}


def test_a_link_that_leads_nowhere_is_left_alone(rooms: Rooms) -> None:
    (rooms.store.root / "gone.jpg").symlink_to(rooms.folder / "nowhere.jpg")
    put(rooms, "sea.jpg", picture("blue"))
    results = {result.filename: result.outcome for result in rooms.intake.recover()}
    assert results == {"gone.jpg": Outcome.REJECTED, "sea.jpg": Outcome.ADDED}


def test_an_original_whose_bytes_are_of_another_picture_is_taken_in_as_that(rooms: Rooms) -> None:
    put(rooms, original(RED), picture("blue"))
    (result,) = rooms.intake.recover()
    assert result.outcome is Outcome.ADDED
    assert rooms.files() == {original(picture("blue"))}


def test_leftovers_of_interrupted_uploads_are_swept_away(rooms: Rooms) -> None:
    stale, fresh = put(rooms, f"{INCOMING}/stale", RED), put(rooms, f"{INCOMING}/fresh", RED)
    settle(stale, STALE_SECONDS + 60)
    assert rooms.intake.recover() == []
    assert (stale.exists(), fresh.exists()) == (False, True)


def test_a_crash_before_the_row_is_written_leaves_a_file_that_the_next_start_takes_in(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = rooms.store.keep

    def keep_and_die(*arguments: object) -> None:
        keep(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(rooms.store, "keep", keep_and_die)
    with pytest.raises(KeyboardInterrupt):
        rooms.intake.add_bytes(RED, "rose.jpg")
    monkeypatch.undo()
    assert rooms.images.counts() == Counts()
    assert rooms.files() == {original(RED)}
    assert [result.outcome for result in rooms.intake.recover()] == [Outcome.ADDED]


def test_a_catalog_that_cannot_be_written_leaves_no_half_picture(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_arguments: object) -> None:
        raise OSError("database is locked")

    monkeypatch.setattr(Images, "add", locked)
    with pytest.raises(OSError, match="locked"):
        rooms.intake.add_bytes(RED, "rose.jpg")
    assert rooms.files() == set()
