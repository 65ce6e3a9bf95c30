"""The sea, lakes and harbours."""

from __future__ import annotations

import numpy as np
from PIL import Image

from app.library.demo.canvas import Canvas, Colour, Point, across, ball, curve, down, fade, mix, profile
from app.library.demo.scenery import GRAIN, birds, cloud, peak, pine, ridge, streaks, sun


def sunset_over_the_sea() -> Image.Image:
    canvas = Canvas(1500, 1000, down("#3a3a72", "#8c4f86", "#e86f61", "#fbb45c", "#ffdf90"))
    spots = (
        (350, 170, 560, 0.4),
        (1100, 240, 620, 0.45),
        (700, 330, 500, 0.3),
        (1300, 420, 400, 0.3),
    )
    streaks(canvas, spots, "#f7977a", 22)
    sun(canvas, 750, 560, 84, "#fff4c2", "#ffc060")
    canvas.reflect(600, 400, "#4a2f62", 0.38, 5)
    rng = np.random.default_rng(2)
    for _ in range(110):
        y = 606 + 390 * rng.random() ** 1.4
        spread = 60 + (y - 600) * 0.45
        x, half = 750 + rng.normal() * spread * 0.55, 10 + (y - 600) * 0.11 * rng.random()
        canvas.ellipse(x, y, half, 1.2 + (y - 600) / 170, fade("#ffe7a0", 0.55))
    birds(canvas, 980, 330, 24, "#4b2a52")
    return canvas.finish(GRAIN)


def beach_in_summer() -> Image.Image:
    canvas = Canvas(1440, 960, down("#4aa6de", "#a8d9ee", "#eaf6f2"))
    cloud(canvas, 1120, 190, 300, "#ffffff", "#dfeff6")
    cloud(canvas, 430, 120, 200, "#ffffff", "#dfeff6")
    canvas.rectangle(0, 400, 1440, 560, down("#1f7fa8", "#2fa7b8", "#63cdc4", "#a9e6d4", "#d7f2e0"))
    rng = np.random.default_rng(5)
    for _ in range(120):
        y = 410 + 200 * rng.random() ** 1.2
        canvas.ellipse(rng.uniform(0, 1440), y, 6 + (y - 400) * 0.25 * rng.random(), 1 + (y - 400) / 130, "#ffffff55")
    shore = [(x, 655 + 26 * np.sin(x / 190) + 12 * np.sin(x / 71)) for x in range(-20, 1480, 20)]
    for lift, colour in ((0, "#ffffff"), (16, "#e3d3a8"), (46, "#f1e0b4")):
        canvas.polygon([(-20, 980), *((x, y + lift) for x, y in shore), (1480, 980)], colour)
    canvas.polygon([(-20, 980), *((x, y + 60) for x, y in shore), (1480, 980)], down("#f4e4bb", "#e9d09b"))
    canvas.glow(1010, 885, 230, 40, "#8a6a3a", 0.6)
    canvas.polygon([(880, 850), (1080, 830), (1130, 880), (910, 905)], "#fdfdfb")
    for step in range(4):
        x = 900 + 56 * step
        canvas.polygon(
            [(x, 848 - 5 * step), (x + 26, 845 - 5 * step), (x + 50, 897 - 5 * step), (x + 24, 901 - 5 * step)],
            "#e4574c",
        )
    parasol(canvas, 860, 560, 190)
    canvas.circle(520, 850, 38, ball("#fff7ea", "#f5a03c", "#c9641d"))
    canvas.glow(530, 892, 70, 14, "#8a6a3a", 0.5)
    return canvas.finish(GRAIN)


def parasol(canvas: Canvas, x: float, y: float, half: float) -> None:
    canvas.line([(x + 18, y - 60), (x - 22, y + 320)], "#f2eee4", 9)
    colours = ("#d93f3a", "#fbf6ea")
    edge = [(x - half + 2 * half * step / 8, y + 30 * np.sin(step / 8 * np.pi)) for step in range(9)]
    for step in range(8):
        bow = [
            (x - half * np.cos(np.pi * (step + part) / 8), y - half * 0.72 * np.sin(np.pi * (step + part) / 8))
            for part in (0, 0.5, 1)
        ]
        canvas.polygon(
            [edge[step], bow[0], bow[1], bow[2], edge[step + 1], (x + 15, y - half * 0.72)], colours[step % 2]
        )
    canvas.circle(x + 18, y - half * 0.74, 7, "#f2eee4")


def harbour_at_dusk() -> Image.Image:
    canvas = Canvas(1500, 1000, down("#25325e", "#5d5590", "#c77a8c", "#f6b483"))
    ridge(canvas, 560, 110, profile(1500, 55, swell=420), down("#6a5a8a", "#9b718f"))
    rng = np.random.default_rng(14)
    x = -10.0
    while x < 1500:
        width, height = rng.uniform(62, 110), rng.uniform(80, 190)
        house(
            canvas,
            x,
            600,
            width,
            height,
            str(rng.choice(["#8a3f47", "#b0704e", "#50587f", "#7a5a78", "#3e4a6e", "#a58560"])),
            rng,
        )
        x += width
    canvas.rectangle(0, 596, 1500, 14, "#2a2442")
    canvas.reflect(610, 390, "#1f2448", 0.36, 4.5)
    for x, y, length in ((300, 800, 210), (1130, 760, 170), (760, 900, 260)):
        moored_boat(canvas, x, y, length)
    return canvas.finish(GRAIN)


def house(
    canvas: Canvas, x: float, foot: float, width: float, height: float, wall: Colour, rng: np.random.Generator
) -> None:
    canvas.polygon(
        [(x, foot - height), (x + width / 2, foot - height - width * 0.45), (x + width, foot - height)],
        mix(wall, "#140f26", 0.55),
    )
    canvas.rectangle(x, foot - height, width, height, across(mix(wall, "#ffd9a0", 0.12), mix(wall, "#1a1838", 0.3)))
    for row in range(int(height // 44)):
        for column in (0.22, 0.62):
            lit = rng.random() < 0.55
            colour = "#ffd884" if lit else mix(wall, "#10122a", 0.6)
            if lit:
                canvas.glow(x + width * (column + 0.08), foot - height + 26 + 44 * row, 34, 34, "#ffb84d", 0.4)
            canvas.rectangle(x + width * column, foot - height + 14 + 44 * row, width * 0.17, 24, colour)


def moored_boat(canvas: Canvas, x: float, y: float, length: float) -> None:
    canvas.glow(x, y + length * 0.13, length * 0.62, length * 0.1, "#0b0d22", 0.8)
    canvas.line([(x, y), (x, y - length * 1.1)], "#17142c", 4)
    canvas.line([(x, y - length * 1.1), (x + length * 0.45, y - 4)], "#17142c", 1.5)
    canvas.line([(x, y - length * 1.1), (x - length * 0.45, y - 4)], "#17142c", 1.5)
    hull = [
        (x - length * 0.5, y - length * 0.04),
        (x + length * 0.54, y - length * 0.07),
        (x + length * 0.38, y + length * 0.12),
        (x - length * 0.4, y + length * 0.12),
    ]
    canvas.polygon(hull, down("#efe6dc", "#b08f94"))
    canvas.polygon(
        [hull[3], hull[2], (x + length * 0.41, y + length * 0.07), (x - length * 0.425, y + length * 0.07)], "#8c2f3a"
    )
    canvas.rectangle(x - length * 0.16, y - length * 0.13, length * 0.3, length * 0.1, "#f7efe2", 4)
    canvas.rectangle(x - length * 0.11, y - length * 0.105, length * 0.2, length * 0.045, "#ffcf70", 2)


def lake_with_reflection() -> Image.Image:
    canvas = Canvas(1440, 1080, down("#5fa2cf", "#b5d8e6", "#f3efe0"))
    cloud(canvas, 1080, 160, 260, "#ffffff", "#e4eef3")
    peak(canvas, 420, 190, 600, 430, "#8a9cb4", "#64799a", 22)
    peak(canvas, 1010, 270, 600, 380, "#8fa2b8", "#6b82a1", 23)
    canvas.soft([(-50, 520), (1500, 520), (1500, 570), (-50, 570)], "#eef1ec", 18, 0.7)
    rng = np.random.default_rng(16)
    for shade, low, high in (("#6d9a86", 40, 70), ("#3f7462", 55, 105)):
        for x in np.arange(-10, 1460, 17):
            pine(canvas, x + rng.uniform(-6, 6), 582, rng.uniform(low, high), mix(shade, "#ffffff", rng.random() * 0.1))
    canvas.rectangle(0, 574, 1440, 10, "#39604f")
    canvas.reflect(584, 496, "#2b6a86", 0.3, 2.2)
    canvas.polygon([(560, 1090), (690, 760), (750, 760), (900, 1090)], down("#a98b68", "#6e5238"))
    for step in range(12):
        y = 768 + 26 * step * (1 + step / 18)
        canvas.line([(690 - 0.39 * (y - 760), y), (750 + 0.45 * (y - 760), y)], "#4e392688", 2 + step / 4)
    return canvas.finish(GRAIN)


def island_with_palm() -> Image.Image:
    canvas = Canvas(1080, 1080, down("#2f9fd8", "#86d2ee", "#d9f3f0"))
    cloud(canvas, 250, 260, 260, "#ffffff", "#dcf0f7")
    cloud(canvas, 880, 180, 180, "#ffffff", "#dcf0f7")
    canvas.rectangle(0, 660, 1080, 420, down("#1686b0", "#23a9bd", "#5ed3c8"))
    canvas.ellipse(540, 800, 440, 96, "#9be7d8")
    canvas.ellipse(540, 780, 360, 74, down("#fbeec6", "#e6cd92"))
    trunk = [(560 + 60 * np.sin(step / 6.4), 770 - 40 * step) for step in range(11)]
    for step in range(10):
        canvas.line(trunk[step : step + 2], mix("#6e4a2c", "#a97a4a", step / 10), 30 - 1.3 * step)
    x, y = trunk[-1]
    for angle, reach in ((200, 230), (165, 250), (335, 240), (15, 230), (235, 190), (300, 200), (130, 170), (50, 180)):
        palm_leaf(canvas, x, y, np.radians(angle), reach)
    for dx, dy in ((-14, 16), (14, 20), (0, 30)):
        canvas.circle(x + dx, y + dy, 15, ball("#b98a56", "#7c5230", "#4f331d"))
    return canvas.finish(GRAIN)


def palm_leaf(canvas: Canvas, x: float, y: float, angle: float, reach: float) -> None:
    def spine(share: float) -> Point:
        return x + np.cos(angle) * reach * share, y + np.sin(angle) * reach * share * 0.6 + 95 * share**2

    for step in range(1, 16):
        share = step / 15
        px, py = spine(share)
        length = 62 * np.sin(np.pi * min(0.97, 0.15 + 0.85 * share))
        for lean in (-0.75, 0.25):
            tip = (px + np.cos(angle) * length * 0.5 + lean * 14, py + length * (0.75 + 0.2 * lean))
            canvas.polygon([(px - 6, py - 2), (px + 6, py - 1), tip], mix("#1f7a48", "#58b25e", share * 0.8))
    canvas.line([spine(step / 12) for step in range(13)], "#19683c", 4)


def lighthouse_in_a_storm() -> Image.Image:
    canvas = Canvas(900, 1200, down("#1d2734", "#37485a", "#6c7f8a"))
    for x, y, width, colour in (
        (200, 140, 520, "#131b26"),
        (680, 230, 560, "#2b3846"),
        (300, 340, 480, "#55656f"),
        (760, 90, 400, "#10171f"),
    ):
        canvas.soft(
            [(x - width / 2, y), (x - width / 4, y - 70), (x + width / 4, y - 80), (x + width / 2, y), (x, y + 40)],
            colour,
            34,
            0.8,
        )
    canvas.soft([(560, 390), (-80, 240), (-80, 420)], "#ffedb0", 14, 0.75)
    canvas.soft([(560, 390), (1000, 300), (1000, 450)], "#ffedb0", 14, 0.6)
    for step in range(4):
        share = step / 3
        colour = mix("#56707c", "#12303d", share)
        ridge(
            canvas,
            900 + 250 * share,
            40 + 90 * share,
            profile(900, 140 + step, swell=190 + 60 * step, smooth=True),
            down(mix(colour, "#e8f4f2", 0.4), colour),
        )
        if step == 1:
            rock_with_lighthouse(canvas)
    rng = np.random.default_rng(3)
    for x, y in rng.random((240, 2)) * (1000, 1200):
        canvas.line([(x, y), (x - 16, y + 52)], "#d5e2ea33", 1.5)
    return canvas.finish(GRAIN)


def rock_with_lighthouse(canvas: Canvas) -> None:
    canvas.polygon(
        [(360, 1100), (420, 930), (500, 880), (640, 872), (720, 930), (810, 1100)], down("#3d444b", "#171c21")
    )
    for step in range(5):
        low, high = 880 - 88 * step, 880 - 88 * (step + 1)
        wide, narrow = 62 - 5.2 * step, 62 - 5.2 * (step + 1)
        colour = "#c2413b" if step % 2 else "#f0ece2"
        canvas.polygon(
            [(560 - wide, low), (560 - narrow, high), (560 + narrow, high), (560 + wide, low)],
            across(colour, mix(colour, "#1d2734", 0.45)),
        )
    canvas.rectangle(512, 430, 96, 14, "#20262c", 3)
    canvas.rectangle(530, 366, 60, 64, "#ffe9a3")
    canvas.glow(560, 396, 150, 150, "#fff0b8", 0.9)
    canvas.polygon([(518, 368), (560, 326), (602, 368)], "#9c2f2c")
    for x in (530, 560, 590):
        canvas.line([(x, 368), (x, 430)], "#20262c", 3)


def fish_in_water() -> Image.Image:
    canvas = Canvas(1280, 853, down("#4fc3dc", "#1f86b4", "#0d4a7c", "#082c54"))
    for x, lean, width in ((240, 120, 80), (520, 190, 130), (860, 160, 70), (1060, 240, 120)):
        canvas.soft([(x, -40), (x + width, -40), (x + width * 2 - lean, 760), (x - lean, 760)], "#c8f4f4", 22, 0.22)
    ridge(canvas, 830, 60, profile(1280, 74, swell=420, smooth=True), down("#c9b58a", "#7a7a72"))
    rng = np.random.default_rng(69)
    for x in (90, 150, 1090, 1150, 1210):
        height = rng.uniform(200, 330)
        weed = curve(
            [(x, 850), (x + 26, 850 - height * 0.35), (x - 20, 850 - height * 0.7), (x + 16, 850 - height)],
            closed=False,
        )
        canvas.line(weed, mix("#1e7a5a", "#58b06a", rng.random()), 16)
    for x, y, size, colour, band in (
        (620, 420, 1.0, "#ff8a2a", "#ffffff"),
        (960, 250, 0.5, "#ffd23e", "#2e5a9a"),
        (270, 280, 0.45, "#f2607a", "#ffe2d0"),
        (930, 620, 0.55, "#ff8a2a", "#ffffff"),
    ):
        fish(canvas, x, y, size, colour, band)
    for x, y, size in rng.uniform((380, 60, 4), (440, 400, 15), (9, 3)):
        canvas.circle(x, y, size, "#ffffff55")
        canvas.circle(x - size * 0.3, y - size * 0.3, size * 0.35, "#ffffffcc")
    return canvas.finish(GRAIN)


def fish(canvas: Canvas, x: float, y: float, size: float, colour: Colour, band: Colour) -> None:
    """It swims to the left."""

    def at(points: list[Point]) -> list[Point]:
        return [(x + dx * size, y + dy * size) for dx, dy in points]

    dark = mix(colour, "#7a1a10", 0.35)
    canvas.polygon(curve(at([(170, 0), (280, -110), (262, 0), (280, 110)])), across(colour, dark))
    canvas.polygon(curve(at([(-60, -100), (40, -176), (130, -120), (110, -60)])), dark)
    canvas.polygon(curve(at([(-10, 100), (60, 160), (100, 90)])), dark)
    canvas.polygon(
        curve(at([(-220, 6), (-150, -84), (0, -122), (130, -66), (196, 0), (130, 68), (0, 118), (-150, 84)])),
        down(mix(colour, "#ffffff", 0.3), colour, dark),
    )
    for dx, high, wide in ((-84, 106, 40), (66, 96, 34)):
        canvas.polygon(
            curve(
                at(
                    [
                        (dx - wide, -high * 0.96),
                        (dx + wide, -high),
                        (dx + wide * 0.6, 0),
                        (dx + wide, high * 0.97),
                        (dx - wide, high * 0.96),
                        (dx - wide * 0.4, 0),
                    ]
                )
            ),
            band,
        )
    canvas.polygon(curve(at([(-10, 10), (70, -20), (80, 50), (10, 56)])), dark)
    canvas.circle(x - 160 * size, y - 18 * size, 20 * size, "#ffffff")
    canvas.circle(x - 164 * size, y - 18 * size, 11 * size, "#14141c")
