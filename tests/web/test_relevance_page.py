"""The results page: matches counted, the less certain ones folded away, nothing dropped."""

from __future__ import annotations

import re

import pytest

from app.library import search as search_module
from tests.conftest import Glimpse
from tests.pictures import picture, truncated, with_captions
from tests.web.html import Html, page


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


def test_by_date_without_a_match_it_says_so_and_leads_to_the_closest(gallery: Glimpse) -> None:
    html = Html(results(gallery, "something green type:jpg sort:newest"))
    assert "Nothing here looks like something green" in html.words
    assert "By date only matches are shown." in html.words
    assert "meets this condition" not in html.words
    [closest] = {link for link in html.links if "something" in link and "sort" not in link and "type" in link}
    assert len(tiles(gallery.client.get(closest).text)) == 20


def test_of_more_names_than_are_looked_at_it_says_at_least(gallery: Glimpse, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Html(results(gallery, "blue")).words.count("18 matches for blue") == 1
    monkeypatch.setattr(search_module, "MOST_HITS", 18)
    assert "At least 18 matches for blue" in Html(results(gallery, "blue")).words
    assert gallery.client.get("/api/v1/search?q=blue").json()["at_least"] is True
    assert gallery.client.get("/api/v1/search?q=rose").json()["at_least"] is False


def test_a_picture_that_is_not_searchable_yet_is_no_matter_of_other_words(gallery: Glimpse) -> None:
    gallery.upload(("new.jpg", picture("lime")), ("broken.jpg", truncated()))
    assert "This picture is not searchable yet" in page(gallery.client.get("/search?like=21")).words
    gallery.work()
    assert "could not be indexed" in page(gallery.client.get("/search?like=22")).words


def test_where_every_picture_failed_nothing_is_waited_for(glimpse: Glimpse) -> None:
    glimpse.upload(("broken.jpg", truncated()))
    glimpse.work()
    html = page(glimpse.client.get("/search?q=lime"))
    assert "1 picture could not be indexed: see why" in html.words
    assert "/problems" in html.links
    assert "data-waiting" not in html.source


def test_what_looks_like_a_picture_has_no_order_by_date(gallery: Glimpse) -> None:
    told = page(gallery.client.get("/search?q=like:1 sort:newest"), 400)
    assert "What looks like a picture comes best first: take sort:newest away." in told.words
    assert 'value="newest"' not in gallery.client.get("/search?q=like:1").text
    assert 'value="newest"' in gallery.client.get("/search?q=red").text


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
