"""Filters in a browser: the form writes what could be typed, chips take it away again, with scripts and without."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, accessibility_faults
from tests.browser.test_journey import tiles
from tests.pictures import picture, with_facts

Visit = Callable[..., Page]

with_and_without_scripts = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])


@pytest.fixture
def gallery(site: Site) -> Site:
    """rose.jpg of 2021 with a camera, sea.png, leaf.png upright."""
    files = [
        ("rose.jpg", with_facts()),
        ("sea.png", picture("blue", format="PNG")),
        ("leaf.png", picture("green", (48, 64), "PNG")),
    ]
    site.fill(*files)
    return site


def box(page: Page) -> str:
    return page.get_by_role("searchbox").input_value()


def open_filters(page: Page) -> None:
    page.locator("summary", has_text="Filters").click()
    expect(page.get_by_role("button", name="Apply")).to_be_visible()


@with_and_without_scripts
def test_the_form_writes_the_grammar_and_chips_take_it_away(visit: Visit, gallery: Site, scripts: bool) -> None:
    page = visit("/search?q=something+blue+-red", scripts=scripts)
    assert len(tiles(page)) == 3
    open_filters(page)
    page.get_by_label("PNG").check()
    page.get_by_label("Orientation").select_option("Portrait")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/search?q=something+blue+-red+type%3Apng+orientation%3Aportrait")
    assert box(page) == "something blue -red type:png orientation:portrait"
    assert tiles(page) == ["leaf"]
    page.get_by_role("link", name="Remove orientation: portrait").click()
    page.wait_for_url("**/search?q=something+blue+-red+type%3Apng")
    assert tiles(page) == ["sea", "leaf"]
    open_filters(page)
    expect(page.get_by_label("PNG")).to_be_checked()
    page.get_by_label("PNG").uncheck()
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/search?q=something+blue+-red")
    assert len(tiles(page)) == 3


@with_and_without_scripts
def test_dates_camera_and_order(visit: Visit, gallery: Site, scripts: bool) -> None:
    page = visit("/search?q=name:e", scripts=scripts)
    expect(page.get_by_role("heading", level=1)).to_have_text("Pictures · name: e")
    assert tiles(page) == ["leaf", "sea", "rose"]
    open_filters(page)
    page.get_by_label("Order").select_option("Oldest first")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/search?q=name%3Ae+sort%3Aoldest")
    assert tiles(page)[0] == "rose"
    open_filters(page)
    page.get_by_label("Taken from").fill("2021-05-01")
    page.get_by_label("Taken to").fill("2021-05-31")
    page.get_by_label("Camera").fill("halden r2")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**sort%3Aoldest")
    assert box(page) == 'name:e taken:2021-05-01..2021-05-31 camera:"halden r2" sort:oldest'
    assert tiles(page) == ["rose"]
    page.get_by_role("link", name="newest first").click()
    page.wait_for_url(lambda url: "sort" not in url)
    assert tiles(page) == ["rose"]


@with_and_without_scripts
def test_the_gallery_can_be_filtered_without_a_word(visit: Visit, gallery: Site, scripts: bool) -> None:
    page = visit("/", scripts=scripts)
    open_filters(page)
    page.get_by_label("PNG").check()
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/search?q=type%3Apng")
    assert tiles(page) == ["leaf", "sea"]
    open_filters(page)
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url(f"{gallery.url}/")


@with_and_without_scripts
def test_nothing_found_offers_to_drop_conditions(visit: Visit, gallery: Site, scripts: bool) -> None:
    page = visit("/search?q=blue+type:gif", scripts=scripts)
    expect(page.get_by_text("No searchable picture meets this condition")).to_be_visible()
    page.get_by_role("link", name="search without it").click()
    expect(page.locator("main .tile img").first).to_have_attribute("alt", "sea")


def test_the_form_follows_what_is_typed_and_stays_open(visit: Visit, gallery: Site) -> None:
    page = visit("/search?q=something+blue")
    open_filters(page)
    page.get_by_role("searchbox").fill("something blue type:png")
    expect(page.get_by_label("PNG")).to_be_checked()
    expect(page.get_by_role("link", name="Remove type: png")).to_be_visible()
    page.get_by_label("JPEG").check()
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**type%3Ajpeg%2Cpng")
    expect(page.locator("main .tile img").first).to_have_attribute("alt", "sea")


def test_a_slash_in_a_field_is_a_slash(visit: Visit, gallery: Site) -> None:
    page = visit("/search?q=blue")
    open_filters(page)
    page.get_by_label("File name contains").press_sequentially("a/b")
    expect(page.get_by_label("File name contains")).to_have_value("a/b")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_in_the_open_form(visit: Visit, gallery: Site, dark: bool) -> None:
    page = visit("/", dark=dark)
    for path in ("/", "/search?q=red+type:jpg+camera:halden+-people"):
        page.goto(path)
        open_filters(page)
        assert accessibility_faults(page) == []


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("path", ["/", "/search?q=taken:2021+camera:halden"])
def test_the_open_form_fits(visit: Visit, gallery: Site, path: str, width: int) -> None:
    page = visit(path, width=width)
    open_filters(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("Taken from", "Taken to", "Camera", "Megapixels above"):
        field = page.get_by_label(name)
        assert field.evaluate("field => field.scrollWidth <= field.clientWidth + 1"), name
