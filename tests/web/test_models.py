"""The page on which a model is chosen, and the comparison of two."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.catalog.database import Database
from app.catalog.switching import Switches
from app.catalog.vectors import Vectors
from app.config import Settings
from app.vectors.encoder import Encoder
from tests.conftest import Glimpse, running, wait_for
from tests.encoders import ColourEncoder
from tests.pictures import picture
from tests.web.html import Html, page


@pytest.fixture
def gallery(glimpse: Glimpse) -> Glimpse:
    """Two pictures, and the colours serve."""
    glimpse.upload(("red.jpg", picture("red")), ("blue.jpg", picture("blue")))
    glimpse.work()
    return glimpse


@pytest.fixture
def switches(gallery: Glimpse) -> Iterator[Switches]:
    database = Database(gallery.settings.catalog_url)
    yield Switches(database)
    database.close()


def forms(shown: Html) -> list[str]:
    """Where the forms of the page go, without those of every page."""
    return [str(form["action"]) for form in shown.all("form") if str(form["action"]).startswith("/models")]


def test_it_lists_what_there_is_and_what_serves(gallery: Glimpse) -> None:
    shown = page(gallery.client.get("/models"))
    assert shown.violations() == []
    for words in ("colours Serves", "starter", "Comes with Glimpse", "605 MB to fetch", "768 dimensions", "finds 39 %"):
        assert words in shown.words
    assert "/models/use?name=clip-ViT-B-16" in forms(shown)
    assert "/models/use?name=colours" not in forms(shown)
    assert "/models/rollback" not in forms(shown), "there is nothing to go back to"
    assert "/models" in page(gallery.client.get("/status")).links


def test_choosing_is_a_plain_form_and_tells_how_far_it_is(gallery: Glimpse, switches: Switches) -> None:
    answer = gallery.client.post("/models/use?name=clip-ViT-B-16", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/models")
    shown = page(gallery.client.get("/models"))
    assert "clip-ViT-B-16 is next and is being loaded; colours answers meanwhile" in shown.words
    assert "no worker is running" in shown.words
    switches.begin("clip-ViT-B-16", ColourEncoder("clip-ViT-B-16", "2").space, "clip-ViT-B-16")
    for path in ("/models", "/status"):
        assert "clip-ViT-B-16 is next: 0 of 2 pictures" in page(gallery.client.get(path)).words
    status = gallery.client.get("/api/v1/status").json()["switch"]
    assert (status["serving"], status["wanted"], status["done"], status["total"]) == ("colours", "clip-ViT-B-16", 0, 2)
    assert gallery.search("something red")[0] == "red.jpg"
    assert "/models/use?name=colours" in forms(page(gallery.client.get("/models"))), "the way to stay"
    assert "is next" not in page(gallery.client.post("/models/use?name=colours")).words


def test_a_failure_is_told_where_models_are_chosen(gallery: Glimpse, switches: Switches) -> None:
    switches.want("clip-ViT-B-16")
    switches.fail("clip-ViT-B-16", "The model <b> could not be fetched.")
    for path in ("/models", "/status"):
        assert "The model <b> could not be fetched." in page(gallery.client.get(path)).words
    assert gallery.client.get("/api/v1/status").json()["switch"]["failure"] == "The model <b> could not be fetched."


def test_only_models_of_the_list_can_be_chosen_here(gallery: Glimpse) -> None:
    for name in ("/etc", "somebody/something", "", "../models"):
        assert gallery.client.post("/models/use", params={"name": name}).status_code == 400
    assert gallery.client.post("/models/use").status_code == 422


@pytest.mark.parametrize("path", ["/models/use?name=starter", "/models/rollback", "/models/reindex"])
def test_pages_of_other_sites_choose_nothing(path: str, gallery: Glimpse) -> None:
    assert gallery.client.post(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert gallery.client.get(path).status_code == 405
    assert gallery.client.get("/api/v1/status").json()["switch"]["wanted"] is None


def test_all_is_embedded_again_and_nothing_is_missing_meanwhile(gallery: Glimpse) -> None:
    shown = page(gallery.client.post("/models/reindex"))
    assert "All pictures are embedded again with colours: 0 of 2 pictures" in shown.words
    assert gallery.search("something red")[0] == "red.jpg"
    gallery.work(lambda: gallery.client.get("/api/v1/status").json()["switch"]["wanted"] is None)
    assert gallery.search("something red")[0] == "red.jpg"


def test_going_back_where_there_is_nothing_says_so(gallery: Glimpse) -> None:
    assert "There is no earlier model to go back to." in page(gallery.client.post("/models/rollback")).words


class Twins:
    """The colours, and from the second time on their twin: each model is loaded once."""

    def __init__(self) -> None:
        self._names = iter(["colours"])

    def __call__(self) -> Encoder:
        name = next(self._names, "twin")
        return ColourEncoder(name, name)


def test_two_models_stand_side_by_side(settings: Settings) -> None:
    with running(settings, Twins()) as glimpse:
        glimpse.load = lambda: ColourEncoder("colours", "colours")
        glimpse.upload(*((f"{colour}.jpg", picture(colour)) for colour in ("red", "blue", "green")))
        glimpse.work()
        assert "There is one model so far." in page(glimpse.client.get("/models/compare?q=something+red"), 404).words
        database = Database(settings.catalog_url)
        switches, vectors = Switches(database), Vectors(database)
        switches.want("twin")
        switches.begin("twin", ColourEncoder("twin", "twin").space, "twin")
        filling = switches.read().filling
        assert filling is not None
        ids = switches.claim("w", filling, 0, 0, 2)
        switches.fill("w", filling, {key: vector for key in ids if (vector := vectors.get(1, key)) is not None})
        database.close()
        wait_for(lambda: glimpse.client.get("/models/compare?q=something+red").status_code == 200)
        shown = page(glimpse.client.get("/models/compare?q=something+red"))
        assert shown.violations() == []
        assert shown.tiles == [1, 3, 2, 1, 2], "the second has two of three so far"
        for words in (
            "colours Serves",
            "twin Next",
            "2 of the first 3 are found by both",
            "has 2 of 3 pictures so far",
        ):
            assert words in shown.words
        assert "/models/compare" in forms(page(glimpse.client.get("/models")))


def test_the_comparison_asks_for_words_and_understands_the_grammar(gallery: Glimpse) -> None:
    shown = page(gallery.client.get("/models/compare"))
    assert shown.violations() == []
    assert "/models/compare" in forms(shown)
    assert "Describe what you are looking for" in page(gallery.client.get("/models/compare?q=type:jpeg"), 400).words
