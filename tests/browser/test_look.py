"""What every page owes everybody: room at any width, names for screen readers, no jumps, nothing that is not ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Site, accessibility_faults
from tests.browser.test_journey import add, wait_until_searchable
from tests.browser.test_plain import upload
from tests.pictures import picture, unique_pictures

Visit = Callable[..., Page]

PATHS = (
    "/",
    "/search?q=red",
    "/search?q=red+-blue+type:jpg",
    "/search?q=type:jpg+sort:oldest",
    "/search?q=type:gif+camera:none",
    "/search?q=name:IMG_20230517_153045_BURST001_COVER_PORTRAIT_EDITED",
    "/search?like=1",
    "/images/1",
    "/models",
    "/add",
    "/problems",
    "/status",
    "/help",
    "/images/999",
)


def some_pictures(site: Site) -> None:
    """Hand in pictures of all shapes, and a broken one, past the browser."""
    whole = picture("red", size=(400, 300))
    wide, tall = picture("green", size=(1600, 200)), picture("blue", size=(200, 1600))
    good = [(f"picture {n:02}.jpg", data) for n, data in enumerate(unique_pictures(22))]
    files = [*good, ("wide.jpg", wide), ("tall.jpg", tall), ("half.jpg", whole[: len(whole) // 2])]
    site.fill(*files)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(visit: Visit, site: Site, dark: bool) -> None:
    faults = {"empty gallery": accessibility_faults(visit(dark=dark))}
    some_pictures(site)
    page = visit("/add", dark=dark, scripts=False)
    upload(page, site, ("rose.jpg", picture("red")), ("notes.txt", b"words"))
    receipt = page.url
    page = visit(receipt, dark=dark)
    faults["receipt"] = accessibility_faults(page)
    for path in PATHS[:-1]:
        page.goto(path)
        faults[path] = accessibility_faults(page)
    page.goto("/")
    page.locator("main .tile a").nth(1).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    faults["lightbox"] = accessibility_faults(page)
    assert {place: found for place, found in faults.items() if found} == {}


@pytest.mark.parametrize("width", [320, 360, 1280, 2560])
def test_no_page_is_wider_than_the_window(visit: Visit, site: Site, width: int) -> None:
    page = visit("/add", width=width)
    some_pictures(site)
    for path in PATHS[:-1]:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


@pytest.mark.parametrize("size", [(1600, 1200), (1200, 1600), (300, 200)])
def test_a_picture_has_its_place_before_its_pixels(visit: Visit, site: Site, size: tuple[int, int]) -> None:
    page = visit("/add", width=390)
    site.fill(("one.jpg", picture("green", size=size)))
    held: list[Route] = []
    page.route("**/thumbs/**", lambda route: held.append(route))
    page.goto("/images/1", wait_until="domcontentloaded")
    expect(page.locator(".about")).to_be_visible()
    before = page.locator(".about").bounding_box()
    page.wait_for_timeout(100)
    for route in held:
        route.continue_()
    page.wait_for_load_state("load")
    assert page.evaluate("document.querySelector('.stage-picture').naturalWidth") > 0
    after = page.locator(".about").bounding_box()
    assert before is not None
    assert after is not None
    assert abs(after["y"] - before["y"]) < 1
    shown = page.locator(".stage-picture").bounding_box()
    assert shown is not None
    assert shown["width"] == min(390, size[0])
    assert shown["width"] / shown["height"] == pytest.approx(size[0] / size[1], rel=0.01)


def test_tiles_have_their_size_before_their_pixels(visit: Visit, site: Site) -> None:
    page = visit("/add")
    some_pictures(site)
    page.goto("/search?q=green")
    for image in page.locator("main .tile img").all():
        assert int(image.get_attribute("width") or 0) > 0
        assert int(image.get_attribute("height") or 0) > 0
        assert image.get_attribute("loading") == "lazy"
        assert image.get_attribute("alt")


def test_names_made_of_markup_stay_names(visit: Visit) -> None:
    page = visit()
    name = '<img src=x onerror="document.title=1"> "quoted" \'too\'.jpg'
    add(page, (name, picture("red")))
    wait_until_searchable(page)
    for path in ("/", "/search?q=red", "/images/1"):
        page.goto(path)
        assert page.title() != "1"
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x onerror=")


def test_nothing_is_asked_of_other_hosts(visit: Visit, site: Site) -> None:
    page = visit("/add")
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    some_pictures(site)
    for path in PATHS[:-1]:
        page.goto(path)
    assert {url for url in asked if not url.startswith((site.url, "blob:", "data:"))} == set()
