"""Texts of a picture's file: read from everywhere they may stand, and never at the cost of the picture."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from app.errors import PictureError
from app.media.captions import (
    LARGEST_XMP,
    LONGEST_DESCRIPTION,
    LONGEST_KEYWORD,
    LONGEST_TITLE,
    MOST_KEYWORDS,
    WRITTEN_BY_CAMERAS,
)
from app.media.decoding import Decoder
from app.media.pictures import prepare, read_captions
from app.models import Captions
from tests.pictures import (
    picture,
    png_chunk,
    truncated,
    with_captions,
    with_garbage_exif,
    with_iptc,
    with_xmp,
    xmp,
    xmp_packet,
)

MAX_PIXELS = 1_000_000
FIRST = ExifTags.Base


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "picture"


def captions(path: Path, data: bytes) -> Captions:
    """As found when it is prepared, which has to be the same as when only its texts are read."""
    path.write_bytes(data)
    found = prepare(path, MAX_PIXELS).captions
    assert read_captions(path, MAX_PIXELS) == found
    return found


def with_exif(tags: dict[int, object], format: str = "JPEG", comment: bytes | None = None) -> bytes:
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    if comment is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[FIRST.UserComment] = comment
    return picture("red", format=format, exif=exif)


# -- where texts stand


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC"])
def test_xmp_in_every_format_that_has_it(format: str, path: Path) -> None:
    data = with_captions("Ålesund & <fjord>", "A ferry at dusk", ("ferry", "sea, calm"), format=format)
    expected = Captions("Ålesund & <fjord>", "A ferry at dusk", ("ferry", "sea, calm"))
    assert captions(path, data) == expected


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_iptc(format: str, path: Path) -> None:
    data = with_iptc(
        (1, 90, b"\x1b%G"),
        (2, 5, "Ålesund".encode()),
        (2, 25, b"ferry"),
        (2, 25, b"sea"),
        (2, 120, "At dusk – cold".encode()),
        format=format,
    )
    assert captions(path, data) == Captions("Ålesund", "At dusk – cold", ("ferry", "sea"))


def test_iptc_that_does_not_say_how_it_is_written(path: Path) -> None:
    assert captions(path, with_iptc((2, 5, "Ålesund".encode("latin-1")))).title == "Ålesund"
    assert captions(path, with_iptc((2, 5, "Ålesund".encode()))).title == "Ålesund"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif(format: str, path: Path) -> None:
    wide: dict[int, object] = {
        FIRST.XPTitle: "Ferry ⛴\0".encode("utf-16-le"),
        FIRST.XPComment: "Cold\0".encode("utf-16-le"),
        FIRST.XPKeywords: "sea; calm;\0".encode("utf-16-le"),
    }
    data = with_exif({FIRST.ImageDescription: "At dusk", **wide}, format)
    assert captions(path, data) == Captions("Ferry ⛴", "At dusk · Cold", ("sea", "calm"))


@pytest.mark.parametrize(
    "comment",
    [
        b"ASCII\0\0\0Cafe in Lyon\0\0",
        b"\0\0\0\0\0\0\0\0Cafe in Lyon",
        b"UNICODE\0" + "Cafe in Lyon".encode("utf-16-le"),
        b"UNICODE\0" + "Cafe in Lyon".encode("utf-16-be"),
    ],
)
def test_a_comment_says_how_it_is_written(comment: bytes, path: Path) -> None:
    assert captions(path, with_exif({}, comment=comment)).description == "Cafe in Lyon"


def test_utf8_where_the_standard_knows_only_ascii(path: Path) -> None:
    data = with_exif({FIRST.ImageDescription: "Café in Lyon".encode()})
    assert captions(path, data).description == "Café in Lyon"


def test_png_has_texts_of_its_own_also_behind_the_pixels(path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "Ålesund")
    info.add_itxt("Description", "A ferry ⛴", zip=True)
    info.add_text("Software", "not about the picture")
    file = picture("red", format="PNG", pnginfo=info)
    file = file[:-12] + png_chunk(b"tEXt", b"Comment\0Cold") + file[-12:]
    assert captions(path, file) == Captions("Ålesund", "A ferry ⛴ · Cold")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "HEIC"])
def test_most_pictures_say_nothing(format: str, path: Path) -> None:
    assert captions(path, picture("red", format=format)) == Captions()


# -- what is made of them


def test_the_default_language_comes_first(path: Path) -> None:
    items = '<rdf:li xml:lang="de">Fähre</rdf:li><rdf:li xml:lang="x-default">Ferry</rdf:li>'
    packet = xmp_packet(f"<rdf:Description><dc:title><rdf:Alt>{items}</rdf:Alt></dc:title></rdf:Description>")
    assert captions(path, with_xmp(packet)).title == "Ferry"


def test_xmp_in_its_short_form(path: Path) -> None:
    assert captions(path, with_xmp(xmp_packet('<rdf:Description dc:title="Ferry"/>'))).title == "Ferry"
    plain = "<rdf:Description><dc:description>At dusk</dc:description></rdf:Description>"
    assert captions(path, with_xmp(xmp_packet(plain))).description == "At dusk"


def test_what_is_said_twice_is_kept_once(path: Path) -> None:
    exif = Image.Exif()
    exif[FIRST.ImageDescription] = "Ferry"
    exif[FIRST.XPKeywords] = "sea;boat".encode("utf-16-le")
    data = picture("red", exif=exif, xmp=xmp("Ferry", "At dusk", ("sea", "sea")))
    assert captions(path, data) == Captions("Ferry", "At dusk", ("sea", "boat"))


@pytest.mark.parametrize("text", [*WRITTEN_BY_CAMERAS, "SONY DSC   ", "- . -", " \0\0 "])
def test_what_says_nothing_is_left_out(text: str, path: Path) -> None:
    assert captions(path, with_exif({FIRST.ImageDescription: text})) == Captions()


def test_texts_are_printable_and_bounded(path: Path) -> None:
    keywords = tuple(f"{number} " + "k" * 500 for number in range(500))
    found = captions(
        path, with_captions("two\nlines \u202eevil\u2028 " + "t" * 9999, "d" * 9999, keywords, format="PNG")
    )
    assert found.title.startswith("two lines evil tttt")
    assert (len(found.title), len(found.description)) == (LONGEST_TITLE, LONGEST_DESCRIPTION)
    assert len(found.keywords) == MOST_KEYWORDS
    assert {len(keyword) for keyword in found.keywords} == {LONGEST_KEYWORD}
    nul = with_exif({FIRST.XPTitle: "a\0b\x07c\ud800".encode("utf-16-le", "surrogatepass")})
    assert captions(path, nul).title.encode().replace("\ufffd".encode(), b"") == b"abc"


# -- what may be wrong with them

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "dog">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 100}">' for a, b in zip("abcdef", "bcdefg", strict=True))
    + ']><dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">&g;</dc:title>'
).encode()
STEALING = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    b'<dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">&a;</dc:title>'
)
BAD_PACKETS = {
    "no xml": b"hello",
    "cut short": xmp("Ferry")[:250],
    "noise": bytes(range(256)),
    "unknown encoding": b'<?xml version="1.0" encoding="klingon"?><a/>',
    "entities without end": BOMB,
    "an entity that is a file": STEALING,
    "deep": b"<a>" * 15_000,
    "blanks": b" " * 100,
}


@pytest.mark.parametrize("name", BAD_PACKETS)
def test_bad_xmp_costs_nothing_but_itself(name: str, path: Path) -> None:
    exif = Image.Exif()
    exif[FIRST.ImageDescription] = "At dusk"
    assert captions(path, picture("red", exif=exif, xmp=BAD_PACKETS[name])) == Captions("", "At dusk")


def test_xmp_that_is_far_too_large_is_not_parsed(path: Path) -> None:
    assert captions(path, with_captions("Ferry", "x" * LARGEST_XMP, format="WEBP")) == Captions()


def test_deep_xmp_ends_no_process(path: Path) -> None:
    deep = b"<a>" * 100_000 + b"</a>" * 100_000
    path.write_bytes(with_xmp(deep, format="WEBP"))
    decoder = Decoder(1, 30, MAX_PIXELS)
    try:
        assert list(decoder.read_captions([path])) == [Captions()]
    finally:
        decoder.close()


@pytest.mark.parametrize("value", [b"", b"\x1c", b"\x1c\x02\x05\xff\xff", b"\x1c\x02\x05\x00\x03ab"])
def test_bad_iptc_costs_nothing_but_itself(value: bytes, path: Path) -> None:
    whole = with_iptc((2, 5, b"Ferry"), (2, 25, value))
    assert captions(path, whole).title in ("", "Ferry")


def test_garbage_in_exif_costs_nothing(path: Path) -> None:
    captions(path, with_garbage_exif())


def test_a_png_text_that_does_not_decompress(path: Path) -> None:
    file = picture("red", format="PNG")
    broken = png_chunk(b"zTXt", b"Title\0\0" + b"\xff" * 40)
    assert captions(path, file[:33] + broken + file[33:]) == Captions()


@settings(max_examples=60, deadline=None)
@given(packet=st.binary(max_size=300), iptc=st.binary(max_size=100), comment=st.binary(max_size=60))
def test_no_bytes_cost_the_picture(
    packet: bytes, iptc: bytes, comment: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[FIRST.UserComment] = comment
    for tag in (FIRST.XPTitle, FIRST.XPComment, FIRST.XPKeywords):
        exif[tag] = comment
    file = picture("red", exif=exif, xmp=packet)
    block = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0"
    path.write_bytes(file[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + file[2:])
    found = prepare(path, MAX_PIXELS).captions
    texts = [found.title, found.description, *found.keywords]
    assert all(text == "" or text.isprintable() for text in texts)


# -- in processes of their own


def test_the_decoder_reads_texts_of_many(tmp_path: Path) -> None:
    files = {"one": with_captions("One"), "bad": truncated("PNG"), "two": with_captions("Two", format="PNG")}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    decoder = Decoder(1, 30, MAX_PIXELS)
    try:
        one, bad, two, missing = decoder.read_captions([tmp_path / name for name in (*files, "missing")])
    finally:
        decoder.close()
    assert (one, two) == (Captions("One"), Captions("Two"))
    assert isinstance(bad, PictureError)
    assert isinstance(missing, PictureError)
