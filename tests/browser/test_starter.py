"""The bundled model in a real browser: what it finds among pictures that are drawn here and that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote_plus

import pytest
from PIL import Image, ImageDraw, ImageFilter
from playwright.sync_api import Page, expect

from app.config import STARTER_MODEL
from app.vectors.encoder import Encoder, load_encoder
from tests.browser.test_journey import add, tiles, wait_until_searchable
from tests.pictures import encoded

Visit = Callable[..., Page]
COLOURS = {"red": "#d22b2b", "green": "#2e9b45", "blue": "#2a5bd0", "yellow": "#f2d024", "purple": "#7a36b1"}
SIZE = (480, 360)
LETTER = "Dear reader, the rooms are paid until the end of May"


@pytest.fixture
def encoder() -> Callable[[], Encoder]:
    return lambda: load_encoder(str(STARTER_MODEL), STARTER_MODEL)


def test_it_finds_colours_shapes_and_documents_and_says_that_it_serves(visit: Visit) -> None:
    page = visit()
    drawn = {**coloured_rooms(), **shapes(), **papers()}
    add(page, *((f"{name}.png", encoded(image, "PNG")) for name, image in drawn.items()))
    wait_until_searchable(page)

    for colour in COLOURS:
        found = search(page, colour)
        assert {f"plain {colour}", f"{colour} lamp"} <= set(found[:3]), (colour, found)  # the disc and the star count
    assert search(page, "a red circle")[0] == "disc"
    assert search(page, "a yellow star")[0] == "star"
    assert set(search(page, "a document")[:2]) == {"letter", "contract"}
    assert search(page, "a bar chart")[0] == "figures"

    page.get_by_role("link", name="Status").click()
    expect(page.locator("main")).to_contain_text("starter")


def search(page: Page, query: str) -> list[str]:
    """What the tiles are called, best first; the less certain ones come last."""
    page.goto(f"/search?q={quote_plus(query)}")
    return tiles(page)


def coloured_rooms() -> dict[str, Image.Image]:
    """A plain, slightly shaded surface, and a lamp before a pale wall, in each colour."""
    shade = Image.linear_gradient("L").resize(SIZE)
    drawn = {}
    for name, colour in COLOURS.items():
        dark = Image.blend(Image.new("RGB", SIZE, colour), Image.new("RGB", SIZE, "black"), 0.2)
        drawn[f"plain {name}"] = Image.composite(Image.new("RGB", SIZE, colour), dark, shade)
        room = Image.new("RGB", SIZE, "#e9e6df")
        pen = ImageDraw.Draw(room)
        pen.polygon([(150, 40), (330, 40), (400, 230), (80, 230)], colour)
        pen.rectangle((228, 230, 252, 330), colour)
        drawn[f"{name} lamp"] = room.filter(ImageFilter.GaussianBlur(2))
    return drawn


def shapes() -> dict[str, Image.Image]:
    """One thing each, in colours that the lamps do not have beside them."""
    disc = Image.new("RGB", SIZE, "white")
    ImageDraw.Draw(disc).ellipse((120, 60, 360, 300), "#cc1f1f")
    star = Image.new("RGB", SIZE, "#1b2440")
    corners = [(240, 30), (276, 140), (392, 140), (298, 208), (334, 318), (240, 250), (146, 318), (182, 208)]
    ImageDraw.Draw(star).polygon([*corners, (88, 140), (204, 140)], "#ffd83a")
    return {"disc": disc, "star": star}


def papers() -> dict[str, Image.Image]:
    """Two written pages, and a page with bars on it."""
    pages = {}
    for name, indent in (("letter", 60), ("contract", 40)):
        page = Image.new("RGB", (420, 594), "#fdfdfb")
        pen = ImageDraw.Draw(page)
        for line in range(24):
            pen.text((indent, 50 + 21 * line), LETTER[: 30 + line], "#222")
        pages[name] = page
    figures = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(figures)
    pen.line([(60, 30), (60, 320), (450, 320)], "black", 3)
    for number, height in enumerate((90, 170, 130, 240, 200)):
        pen.rectangle((85 + 72 * number, 320 - height, 130 + 72 * number, 318), "#3f7fbf")
    return {**pages, "figures": figures}
