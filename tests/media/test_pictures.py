"""What a file is, and what is made of it: every kind of good picture, every kind of bad one."""

from __future__ import annotations

import errno
import io
import math
import re
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from app.errors import PictureError
from app.media import pictures
from app.media.pictures import FORMATS, Derivative, Prepared, derivative_sizes, identify, open_thumbnail, prepare
from app.models import THUMBNAIL_WIDTHS
from tests import pictures as files
from tests.pictures import (
    BAD_FILES,
    FAILED_FILES,
    GOOD_FILES,
    ORIENTED_FORMATS,
    REJECTED_FILES,
    UPRIGHT_CORNERS,
    UPRIGHT_SIZE,
    corners,
    nearest,
    oriented,
    picture,
    pixel,
    with_facts,
)

MAX_PIXELS = 80_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "picture"


def prepared(path: Path, data: bytes, max_pixels: int = MAX_PIXELS) -> Prepared:
    path.write_bytes(data)
    return prepare(path, max_pixels)


def thumbnail(result: Prepared, name: int = 256) -> Image.Image:
    image = Image.open(io.BytesIO(result.thumbnails[name]))
    image.load()
    return image


# -- good files


@pytest.mark.parametrize("name", GOOD_FILES)
def test_every_good_file_is_known_and_prepared(name: str, path: Path) -> None:
    result = prepared(path, GOOD_FILES[name])
    known = identify(path, MAX_PIXELS)
    assert known.format in FORMATS
    sizes = derivative_sizes(result.width, result.height)
    assert sorted(result.thumbnails) == [size.name for size in sizes]
    for size in sizes:
        image = thumbnail(result, size.name)
        assert (image.format, image.mode, image.size) == ("WEBP", "RGB", (size.width, size.height))
        assert not set(image.info) & {"exif", "xmp", "icc_profile"}
        assert dict(image.getexif()) == {}


@pytest.mark.parametrize("format", files.FORMATS)
def test_a_format_is_known_by_content(format: str, path: Path) -> None:
    path = path.with_suffix(".txt")
    path.write_bytes(picture("red", (30, 20), format))
    known = identify(path, MAX_PIXELS)
    assert (known.format, known.width, known.height) == (format.lower(), 30, 20)
    assert FORMATS[known.format].media_type == f"image/{format.lower()}"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_ends_upright(orientation: int, path: Path) -> None:
    result = prepared(path, oriented(orientation))
    known = identify(path, MAX_PIXELS)
    assert (known.width, known.height) == (result.width, result.height) == UPRIGHT_SIZE
    assert corners(thumbnail(result)) == UPRIGHT_CORNERS
    assert corners(pictures.load(path.read_bytes(), MAX_PIXELS)) == UPRIGHT_CORNERS


@pytest.mark.parametrize("format", ORIENTED_FORMATS)
@pytest.mark.parametrize("orientation", [3, 5, 8])
def test_in_every_format_that_knows_orientations(format: str, orientation: int, path: Path) -> None:
    result = prepared(path, oriented(orientation, format))
    assert (result.width, result.height) == UPRIGHT_SIZE
    assert corners(thumbnail(result)) == UPRIGHT_CORNERS


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int, path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    result = prepared(path, picture("red", (40, 20), exif=exif))
    assert (result.width, result.height) == (40, 20)


def test_red_in_printers_colours_stays_red(path: Path) -> None:
    assert nearest(pixel(prepared(path, files.cmyk_jpeg()).thumbnails[256]), "red", "cyan", "black", "white") == "red"


def test_sixteen_bits_keep_their_greys(path: Path) -> None:
    ramp = prepared(path, files.grey_16_bit_png()).thumbnails[256]
    levels = [pixel(ramp, x)[0] for x in (0.02, 0.25, 0.5, 0.75, 0.98)]
    assert levels == sorted(levels)
    for level, expected in zip(levels, (5, 64, 128, 191, 250), strict=True):
        assert abs(level - expected) <= 6


@pytest.mark.parametrize("name", ["palette.png", "rgba.png"])
def test_what_is_transparent_becomes_white(name: str, path: Path) -> None:
    result = prepared(path, GOOD_FILES[name]).thumbnails[256]
    assert [nearest(pixel(result, x), "red", "blue", "black", "white") for x in (0.2, 0.8)] == ["red", "white"]


def test_also_in_greys(path: Path) -> None:
    result = prepared(path, files.grey_alpha_png()).thumbnails[256]
    assert [nearest(pixel(result, x), "black", "white") for x in (0.2, 0.8)] == ["black", "white"]


def test_one_bit_is_black_and_white(path: Path) -> None:
    result = prepared(path, files.one_bit_png()).thumbnails[256]
    assert [nearest(pixel(result, x), "black", "white", "gray") for x in (0.2, 0.8)] == ["black", "white"]


def test_colours_of_a_wide_gamut_are_brought_into_srgb(path: Path) -> None:
    red, green, blue = pixel(prepared(path, files.wide_gamut_jpeg()).thumbnails[256])
    assert red >= 250
    assert max(green, blue) <= 12


@pytest.mark.parametrize(
    "profile", [b"no profile at all", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()]
)
def test_a_profile_that_cannot_be_used_leaves_the_colours_as_they_are(profile: bytes, path: Path) -> None:
    result = prepared(path, picture("red", icc_profile=profile))
    assert nearest(pixel(result.thumbnails[256]), "red", "white", "black") == "red"


@pytest.mark.parametrize("name", ["animated.gif", "animated.webp", "two pages.tiff", "two in one.jpg"])
def test_of_several_pictures_in_a_file_the_first_counts(name: str, path: Path) -> None:
    assert nearest(pixel(prepared(path, GOOD_FILES[name]).thumbnails[256]), "red", "blue") == "red"


def test_a_phones_two_pictures_in_one_are_a_jpeg(path: Path) -> None:
    path.write_bytes(files.two_in_one_jpeg())
    assert identify(path, MAX_PIXELS).format == "jpeg"


# -- facts


def test_when_and_by_what_it_was_taken(path: Path) -> None:
    result = prepared(path, with_facts(datetime(2021, 5, 4, 12, 30, 15), "Halden", "Halden R2"))
    assert (result.taken_at, result.camera) == (datetime(2021, 5, 4, 12, 30, 15), "Halden R2")
    assert prepared(path, with_facts(make="Halden", model="R2")).camera == "Halden R2"
    assert prepared(path, with_facts(make="", model="")).camera is None


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF"])
def test_facts_of_other_formats(format: str, path: Path) -> None:
    result = prepared(path, with_facts(format=format))
    assert (result.taken_at, result.camera) == (datetime(2021, 5, 4, 12, 30, 15), "Halden R2")


@pytest.mark.parametrize(
    "moment", ["0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday", "2021:13:45 99:99:99", "", "2021-05-04"]
)
def test_a_moment_that_is_none_is_left_out(moment: str, path: Path) -> None:
    assert prepared(path, with_facts(moment)).taken_at is None


def test_a_scan_stands_under_the_day_of_the_scan_and_not_of_a_later_edit(path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2021:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeDigitized] = "2009:08:07 06:05:04"
    assert prepared(path, picture("red", exif=exif)).taken_at == datetime(2009, 8, 7, 6, 5, 4)


def test_the_camera_is_short_and_printable(path: Path) -> None:
    camera = prepared(path, with_facts(make="H\nalden\x07", model="R" * 500)).camera
    assert camera is not None
    assert camera.startswith("Halden R")
    assert len(camera) <= 100
    assert camera.isprintable()


def test_garbage_in_place_of_facts_is_no_fault_of_the_picture(path: Path) -> None:
    result = prepared(path, files.with_garbage_exif())
    assert (result.taken_at, result.camera) == (None, None)


def test_no_derivative_tells_where_a_picture_was_taken(path: Path) -> None:
    original = files.with_place()
    assert Image.open(io.BytesIO(original)).getexif().get_ifd(ExifTags.IFD.GPSInfo), "the original does"
    image = thumbnail(prepared(path, original))
    assert not image.getexif()
    assert "exif" not in image.info


# -- bad files


def is_reason(reason: str) -> bool:
    """Sentences for a person: no class name, no path, no code."""
    return bool(re.fullmatch(r"[A-Z0-9].*[.)]", reason)) and not re.search(
        r"Error|Exception|Traceback|/|\\|0x|<|errno|object at", reason
    )


@pytest.mark.parametrize("name", BAD_FILES)
def test_every_bad_file_is_refused_with_a_reason_one_can_act_on(name: str, path: Path) -> None:
    path.write_bytes(BAD_FILES[name])
    with pytest.raises(PictureError) as refused:
        prepare(path, MAX_PIXELS)
    assert is_reason(str(refused.value)), refused.value
    if BAD_FILES[name]:
        with pytest.raises(PictureError) as refused:
            pictures.load(BAD_FILES[name], MAX_PIXELS)
        assert is_reason(str(refused.value)), refused.value


@pytest.mark.parametrize("name", REJECTED_FILES)
def test_the_header_tells_it_already(name: str, path: Path) -> None:
    path.write_bytes(REJECTED_FILES[name])
    with pytest.raises(PictureError) as refused:
        identify(path, MAX_PIXELS)
    assert is_reason(str(refused.value)), refused.value


@pytest.mark.parametrize("name", FAILED_FILES)
def test_the_header_does_not_tell(name: str, path: Path) -> None:
    path.write_bytes(FAILED_FILES[name])
    assert identify(path, MAX_PIXELS).format in FORMATS


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.jpg", "The file is empty"),
        ("drawing.svg", "SVG"),
        ("page.jpg", "web page"),
        ("video.mp4", "video"),
        ("text.txt", "JPEG, PNG"),
        ("100 megapixels.png", "10000 × 10000 pixels are too many: the limit is 80 megapixels"),
    ],
)
def test_the_reason_names_what_is_wrong(name: str, words: str, path: Path) -> None:
    path.write_bytes(BAD_FILES[name])
    with pytest.raises(PictureError, match=words):
        identify(path, MAX_PIXELS)


@pytest.mark.parametrize("name", [name for name in FAILED_FILES if name.startswith("truncated")])
def test_a_file_that_is_cut_short_is_called_so(name: str, path: Path) -> None:
    path.write_bytes(FAILED_FILES[name])
    with pytest.raises(PictureError, match=r"cut short|damaged"):
        prepare(path, MAX_PIXELS)


def test_a_limit_above_pillows_own_holds(path: Path) -> None:
    """200 megapixels, as phones take them."""
    path.write_bytes(files.png_of_grey_bits(16_320, 12_240, rows=0))
    assert identify(path, 300_000_000).width == 16_320
    with pytest.raises(PictureError, match="the limit is 190 megapixels"):
        identify(path, 190_000_000)


def test_a_disk_that_fails_is_no_damage_of_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(picture("red"))

    def fail(*_file: object, **_options: object) -> Image.Image:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(PictureError, match="The disk that holds the file fails: Input/output error"):
        identify(path, MAX_PIXELS)


def test_the_limit_of_pixels_is_a_limit(path: Path) -> None:
    path.write_bytes(picture("red", (100, 50)))
    assert identify(path, 5000).width == 100
    assert prepare(path, 5000).width == 100
    with pytest.raises(PictureError, match="GLIMPSE_MAX_MEGAPIXELS"):
        identify(path, 4999)
    with pytest.raises(PictureError, match="GLIMPSE_MAX_MEGAPIXELS"):
        prepare(path, 4999)
    with pytest.raises(PictureError, match="GLIMPSE_MAX_MEGAPIXELS"):
        pictures.load(path.read_bytes(), 4999)


def refusal(read: Callable[[Path, int], object], path: Path) -> str:
    try:
        read(path, 2_000_000)
    except PictureError as error:
        return str(error)
    return "None."


def test_an_avif_without_its_picture_is_damaged(path: Path) -> None:
    whole = GOOD_FILES["turned.avif"]
    path.write_bytes(whole.replace(b"iloc", b"none"))
    with pytest.raises(PictureError, match="damaged"):
        identify(path, MAX_PIXELS)


SMALL_FILES = {name: data for name, data in GOOD_FILES.items() if len(data) < 4000}


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_change_of_bytes_gets_past_the_reasons(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    good = bytearray(SMALL_FILES[data.draw(st.sampled_from(sorted(SMALL_FILES)))])
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=8)):
        good[place] = value
    end = data.draw(st.one_of(st.just(len(good)), st.integers(0, len(good))))
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(good[:end])
    for read in (identify, prepare):
        assert is_reason(refusal(read, path)), refusal(read, path)


# -- derivatives


@given(st.integers(1, 30_000), st.integers(1, 30_000))
def test_sizes_grow_are_bounded_and_never_larger_than_the_picture(width: int, height: int) -> None:
    sizes = derivative_sizes(width, height)
    assert [size.name for size in sizes] == list(THUMBNAIL_WIDTHS[: len(sizes)])
    for size in sizes:
        assert 1 <= size.width <= min(width, size.name)
        assert 1 <= size.height <= min(height, 2 * size.name)
    for smaller, larger in pairwise(sizes):
        assert (smaller.width, smaller.height) != (larger.width, larger.height)
        assert smaller.width <= larger.width
        assert smaller.height <= larger.height
    for size in sizes[:-1]:
        assert width > size.name or height > 2 * size.name, "only the last one may be the whole picture"
    whole = width <= sizes[-1].name and height <= 2 * sizes[-1].name
    assert len(sizes) == len(THUMBNAIL_WIDTHS) or whole


@given(st.integers(50, 5000), st.integers(50, 5000))
def test_shapes_stay_as_they_are(width: int, height: int) -> None:
    for size in derivative_sizes(width, height):
        assert abs(size.height - size.width * height / width) <= 1 + height / width


@pytest.mark.parametrize(
    ("width", "height", "sizes"),
    [
        (64, 48, [(256, 64, 48)]),
        (256, 100, [(256, 256, 100)]),
        (257, 100, [(256, 256, 100), (640, 257, 100)]),
        (4000, 3000, [(256, 256, 192), (640, 640, 480), (1280, 1280, 960)]),
        (1000, 20_000, [(256, 26, 512), (640, 64, 1280), (1280, 128, 2560)]),
        (65_000, 1, [(256, 256, 1), (640, 640, 1), (1280, 1280, 1)]),
    ],
)
def test_sizes_by_example(width: int, height: int, sizes: list[tuple[int, int, int]]) -> None:
    assert derivative_sizes(width, height) == tuple(Derivative(*size) for size in sizes)


def test_a_large_picture_has_every_width(path: Path) -> None:
    result = prepared(path, picture("blue", (3000, 2000), quality=50))
    assert {name: thumbnail(result, name).size for name in result.thumbnails} == {
        256: (256, 171),
        640: (640, 427),
        1280: (1280, 853),
    }


def test_a_derivative_is_opened_as_rgb(path: Path) -> None:
    assert open_thumbnail(prepared(path, picture("red")).thumbnails[256]).mode == "RGB"


def test_a_damaged_derivative(path: Path) -> None:
    whole = prepared(path, files.encoded(files.noise())).thumbnails[256]
    for damaged in (b"", whole[: len(whole) // 2], b"RIFF" + b"\0" * 100, picture("red")):
        with pytest.raises(PictureError, match="damaged"):
            open_thumbnail(damaged)


@pytest.mark.parametrize(("size", "widths"), [((3000, 2000), (1280, 640, 256)), ((1500, 4000), (1280, 640, 256))])
def test_the_fast_way_to_a_derivative_shows_what_the_slow_one_does(
    size: tuple[int, int], widths: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    original = files.noise((size[0] // 100, size[1] // 100)).resize(size, Image.Resampling.BICUBIC)
    original.save(path, "JPEG", quality=95)
    prepared = pictures.prepare(path, 80_000_000)
    assert set(prepared.thumbnails) == set(widths)
    for width, data in prepared.thumbnails.items():
        with Image.open(io.BytesIO(data)) as derivative:
            slow = original.resize(derivative.size, Image.Resampling.LANCZOS)
            difference = np.asarray(derivative, np.float32) - np.asarray(slow, np.float32)
        signal = 20 * math.log10(255 / float(np.sqrt(np.mean(difference**2))))
        assert signal > 25, f"{width}: {signal:.1f} dB"


def test_a_model_is_given_the_smallest_derivative_that_has_its_pixels() -> None:
    sizes = pictures.derivative_sizes(4000, 3000)  # 256 × 192, 640 × 480, 1280 × 960
    named = {side: pictures.smallest_of(sizes, side).name for side in (192, 193, 480, 481, 960, 5000)}
    assert named == {192: 256, 193: 640, 480: 640, 481: 1280, 960: 1280, 5000: 1280}
