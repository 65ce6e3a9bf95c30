"""Pictures drawn by code, for what photo collections lack: plain colours, coloured things, shapes, patterns, charts,
documents, screenshots, simple landscapes at different hours, and photographs tinted as night, snow, sepia …

Every drawing carries `tags`: the phrases that are true of it. The phrases form one closed vocabulary (`vocabulary()`),
each with several wordings, so that training can tell a drawing's own phrases from all others.
"""

from __future__ import annotations

import colorsys
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

RGB = tuple[int, int, int]
CANVAS = 144
"""Drawn at twice the stored size and scaled down: edges come out smooth."""

SHADES: dict[str, list[tuple[tuple[float, float], tuple[float, float], tuple[float, float]]]] = {
    "red": [((-10, 7), (0.75, 1), (0.6, 1))],
    "orange": [((20, 35), (0.8, 1), (0.9, 1))],
    "yellow": [((47, 60), (0.65, 1), (0.88, 1))],
    "green": [((85, 150), (0.45, 1), (0.35, 0.9))],
    "blue": [((203, 245), (0.55, 1), (0.45, 1))],
    "purple": [((262, 292), (0.45, 1), (0.4, 0.85))],
    "pink": [((318, 350), (0.25, 0.6), (0.9, 1)), ((315, 335), (0.5, 0.85), (0.9, 1))],
    "brown": [((16, 32), (0.5, 0.85), (0.28, 0.55))],
    "black": [((0, 360), (0, 0.15), (0, 0.12))],
    "white": [((0, 360), (0, 0.03), (0.95, 1))],
    "gray": [((0, 360), (0, 0.05), (0.38, 0.7))],
}
"""Hue in degrees, saturation and value, each from … to. The eleven basic colour words of English."""
COLOURS = tuple(SHADES)


@dataclass(frozen=True)
class Drawing:
    """`image`: RGB; `tags`: phrases of the vocabulary that are true of it."""

    image: Image.Image
    tags: tuple[str, ...]


def shade(colour: str, dice: random.Random) -> RGB:
    """A random tone that people would call `colour`."""
    hue, saturation, value = dice.choice(SHADES[colour])
    r, g, b = colorsys.hsv_to_rgb(dice.uniform(*hue) % 360 / 360, dice.uniform(*saturation), dice.uniform(*value))
    return round(r * 255), round(g * 255), round(b * 255)


def vocabulary() -> dict[str, tuple[str, ...]]:
    """Each tag with its wordings; the first is the tag itself."""
    words: dict[str, tuple[str, ...]] = {}
    for colour in COLOURS:
        spelt = (colour, "grey") if colour == "gray" else (colour,)
        words[f"something {colour}"] = _wordings(
            spelt, "something {}", "{}", "a {} thing", "a {} object", "the colour {}"
        )
        words[f"a plain {colour} background"] = _wordings(
            spelt, "a plain {} background", "{}", "a {} wall", "a {} background", "solid {}", "something {}"
        )
        for thing, synonyms in THINGS.items():
            templates = [f"a {{}} {name}" for name in (thing, *synonyms)] + [
                f"{{}} {thing}",
                f"a drawing of a {{}} {thing}",
            ]
            words[f"a {colour} {thing}"] = _wordings(spelt, *templates)
        for pattern in ("stripes", "dots", "checks"):
            words[f"{colour} {pattern}"] = _wordings(spelt, f"{{}} {pattern}", f"a pattern of {{}} {pattern}")
    for thing, synonyms in THINGS.items():
        words[f"a {thing}"] = (f"a {thing}", thing, f"a drawing of a {thing}", *(f"a {name}" for name in synonyms))
    return words | KINDS


def _wordings(spelt: tuple[str, ...], *templates: str) -> tuple[str, ...]:
    return tuple(template.format(word) for template in templates for word in spelt)


KINDS: dict[str, tuple[str, ...]] = {
    "stripes": ("stripes", "a striped pattern", "striped", "lines"),
    "dots": ("dots", "polka dots", "a dotted pattern", "spots"),
    "checks": ("checks", "a checkerboard", "a checkered pattern", "a chessboard pattern"),
    "a grid": ("a grid", "grid lines", "a lattice"),
    "a gradient": ("a gradient", "a smooth colour gradient", "a blend of colours"),
    "a bar chart": ("a bar chart", "a bar graph", "a histogram"),
    "a line chart": ("a line chart", "a line graph", "a curve in a diagram"),
    "a pie chart": ("a pie chart", "a round chart"),
    "a scatter plot": ("a scatter plot", "points in a diagram"),
    "a chart": ("a chart", "a graph", "a diagram", "a plot", "statistics"),
    "a document": (
        "a document",
        "a page of text",
        "a letter",
        "paper with text",
        "a printed page",
        "a scan of a document",
    ),
    "handwriting": ("handwriting", "a handwritten note", "a handwritten letter", "handwritten text"),
    "a table of numbers": ("a table of numbers", "a spreadsheet", "a table"),
    "a screenshot": (
        "a screenshot",
        "a computer screen",
        "a screenshot of a computer",
        "a screen",
        "a window on a screen",
    ),
    "a screenshot of code": ("a screenshot of code", "a terminal", "source code", "a program on a screen"),
    "a screenshot of a website": ("a screenshot of a website", "a web page", "a web browser", "a website"),
    "a screenshot of a phone": ("a screenshot of a phone", "a chat", "a phone screen", "text messages"),
    "a calendar": ("a calendar", "a page of a calendar"),
    "a QR code": ("a QR code", "a square barcode"),
    "a barcode": ("a barcode", "black bars of a barcode"),
    "a map": ("a map", "a street map", "a city map"),
    "a sign with words": ("a sign with words", "large letters", "words", "a sign", "text on a plain background"),
    "sheet music": ("sheet music", "musical notes on paper"),
    "a drawing of mountains": ("a drawing of mountains", "mountains", "mountain landscape", "a mountain range"),
    "a drawing of the sea": ("a drawing of the sea", "the sea", "ocean", "water and sky"),
    "a drawing of hills": ("a drawing of hills", "green hills", "fields", "a landscape"),
    "a drawing of a desert": ("a drawing of a desert", "desert", "sand dunes"),
    "a drawing of a forest": ("a drawing of a forest", "a forest", "trees"),
    "a drawing of a city": ("a drawing of a city", "a city skyline", "skyscrapers", "buildings"),
    "sunset": ("sunset", "a sunset", "the sun going down", "dusk", "an orange evening sky", "sunrise"),
    "night": ("night", "at night", "a dark night", "a photo taken at night", "a night scene"),
    "the moon and stars": ("the moon and stars", "a starry sky", "moon", "stars in the night sky"),
    "snow": ("snow", "snowfall", "a snowy scene", "winter", "covered in snow"),
    "daylight": ("daylight", "a sunny day", "a blue sky", "noon"),
    "a rainbow": ("a rainbow", "rainbow colours", "a colourful arc in the sky"),
    "a black and white photo": ("a black and white photo", "monochrome", "a grayscale picture", "black and white"),
    "an old sepia photo": ("an old sepia photo", "sepia", "a vintage photo", "an old photograph"),
    "a blurry photo": ("a blurry photo", "out of focus", "blurred"),
    "a dark photo": ("a dark photo", "underexposed", "darkness"),
}

# ── things: one function each, drawing itself in one colour into a box ─────────────────────────────────────────────

Box = tuple[float, float, float, float]


def _at(box: Box, *points: tuple[float, float]) -> list[tuple[float, float]]:
    """Points of the unit square, placed in the box."""
    left, top, right, bottom = box
    return [(left + x * (right - left), top + y * (bottom - top)) for x, y in points]


def _part(box: Box, x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return _at(box, (x0, y0), (x1, y1))


def _darker(colour: RGB, by: float = 0.7) -> RGB:
    return round(colour[0] * by), round(colour[1] * by), round(colour[2] * by)


def _circle(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.ellipse(_part(box, 0, 0, 1, 1), colour)


def _square(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.rectangle(_part(box, 0.05, 0.05, 0.95, 0.95), colour)


def _rectangle(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.rectangle(_part(box, 0, 0.25, 1, 0.75), colour)


def _triangle(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.polygon(_at(box, (0.5, 0.03), (1, 0.95), (0, 0.95)), colour)


def _star(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    rays = [(0.5 if k % 2 == 0 else 0.2, math.pi * (k / 5 - 0.5)) for k in range(10)]
    pen.polygon(_at(box, *((0.5 + r * math.cos(a), 0.5 + r * math.sin(a)) for r, a in rays)), colour)


def _heart(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.ellipse(_part(box, 0.02, 0.08, 0.52, 0.55), colour)
    pen.ellipse(_part(box, 0.48, 0.08, 0.98, 0.55), colour)
    pen.polygon(_at(box, (0.05, 0.42), (0.95, 0.42), (0.5, 0.97)), colour)


def _ring(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.ellipse(_part(box, 0, 0, 1, 1), outline=colour, width=max(3, round((box[2] - box[0]) * 0.16)))


def _cross(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.rectangle(_part(box, 0.36, 0, 0.64, 1), colour)
    pen.rectangle(_part(box, 0, 0.36, 1, 0.64), colour)


def _car(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.polygon(_at(box, (0.2, 0.5), (0.32, 0.25), (0.7, 0.25), (0.85, 0.5)), colour)
    pen.polygon(_at(box, (0.28, 0.48), (0.36, 0.3), (0.5, 0.3), (0.5, 0.48)), (200, 225, 240))
    pen.polygon(_at(box, (0.54, 0.48), (0.54, 0.3), (0.67, 0.3), (0.77, 0.48)), (200, 225, 240))
    pen.rounded_rectangle(_part(box, 0, 0.46, 1, 0.72), (box[2] - box[0]) * 0.07, colour)
    for x in (0.22, 0.78):
        pen.ellipse(_part(box, x - 0.11, 0.6, x + 0.11, 0.82), (25, 25, 25))


def _house(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.rectangle(_part(box, 0.12, 0.45, 0.88, 0.97), colour)
    pen.polygon(_at(box, (0, 0.47), (0.5, 0.05), (1, 0.47)), _darker(colour))
    pen.rectangle(_part(box, 0.42, 0.66, 0.6, 0.97), _darker(colour, 0.45))
    pen.rectangle(_part(box, 0.2, 0.55, 0.34, 0.7), (235, 240, 200))


def _flower(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.line(_at(box, (0.5, 0.4), (0.5, 1)), (50, 130, 50), max(2, round((box[2] - box[0]) * 0.06)))
    for k in range(6):
        x, y = 0.5 + 0.22 * math.cos(k * math.pi / 3), 0.35 + 0.22 * math.sin(k * math.pi / 3)
        pen.ellipse(_part(box, x - 0.16, y - 0.16, x + 0.16, y + 0.16), colour)
    pen.ellipse(_part(box, 0.4, 0.25, 0.6, 0.45), (240, 200, 60))


def _balloon(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.line(_at(box, (0.5, 0.7), (0.45, 0.85), (0.55, 1)), (90, 90, 90), 2)
    pen.ellipse(_part(box, 0.2, 0, 0.8, 0.72), colour)


def _shirt(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.polygon(_at(box, (0.3, 0.08), (0.7, 0.08), (1, 0.3), (0.87, 0.47), (0.75, 0.38), (0.75, 0.97), (0.25, 0.97),
                    (0.25, 0.38), (0.13, 0.47), (0, 0.3)), colour)  # fmt: skip


def _dress(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.polygon(_at(box, (0.35, 0.02), (0.65, 0.02), (0.6, 0.4), (0.92, 0.98), (0.08, 0.98), (0.4, 0.4)), colour)
    pen.rectangle(_part(box, 0.39, 0.37, 0.61, 0.42), _darker(colour, 0.6))


def _cup(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.ellipse(_part(box, 0.62, 0.32, 1, 0.72), outline=colour, width=max(3, round((box[2] - box[0]) * 0.08)))
    pen.rounded_rectangle(_part(box, 0.08, 0.18, 0.76, 0.9), (box[2] - box[0]) * 0.08, colour)
    pen.ellipse(_part(box, 0.08, 0.12, 0.76, 0.28), _darker(colour, 0.8))


def _book(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.rectangle(_part(box, 0.15, 0.08, 0.85, 0.95), colour)
    pen.rectangle(_part(box, 0.15, 0.08, 0.25, 0.95), _darker(colour))
    pen.rectangle(_part(box, 0.36, 0.25, 0.74, 0.34), (240, 235, 220))


def _tree(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.rectangle(_part(box, 0.44, 0.55, 0.56, 1), (100, 70, 40))
    for x, y in ((0.35, 0.42), (0.65, 0.42), (0.5, 0.25)):
        pen.ellipse(_part(box, x - 0.27, y - 0.24, x + 0.27, y + 0.24), colour)


def _fish(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.ellipse(_part(box, 0, 0.25, 0.78, 0.75), colour)
    pen.polygon(_at(box, (0.68, 0.5), (1, 0.22), (1, 0.78)), colour)
    pen.ellipse(_part(box, 0.14, 0.4, 0.22, 0.48), (250, 250, 250))


def _umbrella(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.line(_at(box, (0.5, 0.3), (0.5, 0.95)), (70, 60, 50), max(2, round((box[2] - box[0]) * 0.05)))
    pen.pieslice(_part(box, 0, 0.08, 1, 1.0), 180, 360, colour)


def _apple(pen: ImageDraw.ImageDraw, box: Box, colour: RGB) -> None:
    pen.ellipse(_part(box, 0.05, 0.22, 0.62, 0.95), colour)
    pen.ellipse(_part(box, 0.38, 0.22, 0.95, 0.95), colour)
    pen.line(_at(box, (0.5, 0.28), (0.56, 0.05)), (90, 60, 30), max(2, round((box[2] - box[0]) * 0.05)))


Thing = Callable[[ImageDraw.ImageDraw, Box, RGB], None]
DRAW_THING: dict[str, Thing] = {
    "circle": _circle, "square": _square, "rectangle": _rectangle, "triangle": _triangle, "star": _star,
    "heart": _heart, "ring": _ring, "cross": _cross, "car": _car, "house": _house, "flower": _flower,
    "balloon": _balloon, "shirt": _shirt, "dress": _dress, "cup": _cup, "book": _book, "tree": _tree, "fish": _fish,
    "umbrella": _umbrella, "apple": _apple,
}  # fmt: skip
THINGS: dict[str, tuple[str, ...]] = {
    "circle": ("ball", "disc", "round shape"), "square": ("box", "block"), "rectangle": ("bar",), "triangle": (),
    "star": (), "heart": (), "ring": ("hoop",), "cross": ("plus sign",), "car": ("automobile",), "house": ("building",),
    "flower": ("blossom",), "balloon": (),
    "shirt": ("t-shirt", "top"), "dress": ("gown",), "cup": ("mug",), "book": (), "tree": (), "fish": (),
    "umbrella": ("parasol",), "apple": ("fruit",),
}  # fmt: skip

# ── canvases ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _canvas(colour: RGB) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (CANVAS, CANVAS), colour)
    return image, ImageDraw.Draw(image)


def _another(colour: str, dice: random.Random) -> str:
    """A background colour that is not `colour`; mostly a quiet one."""
    quiet = ["white", "white", "black", "gray", "white"]
    return dice.choice([c for c in (quiet if dice.random() < 0.6 else COLOURS) if c != colour])


def _mixed(a: RGB, b: RGB, share: float) -> RGB:
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def _fade(top: RGB, bottom: RGB, *, sideways: bool = False) -> Image.Image:
    strip = Image.new("RGB", (1, CANVAS))
    for y in range(CANVAS):
        strip.putpixel((0, y), _mixed(top, bottom, y / (CANVAS - 1)))
    image = strip.resize((CANVAS, CANVAS))
    return image.transpose(Image.Transpose.ROTATE_90) if sideways else image


def coloured_thing(colour: str, thing: str, dice: random.Random, least: float = 0.3) -> Drawing:
    """One thing in one colour on a background of another."""
    image, pen = _canvas(shade(_another(colour, dice), dice))
    side = CANVAS * dice.uniform(least, 0.95)
    left, top = dice.uniform(0, CANVAS - side), dice.uniform(0, CANVAS - side)
    DRAW_THING[thing](pen, (left, top, left + side, top + side), shade(colour, dice))
    if dice.random() < 0.25:
        image = image.rotate(dice.uniform(-20, 20), Image.Resampling.BILINEAR, fillcolor=image.getpixel((0, 0)))
    return Drawing(image, (f"something {colour}", f"a {colour} {thing}", f"a {thing}"))


def plain_background(colour: str, dice: random.Random) -> Drawing:
    """One colour all over, sometimes with a little light and grain."""
    image, _ = _canvas(shade(colour, dice))
    if dice.random() < 0.5:
        tone = shade(colour, dice)
        image = Image.blend(image, _fade(tone, _darker(tone, dice.uniform(0.85, 1)), sideways=dice.random() < 0.5), 0.6)
    if dice.random() < 0.4:
        grain = Image.effect_noise((CANVAS, CANVAS), dice.uniform(5, 25)).convert("RGB")
        image = Image.blend(image, grain, 0.06)
    return Drawing(image, (f"something {colour}", f"a plain {colour} background"))


def many_things(colour: str, thing: str, dice: random.Random) -> Drawing:
    """Several of one thing and colour."""
    image, pen = _canvas(shade(_another(colour, dice), dice))
    for _ in range(dice.randint(3, 8)):
        side = CANVAS * dice.uniform(0.15, 0.4)
        left, top = dice.uniform(0, CANVAS - side), dice.uniform(0, CANVAS - side)
        DRAW_THING[thing](pen, (left, top, left + side, top + side), shade(colour, dice))
    return Drawing(image, (f"something {colour}", f"a {colour} {thing}", f"a {thing}"))


def stripes(colour: str, dice: random.Random) -> Drawing:
    image, pen = _canvas(shade(_another(colour, dice), dice))
    tone, step = shade(colour, dice), dice.randint(8, 36)
    for x in range(-CANVAS, 2 * CANVAS, step):
        pen.rectangle((x, -CANVAS, x + step * dice.uniform(0.4, 0.55), 2 * CANVAS), tone)
    image = image.rotate(dice.choice([0, 90, 45, 135, dice.uniform(0, 180)]), Image.Resampling.BILINEAR, expand=False)
    inner = image.crop((21, 21, CANVAS - 21, CANVAS - 21)).resize((CANVAS, CANVAS))
    return Drawing(inner, ("stripes", f"{colour} stripes"))


def dots(colour: str, dice: random.Random) -> Drawing:
    image, pen = _canvas(shade(_another(colour, dice), dice))
    tone, step = shade(colour, dice), dice.randint(14, 44)
    radius, shifted = step * dice.uniform(0.2, 0.4), dice.random() < 0.5
    for row, y in enumerate(range(0, CANVAS + step, step)):
        for x in range(0, CANVAS + step, step):
            at = x + (step / 2 if shifted and row % 2 else 0)
            pen.ellipse((at - radius, y - radius, at + radius, y + radius), tone)
    return Drawing(image, ("dots", f"{colour} dots"))


def checks(colour: str, dice: random.Random) -> Drawing:
    image, pen = _canvas(shade(_another(colour, dice), dice))
    tone, step = shade(colour, dice), dice.randint(9, 36)
    for row, y in enumerate(range(0, CANVAS, step)):
        for x in range(row % 2 * step, CANVAS, 2 * step):
            pen.rectangle((x, y, x + step - 1, y + step - 1), tone)
    return Drawing(image, ("checks", f"{colour} checks"))


def grid(dice: random.Random) -> Drawing:
    image, pen = _canvas(shade(dice.choice(["white", "black", "blue", "yellow"]), dice))
    tone, step = shade(dice.choice(["gray", "blue", "green", "red"]), dice), dice.randint(8, 30)
    for at in range(0, CANVAS, step):
        pen.line((at, 0, at, CANVAS), tone, dice.choice([1, 2]))
        pen.line((0, at, CANVAS, at), tone, 2)
    return Drawing(image, ("a grid",))


def gradient(dice: random.Random) -> Drawing:
    first, second = dice.sample(COLOURS, 2)
    image = _fade(shade(first, dice), shade(second, dice), sideways=dice.random() < 0.5)
    if dice.random() < 0.3:
        third = _fade(shade(dice.choice(COLOURS), dice), shade(second, dice), sideways=True)
        image = Image.blend(image, third, 0.5)
    return Drawing(image, ("a gradient",))


# ── charts, papers, screens ────────────────────────────────────────────────────────────────────────────────────────


def _paper(dice: random.Random) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    tone = dice.choice([(255, 255, 255), (252, 250, 244), (245, 245, 245), (250, 244, 228)])
    return _canvas(tone)


def _bright(dice: random.Random) -> RGB:
    return shade(dice.choice(["red", "orange", "green", "blue", "purple", "pink", "yellow"]), dice)


def _ink(dice: random.Random) -> RGB:
    return dice.choice([(20, 20, 20), (60, 60, 60), (20, 30, 90)])


def _letters(dice: random.Random, count: int) -> str:
    return "".join(dice.choice("etaoinshrdlucmfwypvbgk") for _ in range(count))


def _text_line(
    pen: ImageDraw.ImageDraw, x: float, y: float, until: float, size: float, ink: RGB, dice: random.Random
) -> None:
    """A line of small words: real letters when they are large enough, bars otherwise."""
    font = ImageFont.load_default(size) if size >= 7 else None
    while x < until - size:
        word = _letters(dice, dice.randint(2, 9))
        width = min(len(word) * size * 0.5, until - x)
        if font:
            pen.text((x, y), word, ink, font=font)
        else:
            pen.rectangle(
                (x, y + size * 0.3, x + width, y + size * 0.75), _mixed(ink, (255, 255, 255), dice.uniform(0.1, 0.4))
            )
        x += width + size * 0.45


def _axes(pen: ImageDraw.ImageDraw, ink: RGB) -> None:
    pen.line((18, 12, 18, 124, 136, 124), ink, 2)


def bar_chart(dice: random.Random) -> Drawing:
    image, pen = _paper(dice)
    count, tone, many = dice.randint(3, 9), _bright(dice), dice.random() < 0.4
    step, lying = 112 / count, dice.random() < 0.25
    for k in range(count):
        height = dice.uniform(15, 108)
        colour = _bright(dice) if many else tone
        start, end = 20 + k * step, 20 + k * step + step * 0.7
        pen.rectangle((18, start, 18 + height, end) if lying else (start, 124 - height, end, 124), colour)
    _axes(pen, _ink(dice))
    return Drawing(image, ("a bar chart", "a chart"))


def line_chart(dice: random.Random) -> Drawing:
    image, pen = _paper(dice)
    if dice.random() < 0.5:
        for y in range(20, 124, 20):
            pen.line((18, y, 136, y), (215, 215, 215), 1)
    for _ in range(dice.randint(1, 3)):
        y, count, points = dice.uniform(30, 110), dice.randint(5, 14), []
        for k in range(count):
            y = min(120.0, max(14.0, y + dice.uniform(-25, 25)))
            points.append((20 + k * 114 / (count - 1), y))
        pen.line(points, _bright(dice), dice.choice([2, 3, 4]))
    _axes(pen, _ink(dice))
    return Drawing(image, ("a line chart", "a chart"))


def pie_chart(dice: random.Random) -> Drawing:
    image, pen = _paper(dice)
    side = dice.uniform(80, 130)
    left, top, at = dice.uniform(4, CANVAS - side - 4), dice.uniform(4, CANVAS - side - 4), dice.uniform(0, 360)
    shares = [dice.uniform(0.3, 1) for _ in range(dice.randint(3, 7))]
    for share in shares:
        until = at + 360 * share / sum(shares)
        pen.pieslice((left, top, left + side, top + side), at, until, _bright(dice), (255, 255, 255))
        at = until
    return Drawing(image, ("a pie chart", "a chart"))


def scatter_plot(dice: random.Random) -> Drawing:
    image, pen = _paper(dice)
    tone, slope = _bright(dice), dice.uniform(-1, 1)
    for _ in range(dice.randint(20, 70)):
        x = dice.uniform(24, 132)
        y = 68 - slope * (x - 78) * 0.7 + dice.gauss(0, 15)
        pen.ellipse((x - 2.5, y - 2.5, x + 2.5, y + 2.5), tone)
    _axes(pen, _ink(dice))
    return Drawing(image, ("a scatter plot", "a chart"))


def document(dice: random.Random) -> Drawing:
    image, pen = _paper(dice)
    ink, size, y, margin = _ink(dice), dice.uniform(4, 9), dice.uniform(6, 20), dice.uniform(8, 22)
    if dice.random() < 0.6:
        _text_line(pen, margin, y, dice.uniform(70, 120), size * 1.7, ink, dice)
        y += size * 3
    while y < CANVAS - dice.uniform(6, 30):
        last = dice.random() < 0.15
        _text_line(pen, margin, y, dice.uniform(50, 110) if last else CANVAS - margin, size, ink, dice)
        y += size * (2.6 if last else 1.5)
    if dice.random() < 0.35:
        image = _on_desk(image, dice)
    return Drawing(image, ("a document",))


def _on_desk(page: Image.Image, dice: random.Random) -> Image.Image:
    """The page as a tilted sheet that does not fill the frame."""
    desk, _ = _canvas(shade(dice.choice(["brown", "gray", "black", "white"]), dice))
    sheet = page.convert("RGBA").resize(
        (round(CANVAS * dice.uniform(0.55, 0.75)), round(CANVAS * dice.uniform(0.75, 0.95)))
    )
    sheet = sheet.rotate(dice.uniform(-12, 12), Image.Resampling.BILINEAR, expand=True)
    desk.paste(sheet, ((CANVAS - sheet.width) // 2, (CANVAS - sheet.height) // 2), sheet)
    return desk


def handwriting(dice: random.Random) -> Drawing:
    image, pen = _paper(dice)
    ink, step = dice.choice([(20, 30, 120), (30, 30, 30), (60, 20, 60)]), dice.uniform(13, 22)
    ruled = dice.random() < 0.5
    y = step
    while y < CANVAS - 6:
        if ruled:
            pen.line((0, y + 4, CANVAS, y + 4), (190, 205, 225), 1)
        x = dice.uniform(6, 16)
        while x < CANVAS - 20:
            points, end = [], x + dice.uniform(12, 34)
            while x < end:
                points.append((x, y + dice.gauss(0, step * 0.16) - (step * 0.4 if dice.random() < 0.15 else 0)))
                x += dice.uniform(1.5, 3.2)
            pen.line(points, ink, dice.choice([1, 2]), joint="curve")
            x += dice.uniform(5, 9)
        y += step
    return Drawing(_on_desk(image, dice) if dice.random() < 0.25 else image, ("handwriting",))


def number_table(dice: random.Random) -> Drawing:
    image, pen = _paper(dice)
    columns, height = dice.randint(3, 7), dice.uniform(9, 16)
    width = CANVAS / columns
    if dice.random() < 0.7:
        pen.rectangle((0, 0, CANVAS, height), _bright(dice) if dice.random() < 0.5 else (215, 215, 220))
    font = ImageFont.load_default(max(7.0, height * 0.65))
    for row in range(int(CANVAS / height) + 1):
        pen.line((0, row * height, CANVAS, row * height), (185, 185, 190), 1)
        for column in range(columns):
            pen.text((column * width + 3, row * height + 1), str(dice.randint(1, 9999)), _ink(dice), font=font)
    for column in range(1, columns):
        pen.line((column * width, 0, column * width, CANVAS), (185, 185, 190), 1)
    return Drawing(image, ("a table of numbers",))


def _window(pen: ImageDraw.ImageDraw, box: Box, dark: bool, dice: random.Random) -> None:
    left, top, right, _ = box
    pen.rounded_rectangle(box, 4, (38, 40, 46) if dark else (250, 250, 250), (120, 120, 125))
    pen.rectangle(
        (left, top, right, top + 11), (60, 62, 70) if dark else dice.choice([(215, 217, 222), (60, 110, 190)])
    )
    for k, tone in enumerate(((240, 95, 85), (245, 190, 60), (95, 200, 90))):
        pen.ellipse((left + 4 + k * 8, top + 3, left + 9 + k * 8, top + 8), tone)


def screenshot(dice: random.Random) -> Drawing:
    """A desktop with one to three windows and a bar."""
    image = _fade(shade(dice.choice(["blue", "purple", "green", "gray", "black"]), dice), _bright(dice))
    pen = ImageDraw.Draw(image)
    for _ in range(dice.randint(1, 3)):
        left, top = dice.uniform(0, 50), dice.uniform(0, 40)
        box = (left, top, dice.uniform(left + 60, CANVAS), dice.uniform(top + 50, CANVAS - 10))
        dark = dice.random() < 0.35
        _window(pen, box, dark, dice)
        ink, y = ((190, 195, 200) if dark else (80, 80, 85)), top + 17
        if dice.random() < 0.5:
            pen.rectangle(
                (left + 1, top + 12, left + (box[2] - left) * 0.27, box[3] - 2),
                (55, 58, 66) if dark else (228, 230, 235),
            )
        while y < box[3] - 8:
            _text_line(pen, left + (box[2] - left) * 0.32, y, box[2] - dice.uniform(4, 30), 5, ink, dice)
            y += 8
    bar = (25, 25, 30) if dice.random() < 0.6 else (235, 235, 240)
    pen.rectangle((0, CANVAS - 9, CANVAS, CANVAS) if dice.random() < 0.6 else (0, 0, CANVAS, 7), bar)
    return Drawing(image, ("a screenshot",))


def code_screen(dice: random.Random) -> Drawing:
    dark = dice.random() < 0.75
    image, pen = _canvas(
        dice.choice([(30, 30, 34), (12, 14, 18), (40, 42, 54), (0, 43, 54)]) if dark else (253, 253, 250)
    )
    y, inset, size = 6.0, 0, dice.uniform(6, 9)
    if dice.random() < 0.5:
        _window(pen, (0, 0, CANVAS - 1, CANVAS - 1), dark, dice)
        y = 16
    while y < CANVAS - 8:
        x = 8.0 + inset * 10
        for _ in range(dice.randint(0, 4)):
            tone = _bright(dice) if dice.random() < 0.6 else (210, 210, 210) if dark else (40, 40, 40)
            width = dice.uniform(10, 40)
            _text_line(pen, x, y, min(x + width, CANVAS - 4), size, tone, dice)
            x += width + 5
        inset = max(0, min(5, inset + dice.choice([-1, 0, 0, 1])))
        y += size * 1.5
    return Drawing(image, ("a screenshot of code", "a screenshot"))


def web_page(dice: random.Random) -> Drawing:
    image, pen = _canvas((255, 255, 255))
    pen.rectangle((0, 0, CANVAS, 12), (222, 225, 230))
    pen.rounded_rectangle((30, 3, 120, 10), 3, (255, 255, 255))
    pen.rectangle((0, 12, CANVAS, 28), _bright(dice) if dice.random() < 0.7 else (245, 245, 245))
    for k in range(4):
        pen.rectangle((60 + k * 20, 18, 74 + k * 20, 22), (250, 250, 250))
    y = 34.0
    if dice.random() < 0.7:
        image.paste(_fade(_bright(dice), _bright(dice)).resize((128, 40)), (8, 34))
        y = 80
    for column in range(dice.choice([1, 2, 3])):
        line = y
        while line < CANVAS - 8:
            _text_line(pen, 8 + column * 46, line, 8 + column * 46 + dice.uniform(30, 44), 5, (90, 90, 95), dice)
            line += 8
    return Drawing(image, ("a screenshot of a website", "a screenshot"))


def phone_chat(dice: random.Random) -> Drawing:
    dark = dice.random() < 0.3
    image, pen = _canvas((20, 22, 26) if dark else dice.choice([(255, 255, 255), (236, 229, 221), (240, 243, 247)]))
    pen.rectangle(
        (0, 0, CANVAS, 14), _bright(dice) if dice.random() < 0.5 else (70, 72, 78) if dark else (246, 246, 248)
    )
    mine, y = dice.choice([(0, 132, 255), (52, 199, 89), (220, 248, 198)]), 20.0
    while y < CANVAS - 16:
        right, width, height = dice.random() < 0.5, dice.uniform(45, 95), dice.uniform(12, 30)
        left = CANVAS - width - 6 if right else 6
        pen.rounded_rectangle(
            (left, y, left + width, y + height), 6, mine if right else (58, 60, 66) if dark else (229, 229, 234)
        )
        for line in range(int((height - 6) / 7)):
            _text_line(pen, left + 5, y + 3 + 7 * line, left + width - 6, 5, (30, 30, 30), dice)
        y += height + dice.uniform(4, 8)
    return Drawing(image, ("a screenshot of a phone", "a screenshot"))


def calendar(dice: random.Random) -> Drawing:
    image, pen = _paper(dice)
    pen.rectangle((0, 0, CANVAS, 24), _bright(dice))
    pen.text(
        (40, 4),
        dice.choice(["March", "July", "April", "May", "June"]),
        (255, 255, 255),
        font=ImageFont.load_default(14),
    )
    font = ImageFont.load_default(9)
    for day in range(31):
        x, y = day % 7 * 20 + 4, day // 7 * 22 + 30
        pen.rectangle((x - 2, y - 2, x + 17, y + 18), outline=(210, 210, 215))
        pen.text((x, y), str(day + 1), (200, 40, 40) if day % 7 == 6 else (50, 50, 50), font=font)
    return Drawing(image, ("a calendar",))


def square_code(dice: random.Random) -> Drawing:
    image, pen = _canvas((255, 255, 255))
    cells = dice.choice([21, 25, 29])
    margin, cell = dice.uniform(4, 30), 0.0
    cell = (CANVAS - 2 * margin) / cells
    for row in range(cells):
        for column in range(cells):
            if dice.random() < 0.5:
                x, y = margin + column * cell, margin + row * cell
                pen.rectangle((x, y, x + cell, y + cell), (0, 0, 0))
    for row, column in ((0, 0), (0, cells - 7), (cells - 7, 0)):
        x, y = margin + column * cell, margin + row * cell
        for inset, tone in ((0, 0), (1, 255), (2, 0)):
            pen.rectangle(
                (x + inset * cell, y + inset * cell, x + (7 - inset) * cell, y + (7 - inset) * cell), (tone, tone, tone)
            )
    return Drawing(image, ("a QR code",))


def barcode(dice: random.Random) -> Drawing:
    image, pen = _canvas((255, 255, 255))
    x, top = 14.0, dice.uniform(10, 50)
    while x < CANVAS - 14:
        width = dice.choice([1.5, 3, 4.5])
        pen.rectangle((x, top, x + width, 118), (0, 0, 0))
        x += width + dice.choice([1.5, 3, 4.5])
    _text_line(pen, 24, 122, 120, 9, (0, 0, 0), dice)
    return Drawing(image, ("a barcode",))


def street_map(dice: random.Random) -> Drawing:
    image, pen = _canvas(dice.choice([(242, 239, 233), (232, 230, 222)]))
    for _ in range(dice.randint(1, 4)):
        x, y = dice.uniform(0, CANVAS), dice.uniform(0, CANVAS)
        pen.polygon(
            [(x + dice.uniform(-40, 40), y + dice.uniform(-40, 40)) for _ in range(5)],
            dice.choice([(195, 225, 180), (165, 205, 235)]),
        )
    for width, tone in ((3, (255, 255, 255)), (3, (255, 255, 255)), (6, (250, 215, 120)), (6, (245, 170, 110))):
        for _ in range(dice.randint(2, 6) if width == 3 else 1):
            pen.line(
                [
                    (dice.uniform(-20, 164), -5),
                    (dice.uniform(0, 144), dice.uniform(40, 100)),
                    (dice.uniform(-20, 164), 150),
                ],
                tone,
                width,
            )
            pen.line(
                [
                    (-5, dice.uniform(-20, 164)),
                    (dice.uniform(40, 100), dice.uniform(0, 144)),
                    (150, dice.uniform(-20, 164)),
                ],
                tone,
                width,
            )
    return Drawing(image, ("a map",))


def sign(dice: random.Random) -> Drawing:
    first, second = dice.sample(COLOURS, 2)
    image, pen = _canvas(shade(first, dice))
    size, y = dice.uniform(20, 44), dice.uniform(10, 50)
    for _ in range(dice.randint(1, 3)):
        text = _letters(dice, dice.randint(3, 7))
        text = text.upper() if dice.random() < 0.6 else text.title()
        pen.text((dice.uniform(2, 30), y), text, shade(second, dice), font=ImageFont.load_default(size))
        y += size * 1.2
    return Drawing(image, ("a sign with words",))


def sheet_music(dice: random.Random) -> Drawing:
    image, pen = _paper(dice)
    for staff in range(12, 130, 36):
        for line in range(5):
            pen.line((6, staff + line * 5, 138, staff + line * 5), (60, 60, 60), 1)
        for x in range(16, 134, dice.choice([9, 12, 15])):
            y = staff + dice.randint(0, 8) * 2.5
            pen.ellipse((x, y - 2.5, x + 6, y + 2.5), (10, 10, 10))
            pen.line((x + 6, y, x + 6, y - 15), (10, 10, 10), 1)
    return Drawing(image, ("sheet music",))


# ── landscapes at different hours ──────────────────────────────────────────────────────────────────────────────────

SKIES: dict[str, tuple[RGB, RGB, float]] = {
    "daylight": ((70, 140, 225), (200, 225, 245), 1.0),
    "sunset": ((110, 60, 110), (255, 150, 60), 0.6),
    "night": ((6, 8, 28), (28, 34, 70), 0.22),
    "snow": ((185, 198, 212), (232, 238, 244), 0.95),
}


def _ridge(dice: random.Random, height: float, rough: float, points: int) -> list[tuple[float, float]]:
    top = [(k * CANVAS / (points - 1), height + dice.uniform(-rough, rough)) for k in range(points)]
    return [(0, CANVAS), *top, (CANVAS, CANVAS)]


def landscape(dice: random.Random) -> Drawing:
    hour, place = (
        dice.choice(list(SKIES)),
        dice.choice(["mountains", "the sea", "hills", "a desert", "a forest", "a city"]),
    )
    top, bottom, light = SKIES[hour]
    image = _fade(_mixed(top, _bright(dice), 0.08), bottom)
    pen = ImageDraw.Draw(image)
    tags = [hour, f"a drawing of {place}"]
    if hour == "night" and dice.random() < 0.8:
        _stars(pen, dice)
        tags.append("the moon and stars")
    elif hour != "snow":
        x, y, r = (
            dice.uniform(10, 120),
            dice.uniform(50, 80) if hour == "sunset" else dice.uniform(8, 40),
            dice.uniform(7, 15),
        )
        pen.ellipse((x, y, x + 2 * r, y + 2 * r), (255, 190, 80) if hour == "sunset" else (255, 240, 150))
    _ground(pen, place, hour, light, dice)
    if hour == "snow":
        _snowfall(pen, dice, dice.randint(0, 90))
    return Drawing(image, tuple(tags))


def _stars(pen: ImageDraw.ImageDraw, dice: random.Random) -> None:
    for _ in range(dice.randint(15, 60)):
        x, y = dice.uniform(0, CANVAS), dice.uniform(0, 90)
        pen.ellipse((x, y, x + 2, y + 2), (235, 235, 220))
    x, y, r = dice.uniform(10, 110), dice.uniform(6, 40), dice.uniform(7, 14)
    pen.ellipse((x, y, x + 2 * r, y + 2 * r), (245, 240, 210))


def _snowfall(pen: ImageDraw.ImageDraw, dice: random.Random, flakes: int) -> None:
    for _ in range(flakes):
        x, y, r = dice.uniform(0, CANVAS), dice.uniform(0, CANVAS), dice.uniform(1, 2.5)
        pen.ellipse((x - r, y - r, x + r, y + r), (255, 255, 255))


Light = Callable[[RGB], RGB]
"""How a colour looks at this hour."""


def _ground(pen: ImageDraw.ImageDraw, place: str, hour: str, light: float, dice: random.Random) -> None:
    def lit(tone: RGB) -> RGB:
        return _darker(_mixed(tone, (240, 244, 250), 0.75) if hour == "snow" else tone, light)

    window = (250, 225, 130) if hour == "night" else lit((190, 215, 235))
    grounds: dict[str, Callable[[float], None]] = {
        "mountains": lambda horizon: _mountains(pen, horizon, lit, dice),
        "the sea": lambda horizon: _sea(pen, horizon, lit, dice),
        "hills": lambda horizon: _layers(pen, horizon, lit, dice, (95, 160, 70), (-20, -22, 0)),
        "a desert": lambda horizon: _layers(pen, horizon, lit, dice, (225, 180, 115), (-14, -14, -10)),
        "a forest": lambda horizon: _forest(pen, horizon, lit, dice),
        "a city": lambda _: _city(pen, lit, window, dice),
    }
    grounds[place](dice.uniform(75, 105))


def _mountains(pen: ImageDraw.ImageDraw, horizon: float, lit: Light, dice: random.Random) -> None:
    for depth in range(dice.randint(1, 3)):
        tone = lit(_darker((110, 115, 130), 1 - depth * 0.2))
        pen.polygon(_ridge(dice, horizon - 25 + depth * 20, 25, dice.randint(5, 9)), tone)


def _sea(pen: ImageDraw.ImageDraw, horizon: float, lit: Light, dice: random.Random) -> None:
    pen.rectangle((0, horizon, CANVAS, CANVAS), lit((35, 105, 165)))
    for _ in range(dice.randint(6, 20)):
        x, y = dice.uniform(-10, CANVAS), dice.uniform(horizon + 3, CANVAS)
        pen.line((x, y, x + dice.uniform(8, 35), y), lit((110, 170, 210)), 2)
    if dice.random() < 0.4:
        pen.polygon(_ridge(dice, 132, 5, 5), lit((225, 200, 150)))


def _layers(pen: ImageDraw.ImageDraw, horizon: float, lit: Light, dice: random.Random, tone: RGB, nearer: RGB) -> None:
    for depth in range(dice.randint(2, 3)):
        near = tuple(c + depth * d for c, d in zip(tone, nearer, strict=True))
        pen.polygon(_ridge(dice, horizon + depth * 16, 9, 5), lit((near[0], near[1], near[2])))


def _forest(pen: ImageDraw.ImageDraw, horizon: float, lit: Light, dice: random.Random) -> None:
    pen.rectangle((0, horizon + 15, CANVAS, CANVAS), lit((70, 110, 55)))
    for _ in range(dice.randint(8, 22)):
        x, y, h = dice.uniform(0, CANVAS), dice.uniform(horizon + 18, CANVAS), dice.uniform(30, 65)
        pen.polygon([(x, y - h), (x - h * 0.28, y), (x + h * 0.28, y)], lit((30, dice.randint(70, 115), 45)))


def _city(pen: ImageDraw.ImageDraw, lit: Light, window: RGB, dice: random.Random) -> None:
    x = -5.0
    while x < CANVAS:
        width, top, grey = dice.uniform(12, 28), dice.uniform(25, 100), dice.randint(70, 160)
        pen.rectangle((x, top, x + width, CANVAS), lit((grey, grey, grey + 15)))
        for wy in range(int(top) + 5, CANVAS, 9):
            for wx in range(int(x) + 3, int(x + width) - 4, 7):
                if dice.random() < 0.5:
                    pen.rectangle((wx, wy, wx + 3, wy + 4), window)
        x += width + dice.uniform(0, 4)


def rainbow(dice: random.Random) -> Drawing:
    image = _fade((110, 160, 215), (205, 220, 235))
    pen = ImageDraw.Draw(image)
    if dice.random() < 0.3:
        for k, colour in enumerate(("red", "orange", "yellow", "green", "blue", "purple")):
            pen.rectangle((0, k * 24, CANVAS, k * 24 + 24), shade(colour, dice))
        return Drawing(image, ("a rainbow",))
    x, y, r = dice.uniform(40, 104), dice.uniform(100, 150), dice.uniform(65, 110)
    for colour in ("red", "orange", "yellow", "green", "blue", "purple"):
        pen.ellipse((x - r, y - r, x + r, y + r), outline=shade(colour, dice), width=7)
        r -= 6
    pen.polygon(_ridge(dice, 120, 6, 5), (85, 140, 70))
    return Drawing(image, ("a rainbow",))


# ── photographs, changed by code ───────────────────────────────────────────────────────────────────────────────────


def night_photo(photo: Image.Image, dice: random.Random) -> Drawing:
    dark = ImageEnhance.Brightness(photo).enhance(dice.uniform(0.12, 0.35))
    image = Image.blend(dark, Image.new("RGB", dark.size, (8, 12, 48)), dice.uniform(0.15, 0.4))
    pen = ImageDraw.Draw(image)
    for _ in range(dice.randint(0, 6)):
        x, y, r = dice.uniform(0, image.width), dice.uniform(0, image.height), dice.uniform(1, 3)
        pen.ellipse((x - r, y - r, x + r, y + r), (255, 225, 150))
    return Drawing(image, ("night",))


def snow_photo(photo: Image.Image, dice: random.Random) -> Drawing:
    pale = ImageEnhance.Color(photo).enhance(dice.uniform(0.2, 0.5))
    image = Image.blend(pale, Image.new("RGB", pale.size, (236, 241, 248)), dice.uniform(0.3, 0.55)).resize(
        (CANVAS, CANVAS)
    )
    pen = ImageDraw.Draw(image)
    pen.polygon(_ridge(dice, dice.uniform(95, 130), 6, 5), (246, 249, 252))
    _snowfall(pen, dice, dice.randint(20, 120))
    return Drawing(image, ("snow",))


def gray_photo(photo: Image.Image, dice: random.Random) -> Drawing:
    image = ImageEnhance.Contrast(photo.convert("L")).enhance(dice.uniform(0.8, 1.4)).convert("RGB")
    return Drawing(image, ("a black and white photo",))


def sepia_photo(photo: Image.Image, dice: random.Random) -> Drawing:
    image = ImageOps.colorize(photo.convert("L"), (45, 28, 12), (245, 228, 195), mid=(150, 112, 70))
    return Drawing(image, ("an old sepia photo",))


def blurry_photo(photo: Image.Image, dice: random.Random) -> Drawing:
    return Drawing(photo.filter(ImageFilter.GaussianBlur(dice.uniform(2.5, 5))), ("a blurry photo",))


def dark_photo(photo: Image.Image, dice: random.Random) -> Drawing:
    return Drawing(ImageEnhance.Brightness(photo).enhance(dice.uniform(0.08, 0.2)), ("a dark photo",))


# ── the mix ────────────────────────────────────────────────────────────────────────────────────────────────────────

PLAIN: tuple[Callable[[random.Random], Drawing], ...] = (
    grid, gradient, bar_chart, line_chart, pie_chart, scatter_plot, document, document, handwriting, number_table,
    screenshot, screenshot, code_screen, web_page, phone_chat, calendar, square_code, barcode, street_map, sign,
    sheet_music,
    landscape, landscape, landscape, landscape, rainbow,
)  # fmt: skip
PATTERNS: tuple[Callable[[str, random.Random], Drawing], ...] = (stripes, dots, checks)
TINTS: tuple[Callable[[Image.Image, random.Random], Drawing], ...] = (
    night_photo, snow_photo, gray_photo, sepia_photo, blurry_photo, dark_photo,
)  # fmt: skip


def draw(dice: random.Random, photo: Callable[[], Image.Image]) -> Drawing:
    """One drawing of the mix; `photo` gives a photograph for the tinted kinds."""
    what, colour = dice.random(), dice.choice(COLOURS)
    if what < 0.30:
        return coloured_thing(colour, dice.choice(list(DRAW_THING)), dice)
    if what < 0.36:
        return many_things(colour, dice.choice(list(DRAW_THING)), dice)
    if what < 0.46:
        return plain_background(colour, dice)
    if what < 0.54:
        return dice.choice(PATTERNS)(colour, dice)
    if what < 0.88:
        return dice.choice(PLAIN)(dice)
    return dice.choice(TINTS)(photo(), dice)
