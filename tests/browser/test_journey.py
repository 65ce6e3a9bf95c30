"""The main job in a browser with JavaScript: drop pictures, watch them come, find them, look at one, delete it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from tests.browser.conftest import Site
from tests.conftest import wait_for
from tests.pictures import picture, unique_pictures

Visit = Callable[..., Page]


def payload(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def add(page: Page, *files: tuple[str, bytes]) -> None:
    """Choose files in the page's form and wait until all were answered for."""
    page.locator("[data-upload-form] input[type=file]").set_input_files([payload(*file) for file in files])
    expect(page.locator("[data-upload-close]")).to_be_visible()


def tiles(page: Page) -> list[str]:
    """What the tiles are called, in reading order, once the page is whole: a click ends where its page begins."""
    page.wait_for_load_state()
    return [alt or "" for alt in page.locator("main .tile img").evaluate_all("all => all.map(img => img.alt)")]


def wait_until_searchable(page: Page) -> None:
    """Until the worker is through, the page shows it, and words are understood."""
    wait_until_indexed(page)
    wait_for(lambda: page.request.get("/readyz").ok)
    expect(page.locator(".status-indexing")).to_have_count(0, timeout=30_000)
    expect(page.locator("main [data-pending]")).to_have_count(0)


def wait_until_indexed(page: Page) -> None:
    def is_indexed() -> bool:
        counts = page.request.get("/api/v1/status").json()["images"]
        return bool(counts["total"]) and not counts["pending"] + counts["prepared"]

    wait_for(is_indexed)


def test_each_file_of_an_upload_gets_its_own_outcome(visit: Visit) -> None:
    page = visit()
    expect(page.get_by_role("heading", name="Your gallery is empty")).to_be_visible()
    red = picture("red")
    add(page, ("rose.jpg", red), ("the same rose.jpg", red), ("notes.txt", b"no picture"))

    outcomes = page.locator("[data-upload-outcomes]")
    expect(outcomes.locator(".outcome-added")).to_contain_text("rose.jpg")
    same = outcomes.locator(".outcome-duplicate")
    expect(same).to_contain_text("Already here")
    expect(same.get_by_role("link")).to_have_attribute("href", re.compile(r"/images/1$"))
    expect(outcomes.locator(".outcome-rejected")).to_contain_text("not a picture")
    expect(page.locator("[data-upload-title]")).to_have_text("1 added · 1 already here · 1 not taken")


def test_files_that_come_while_the_server_is_busy_are_sent_again(browser: Browser, site: Site) -> None:
    refused = 0

    def refuse_some(route: Route) -> None:
        nonlocal refused
        if refused >= 4:
            route.continue_()
            return
        refused += 1
        detail = {"detail": "Too many uploads are under way."}
        route.fulfill(status=429 if refused % 2 else 503, headers={"Retry-After": "1"}, json=detail)

    with browser.new_context(base_url=site.url) as context:  # one that expects the browser's complaints
        page = context.new_page()
        page.goto("/")
        page.route("**/api/v1/images", refuse_some)
        add(page, *((f"{colour}.jpg", picture(colour)) for colour in ("red", "green", "blue", "yellow")))
        expect(page.locator("[data-upload-title]")).to_have_text("4 added")
        assert refused == 4
        assert page.request.get("/api/v1/status").json()["images"]["total"] == 4
        expect(page.locator("[data-upload-count]")).to_contain_text("4 of 4 files")


@pytest.mark.parametrize("status", [408, 429])
def test_a_file_that_was_refused_for_now_may_be_tried_again(browser: Browser, site: Site, status: int) -> None:
    with browser.new_context(base_url=site.url) as context:
        page = context.new_page()
        page.goto("/")
        page.route("**/api/v1/images", lambda route: route.fulfill(status=status, json={"detail": "Not now."}))
        add(page, ("red.jpg", picture("red")))
        expect(page.locator(".outcome-failed")).to_contain_text("Not now.")
        page.unroute("**/api/v1/images")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("[data-upload-title]")).to_have_text("1 added")


def test_cancelling_ends_the_wait_for_a_busy_server(browser: Browser, site: Site) -> None:
    with browser.new_context(base_url=site.url) as context:
        page = context.new_page()
        page.goto("/add")
        page.route("**/api/v1/images", lambda route: route.fulfill(status=429, headers={"Retry-After": "30"}, json={}))
        with page.expect_response("**/api/v1/images"):
            page.locator("[data-upload-form] input[type=file]").set_input_files([payload("red.jpg", picture("red"))])
        page.locator("[data-upload-cancel]").click()
        expect(page.locator("[data-upload-title]")).to_have_text("Cancelled")
        page.unroute("**/api/v1/images")
        add(page, ("red.jpg", picture("red")))
        expect(page.locator("[data-upload-title]")).to_have_text("1 added")


def test_added_pictures_appear_without_a_reload_newest_first(visit: Visit) -> None:
    page = visit()
    page.evaluate("window.reloaded = false")
    add(page, ("first.jpg", picture("red")))
    add_again = page.locator("main .tile")
    expect(add_again).to_have_count(1)
    drop(page, ("second.jpg", picture("blue")))
    expect(page.locator("main .tile")).to_have_count(2)
    wait_until_searchable(page)
    assert tiles(page) == ["second", "first"]
    assert page.evaluate("window.reloaded") is False


def drop(page: Page, *files: tuple[str, bytes]) -> None:
    """Drop files anywhere on the page."""
    encoded = [[name, base64.b64encode(data).decode()] for name, data in files]
    transfer = page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer()
            for (const [name, data] of files) {
                const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0))
                transfer.items.add(new File([bytes], name))
            }
            return transfer
        }""",
        encoded,
    )
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event("body", kind, {"dataTransfer": transfer})


def test_words_find_pictures_best_first_and_the_address_can_be_shared(visit: Visit) -> None:
    page = visit()
    add(page, ("sea.jpg", picture("blue")), ("rose.jpg", picture("red")), ("leaf.jpg", picture("green")))
    wait_until_searchable(page)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("something red")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=something+red")
    expect(page.locator("main .tile img").first).to_have_attribute("alt", "rose")

    shared = visit("/search?q=something+blue")
    expect(shared.locator("main .tile img").first).to_have_attribute("alt", "sea")
    expect(shared.get_by_role("searchbox")).to_have_value("something blue")
    shared.get_by_role("searchbox").fill("something green")  # results follow the typing
    expect(shared.locator("main .tile img").first).to_have_attribute("alt", "leaf")
    shared.wait_for_url("**/search?q=something+green")


def test_a_picture_opens_large_with_its_facts_and_is_left_by_keyboard(visit: Visit) -> None:
    page = visit()
    files = [("sea.jpg", picture("blue", size=(800, 600))), ("rose.jpg", picture("red", size=(600, 800)))]
    add(page, *files)
    wait_until_searchable(page)
    page.locator("main .tile a").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    first = dialog.get_by_role("heading", level=1).inner_text()
    expect(dialog.get_by_text("JPEG")).to_be_visible()
    expect(dialog.locator(".similar .tile")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("heading", level=1)).not_to_have_text(first)
    page.keyboard.press("ArrowLeft")
    expect(dialog.get_by_role("heading", level=1)).to_have_text(first)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("main .tile a").first).to_be_focused()
    page.wait_for_url(re.compile(r"/$"))


def test_a_deleted_picture_is_gone_and_may_come_back(visit: Visit, site: Site) -> None:
    page = visit()
    rose = ("rose.jpg", picture("red"))
    add(page, rose, ("sea.jpg", picture("blue")))
    wait_until_searchable(page)
    page.locator("main .tile a", has=page.get_by_alt_text("rose")).click()
    dialog = page.get_by_role("dialog")
    dialog.locator("summary", has_text="Delete").click()
    dialog.get_by_role("button", name="Delete this picture").click()
    expect(page.locator("main .tile")).to_have_count(1)
    page.evaluate("window.reloaded = false")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("main .tile")).to_have_count(2)
    assert page.evaluate("window.reloaded") is False
    wait_until_indexed(page)
    assert sorted(tiles(visit("/search?q=red"))) == ["rose", "sea"]

    [image] = [each for each in page.request.get("/api/v1/images").json()["images"] if each["filename"] == "rose.jpg"]
    page.request.delete(f"/api/v1/images/{image['id']}")
    page.goto("/search?q=red")
    assert tiles(page) == ["sea"]
    page.goto("/add")
    add(page, rose)
    expect(page.locator("[data-upload-title]")).to_have_text("1 added")


def test_further_pages_load_on_scrolling_also_inside_the_fold(visit: Visit) -> None:
    page = visit()
    add(page, *((f"picture {n:02}.jpg", data) for n, data in enumerate(unique_pictures(45))))
    wait_until_indexed(page)
    for path in ("/", "/search?q=red"):
        page.goto(path)
        expect(page.locator("main .tile")).not_to_have_count(0)
        if page.locator("details.uncertain:not([open])").count():
            page.locator("details.uncertain summary").click()
        for _ in range(20):
            page.mouse.wheel(0, 3000)
            page.wait_for_timeout(50)
        expect(page.locator("main .tile")).to_have_count(45)
        assert len({tile.get_attribute("data-tile") for tile in page.locator("main .tile").all()}) == 45
        assert page.locator("main details.uncertain").count() <= 1
