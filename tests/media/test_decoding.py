"""Processes that decode, and what happens when a picture stops them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from app.errors import PictureError
from app.media import pictures
from app.media.decoding import Decoder
from tests.conftest import wait_for
from tests.pictures import GOOD_FILES, html_page, oriented, picture, truncated

MAX_PIXELS = 1_000_000


# Stand-ins for a picture that is a trap. They are given to the pool by name, in place of `pictures.prepare`.


def hang(_path: Path, _max_pixels: int) -> pictures.Prepared:
    time.sleep(3600)
    raise AssertionError


def crash(_path: Path, _max_pixels: int) -> pictures.Prepared:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def stumble(_path: Path, _max_pixels: int) -> pictures.Prepared:
    raise RuntimeError("something that no decoder should raise")


def doze(path: Path, max_pixels: int) -> pictures.Prepared:
    time.sleep(2)
    return pictures.prepare(path, max_pixels)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(1, 30, MAX_PIXELS)
    yield made
    made.close()


@pytest.fixture
def rose(tmp_path: Path) -> Path:
    path = tmp_path / "rose.jpg"
    path.write_bytes(picture("red"))
    return path


def prepared_widths(result: pictures.Prepared | PictureError) -> list[int]:
    assert isinstance(result, pictures.Prepared)
    return sorted(result.thumbnails)


def test_answers_come_in_the_order_of_the_questions(decoder: Decoder, tmp_path: Path) -> None:
    files = [oriented(6), html_page(), picture("blue", (500, 20)), truncated("JPEG"), picture("red", (2000, 600))]
    paths = [tmp_path / str(number) for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    results = list(decoder.prepare(paths))
    assert [type(result) for result in results] == [
        pictures.Prepared,
        PictureError,
        pictures.Prepared,
        PictureError,
        PictureError,
    ]
    assert prepared_widths(results[2]) == [256, 640]
    assert [str(result).split(".")[0] for result in results[1::2]] == [
        "This is a web page, not a picture",
        "The file is cut short: the rest of the picture is missing",
    ]
    assert "1 megapixels" in str(results[4])


def test_nothing_to_do(decoder: Decoder) -> None:
    assert list(decoder.prepare([])) == []


def test_a_picture_to_search_by_is_upright_rgb_and_small(decoder: Decoder) -> None:
    found = decoder.load(oriented(6, "PNG"))
    assert (found.mode, found.size) == ("RGB", (64, 48))
    large = decoder.load(picture("red", (1000, 250)))
    assert large.size == (pictures.QUERY_PIXELS, pictures.QUERY_PIXELS // 4)
    for bad, reason in ((truncated("PNG"), "cut short"), (html_page(), "web page"), (b"", "not a picture")):
        with pytest.raises(PictureError, match=reason):
            decoder.load(bad)


def test_pictures_of_every_kind_pass_from_process_to_process(decoder: Decoder) -> None:
    for name in ("cmyk.jpg", "palette.png", "plain.heic", "plain.avif", "grey 16 bit.png"):
        assert isinstance(decoder.load(GOOD_FILES[name]), Image.Image)


def test_a_file_that_is_gone_costs_that_one_picture(decoder: Decoder, rose: Path) -> None:
    missing, found = decoder.prepare([rose.with_name("gone.jpg"), rose])
    assert isinstance(missing, PictureError)
    assert "missing" in str(missing)
    assert prepared_widths(found) == [256]


def test_a_fault_of_ours_costs_that_one_picture(decoder: Decoder, rose: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(pictures, "prepare", stumble)
        (result,) = decoder.prepare([rose])
    assert isinstance(result, PictureError)
    assert "RuntimeError" not in str(result)
    (found,) = decoder.prepare([rose])
    assert prepared_widths(found) == [256]


def test_a_picture_that_kills_its_process_costs_that_one_picture(
    decoder: Decoder, rose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(pictures, "prepare", crash)
        (result,) = decoder.prepare([rose])
    assert str(result) == "The picture stops the program that reads it, so it is left alone."
    (found,) = decoder.prepare([rose])
    assert prepared_widths(found) == [256]


def test_a_picture_that_takes_for_ever_is_given_up(rose: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = Decoder(1, 0.2, MAX_PIXELS)
    try:
        monkeypatch.setattr(pictures, "prepare", hang)
        (result,) = impatient.prepare([rose])
        assert str(result) == "Reading the picture takes longer than 0.2 seconds."
        monkeypatch.undo()
        impatient._seconds = 30
        (found,) = impatient.prepare([rose])
        assert prepared_widths(found) == [256]
    finally:
        impatient.close()


def test_a_clock_that_jumps_or_a_machine_that_slept_costs_no_picture(
    decoder: Decoder, rose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool counts by the clock of the wall; no picture has taken an hour for that."""
    assert prepared_widths(next(decoder.prepare([rose])))  # the process is there
    monkeypatch.setattr(pictures, "prepare", doze)
    true, began = time.time, time.monotonic()
    monkeypatch.setattr(time, "time", lambda: true() + (3600 if time.monotonic() - began > 1 else 0))
    (found,) = decoder.prepare([rose])
    assert time.monotonic() - began > 3, "it was read twice"
    assert prepared_widths(found) == [256]


def test_closing_ends_also_what_hangs(rose: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder(1, 3600, MAX_PIXELS)
    monkeypatch.setattr(pictures, "prepare", hang)
    decoder._pool.schedule(hang, args=[rose, 1])
    decoder.close()


def test_a_decoder_nobody_used_closes_without_having_started() -> None:
    Decoder(2, 30, MAX_PIXELS).close()


def test_processes_that_were_killed_while_idle_are_replaced(rose: Path) -> None:
    before = {child.pid for child in multiprocessing.active_children()}
    decoder = Decoder(1, 30, MAX_PIXELS)
    try:
        for _round in range(2):
            assert prepared_widths(next(iter(decoder.prepare([rose]))))
            [idle] = {child.pid for child in multiprocessing.active_children() if child.pid} - before
            os.kill(idle, signal.SIGKILL)  # what a machine short of memory does
            wait_for(lambda: not decoder._pool.active)
        assert prepared_widths(next(iter(decoder.prepare([rose]))))
    finally:
        decoder.close()
