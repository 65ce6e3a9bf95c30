"""Words that stand in the file, as pages show them: why a picture is there, and what its file says."""

from __future__ import annotations

import threading

import pytest

from app.config import Settings
from app.vectors.encoder import Encoder
from tests.conftest import Glimpse, running
from tests.encoders import ColourEncoder
from tests.pictures import picture, with_captions
from tests.web.html import Html, page

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def gallery(glimpse: Glimpse) -> Glimpse:
    glimpse.upload(
        ("IMG_2041.jpg", picture("red")),
        ("red.jpg", picture("blue")),
        ("b.jpg", with_captions(HOSTILE, 'A "red" boat & more', ("red", "type:png", HOSTILE), color="navy")),
        ("red ferry.jpg", with_captions("Red", color="#0000c0")),
        *((f"{number}.jpg", picture(f"#00{200 + number:02x}ff")) for number in range(12)),
    )
    glimpse.work()
    return glimpse


def search(gallery: Glimpse, query: str) -> Html:
    return page(gallery.client.get("/search", params={"q": query}))


def test_a_label_says_where_the_words_stand_and_none_where_only_the_look_counts(gallery: Glimpse) -> None:
    html = search(gallery, "red")
    labels = [tile.partition("</li>")[0] for tile in html.source.split('<li class="tile ')[1:]]
    said = {html.tiles[i]: Html("<p" + label).words for i, label in enumerate(labels) if "tile-words" in label}
    assert {number: words.rpartition(", ")[2] for number, words in said.items()} == {
        2: "found by its file name",
        3: "found by its caption",
        4: "found by its file name and caption",
    }
    assert html.tiles[0] == 1


def test_a_number_finds_its_file_first(gallery: Glimpse) -> None:
    assert search(gallery, "img-2041").tiles[0] == 1


def test_the_page_of_a_picture_shows_what_stands_in_its_file(gallery: Glimpse) -> None:
    html = page(gallery.client.get("/images/3"))
    for words in (f"Title{HOSTILE}", 'DescriptionA "red" boat & more', f"Keywordsred, type:png, {HOSTILE}"):
        assert words in html.words
    assert HOSTILE not in html.source
    assert "/search?q=%22type%3Apng%22" in html.links
    plain = page(gallery.client.get("/images/1"))
    assert "Keywords" not in plain.words


def test_keywords_lead_to_pictures_that_have_them(gallery: Glimpse) -> None:
    links = [link for link in page(gallery.client.get("/images/3")).links if link.startswith("/search?q=")]
    assert len(links) == 3
    for link in links:
        assert 3 in page(gallery.client.get(link)).tiles


def test_while_the_model_loads_names_and_captions_are_searched_and_the_page_looks_again(settings: Settings) -> None:
    with running(settings) as before:
        before.upload(("ferry.jpg", picture("red")), ("ferryman.jpg", picture("blue")))
        before.work()
    gate = threading.Event()

    def load() -> Encoder:
        gate.wait(60)
        return ColourEncoder()

    from fastapi.testclient import TestClient

    from app.main import create_app

    with TestClient(create_app(settings, load), base_url="http://127.0.0.1") as client:
        try:
            html = page(client.get("/search", params={"q": "ferry"}))
            assert html.tiles == [1, 2]
            assert "1 match for ferry" in html.words
            assert "By file names and captions alone: the model is warming up." in html.words
            assert "data-waiting" in html.source
            assert '<meta http-equiv="refresh"' in html.source
            assert "Nothing here is called ferrym" in page(client.get("/search", params={"q": "ferrym"})).words
            assert client.get("/api/v1/search", params={"q": "ferry"}).json()["model"] == ""
            assert client.get("/search", params={"q": "dusk"}).status_code == 503
        finally:
            gate.set()
