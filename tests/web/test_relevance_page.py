"""The results page: matches counted, the less certain ones folded away, nothing dropped."""

from __future__ import annotations

import re

import pytest

from tests.conftest import Glimpse
from tests.pictures import picture, with_captions
from tests.web.html import Html


@pytest.fixture
def gallery(glimpse: Glimpse) -> Glimpse:
    """Two red pictures and eighteen shades of blue; pages hold twenty."""
    shades = [(f"blue {n}.jpg", picture(f"#0000{200 + 3 * n:02x}", size=(64, 40 + n))) for n in range(18)]
    glimpse.upload(("rose.jpg", picture("red")), ("apple.jpg", picture("#f00404")), *shades)
    glimpse.work()
    return glimpse


def results(glimpse: Glimpse, query: str, page: int = 1) -> str:
    answer = glimpse.client.get("/search", params={"q": query, "page": page})
    assert answer.status_code == 200
    return answer.text


def tiles(html: str) -> list[int]:
    return [int(number) for number in re.findall(r'data-tile="(\d+)"', html)]


def test_matches_are_counted_and_the_rest_is_folded(gallery: Glimpse) -> None:
    html = results(gallery, "something red")
    assert "2 matches for something red" in Html(html).words
    sure, fold = html.split('<details class="uncertain"')
    assert sorted(tiles(sure)) == [1, 2]
    assert len(tiles(fold)) == 18
    assert fold.startswith(" data-uncertain>")  # closed
    assert "Less certain matches 18" in Html(fold).words


def test_where_nothing_fits_it_says_so_and_shows_the_closest(gallery: Glimpse) -> None:
    html = results(gallery, "something green")
    assert "Nothing here looks like something green" in Html(html).words
    assert "data-uncertain open>" in html
    assert len(tiles(html)) == 20


def test_every_picture_is_somewhere(gallery: Glimpse) -> None:
    gallery.upload(
        *((f"gray {level}.jpg", picture(f"#{level:02x}{level:02x}{level:02x}")) for level in range(9, 99, 3))
    )
    gallery.work()
    seen = [tile for page in (1, 2, 3) for tile in tiles(results(gallery, "something red", page))]
    assert sorted(seen) == list(range(1, 51))


def test_by_date_there_are_only_matches_under_their_days(gallery: Glimpse) -> None:
    html = results(gallery, "something red sort:newest")
    assert sorted(tiles(html)) == [1, 2]
    assert len(re.findall('class="group-day"', html)) == 1
    assert "data-uncertain" not in html


def test_the_api_says_the_same(gallery: Glimpse) -> None:
    body = gallery.client.get("/api/v1/search", params={"q": "something red"}).json()
    assert body["matches"] == 2
    bands = [result["band"] for result in body["results"]]
    assert set(bands[:2]) <= {"strong", "likely"}
    assert set(bands[2:]) == {"less certain"}
    assert all(result["why"] == ["looks"] for result in body["results"])
    assert all(0 <= result["relevance"] <= 1 for result in body["results"])


def test_the_api_says_why_and_what_stands_in_the_file(gallery: Glimpse) -> None:
    gallery.upload(("dusk_55.jpg", with_captions("Ferry <b>", "At dusk", ("sea",), color="navy")))
    gallery.work()
    [found] = [
        result
        for result in gallery.client.get("/api/v1/search", params={"q": "ferry"}).json()["results"]
        if result["why"] == ["caption"]
    ]
    assert found["band"] == "likely"
    assert gallery.client.get("/api/v1/search", params={"q": "dusk 55"}).json()["results"][0]["why"][0] == "name"
    image = gallery.client.get(f"/api/v1/images/{found['id']}").json()
    assert (image["title"], image["description"], image["keywords"]) == ("Ferry <b>", "At dusk", ["sea"])
