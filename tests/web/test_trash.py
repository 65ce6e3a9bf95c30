"""The trash as people and programs meet it."""

from __future__ import annotations

import threading

import pytest

from app.main import _fill_with_demo, open_library
from tests.conftest import Glimpse
from tests.pictures import picture
from tests.web.html import page


@pytest.fixture
def gallery(glimpse: Glimpse) -> Glimpse:
    glimpse.upload(("red.jpg", picture("red")), ("<i>sea.jpg", picture("blue")))
    glimpse.work()
    return glimpse


def test_deleting_says_where_it_went_and_how_to_undo_it(gallery: Glimpse) -> None:
    answer = gallery.client.post("/images/1/delete")
    assert answer.url.path == "/trash/1"
    told = page(answer)
    assert "red.jpg is in the trash" in told.words
    assert "/images/1/restore" in [form["action"] for form in told.all("form")]
    assert gallery.client.get("/images/1").status_code == 404
    back = gallery.client.post("/images/1/restore")
    assert back.url.path == "/images/1"
    gallery.work()
    assert gallery.search("something red")[0] == "red.jpg"


def test_the_trash_shows_what_lies_in_it_last_first(gallery: Glimpse) -> None:
    assert "The trash is empty." in page(gallery.client.get("/trash")).words
    for image_id in (1, 2):
        gallery.client.post(f"/images/{image_id}/delete")
    shown = page(gallery.client.get("/trash"))
    assert shown.words.index("<i>sea.jpg") < shown.words.index("red.jpg")
    assert shown.violations() == []
    assert "2 pictures" in shown.words
    for image in shown.all("img"):
        assert gallery.client.get(str(image["src"])).status_code == 200
    gallery.client.post("/images/2/discard")
    assert "<i>sea.jpg" not in page(gallery.client.get("/trash")).words
    assert "The trash is empty." in page(gallery.client.post("/trash/empty")).words
    assert page(gallery.client.get("/trash/1"), 404)


def test_a_long_trash_has_pages(gallery: Glimpse) -> None:
    for number in range(22):
        [added] = gallery.upload((f"{number}.png", picture(f"rgb({number},0,0)", format="PNG")))
        gallery.client.delete(f"/api/v1/images/{added['id']}")
    first = page(gallery.client.get("/trash"))
    assert len(first.all("img")) == 20
    assert len(page(gallery.client.get(str(first.link("next")))).all("img")) == 2


def test_a_page_beyond_the_last_leads_back(gallery: Glimpse) -> None:
    gallery.client.post("/images/1/delete")
    beyond = page(gallery.client.get("/trash?page=2"))
    assert "There is nothing more on this page. 1 picture in the trash" in beyond.words
    assert "/trash" in beyond.links


def test_the_demo_brings_nothing_back(gallery: Glimpse) -> None:
    for image_id in (1, 2):
        gallery.client.post(f"/images/{image_id}/delete")
    with open_library(gallery.settings) as library:
        _fill_with_demo(library, threading.Event())
    assert gallery.client.get("/api/v1/trash").json()["total"] == 2
    assert gallery.client.get("/api/v1/images").json()["images"] == []


def test_programs_delete_list_restore_and_empty(gallery: Glimpse) -> None:
    client = gallery.client
    assert client.delete("/api/v1/images/1").status_code == 204
    assert client.delete("/api/v1/images/1").status_code == 404
    trash = client.get("/api/v1/trash").json()
    assert (trash["total"], [item["filename"] for item in trash["images"]]) == (1, ["red.jpg"])
    assert client.post("/api/v1/images/1/restore").json()["state"] == "prepared"
    assert client.post("/api/v1/images/1/restore").status_code == 404
    client.delete("/api/v1/images/1")
    assert client.delete("/api/v1/trash").status_code == 204
    assert client.get("/api/v1/trash").json() == {"total": 0, "images": [], "next": None}
    assert client.delete("/api/v1/images/2?forever=true").status_code == 204
    assert client.get("/api/v1/trash").json()["total"] == 0
    assert list(gallery.settings.images.glob("??/*")) == []


def test_programs_leaf_through_the_trash(gallery: Glimpse) -> None:
    for image_id in (1, 2):
        gallery.client.delete(f"/api/v1/images/{image_id}")
    path, found = "/api/v1/trash?limit=1", []
    while path:
        told = gallery.client.get(path).json()
        found += [item["id"] for item in told["images"]]
        path = told["next"]
    assert (found, told["total"]) == ([2, 1], 2)


def test_forever_also_holds_for_what_is_in_the_trash(gallery: Glimpse) -> None:
    gallery.client.delete("/api/v1/images/1")
    assert gallery.client.delete("/api/v1/images/1?forever=true").status_code == 204
    assert gallery.client.get("/api/v1/trash").json()["total"] == 0
    assert gallery.client.delete("/api/v1/images/1?forever=true").status_code == 404


def test_its_previews_are_shown_in_the_trash_and_nowhere_any_more_once_it_is_given_up(gallery: Glimpse) -> None:
    image = gallery.client.get("/api/v1/images/1").json()
    [preview] = image["urls"]["thumbnails"].values()
    gallery.client.delete("/api/v1/images/1")
    assert preview in gallery.client.get("/trash").text
    assert gallery.client.get(preview).status_code == 200
    assert gallery.client.get(image["urls"]["original"]).status_code == 404
    gallery.client.delete("/api/v1/trash")
    assert gallery.client.get(preview).status_code == 404
