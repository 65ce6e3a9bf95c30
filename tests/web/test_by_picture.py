"""Searching by a picture in the page and in the API: one answer, kept in a link, the picture itself in none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import pytest

from app.config import Settings
from tests.conftest import Glimpse, running, wait_for
from tests.encoders import ColourEncoder
from tests.pictures import picture, text_file, truncated
from tests.web.html import Html, page
from tests.web.test_pages import starting

COLOURS = ("red", "#e01010", "#d02020", "blue", "#1010e0", "green", "yellow", "white")


@pytest.fixture
def gallery(settings: Settings) -> Iterator[Glimpse]:
    """Three reds (1 to 3), two blues, green, yellow and white; the last is a PNG. Three on a page."""
    with running(settings.model_copy(update={"page_size": 3})) as glimpse:
        files = [(f"{colour}.jpg", picture(colour)) for colour in COLOURS[:-1]]
        glimpse.upload(*files, ("white.png", picture("white", format="PNG")))
        glimpse.work()
        yield glimpse


def send(glimpse: Glimpse, data: bytes, q: str = "", **headers: str) -> httpx2.Response:
    return glimpse.client.post(
        f"/search/picture?q={quote(q)}", files={"file": ("mine.png", data)}, headers=headers, follow_redirects=False
    )


def link(glimpse: Glimpse, data: bytes, q: str = "") -> str:
    answer = send(glimpse, data, q)
    assert answer.status_code == 303
    return answer.headers["location"]


def read(glimpse: Glimpse, path: str) -> Html:
    return page(glimpse.client.get(path))


def test_it_leads_to_a_link_that_shows_what_looks_like_it(gallery: Glimpse) -> None:
    address = link(gallery, picture("#f00505", (300, 200), "PNG"))
    assert len(address) < 2000
    html = read(gallery, address)
    assert sorted(html.tiles[:3]) == [1, 2, 3]
    assert "Pictures like yours" in html.words
    assert "Remove your picture" in html.words
    assert read(gallery, address).tiles == html.tiles, "and may be opened again"


def test_words_and_conditions_stand_beside_it(gallery: Glimpse) -> None:
    red = link(gallery, picture("red"))
    mixed = read(gallery, f"{red}&q=something+blue")
    assert mixed.tiles != read(gallery, red).tiles
    assert "Closest to something blue" in mixed.words
    chip = [address for address in mixed.links if address == "/search?q=something+blue"]
    assert chip, "without the picture the words stay"
    assert read(gallery, link(gallery, picture("red"), "type:png")).tiles == [8]
    away = read(gallery, f"{red}&q=-red")
    assert away.tiles[0] not in (1, 2, 3)
    filtered = gallery.client.get(f"{red}&q=blue&type=png", follow_redirects=False)
    assert filtered.headers["location"] == f"{red}&q=blue+type%3Apng"


def test_pages_and_opened_pictures_keep_it(gallery: Glimpse) -> None:
    address: str | None = link(gallery, picture("red"))
    pages = []
    while address:
        html = read(gallery, address)
        pages.append(html.tiles)
        address = html.link("next")
    assert [len(tiles) for tiles in pages] == [3, 3, 2]
    assert len({tile for tiles in pages for tile in tiles}) == 8
    first = read(gallery, link(gallery, picture("red")))
    [opened] = [address for address in first.links if address.startswith(f"/images/{first.tiles[0]}?")]
    html = read(gallery, opened)
    assert urlsplit(html.link("next") or "").path == f"/images/{first.tiles[1]}"
    [back] = [str(a["href"]) for a in html.all("a") if "data-close" in a]
    assert read(gallery, back).tiles == first.tiles


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (text_file(), 422, "can't be searched by"),
        (truncated("PNG"), 422, "can't be searched by"),
        (b"", 400, "Choose a"),
    ],
    ids=["text", "half a picture", "nothing"],
)
def test_what_is_no_picture_is_said_on_the_page(gallery: Glimpse, data: bytes, status: int, words: str) -> None:
    html = page(send(gallery, data, "blue"), status)
    assert words in html.words
    assert html.all("input")[0]["value"] == "blue", "and what was typed stays"


def test_an_old_or_broken_link_says_what_to_do(gallery: Glimpse) -> None:
    html = page(gallery.client.get("/search?picture=nonsense&q=blue"), 400)
    assert "Choose the picture again" in html.words
    assert "/search?q=blue" in html.links


def test_while_the_model_loads_it_says_so(gallery: Glimpse) -> None:
    import threading

    gate = threading.Event()

    def load() -> ColourEncoder:
        gate.wait(30)
        return ColourEncoder()

    with starting(gallery.settings, load) as loading:
        assert "The model is warming up" in page(send(loading, picture("red")), 503).words
        gate.set()
        wait_for(loading.ready)


def test_other_sites_may_not_send_one(gallery: Glimpse) -> None:
    assert send(gallery, picture("red"), **{"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_nothing_of_it_is_kept(gallery: Glimpse) -> None:
    folder = Path(gallery.settings.data)
    before = {path for path in folder.rglob("*") if path.is_file()}
    read(gallery, link(gallery, picture("#123456", (400, 300))))
    assert {path for path in folder.rglob("*") if path.is_file()} - before == set()
    assert gallery.counts()["total"] == 8


def test_the_api_hands_out_the_same_link(gallery: Glimpse) -> None:
    sent = gallery.client.post(
        "/api/v1/search/image", params={"q": "type:jpeg", "limit": 3}, files={"file": ("a.png", picture("red"))}
    ).json()
    assert sorted(result["id"] for result in sent["results"]) == [1, 2, 3]
    following = gallery.client.get(sent["next"]).json()
    assert len(following["results"]) == 3
    assert following["picture"] == sent["picture"]
    assert parse_qs(urlsplit(sent["next"]).query)["picture"] == [sent["picture"]]
    html = read(gallery, f"/search?picture={quote(sent['picture'])}&q=type:jpeg")
    assert html.tiles == [result["id"] for result in sent["results"]]
