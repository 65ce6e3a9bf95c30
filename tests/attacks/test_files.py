"""Files made to harm: for each, what is answered, and what becomes of it. The gallery goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.attacks import files
from tests.attacks.conftest import MAX_MEGAPIXELS
from tests.attacks.files import packed, png_with, with_deep_xmp, with_exif, with_profile
from tests.conftest import Glimpse, wait_for
from tests.pictures import (
    gif_that_is_javascript,
    html_page,
    jpeg_with_html_behind,
    picture,
    png_that_claims_too_much,
    svg,
    xmp_packet,
)

TOO_MANY, NO_PICTURE, DAMAGED = "pixels", "This is ", "is damaged|cut short"
FOUND = ""
"""It is a picture like any other: shown, indexed, found."""
FAILED = "failed"
LIMIT = MAX_MEGAPIXELS * 1_000_000

ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    # Bombs, in every format that is taken: refused by their header
    "bomb.jpg": (lambda: files.jpeg_of(65_500, 65_500), TOO_MANY),
    "bomb.png": (lambda: files.png_of_packed_pixels(10_000), TOO_MANY),
    "claim.png": (png_that_claims_too_much, TOO_MANY),
    "bomb.gif": (lambda: files.gif_of(65_535, 65_535), TOO_MANY),
    "bomb.webp": (lambda: files.webp_of(16_383, 16_383), TOO_MANY),
    "bomb.bmp": (lambda: files.bmp_of(100_000, 100_000), TOO_MANY),
    "bomb.tiff": (lambda: files.tiff_of(100_000, 100_000), TOO_MANY),
    "packed.tiff": (lambda: files.tiff_of_packed_nothing(12_000, 12_000), TOO_MANY),
    "bomb.avif": (lambda: files.box_of("AVIF", 30_000, 30_000), NO_PICTURE),
    "bomb.heic": (lambda: files.box_of("HEIC", 30_000, 30_000), FAILED),  # its stream tells of few, and is believed
    # As large as may be
    "just below the limit.png": (lambda: files.png_of_packed_pixels(4470), FOUND),
    "just below the limit.tiff": (lambda: files.tiff_of_packed_nothing(4470, 4470), FOUND),
    "huge frame.gif": (files.gif_with_a_huge_frame, TOO_MANY),
    # Packed beside the pixels
    "packed text.png": (lambda: png_with((b"zTXt", b"Title\0\0" + packed(200))), DAMAGED),
    "packed text behind.png": (lambda: png_with((b"zTXt", b"Title\0\0" + packed(200)), behind=True), FAILED),
    "packed profile.png": (lambda: png_with((b"iCCP", b"x\0\0" + packed(200))), DAMAGED),
    "many texts.png": (lambda: png_with(*[(b"tEXt", b"Title\0" + b"x" * 1000)] * 20_000), FOUND),
    "billion laughs.png": (lambda: with_deep_xmp(files.billion_laughs()), FOUND),
    "file of the server.png": (lambda: with_deep_xmp(files.external_entity()), FOUND),
    "deep.png": (lambda: with_deep_xmp(files.deep_xml()), FOUND),
    "long.png": (lambda: with_deep_xmp(xmp_packet("<a/>" * 2_000_000)), FOUND),
    "directory in itself.jpg": (files.exif_that_contains_itself, FOUND),
    "endless text.jpg": (files.exif_with_a_huge_count, FOUND),
    "many entries.jpg": (files.exif_with_many_entries, FOUND),
    "exif of nothing.jpg": (lambda: with_exif(b"II*\0" + b"\xff" * 60), FOUND),
    "pages for ever.tiff": (files.tiff_that_never_ends, FOUND),
    "profile of nothing.jpg": (lambda: with_profile(b"\xff" * 5000), FOUND),
    "large profile.jpg": (lambda: with_profile(b"\0" * 4_000_000), FOUND),
    "profile of many tags.jpg": (lambda: with_profile(files.profile_with_many_tags()), FOUND),
    "profile of many tags.png": (lambda: with_profile(files.profile_with_many_tags(), "PNG"), FOUND),
    # Long, thin, moving
    "thin.jpg": (lambda: picture("red", (65_500, 1)), FOUND),
    "tall.jpg": (lambda: picture("red", (1, 65_500)), FOUND),
    "thin.png": (lambda: picture("blue", (65_535, 1), "PNG"), FOUND),
    "tall.png": (lambda: picture("blue", (1, 65_535), "PNG"), FOUND),
    "thin.gif": (lambda: picture("blue", (65_535, 1), "GIF"), FOUND),
    "tall.bmp": (lambda: picture("blue", (1, 65_535), "BMP"), FOUND),
    "tall.tiff": (lambda: picture("blue", (1, 65_535), "TIFF"), FOUND),
    "thin.webp": (lambda: picture("blue", (16_383, 1), "WEBP"), FOUND),
    "thin.avif": (lambda: picture("blue", (16_000, 1), "AVIF"), FOUND),
    "ten thousand frames.gif": (lambda: files.gif_of_frames(10_000), FOUND),
    "ten thousand frames.webp": (lambda: files.webp_of_frames(10_000), FOUND),
    "ten thousand promised.png": (lambda: files.apng_that_promises(10_000), FOUND),
    # Two things at once
    "script.gif": (gif_that_is_javascript, FOUND),
    "page behind.jpg": (jpeg_with_html_behind, FOUND),
    "page inside.jpg": (files.html_in_a_comment, FOUND),
    "archive behind.jpg": (files.jpeg_that_is_an_archive, FOUND),
    "drawing in front.jpg": (files.svg_in_front, "SVG"),
    "document in front.jpg": (files.pdf_in_front, NO_PICTURE),
    "drawing.svg": (svg, "SVG"),
    "drawing.jpg": (lambda: svg() + b" ", "SVG"),
    "page.gif": (lambda: b"GIF89a" + html_page(), DAMAGED + "|" + NO_PICTURE + "|" + TOO_MANY),
    # Broken
    "no pixels.png": (lambda: files.png_without(b"IDAT"), FAILED),
    "no end.png": (lambda: files.png_without(b"IEND"), FOUND),
    "no header.png": (lambda: files.png_without(b"IHDR"), DAMAGED + "|" + NO_PICTURE),
    "endless chunk.png": (files.png_whose_chunk_is_longer_than_the_file, DAMAGED),
    "wrong sum.png": (lambda: picture("red", format="PNG").replace(b"IDAT", b"IDAU"), DAMAGED + "|" + NO_PICTURE),
    "no tables.jpg": (lambda: files.jpeg_without(0xDB), FAILED),
    "no codes.jpg": (lambda: files.jpeg_without(0xC4), FOUND),  # the decoder takes the usual ones
    "no scan.jpg": (lambda: files.jpeg_without(0xDA), FAILED),
    "scans for ever.jpg": (files.jpeg_of_endless_scans, FOUND),
}
"""Name → bytes, and what is expected: words of the refusal, `FAILED` after a look at the pixels, or `FOUND`."""


@pytest.mark.parametrize("name", ATTACKS)
def test_each_has_the_outcome_that_is_expected(besieged: Glimpse, name: str) -> None:
    make, expected = ATTACKS[name]
    before = set(besieged.settings.images.rglob("*"))
    [result] = besieged.upload((name, make()))
    if expected not in (FOUND, FAILED):
        assert result["outcome"] == "rejected", result
        assert any(words in str(result["reason"]) for words in expected.split("|")), result["reason"]
        assert set(besieged.settings.images.rglob("*")) == before, "nothing of it is kept"
        return
    assert result["outcome"] == "added", result
    wait_for(lambda: state_of(besieged, result) in ("indexed", "failed"))
    assert state_of(besieged, result) == ("indexed" if expected is FOUND else "failed")
    original = besieged.client.get(f"/images/{result['id']}/original")
    assert original.headers["content-type"].startswith("image/")
    assert original.headers["x-content-type-options"] == "nosniff"
    copy = besieged.client.get(f"/images/{result['id']}/without-location")
    assert copy.status_code in (200, 422), copy.text
    if copy.status_code == 200:
        assert b"alert(" not in copy.content
        assert b"evil.sh" not in copy.content
    search = besieged.client.post("/api/v1/search/image", files={"file": (name, make())})
    assert search.status_code == (200 if expected is FOUND else 422), search.text


def state_of(glimpse: Glimpse, result: dict[str, object]) -> str:
    image = glimpse.client.get(f"/api/v1/images/{result['id']}").json()
    assert (image["reason"] is not None) == (image["state"] == "failed"), "who fails is told why"
    return str(image["state"])
