"""Download without location: offered beside the original, made for one answer, never kept."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from tests.conftest import Glimpse
from tests.pictures import FAILED_FILES, picture, with_place
from tests.web.html import page


@pytest.fixture
def placed(glimpse: Glimpse) -> Glimpse:
    """A gallery with a picture that tells where it was taken, and one that is a HEIC."""
    glimpse.upload(("at home.jpg", with_place()), ("phone.heic", picture("blue", format="HEIC")))
    glimpse.work()
    return glimpse


def files(glimpse: Glimpse) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in glimpse.settings.images.rglob("*") if path.is_file()}


def test_is_offered_on_the_page_and_in_the_api(placed: Glimpse) -> None:
    assert "/images/1/without-location" in page(placed.client.get("/images/1")).links
    assert placed.client.get("/api/v1/images/1").json()["urls"]["without_location"] == "/images/1/without-location"


def test_comes_without_the_place_and_leaves_the_original_as_it_is(placed: Glimpse) -> None:
    before = files(placed)
    answer = placed.client.get("/images/1/without-location")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''at%20home.jpg"
    assert answer.headers["cache-control"] == "private, no-store"
    with Image.open(BytesIO(placed.client.get("/images/1/original").content)) as original:
        assert original.getexif().get_ifd(0x8825)
    with Image.open(BytesIO(answer.content)) as copy:
        copy.load()
        assert not copy.getexif()
    assert files(placed) == before, "nothing is left behind"


def test_is_a_format_that_everybody_opens(placed: Glimpse) -> None:
    answer = placed.client.get("/images/2/without-location")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"] == 'attachment; filename="phone.jpg"'
    with Image.open(BytesIO(answer.content)) as copy:
        assert copy.format == "JPEG"


def test_of_what_cannot_be_read_or_is_not_there_is_told(glimpse: Glimpse) -> None:
    [result] = glimpse.upload(("broken.tiff", FAILED_FILES["truncated.tiff"]))
    glimpse.work()
    assert "without-location" not in glimpse.client.get(f"/images/{result['id']}").text
    before = files(glimpse)
    page(glimpse.client.get(f"/images/{result['id']}/without-location"), 422)
    page(glimpse.client.get("/images/999/without-location"), 404)
    for path in glimpse.settings.images.glob("??/*"):
        path.unlink()
    page(glimpse.client.get(f"/images/{result['id']}/without-location"), 422)
    assert set(files(glimpse)) <= set(before)
