"""Copies to give away: nothing of the file but what is to be seen, in every format that is taken in."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from app.errors import PictureError
from app.media.copies import write_without_location
from app.media.pictures import prepare
from tests.pictures import (
    FAILED_FILES,
    FORMATS,
    GOOD_FILES,
    ORIENTED_FORMATS,
    UPRIGHT_CORNERS,
    corners,
    encoded,
    noise,
    oriented,
    picture,
    png_chunk,
    two_in_one_jpeg,
    wide_gamut_jpeg,
    with_iptc,
    xmp,
)

MAX_PIXELS = 2_000_000
LOSSLESS = ("JPEG", "PNG", "WEBP", "GIF")
SECRETS = (b"59 deg north", b"SERIAL-0042", b"MAKER NOTE", b"Anna Beispiel", b"secret caption", b"37.8651 W")
"""What the files below tell about whom and where, in the words in which it stands in them."""


def copied(data: bytes, tmp_path: Path) -> bytes:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.write_bytes(data)
    write_without_location(original, MAX_PIXELS, copy)
    assert original.read_bytes() == data
    return copy.read_bytes()


def telling(format: str) -> bytes:
    """A picture whose file has everything in it that a file can tell."""
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Anna Beispiel"
    exif[ExifTags.Base.ImageDescription] = "secret caption"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.BodySerialNumber], details[ExifTags.Base.MakerNote] = "SERIAL-0042", b"MAKER NOTE" * 20
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef], place[ExifTags.GPS.GPSLatitude] = "N", (59.0, 54.0, 50.0)
    place[ExifTags.GPS.GPSAreaInformation] = b"59 deg north"
    packet = xmp("secret caption", "37.8651 W", ("Anna Beispiel",))
    image = noise((64, 48))
    if format == "GIF":
        gif = encoded(image, format, comment=b"secret caption")
        return gif[:-1] + b"\x21\xff\x0bXMP DataXMP\x0eAnna Beispiel\0\0;37.8651 W"
    if format == "BMP":
        return encoded(image, format) + b"SERIAL-0042"
    if format == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_text("Author", "Anna Beispiel")
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        png = encoded(image, format, exif=exif, pnginfo=info)
        return png[:-12] + png_chunk(b"tEXt", b"Where\x0059 deg north") + png[-12:] + b"37.8651 W"
    if format == "TIFF":
        return encoded(image, format, exif=exif) + b"37.8651 W"
    data = encoded(image, format, exif=exif.tobytes(), xmp=packet)
    if format == "JPEG":
        iptc = with_iptc((2, 120, b"secret caption"), (2, 80, b"Anna Beispiel"))
        segment = iptc[2 : 4 + int.from_bytes(iptc[4:6], "big")]
        note = b"\xff\xfe" + struct.pack(">H", 2 + len(b"37.8651 W")) + b"37.8651 W"
        return data[:2] + segment + note + data[2:] + b"SERIAL-0042 behind the end"
    return data


@pytest.mark.parametrize("format", FORMATS)
def test_a_copy_tells_nothing_but_what_is_to_be_seen(format: str, tmp_path: Path) -> None:
    original = telling(format)
    assert any(secret in original for secret in SECRETS)
    copy = copied(original, tmp_path)
    assert [secret for secret in SECRETS if secret in copy] == []
    with Image.open(BytesIO(copy)) as image:
        image.load()
        assert set(image.getexif()) <= {ExifTags.Base.Orientation}
        told = set(image.info) & {"exif", "xmp", "XML:com.adobe.xmp", "comment", "photoshop", "Author", "Where", "mp"}
        assert told <= ({"exif"} if image.getexif() else set())


@pytest.mark.parametrize("format", FORMATS)
def test_no_preview_does_either(format: str, tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(telling(format))
    for preview in prepare(path, MAX_PIXELS).thumbnails.values():
        assert [secret for secret in SECRETS if secret in preview] == []
        with Image.open(BytesIO(preview)) as image:
            assert not image.getexif()
            assert not {"exif", "xmp", "icc_profile", "photoshop", "comment"} & set(image.info)


@pytest.mark.parametrize("format", LOSSLESS)
def test_pixels_are_copied_and_not_encoded_anew(format: str, tmp_path: Path) -> None:
    original = telling(format)
    with Image.open(BytesIO(original)) as before, Image.open(BytesIO(copied(original, tmp_path))) as after:
        assert after.format == before.format
        assert np.array_equal(np.asarray(before.convert("RGB")), np.asarray(after.convert("RGB")))


@pytest.mark.parametrize("format", ORIENTED_FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_stands_as_the_original_does(format: str, orientation: int, tmp_path: Path) -> None:
    with Image.open(BytesIO(copied(oriented(orientation, format), tmp_path))) as image:
        assert corners(ImageOps.exif_transpose(image)) == UPRIGHT_CORNERS


def test_colours_stay_as_they_were_meant(tmp_path: Path) -> None:
    original = wide_gamut_jpeg()
    with Image.open(BytesIO(original)) as before, Image.open(BytesIO(copied(original, tmp_path))) as after:
        assert after.info["icc_profile"] == before.info["icc_profile"]


def test_a_second_picture_in_the_file_stays_behind(tmp_path: Path) -> None:
    copy = copied(two_in_one_jpeg(), tmp_path)
    assert copy.count(b"\xff\xd8\xff") == 1
    assert b"MPF" not in copy


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_what_moves_still_does(format: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 48), color) for color in ("red", "blue", "lime")]
    moving = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
    with Image.open(BytesIO(copied(moving, tmp_path))) as image:
        assert getattr(image, "n_frames", 1) == 3
        image.load()
        assert image.info.get("duration") == 100


@pytest.mark.parametrize("name", GOOD_FILES)
def test_of_every_picture_that_is_taken_in_there_is_a_copy(name: str, tmp_path: Path) -> None:
    original = GOOD_FILES[name]
    with Image.open(BytesIO(copied(original, tmp_path))) as image:
        image.load()
    assert b"alert(document.domain)</script>" not in copied(original, tmp_path)


@pytest.mark.parametrize("name", [name for name in FAILED_FILES if name.endswith((".bmp", ".tiff", ".heic"))])
def test_of_a_broken_one_that_would_be_encoded_anew_there_is_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="Try to copy it again"):
        copied(FAILED_FILES[name], tmp_path)


@pytest.mark.parametrize("format", LOSSLESS)
def test_no_change_of_bytes_gets_past_the_reasons(format: str, tmp_path: Path) -> None:
    random, original = np.random.default_rng(7), telling(format)
    for _ in range(150):
        data = bytearray(original)
        for _ in range(int(random.integers(1, 8))):
            data[int(random.integers(0, len(data)))] = int(random.integers(0, 256))
        cut = int(random.integers(1, len(data)))
        for damaged in (bytes(data), bytes(data[:cut])):
            try:
                copied(damaged, tmp_path)
            except PictureError:
                continue


def test_a_jpeg_of_plain_parts_stays_as_it_is(tmp_path: Path) -> None:
    plain = picture("red")
    assert copied(plain, tmp_path) == plain
