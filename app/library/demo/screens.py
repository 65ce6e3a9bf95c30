"""Screenshots: windows of an invented system, a phone, a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from app.library.demo.canvas import Canvas, Colour, Point, across, ball, down, fade, mix, profile

DARK, PAPER, GREY = "#1e222b", "#ffffff", "#8a919e"


def desktop(width: int, height: int, *colours: Colour) -> Canvas:
    canvas = Canvas(width, height, down(*colours))
    canvas.glow(width * 0.2, height * 0.1, width * 0.6, width * 0.6, "#ffffff", 0.22)
    return canvas


def window(
    canvas: Canvas, x: float, y: float, width: float, height: float, title: str, ground: Colour, bar: Colour
) -> None:
    canvas.soft(
        [(x, y + 26), (x + width, y + 26), (x + width, y + height + 30), (x, y + height + 30)], "#0a0c14", 26, 0.5
    )
    canvas.rectangle(x, y, width, height, bar, 14)
    canvas.rectangle(x, y + 44, width, height - 44, ground, 14)
    canvas.rectangle(x, y + 44, width, 20, ground)
    for step, colour in enumerate(("#f2655a", "#f5be4c", "#5ec466")):
        canvas.circle(x + 28 + 26 * step, y + 22, 8, colour)
    canvas.text(x + width / 2, y + 22, title, 18, GREY, "mm")


CODE = """
import math
from shapes import Circle, Square

class Garden:
    # Flower beds and the paths between
    def __init__(self, beds):
        self.beds = beds
        self.name = "Orchard"

    def area(self):
        total = 0
        for bed in self.beds:
            total += bed.width * bed.length
        return total

    def is_larger(self, other):
        return self.area() > other.area()

def circle_of(radius):
    # Area of a round bed in square metres
    return math.pi * radius ** 2

if __name__ == "__main__":
    garden = Garden([Square(4), Circle(3)])
    print("Area:", garden.area())
"""
KEYWORDS = {"import", "from", "class", "def", "for", "in", "return", "if"}


def code_colour(word: str) -> Colour:
    bare = word.strip("():,")
    if bare in KEYWORDS:
        return "#c792ea"
    if bare[:1].isdigit():
        return "#f78c6c"
    if '"' in word:
        return "#a5d68a"
    if "(" in word:
        return "#82aaff"
    return "#ffcb6b" if bare[:1].isupper() else "#d5dbe8"


def code_editor() -> Image.Image:
    canvas = desktop(1440, 960, "#3c4f8a", "#7a5a9a", "#d58a8a")
    window(canvas, 70, 60, 1300, 840, "garden.py", DARK, "#2a2f3a")
    canvas.rectangle(70, 104, 250, 782, "#191c24")
    for row, name in enumerate(
        ("orchard", "  beds.py", "  garden.py", "  shapes.py", "  tests", "  notes.md", "  setup.cfg")
    ):
        if row == 2:
            canvas.rectangle(70, 136 + 40 * row, 250, 38, "#2c3342")
        indent = len(name) - len(name.strip())
        canvas.text(100 + 14 * indent, 155 + 40 * row, name.strip(), 19, "#d5dbe8" if row == 2 else GREY, "lm")
    for row, line in enumerate(CODE.strip().splitlines()):
        y = 142 + 29 * row
        canvas.text(372, y, str(row + 1), 17, "#4d5566", "rm")
        x = 400 + 10.5 * (len(line) - len(line.lstrip()))
        if line.strip().startswith("#"):
            canvas.text(x, y, line.strip(), 19, "#677590", "lm")
            continue
        for word in line.split():
            x += canvas.text(x, y, word, 19, code_colour(word), "lm") + 8
    canvas.rectangle(400, 550, 2.5, 24, "#ffcb6b")
    for row, line in enumerate(CODE.strip().splitlines()):
        canvas.rectangle(1272, 130 + 6 * row, min(84.0, 1 + len(line) * 1.8), 3, "#5b6579")
    canvas.rectangle(70, 868, 1300, 32, "#3f6fd0", 10)
    canvas.text(96, 884, "main", 16, "#ffffff", "lm")
    canvas.text(1346, 884, "Line 15, Column 1", 16, "#ffffff", "rm")
    return canvas.finish()


def terminal() -> Image.Image:
    canvas = desktop(1200, 800, "#123a4a", "#1f6a6a", "#8ab88a")
    window(canvas, 80, 70, 1040, 660, "terminal", "#0f141a", "#232a33")
    lines: Sequence[tuple[Colour, str]] = (
        ("#6fd08c", "$ tide --station nordhavn --days 3"),
        ("#c8d2dc", "reading 288 measurements ... done"),
        ("#c8d2dc", ""),
        ("#7fb8f0", "DAY            HIGH       LOW        WIND"),
        ("#c8d2dc", "Monday      2.41 m     0.38 m     4 m/s"),
        ("#c8d2dc", "Tuesday     2.52 m     0.31 m     7 m/s"),
        ("#c8d2dc", "Wednesday   2.60 m     0.27 m     9 m/s"),
        ("#c8d2dc", ""),
        ("#f2c05a", "warning: strong wind from the north on Wednesday"),
        ("#6fd08c", "$ tide --plot"),
    )
    for row, (colour, line) in enumerate(lines):
        for column, sign in enumerate(line):
            canvas.text(118 + 11.6 * column, 152 + 34 * row, sign, 20, colour, "mm")
    for step, value in enumerate(np.sin(np.arange(60) / 4.6) * 0.5 + 0.5):
        canvas.rectangle(112 + 16 * step, 660 - 150 * value, 10, 12 + 150 * value, fade("#4fc3c8", 0.35 + 0.6 * value))
    canvas.rectangle(112, 684, 12, 24, "#6fd08c")
    return canvas.finish()


def browser_window() -> Image.Image:
    canvas = desktop(1440, 900, "#b9d3ea", "#e6d7ea", "#f6e2d2")
    window(canvas, 80, 60, 1280, 790, "", PAPER, "#e8ebf0")
    canvas.rectangle(420, 69, 600, 30, PAPER, 15)
    canvas.text(720, 84, "www.lighthouse-walks.example", 17, GREY, "mm")
    canvas.rectangle(80, 104, 1280, 330, down("#f6b98a", "#f4d7b4"))
    line = profile(1280, 400, swell=320)
    canvas.polygon([(80, 434), *((80 + 4 * i, 400 - 90 * v) for i, v in enumerate(line[:321])), (1360, 434)], "#6f6d94")
    canvas.circle(1080, 240, 44, "#fff2d0")
    canvas.text(140, 176, "Walks along the coast", 54, "#2c2a44", bold=True)
    canvas.text(140, 250, "Twelve quiet paths, from one light to the next", 25, "#4a4766")
    canvas.rectangle(140, 306, 190, 54, "#d9503f", 27)
    canvas.text(235, 333, "Find a walk", 22, "#ffffff", "mm")
    for column, (name, sky, land) in enumerate(
        (
            ("Cliff path", "#8cc4e0", "#5c8f62"),
            ("Harbour round", "#f0a58a", "#3f6a8a"),
            ("Dune way", "#f3dca6", "#c78f4e"),
        )
    ):
        x = 140 + 400 * column
        canvas.rectangle(x, 480, 360, 330, "#f5f6f9", 12)
        canvas.rectangle(x, 480, 360, 190, down(sky, mix(sky, "#ffffff", 0.6)), 12)
        hill = profile(352, 410 + column, swell=200, smooth=True)
        canvas.polygon([(x, 670), *((x + 4 * i, 650 - 90 * v) for i, v in enumerate(hill[:91])), (x + 360, 670)], land)
        canvas.text(x + 24, 700, name, 27, "#2c2a44", bold=True)
        for row, width in enumerate((300, 240)):
            canvas.rectangle(x + 24, 752 + 24 * row, width, 9, "#cfd3dc", 4)
    return canvas.finish()


def error_dialog() -> Image.Image:
    canvas = desktop(1200, 800, "#274a7a", "#3f7fae", "#9ccfd0")
    window(canvas, 250, 230, 700, 330, "Backup", "#f7f8fa", "#e4e7ec")
    canvas.circle(340, 372, 44, ball("#ff8a7a", "#e0402f", "#a81f18"))
    for side in (-1, 1):
        canvas.line([(324, 372 - 16 * side), (356, 372 + 16 * side)], "#ffffff", 8)
    canvas.text(416, 322, "The disk is full", 30, "#22252c", bold=True)
    canvas.text(416, 372, "The last backup could not be finished.", 21, "#5a606c")
    canvas.text(416, 402, "Error 0x28: no space left on drive B", 21, "#5a606c")
    for x, label, ground, ink in ((600, "Cancel", "#e2e5ea", "#22252c"), (766, "Try again", "#2f6fd0", "#ffffff")):
        canvas.rectangle(x, 484, 150, 48, ground, 8)
        canvas.text(x + 75, 508, label, 20, ink, "mm")
    canvas.rectangle(0, 744, 1200, 56, fade("#0c1830", 0.6))
    for step, colour in enumerate(("#f2b84a", "#5ec08a", "#e8705a", "#7fa8f0", "#c79af0")):
        canvas.rectangle(480 + 52 * step, 754, 36, 36, down(mix(colour, "#ffffff", 0.3), colour), 9)
    canvas.text(1170, 772, "16:42", 20, "#ffffff", "rm")
    return canvas.finish()


CHAT = (
    (False, ("Are you free on Saturday?",)),
    (True, ("Yes, from ten on.", "Shall we go to the lake?")),
    (False, ("Good idea. I will bring", "bread and cheese.")),
    (True, ("And I the boat.",)),
    (False, ("Look, this was last year:",)),
)


def chat_on_a_phone() -> Image.Image:
    canvas = Canvas(720, 1440, "#eef1f6")
    canvas.rectangle(0, 0, 720, 150, PAPER)
    canvas.text(40, 36, "9:41", 24, "#1c1f27", "lm", bold=True)
    canvas.rectangle(634, 24, 46, 24, "#1c1f27", 6)
    canvas.circle(92, 102, 34, ball("#ffd0a0", "#f08a5a", "#c85a4a"))
    canvas.text(92, 102, "N", 34, "#ffffff", "mm", bold=True)
    canvas.text(146, 88, "Nora", 29, "#1c1f27", "lm", bold=True)
    canvas.text(146, 122, "online", 21, "#3fa86a", "lm")
    y = 190.0
    for mine, words in CHAT:
        y = bubble(canvas, y, mine, words) + 24
    photo(canvas, 32, y)
    bubble(canvas, y + 326, True, ("That is where we go.",))
    canvas.rectangle(0, 1330, 720, 110, PAPER)
    canvas.rectangle(32, 1350, 560, 66, "#eef1f6", 33)
    canvas.text(64, 1383, "Message", 25, GREY, "lm")
    canvas.circle(650, 1383, 34, "#3478f0")
    canvas.polygon([(636, 1366), (668, 1383), (636, 1400), (642, 1383)], "#ffffff")
    return canvas.finish()


def bubble(canvas: Canvas, y: float, mine: bool, words: Sequence[str]) -> float:
    """Returns where it ends."""
    width, height = 56 + 13.2 * max(map(len, words)), 40 + 36 * len(words)
    x = 688 - width if mine else 32
    canvas.rectangle(x, y, width, height, across("#4f9bff", "#2f6ff0") if mine else PAPER, 30)
    for row, line in enumerate(words):
        canvas.text(x + 28, y + 38 + 36 * row, line, 26, "#ffffff" if mine else "#1c1f27", "lm")
    return y + height


def photo(canvas: Canvas, x: float, y: float) -> None:
    canvas.rectangle(x, y, 400, 300, down("#f0b28a", "#f8e0b8"), 28)
    hill = profile(340, 420, swell=170)
    canvas.polygon(
        [
            (x, y + 190),
            *((x + 4 * i, y + 180 - 110 * v) for i, v in enumerate(hill[:101])),
            (x + 400 - 50, y + 190),
        ],
        "#8a7a9a",
    )
    canvas.rectangle(x, y + 180, 400, 120, down("#7fa5b8", "#3f6f94"), 28)
    canvas.rectangle(x, y + 180, 400, 40, "#7fa5b8")
    canvas.polygon([(x + 120, y + 232), (x + 280, y + 232), (x + 252, y + 262), (x + 148, y + 262)], "#a8432f")


def weather_on_a_phone() -> Image.Image:
    canvas = Canvas(720, 1280, down("#2f5fb0", "#5a94d8", "#a8cdea"))
    canvas.text(360, 150, "Nordhavn", 52, "#ffffff", "mm")
    canvas.text(366, 280, "21°", 170, "#ffffff", "mm")
    canvas.text(360, 400, "Partly cloudy", 32, "#e4eefa", "mm")
    canvas.glow(470, 560, 200, 200, "#ffe9a0", 0.8)
    canvas.circle(450, 550, 74, ball("#fff3b0", "#ffd04a", "#f5a82a"))
    for dx, dy, size in ((-110, 40, 52), (-50, 0, 74), (30, 26, 62), (90, 52, 42)):
        canvas.circle(330 + dx, 600 + dy, size, down("#ffffff", "#dfeaf5"))
    canvas.rectangle(170, 622, 300, 74, down("#eef4fa", "#dfeaf5"), 36)
    canvas.rectangle(40, 780, 640, 440, "#ffffff30", 30)
    days = (("Mon", 12, 21), ("Tue", 13, 23), ("Wed", 11, 18), ("Thu", 9, 16), ("Fri", 12, 20))
    for row, (day, low, high) in enumerate(days):
        y = 836 + 80 * row
        canvas.text(80, y, day, 29, "#ffffff", "lm")
        canvas.circle(216, y, 16, "#ffd95a" if row != 3 else "#d5e2f0")
        canvas.text(320, y, f"{low}°", 27, "#d5e4f6", "rm")
        canvas.rectangle(350, y - 5, 220, 10, "#ffffff40", 5)
        canvas.rectangle(350 + (low - 9) * 14, y - 5, (high - low) * 16, 10, across("#8fd0f0", "#ffd95a"), 5)
        canvas.text(646, y, f"{high}°", 27, "#ffffff", "rm")
    return canvas.finish(1.0)


PLACES = {
    "Rose Garden": (860, 300),
    "Market": (560, 190),
    "Old Town": (250, 410),
    "Meadow Park": (240, 664),
    "Station": (700, 860),
}


def map_of_a_town() -> Image.Image:
    canvas = Canvas(1200, 1000, "#f0ece2")
    blocks_and_streets(canvas, np.random.default_rng(120))
    for path in ([(-20, 830), (420, 700), (760, 660), (1240, 720)], [(300, -20), (420, 340), (480, 700), (430, 1020)]):
        canvas.line(path, "#e0b45c", 26)
        canvas.line(path, "#fbdc8e", 20)
    route: list[Point] = [(180, 786), (420, 708), (470, 620), (424, 342), (620, 330), (880, 250)]
    canvas.line(route, "#2f62d0", 16)
    canvas.line(route, "#5a8ff5", 10)
    canvas.circle(*route[0], 18, "#ffffff")
    canvas.circle(*route[0], 12, "#2f62d0")
    pin(canvas, *route[-1])
    for name, place in PLACES.items():
        for dx, dy in ((-2, 0), (2, 0), (0, -2), (0, 2)):
            canvas.text(place[0] + dx, place[1] + dy, name, 25, "#ffffff", "mm", bold=True)
        canvas.text(*place, name, 25, "#4a4a42", "mm", bold=True)
    canvas.rectangle(40, 40, 420, 70, PAPER, 35)
    canvas.text(84, 75, "Way to the rose garden", 25, "#3a3d45", "lm")
    return canvas.finish()


def blocks_and_streets(canvas: Canvas, rng: np.random.Generator) -> None:
    for column in range(12):
        for row in range(13):
            if rng.random() < 0.8:
                tone = mix("#e3dccd", "#d9d0bf", rng.random())
                x, y, width, height = 104 * column - 26, 84 * row - 26, rng.uniform(50, 78), rng.uniform(40, 58)
                canvas.rectangle(x, y, width, height, tone, 3)
    for column in range(12):
        canvas.line([(104 * column, 0), (104 * column + 30 * np.sin(column), 1000)], "#ffffff", 12)
    for row in range(12):
        canvas.line([(0, 84 * row + 20), (1200, 84 * row + 20 + 24 * np.cos(row))], "#ffffff", 12)
    for x, y, width, height in ((700, 120, 320, 220), (120, 620, 240, 170), (860, 760, 220, 200)):
        canvas.rectangle(x, y, width, height, "#c5dfa8", 30)
        for dx, dy in rng.uniform((24, 24), (width - 24, height - 24), (22, 2)):
            canvas.circle(x + dx, y + dy, 11, "#a4cb84")
    canvas.line([(x, 520 + 120 * float(np.sin(x / 230)) - x * 0.12) for x in range(-60, 1300, 20)], "#9ccbe8", 92)


def pin(canvas: Canvas, x: float, y: float) -> None:
    canvas.glow(x, y + 4, 40, 14, "#2a2418", 0.8)
    canvas.circle(x, y - 66, 38, "#d9382e")
    canvas.polygon([(x - 34, y - 50), (x, y), (x + 34, y - 50)], "#d9382e")
    canvas.circle(x, y - 66, 15, "#ffffff")
