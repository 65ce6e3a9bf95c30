"""Days as headings and months to jump to, with scripts and without."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, accessibility_faults
from tests.browser.test_filters import with_and_without_scripts
from tests.browser.test_journey import add, tiles, wait_until_searchable
from tests.pictures import picture, with_facts

Visit = Callable[..., Page]


@pytest.fixture
def gallery(site: Site) -> Site:
    """Fifty pictures of 2021 and 2022, two on every tenth day: "00" is the newest and was added first."""
    newest = datetime(2022, 3, 30, 18)
    taken = [newest - timedelta(days=10 * (number // 2), minutes=number) for number in range(50)]
    files = [(f"{number:02}.jpg", with_facts(moment)) for number, moment in enumerate(taken)]
    site.fill(*files)
    return site


def months(page: Page) -> list[str]:
    return [text.split()[0] for text in page.locator(".rail-month:visible").all_inner_texts()]


@with_and_without_scripts
def test_days_have_headings_and_months_can_be_jumped_to(visit: Visit, gallery: Site, scripts: bool) -> None:
    page = visit("/", scripts=scripts)
    expect(page.locator(".group-day").first).to_have_text(re.compile(r"^30 March 2022 2 pictures$"))
    rail = page.get_by_role("navigation", name="Months")
    assert months(page) == ["Mar", "Feb", "Jan"]
    rail.locator("summary", has_text="2021").click()
    assert months(page) == ["Dec", "Nov", "Oct", "Sep", "Aug"], "one year at a time"
    rail.get_by_role("link", name="Sep").click()
    page.wait_for_url("**/?month=2021-09")
    expect(page.locator(".group-day").first).to_contain_text("September 2021")
    expect(rail.locator("[aria-current]")).to_have_attribute("data-month", "2021-09")
    assert tiles(page)[0] == "38"
    page.get_by_role("link", name="Newer pictures").click()
    expect(page.locator("main .tile img").first).to_have_attribute("alt", "18")
    page.get_by_role("link", name="Recently added").click()
    page.wait_for_url("**/?order=added")
    assert tiles(page)[0] == "49"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_narrow_screen_months_are_folded_away(visit: Visit, gallery: Site, dark: bool) -> None:
    page = visit("/", width=360, dark=dark)
    expect(page.locator(".rail-years")).to_be_hidden()
    page.locator("summary", has_text="Jump to a month").click()
    assert months(page) == ["Mar", "Feb", "Jan"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert accessibility_faults(page) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_beside_the_rail(visit: Visit, gallery: Site, dark: bool) -> None:
    assert accessibility_faults(visit("/", dark=dark)) == []


def test_the_month_in_view_is_marked(visit: Visit, gallery: Site) -> None:
    page = visit("/")
    marked = page.locator("[data-rail] [aria-current]")
    expect(marked).to_have_attribute("data-month", "2022-03")
    page.locator(".group[data-day^='2022-02']").first.evaluate("group => group.scrollIntoView()")
    expect(marked).to_have_attribute("data-month", "2022-02")
    expect(marked).to_have_count(1)


def test_a_fresh_upload_is_seen_though_it_was_taken_long_ago(visit: Visit, gallery: Site) -> None:
    page = visit("/")
    panel = page.locator("[data-upload]")
    page.goto("/add")
    add(page, ("old.jpg", with_facts(datetime(2001, 1, 1), color="green")))
    panel.get_by_role("link", name="See what was added").click()
    page.wait_for_url("**/?order=added")
    wait_until_searchable(page)
    expect(page.locator("main .tile img").first).to_have_attribute("alt", "old")


def test_a_small_gallery_has_nothing_to_jump_to(visit: Visit, site: Site) -> None:
    page = visit("/")
    add(page, ("old.jpg", with_facts()), ("new.png", picture("blue", format="PNG")))
    wait_until_searchable(page)
    page.reload()
    expect(page.locator(".group-day")).to_have_count(2)
    expect(page.get_by_role("navigation", name="Months")).to_have_count(0)
    expect(page.get_by_role("link", name="Recently added")).to_have_count(0)
