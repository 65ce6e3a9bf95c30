"""People who are in the middle of something: reading far down, typing, looking at a picture. They are left there."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Browser, Error, Locator, Page, Route, expect

from tests.browser.conftest import Site
from tests.browser.test_journey import add, payload, tiles, wait_until_searchable
from tests.pictures import picture, with_facts

Visit = Callable[..., Page]


@pytest.fixture
def gallery(site: Site) -> Site:
    """Seventy pictures, one on every third day: "00" is the newest. Pages hold twenty."""
    newest = datetime(2022, 3, 30, 18)
    files = [
        (
            f"{number:02}.jpg",
            with_facts(newest - timedelta(days=3 * number), color=f"#{number:02x}00{200 - number:02x}"),
        )
        for number in range(70)
    ]
    site.fill(*files)
    return site


def read_on(page: Page, until: str) -> None:
    """Scroll down until this picture is there, as a person does, and until nothing more comes."""
    tile = page.locator("main .tile img", has=page.locator(f"xpath=self::*[@alt='{until}']"))
    for _ in range(300):
        if tile.count():
            break
        page.mouse.wheel(0, 2000)
        page.wait_for_timeout(100)
    tile.scroll_into_view_if_needed()
    seen = None
    while seen != (seen := (page.evaluate("scrollY"), len(tiles(page)))):
        page.wait_for_timeout(500)


def top(found: Locator) -> float:
    """Where it stands in the window, in pixels."""
    return float(found.evaluate("found => found.getBoundingClientRect().top"))


def release(page: Page, held: list[Route]) -> None:
    """Let the requests go on that nobody has given up meanwhile."""
    page.unroute_all()
    for route in held:
        with suppress(Error):
            route.continue_()


def test_who_reads_further_down_stays_there_when_an_upload_ends(visit: Visit, gallery: Site) -> None:
    page = visit("/")
    read_on(page, "55")
    expect(page.locator("main .tile")).to_have_count(70)
    reading = page.locator("main .tile img[alt='55']")
    before, there = top(reading), tiles(page)
    page.evaluate(
        """async () => {
        const picture = await (await fetch(document.images[0].src)).blob()
        const files = [new File([picture], "new.webp")]
        document.dispatchEvent(new CustomEvent("glimpse:files", { detail: files }))
        }"""
    )
    expect(page.locator("[data-upload-title]")).to_have_text("1 added")
    expect(page.get_by_role("link", name="See what was added")).to_be_visible()
    assert tiles(page) == there
    assert top(reading) == pytest.approx(before, abs=1), "what comes and goes above moves nobody"


def test_a_search_begins_at_its_best_match_wherever_the_last_one_was_left(visit: Visit, gallery: Site) -> None:
    page = visit("/search?q=type:jpg", height=500)
    read_on(page, "30")
    assert page.evaluate("scrollY") > 300
    page.keyboard.press("/")
    page.get_by_role("searchbox").fill("something red")
    expect(page).to_have_title(re.compile("^something red"))
    expect(page.locator("h1")).to_be_in_viewport()
    assert page.evaluate("scrollY") == 0


def test_enter_in_the_middle_of_a_slow_search_takes_no_letter_away(visit: Visit, gallery: Site) -> None:
    page = visit("/search?q=red")
    page.evaluate("window.stayed = true")
    held: list[Route] = []
    page.route("**/search?*", lambda route: held.append(route))
    box = page.get_by_role("searchbox")
    box.fill("something blue")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    box.press_sequentially(" and", delay=20)
    page.wait_for_timeout(400)
    release(page, held)
    expect(page).to_have_title(re.compile("^something blue and"))
    assert page.evaluate("window.stayed"), "the page was not loaded again"
    expect(box).to_have_value("something blue and")


def test_an_impatient_second_click_leaves_one_step_back(visit: Visit, gallery: Site) -> None:
    page = visit("/")
    page.locator("main .tile a").nth(3).dblclick()
    dialog = page.locator("[data-lightbox][open]")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/$"))
    page.wait_for_timeout(300)
    expect(dialog).to_have_count(0)


def test_going_back_before_a_picture_came_keeps_it_away(visit: Visit, gallery: Site) -> None:
    page = visit("/")
    held: list[Route] = []
    page.route("**/images/*", lambda route: held.append(route))
    page.locator("main .tile a").first.click()
    page.wait_for_url("**/images/*")
    page.go_back()
    release(page, held)
    page.wait_for_timeout(500)
    expect(page.locator("[data-lightbox][open]")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/$"))


def test_the_last_picture_of_a_day_takes_its_heading_along_and_brings_it_back(visit: Visit, gallery: Site) -> None:
    page = visit("/")
    days = page.locator(".group-day").all_inner_texts()
    page.locator("main .tile a").nth(2).click()
    page.locator("[data-lightbox] summary", has_text="Delete").click()
    page.locator("[data-lightbox] [data-delete] button").click()
    expect(page.locator("main .tile img[alt='02']")).to_have_count(0)
    assert page.locator(".group-day").all_inner_texts()[:3] == [*days[:2], days[3]]
    focused = "document.activeElement.querySelector('img')?.alt"
    assert page.evaluate(focused) == "03"
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("main .tile img[alt='02']")).to_have_count(1)
    assert page.locator(".group-day").all_inner_texts()[:4] == days[:4]


def test_deleting_from_results_skips_none_on_the_next_page(visit: Visit, gallery: Site) -> None:
    page = visit("/search?q=type:jpg")
    for _ in range(3):
        page.locator("main .tile a").first.click()
        page.locator("[data-lightbox] summary", has_text="Delete").click()
        gone = page.locator("main .tile").count()
        page.locator("[data-lightbox] [data-delete] button").click()
        expect(page.locator("main .tile")).not_to_have_count(gone)
    read_on(page, "69")
    assert sorted(tiles(page)) == [f"{number:02}" for number in range(3, 70)]


def test_dropping_files_on_an_open_picture_shows_what_becomes_of_them(visit: Visit, gallery: Site) -> None:
    page = visit("/")
    page.locator("main .tile a").first.click()
    expect(page.locator("[data-lightbox][open]")).to_be_visible()
    page.evaluate(
        """async () => {
        const picture = await (await fetch(document.images[0].src)).blob()
        document.dispatchEvent(new CustomEvent("glimpse:files", { detail: [new File([picture], "new.webp")] }))
        }"""
    )
    expect(page.locator("[data-lightbox][open]")).to_have_count(0)
    expect(page.locator("[data-upload-title]")).to_have_text("1 added")


def test_a_picture_of_the_page_that_is_dragged_a_little_is_not_added(visit: Visit, gallery: Site) -> None:
    """To browsers it is a file like any other. Playwright's own dragging leaves that out."""
    page = visit("/")
    page.evaluate(
        """() => {
        window.seen = []
        for (const name of ["dragstart", "dragover", "dragend", "glimpse:files"])
            document.addEventListener(name, event => window.seen.push(
                [name, Boolean(event.dataTransfer?.types.includes("Files"))].join(" ")))
        }"""
    )
    box = page.locator("main .tile img").first.bounding_box()
    assert box is not None
    mouse = page.context.new_cdp_session(page)

    def move(kind: str, by: int, buttons: int = 1) -> None:
        at = {"x": box["x"] + 30 + by, "y": box["y"] + 30 + by // 4}
        mouse.send(
            "Input.dispatchMouseEvent", {"type": kind, **at, "button": "left", "buttons": buttons, "clickCount": 1}
        )

    move("mousePressed", 0)
    for by in range(5, 120, 5):
        move("mouseMoved", by)
        page.wait_for_timeout(30)
    page.wait_for_function("window.seen.some(what => what.startsWith('dragover'))")
    expect(page.locator("[data-drop]")).to_be_hidden()
    move("mouseReleased", 120, buttons=0)
    page.wait_for_function("window.seen.some(what => what.startsWith('dragend'))")
    page.wait_for_timeout(300)  # what is dropped is read first
    assert page.evaluate("window.seen.filter(what => what.startsWith('glimpse'))") == []
    assert page.evaluate("window.seen[0]") == "dragstart true", "else this test would see nothing"


def test_what_was_added_behind_an_open_picture_is_there_when_it_is_closed(visit: Visit, gallery: Site) -> None:
    page = visit("/?order=added")
    page.evaluate("document.dispatchEvent(new CustomEvent('glimpse:added'))")  # the first one is followed at once
    page.wait_for_timeout(500)
    page.locator("main .tile a").first.click()
    expect(page.locator("[data-lightbox][open]")).to_be_visible()
    data = picture("lime")
    page.request.post("/api/v1/images", multipart={"files": payload("late.jpg", data)})
    page.evaluate("document.dispatchEvent(new CustomEvent('glimpse:added'))")
    page.evaluate("document.dispatchEvent(new CustomEvent('glimpse:finished'))")
    page.keyboard.press("Escape")
    expect(page.locator("main .tile")).not_to_have_count(0)
    expect(page.locator("main .tile img[alt='late']")).to_have_count(1)


def test_who_was_signed_out_is_told_and_can_go_on(browser: Browser, site: Site) -> None:
    with browser.new_context(base_url=site.url) as context:  # one that expects the browser's complaints
        page = context.new_page()
        page.goto("/")
        page.route("**/api/v1/images", lambda route: route.fulfill(status=401, json={"detail": "Sign in first."}))
        page.locator("[data-upload-form] input[type=file]").set_input_files([payload("red.jpg", picture("red"))])
        expect(page.locator(".outcome-failed")).to_contain_text("You are signed out. Sign in in another tab")
        page.unroute("**/api/v1/images")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("[data-upload-title]")).to_have_text("1 added")
        wait_until_searchable(page)
        page.goto("/search?q=red")
        page.route("**/search?*", lambda route: route.fulfill(status=401, body="Sign in first."))
        page.get_by_role("searchbox").fill("blue")
        page.wait_for_timeout(600)
        expect(page.locator("h1")).to_contain_text("red")
        page.keyboard.press("Enter")  # as without scripts: the server shows where to sign in
        page.wait_for_url("**/search?q=blue")
        expect(page.locator("body")).to_contain_text("Sign in first.")


def test_a_picture_that_was_waited_for_stays_in_its_list(visit: Visit, site: Site) -> None:
    page = visit("/?order=added")
    add(page, ("red.jpg", picture("red")))
    expect(page.locator("main .tile img")).to_have_count(1)
    expect(page.locator("main .tile a")).to_have_attribute("href", re.compile(r"/images/1\?order=added$"))
