"""What lies on a desk: charts, letters, receipts, forms, notes. The words are invented."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from app.library.demo.canvas import Canvas, Colour, Point, across, down, fade, mix

INK, SOFT, LINE = "#24262d", "#70747f", "#d9dbe0"
BLUE, CORAL, AMBER, TEAL, VIOLET = "#3b6fb6", "#e2674e", "#efb036", "#3a9a8c", "#7d62b8"


def sheet(width: int, height: int, tone: Colour = "#fdfcf9") -> Canvas:
    return Canvas(width, height, down(tone, mix(tone, "#000000", 0.025)))


def grey_lines(canvas: Canvas, x: float, y: float, widths: Sequence[float], step: float = 26, thick: float = 9) -> None:
    """Lines of text too small to read."""
    for index, width in enumerate(widths):
        canvas.rectangle(x, y + step * index, width, thick, "#c9ccd3", thick / 2)


# Charts


def chart(title: str, subtitle: str) -> Canvas:
    canvas = sheet(1200, 800, "#ffffff")
    canvas.text(80, 56, title, 38, INK, bold=True)
    canvas.text(80, 108, subtitle, 22, SOFT)
    return canvas


def axes(canvas: Canvas, labels: Sequence[str], values: Sequence[str]) -> None:
    for step, value in enumerate(values):
        y = 690 - 500 * step / (len(values) - 1)
        canvas.line([(130, y), (1130, y)], "#b4b8c1" if step == 0 else "#e6e8ec", 2)
        canvas.text(112, y, value, 19, SOFT, "rm")
    for step, label in enumerate(labels):
        canvas.text(130 + 1000 * (step + 0.5) / len(labels), 716, label, 19, SOFT, "ma")


def bar_chart() -> Image.Image:
    canvas = chart("Bicycles rented per month", "Harbour station, in hundreds")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    axes(canvas, months, ("0", "10", "20", "30", "40", "50"))
    for step, value in enumerate((8, 11, 17, 26, 34, 41, 47, 45, 36, 24, 13, 9)):
        x, height = 130 + 1000 * (step + 0.5) / 12 - 27, value * 10
        colour = CORAL if value == 47 else BLUE
        canvas.rectangle(x, 690 - height, 54, height, down(mix(colour, "#ffffff", 0.18), colour), 5)
        canvas.rectangle(x, 684, 54, 6, colour)
        canvas.text(x + 27, 682 - height, str(value), 18, INK, "ms")
    return canvas.finish()


def line_chart() -> Image.Image:
    canvas = chart("Temperature over a week", "Degrees, three stations")
    axes(canvas, ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), ("0°", "5°", "10°", "15°", "20°", "25°"))
    rng = np.random.default_rng(101)
    for name, colour, level in (("Valley", CORAL, 17), ("Coast", BLUE, 13), ("Summit", TEAL, 6)):
        steps = np.arange(57)
        degrees = level + 3 * np.sin(steps / 4) + 1.6 * np.sin(steps / 11 + level) + rng.normal(0, 0.35, 57)
        points: list[Point] = [(130 + 1000 * i / 56, 690 - 20 * float(d)) for i, d in zip(steps, degrees, strict=True)]
        canvas.polygon([*points, (1130, 690), (130, 690)], down(fade(colour, 0.2), fade(colour, 0.0)))
        canvas.line(points, colour, 5)
        canvas.circle(*points[-1], 9, colour)
        canvas.circle(*points[-1], 4, "#ffffff")
        canvas.text(1120, points[-1][1] - 16, name, 22, colour, "rs", bold=True)
    return canvas.finish()


def pie_chart() -> Image.Image:
    canvas = chart("Where the energy comes from", "Share of one year")
    start = -90.0
    parts = (("Wind", 38, BLUE), ("Sun", 24, AMBER), ("Water", 18, TEAL), ("Biogas", 12, VIOLET), ("Other", 8, CORAL))
    canvas.glow(420, 500, 300, 300, "#c7cad2", 0.6)
    for row, (name, percent, colour) in enumerate(parts):
        end = start + 3.6 * percent
        canvas.pie(420, 470, 250, 250, start, end, colour)
        for edge in (start, end):
            canvas.line(
                [(420, 470), (420 + 250 * np.cos(np.radians(edge)), 470 + 250 * np.sin(np.radians(edge)))], "#ffffff", 4
            )
        middle = np.radians((start + end) / 2)
        canvas.text(
            420 + 165 * np.cos(middle), 470 + 165 * np.sin(middle), f"{percent}%", 26, "#ffffff", "mm", bold=True
        )
        canvas.rectangle(800, 318 + 62 * row, 32, 32, colour, 6)
        canvas.text(852, 334 + 62 * row, name, 27, INK, "lm")
        start = end
    return canvas.finish()


def scatter_plot() -> Image.Image:
    canvas = chart("Height and wingspan", "310 birds of five species, centimetres")
    axes(canvas, ("20", "40", "60", "80", "100"), ("0", "50", "100", "150", "200"))
    rng = np.random.default_rng(103)
    for x, y, spread, colour in (
        (240, 590, 34, TEAL),
        (420, 500, 42, BLUE),
        (590, 430, 44, AMBER),
        (760, 350, 50, CORAL),
        (960, 270, 46, VIOLET),
    ):
        for dx, dy in rng.normal(0, spread, (62, 2)):
            canvas.circle(x + dx, y - dx * 0.55 + dy * 0.6, 8, fade(colour, 0.55))
    canvas.line([(160, 640), (1110, 205)], "#24262d99", 3)
    return canvas.finish()


def quarterly_report() -> Image.Image:
    canvas = sheet(1000, 1414, "#ffffff")
    canvas.rectangle(0, 0, 1000, 270, across("#16324f", "#2a5d84"))
    canvas.text(80, 84, "Quarterly report", 62, "#ffffff", bold=True)
    canvas.text(80, 172, "Nordlicht Instruments, third quarter", 28, "#c4d8e8")
    for column, (value, label, colour) in enumerate(
        (("4.2 M", "revenue", BLUE), ("+18%", "growth", TEAL), ("312", "customers", CORAL))
    ):
        x = 80 + 290 * column
        canvas.rectangle(x, 330, 260, 160, "#f3f5f8", 12)
        canvas.text(x + 28, 356, value, 50, colour, bold=True)
        canvas.text(x + 28, 428, label, 24, SOFT)
    canvas.text(80, 548, "Orders by region", 32, INK, bold=True)
    for step, (name, share) in enumerate((("North", 0.92), ("East", 0.64), ("South", 0.78), ("West", 0.45))):
        canvas.text(80, 622 + 58 * step, name, 24, SOFT, "lm")
        canvas.rectangle(200, 606 + 58 * step, 720, 32, "#eef0f4", 6)
        canvas.rectangle(200, 606 + 58 * step, 720 * share, 32, across(BLUE, "#6fa0dc"), 6)
    canvas.text(80, 884, "Outlook", 32, INK, bold=True)
    grey_lines(canvas, 80, 948, (840, 800, 826, 640), 34, 11)
    grey_lines(canvas, 80, 1108, (820, 840, 790, 812, 420), 34, 11)
    canvas.text(920, 1356, "1", 22, SOFT, "rm")
    return canvas.finish()


# Letters and forms


def letter() -> Image.Image:
    canvas = sheet(1000, 1414)
    canvas.circle(150, 150, 44, "#2c5a4a")
    canvas.text(150, 150, "H", 50, "#ffffff", "mm", bold=True)
    canvas.text(216, 130, "Haldenhof Nursery", 32, "#2c5a4a", "lm", bold=True)
    canvas.text(216, 170, "7 Orchard Lane, Altmere", 21, SOFT, "lm")
    canvas.text(900, 270, "12 March", 24, INK, "ra")
    lines = """Dear Ms Lindqvist,

thank you for your order of forty apple trees. They are young,
strong, and ready to leave us as soon as the frost is over.

Please plant them in the first week after they arrive. Water
them well in the evening, and keep the grass away from the
stems through the first two summers.

We enclose a drawing that shows how to tie them to their
stakes, and a small bag of the meadow seed that you liked.

If any of them should not come into leaf by June, write to
us, and we will send another one without asking why.

With kind regards,"""
    for step, line in enumerate(lines.splitlines()):
        canvas.text(100, 350 + 48 * step, line, 28, INK)
    signature(canvas, 110, 1200, "#21408a")
    canvas.text(100, 1270, "Ida Halden", 28, INK)
    return canvas.finish()


def signature(canvas: Canvas, x: float, y: float, colour: Colour) -> None:
    turn = np.linspace(0, 9 * np.pi, 200)
    dx = turn * 9 + 16 * np.sin(turn)
    dy = np.cos(turn) * (34 - turn) * 0.85 + 9 * np.sin(turn * 0.37)
    canvas.line([(float(x + a), float(y + b)) for a, b in zip(dx, dy, strict=True)], colour, 4)


def on_a_desk(paper: Canvas, width: int, height: int, angle: float) -> Canvas:
    """A paper as photographed, lying askew on wood."""
    desk = Canvas(width, height, down("#8d6444", "#6f4a30"), paper.scale)
    rng = np.random.default_rng(110)
    for y in range(0, height, 150):
        desk.line([(0, y), (width, y)], "#3a2416", 4)
    for y, tone in zip(rng.uniform(0, height, 90), rng.random(90), strict=True):
        bend = rng.uniform(-6, 6)
        grain = [(x, y + bend * np.sin(x / width * 5 + tone * 6)) for x in range(-20, width + 80, 60)]
        desk.line(grain, fade("#3a2416" if tone < 0.6 else "#c49a70", 0.22), 2)
    half_x, half_y, turn = paper.width / 2, paper.height / 2, -np.radians(angle)
    corners = [
        (x * np.cos(turn) - y * np.sin(turn) + width / 2, x * np.sin(turn) + y * np.cos(turn) + height / 2)
        for x, y in ((-half_x, -half_y), (half_x, -half_y), (half_x, half_y), (-half_x, half_y))
    ]
    desk.soft([(x + 14, y + 20) for x, y in corners], "#1a0e06", 20, 0.65)
    desk.place(paper, width / 2, height / 2, angle)
    return desk


def receipt() -> Image.Image:
    paper = Canvas(440, 960, down("#fbfaf6", "#f1efe8"), scale=2)
    paper.text(220, 50, "HOTEL AURORA", 34, INK, "ma", bold=True)
    paper.text(220, 100, "Fjordgate 3, Nordhavn", 19, SOFT, "ma")
    paper.text(220, 128, "Receipt 20418", 19, SOFT, "ma")
    items = (
        ("2 nights, room 14", "236.00"),
        ("Breakfast x2", "38.00"),
        ("Sauna", "15.00"),
        ("Tea", "4.50"),
        ("Parking", "18.00"),
    )
    paper.line([(40, 176), (400, 176)], LINE, 3)
    for step, (name, price) in enumerate(items):
        paper.text(40, 206 + 48 * step, name, 22, INK)
        paper.text(400, 206 + 48 * step, price, 22, INK, "ra")
    paper.line([(40, 462), (400, 462)], LINE, 3)
    paper.text(40, 486, "TOTAL", 34, INK, bold=True)
    paper.text(400, 486, "311.50", 34, INK, "ra", bold=True)
    paper.text(40, 544, "incl. tax 10%", 19, SOFT)
    paper.text(400, 544, "28.32", 19, SOFT, "ra")
    paper.text(40, 584, "Paid by card **** 4471", 19, SOFT)
    rng, x = np.random.default_rng(111), 70.0
    while x < 368:
        width = float(rng.choice([3, 5, 8]))
        paper.rectangle(x, 660, width, 110, INK)
        x += width + float(rng.choice([3, 5, 7]))
    paper.text(220, 790, "9 418 20418 03", 19, SOFT, "ma")
    paper.text(220, 870, "Thank you. Come back soon.", 21, INK, "ma")
    return on_a_desk(paper, 840, 1120, 5).finish(2.0)


def invoice() -> Image.Image:
    canvas = sheet(1000, 1414, "#ffffff")
    canvas.text(80, 90, "INVOICE", 64, CORAL, bold=True)
    canvas.text(920, 100, "No. 1187", 28, INK, "ra", bold=True)
    canvas.text(920, 142, "due in 30 days", 22, SOFT, "ra")
    for x, head, widths in ((80, "From", (230, 190, 210)), (540, "To", (250, 170, 200))):
        canvas.text(x, 240, head, 22, SOFT)
        grey_lines(canvas, x, 284, widths, 32, 11)
    canvas.rectangle(80, 450, 840, 56, "#2b2f3a", 6)
    for x, head, anchor in ((104, "Item", "lm"), (600, "Qty", "rm"), (750, "Price", "rm"), (896, "Amount", "rm")):
        canvas.text(x, 478, head, 22, "#ffffff", anchor)
    rows = (
        ("Oak shelf, oiled", 4, 85),
        ("Wall bracket", 8, 6),
        ("Reading lamp", 2, 49),
        ("Delivery", 1, 30),
        ("Assembly, hours", 3, 40),
    )
    for step, (name, count, price) in enumerate(rows):
        y = 540 + 62 * step
        for x, text, anchor in (
            (104, name, "lm"),
            (600, str(count), "rm"),
            (750, f"{price}.00", "rm"),
            (896, f"{count * price}.00", "rm"),
        ):
            canvas.text(x, y, text, 24, INK, anchor)
        canvas.line([(80, y + 31), (920, y + 31)], LINE, 2)
    total = sum(count * price for _, count, price in rows)
    canvas.text(750, 900, "Subtotal", 24, SOFT, "rm")
    canvas.text(896, 900, f"{total}.00", 24, INK, "rm")
    canvas.rectangle(560, 932, 360, 70, fade(CORAL, 0.14), 8)
    canvas.text(750, 967, "Total", 30, INK, "rm", bold=True)
    canvas.text(896, 967, f"{total}.00", 30, CORAL, "rm", bold=True)
    canvas.text(80, 1130, "Please pay to", 22, SOFT)
    grey_lines(canvas, 80, 1174, (360, 310), 34, 11)
    canvas.text(80, 1310, "Thank you for your business.", 24, INK)
    return canvas.finish()


def timetable() -> Image.Image:
    canvas = sheet(1200, 850, "#ffffff")
    canvas.text(60, 44, "Timetable, class 7b", 40, INK, bold=True)
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
    subjects = ("Maths", "Music", "Biology", "English", "History", "Sport", "Art", "Physics")
    colours = (BLUE, VIOLET, TEAL, CORAL, AMBER, "#5a9a4a", "#d2628a", "#4aa0c4")
    for column, day in enumerate(days):
        canvas.rectangle(150 + 200 * column, 120, 190, 54, "#2b2f3a", 6)
        canvas.text(245 + 200 * column, 147, day, 22, "#ffffff", "mm")
    for row in range(6):
        y = 186 + 104 * row
        canvas.text(130, y + 46, f"{8 + row}:15", 22, SOFT, "rm")
        for column in range(5):
            index = (row * 5 + column * 3 + row * column // 2) % 8
            canvas.rectangle(150 + 200 * column, y, 190, 92, fade(colours[index], 0.2), 8)
            canvas.rectangle(150 + 200 * column, y, 8, 92, colours[index], 4)
            canvas.text(176 + 200 * column, y + 34, subjects[index], 24, INK, "lm", bold=True)
            canvas.text(176 + 200 * column, y + 66, f"Room {11 + (index * 7 + row) % 19}", 18, SOFT, "lm")
    return canvas.finish()


def handwritten_note() -> Image.Image:
    paper, ink = Canvas(640, 640, down("#fff0a0", "#f8e07c"), scale=2), Canvas(640, 640, "#ffffff", scale=2)
    rng = np.random.default_rng(112)
    words = ("Shopping:", "- bread, butter", "- 6 eggs", "- tomatoes", "- candles (cake!)", "call Grandma", "at seven")
    for row, line in enumerate(words):
        x = 70 + 0.2 * (104 + 76 * row - 320)  # the slant moves the line back by as much
        for sign in line:
            y, size = 104 + 76 * row + rng.normal() * 2.5, 48 + rng.normal() * 1.5
            x += ink.text(x, y, sign, size, "#000000", "ls", bold=True) + 2
    paper.slanted(ink, "#23408e", 0.2)
    paper.line([(68, 122), (300, 116)], "#23408e", 4)
    desk = on_a_desk(paper, 900, 900, -4)
    desk.circle(440, 150, 22, "#8c1f1c")
    desk.circle(446, 142, 24, "#d8403a")
    desk.circle(440, 134, 8, "#f4a09a")
    return desk.finish(2.0)


def form_to_fill_in() -> Image.Image:
    canvas = sheet(1000, 1300, "#f8faf7")
    canvas.rectangle(0, 0, 1000, 150, "#2f6b58")
    canvas.text(70, 46, "Library card application", 44, "#ffffff", bold=True)
    canvas.text(70, 104, "Please use capital letters", 21, "#cfe5dc")
    for row, (label, value) in enumerate(
        (("Family name", "SOLBERG"), ("First name", "MAJA"), ("Street", "PINE STREET 12"), ("Town", "ALTMERE"))
    ):
        y = 200 + 128 * row
        canvas.text(70, y, label, 23, SOFT)
        for step in range(17):
            canvas.rectangle(70 + 50 * step, y + 38, 48, 58, "#9fb5aa", 4)
            canvas.rectangle(72 + 50 * step, y + 40, 44, 54, "#ffffff", 3)
            canvas.text(94 + 50 * step, y + 68, value[step : step + 1], 32, "#21408a", "mm")
    canvas.text(70, 740, "I read mostly", 23, SOFT)
    for step, (label, ticked) in enumerate(
        (("Novels", True), ("Science", True), ("Travel", False), ("Comics", False), ("Music", True))
    ):
        x, y = 70 + 300 * (step % 3), 790 + 70 * (step // 3)
        canvas.rectangle(x, y, 38, 38, "#5f7a6e", 5)
        canvas.rectangle(x + 3, y + 3, 32, 32, "#ffffff", 4)
        if ticked:
            canvas.line([(x + 5, y + 15), (x + 15, y + 28), (x + 36, y - 4)], "#21408a", 5)
        canvas.text(x + 54, y + 19, label, 27, INK, "lm")
    canvas.text(70, 980, "Signature", 23, SOFT)
    canvas.line([(70, 1120), (560, 1120)], "#5f7a6e", 2)
    signature(canvas, 100, 1080, "#21408a")
    canvas.rectangle(640, 990, 290, 180, "#2f6b5833", 10)
    canvas.text(785, 1080, "STAMP", 30, "#2f6b58", "mm")
    return canvas.finish()


def sheet_music() -> Image.Image:
    canvas = sheet(1100, 1400, "#fbf5e6")
    canvas.text(550, 90, "Little Waltz", 58, INK, "ma", bold=True)
    canvas.text(1020, 176, "E. Marlow", 25, SOFT, "ra")
    rng = np.random.default_rng(113)
    for system in range(6):
        top = 270 + 182 * system
        for line in range(5):
            canvas.line([(80, top + 20 * line), (1020, top + 20 * line)], "#4a453e", 2)
        for x in (80, 400, 710, 1020):
            canvas.line([(x, top), (x, top + 80)], INK, 3)
        treble_clef(canvas, 118, top)
        if system == 0:
            canvas.text(176, top + 22, "3", 44, INK, "mm", bold=True)
            canvas.text(176, top + 60, "4", 44, INK, "mm", bold=True)
        height = 4.0
        for bar, beats in ((220, (0, 1, 2)), (450, (0, 1, 2)), (760, (0, 2))):  # the last begins with a half note
            for beat in beats:
                height = float(np.clip(height + rng.integers(-2, 3), 0, 8))
                note(canvas, bar + 76 * beat, top + 80 - 10 * height, half=len(beats) == 2 and beat == 0)
    return canvas.finish()


def treble_clef(canvas: Canvas, x: float, top: float) -> None:
    turn = np.linspace(0, 2.4 * np.pi, 50)
    reach = np.linspace(5, 25, 50)
    curl = [(float(x + r * np.sin(t)), float(top + 58 - r * np.cos(t))) for r, t in zip(reach, turn, strict=True)]
    canvas.line(curl, INK, 5)
    canvas.line(
        [curl[-1], (x + 12, top + 18), (x + 14, top - 14), (x + 4, top - 26), (x - 4, top - 6), (x + 8, top + 90)],
        INK,
        5,
    )
    canvas.circle(x + 1, top + 98, 8, INK)


def note(canvas: Canvas, x: float, y: float, half: bool) -> None:
    canvas.ellipse(x, y, 13, 9.5, INK)
    if half:
        canvas.ellipse(x, y, 8, 4.5, "#fbf5e6")
    canvas.line([(x + 11, y - 2), (x + 11, y - 64)], INK, 3.4)
