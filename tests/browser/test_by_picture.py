"""A picture to search by: pasted, dropped on the box, chosen with scripts and without."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, accessibility_faults
from tests.browser.test_filters import with_and_without_scripts
from tests.browser.test_journey import payload, tiles
from tests.pictures import picture

Visit = Callable[..., Page]

HOLDING_IT = """data => {
    const transfer = new DataTransfer()
    transfer.items.add(new File([Uint8Array.from(atob(data), c => c.charCodeAt(0))], "mine.png", { type: "image/png" }))
    return transfer
}"""
MINE = base64.b64encode(picture("#f01010", (200, 150), "PNG")).decode()


@pytest.fixture
def gallery(site: Site) -> Site:
    files = [(f"{colour}.jpg", picture(colour)) for colour in ("red", "blue", "green")]
    site.fill(*files)
    return site


def expect_reds_first(page: Page) -> None:
    page.wait_for_url("**/search?picture=*")
    expect(page.get_by_role("heading", level=1)).to_have_text("Pictures like yours")
    assert tiles(page)[0] == "red"


@with_and_without_scripts
def test_a_picture_is_chosen(visit: Visit, gallery: Site, scripts: bool) -> None:
    page = visit("/", scripts=scripts)
    page.locator("summary", has_text="Search by a picture").click()
    page.locator("[data-picture-file]").set_input_files([payload("mine.png", base64.b64decode(MINE))])
    if not scripts:
        page.get_by_role("button", name="Search by this picture").click()
    expect_reds_first(page)
    page.get_by_role("searchbox").fill("something blue")
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**picture=*&q=something+blue")
    page.get_by_role("link", name="Remove your picture").click()
    page.wait_for_url("**/search?q=something+blue")
    assert tiles(page)[0] == "blue"


def test_a_picture_is_pasted_anywhere(visit: Visit, gallery: Site) -> None:
    page = visit("/status")
    page.evaluate(
        f"""data => document.body.dispatchEvent(
            new ClipboardEvent("paste", {{ clipboardData: ({HOLDING_IT})(data), bubbles: true, cancelable: true }}))""",
        MINE,
    )
    expect_reds_first(page)


def test_a_picture_is_dropped_on_the_box_and_not_added(visit: Visit, gallery: Site) -> None:
    page = visit("/")
    transfer = page.evaluate_handle(HOLDING_IT, MINE)
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event("[data-search-input]", kind, {"dataTransfer": transfer})
    expect_reds_first(page)
    assert page.request.get("/api/v1/status").json()["images"]["total"] == 3


@pytest.mark.parametrize("width", [360, 1280])
def test_the_chooser_fits_and_axe_finds_nothing_serious(visit: Visit, gallery: Site, width: int) -> None:
    page = visit("/", width=width)
    page.locator("summary", has_text="Search by a picture").click()
    expect(page.get_by_text("It is compared and not kept.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert accessibility_faults(page) == []
