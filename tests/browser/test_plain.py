"""The same job with JavaScript off: documents, links and forms."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site
from tests.browser.test_journey import payload, tiles
from tests.pictures import picture, unique_pictures

Visit = Callable[..., Page]


def upload(page: Page, site: Site, *files: tuple[str, bytes]) -> None:
    """Send files by the plain form and wait until the worker is through with them."""
    page.goto("/add")
    page.locator("input[name=files]").set_input_files([payload(*file) for file in files])
    page.get_by_role("button", name="Upload").click()
    site.settle()


def test_the_whole_journey(visit: Visit, site: Site) -> None:
    page = visit(scripts=False)
    expect(page.get_by_role("heading", name="Your gallery is empty")).to_be_visible()
    red = picture("red")
    upload(page, site, ("rose.jpg", red), ("sea.jpg", picture("blue")), ("again.jpg", red), ("notes.txt", b"words"))
    outcomes = page.locator("main .outcome")
    expect(outcomes).to_have_count(4)
    expect(outcomes.nth(2)).to_contain_text("Already here")
    expect(outcomes.nth(3)).to_contain_text("not a picture")

    page.goto("/")
    assert sorted(tiles(page)) == ["rose", "sea"]
    page.get_by_role("searchbox").fill("something red")
    page.get_by_role("button", name="Search").click()
    assert tiles(page) == ["rose", "sea"]

    page.get_by_role("link", name="rose").click()
    expect(page.get_by_role("heading", name="rose.jpg")).to_be_visible()
    page.get_by_role("link", name="Next picture").click()
    expect(page.get_by_role("heading", name="sea.jpg")).to_be_visible()
    page.get_by_role("link", name="Back").click()
    assert tiles(page) == ["rose", "sea"]

    page.get_by_role("link", name="rose").click()
    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete this picture").click()
    expect(page.get_by_role("heading", name="rose.jpg is in the trash")).to_be_visible()
    page.get_by_role("link", name="To the gallery").click()
    assert tiles(page) == ["sea"]
    page.get_by_role("link", name="Trash").click()
    page.get_by_role("button", name="Restore rose.jpg").click()
    expect(page.get_by_text("The trash is empty.")).to_be_visible()
    site.settle()
    page.get_by_role("link", name="Gallery").click()
    assert sorted(tiles(page)) == ["rose", "sea"]


def test_every_picture_is_on_exactly_one_page(visit: Visit, site: Site) -> None:
    page = visit(scripts=False)
    upload(page, site, *((f"picture {n:02}.jpg", data) for n, data in enumerate(unique_pictures(45))))
    for path in ("/", "/search?q=red"):
        page.goto(path)
        seen = tiles(page)
        while page.locator("a[rel=next]").count():
            if page.locator("details.uncertain:not([open])").count():
                page.locator("details.uncertain summary").click()
            page.locator("a[rel=next]").click()
            page.wait_for_load_state()
            seen += tiles(page)
        assert len(seen) == 45
        assert len(set(seen)) == 45


def test_a_failed_picture_has_a_reason_and_can_be_removed(visit: Visit, site: Site) -> None:
    page = visit(scripts=False)
    whole = picture("red", size=(400, 300))
    upload(page, site, ("half.jpg", whole[: len(whole) // 2]))
    page.goto("/problems")
    problem = page.locator(".problem")
    expect(problem).to_contain_text("half.jpg")
    expect(problem).to_contain_text("cut short")
    problem.get_by_role("button", name="Remove").click()
    expect(page.locator(".problem")).to_have_count(0)
