"""A cat, sheep and a dog."""

from __future__ import annotations

import numpy as np
from PIL import Image

from app.library.demo.canvas import Canvas, across, ball, curve, down, mix, profile
from app.library.demo.scenery import GRAIN, cloud, ridge, round_tree, shadow


def black_cat() -> Image.Image:
    canvas = Canvas(1000, 1250, "#d8b18a")
    canvas.rectangle(110, 90, 780, 900, "#f4ece0", 6)
    canvas.rectangle(150, 130, 700, 860, down("#35426e", "#8b6a96", "#f0a487", "#fbd49a"))
    canvas.glow(640, 700, 420, 420, "#fff0b4", 0.8)
    canvas.circle(640, 720, 84, "#fff1c0")
    ridge(canvas, 960, 60, profile(1000, 67, swell=300, smooth=True), "#6d4f6f")
    for x, width in ((0, 150), (850, 150)):
        canvas.rectangle(x, 0, width, 1250, "#d8b18a")
    for x in (110, 480, 850):
        canvas.rectangle(x, 90, 40, 910, across("#fbf6ec", "#d9cbb8"))
    canvas.rectangle(40, 985, 920, 60, down("#fffaf0", "#cdb79c"), 6)
    canvas.rectangle(0, 1045, 1000, 205, down("#c39a72", "#d3aa82"))
    ink = "#15131c"
    shadow(canvas, 400, 990, 300, 30, "#3a2418")
    canvas.line(curve([(540, 960), (690, 985), (730, 1090), (660, 1170), (600, 1140)], closed=False), ink, 36)
    canvas.polygon(
        curve(
            [(400, 560), (490, 620), (540, 760), (565, 930), (520, 992), (300, 992), (270, 900), (300, 740), (330, 620)]
        ),
        across("#201d2a", ink),
    )
    canvas.ellipse(400, 500, 112, 96, ink)
    for side in (-1, 1):
        canvas.polygon([(400 + side * 100, 490), (400 + side * 92, 350), (400 + side * 22, 416)], ink)
        canvas.polygon([(400 + side * 84, 440), (400 + side * 82, 382), (400 + side * 48, 416)], "#5a4650")
        canvas.ellipse(400 + side * 46, 500, 21, 17, "#f2c83a")
        canvas.ellipse(400 + side * 46, 500, 6, 16, "#100e14")
        for lean in (-10, 4, 18):
            canvas.line([(400 + side * 40, 536 + lean / 3), (400 + side * 140, 530 + lean)], "#cfc6d4aa", 1.6)
    canvas.polygon([(390, 530), (410, 530), (400, 542)], "#b5707c")
    return canvas.finish(GRAIN)


def white_sheep() -> Image.Image:
    canvas = Canvas(1200, 900, down("#86c3e6", "#d9eef4"))
    cloud(canvas, 960, 150, 240, "#ffffff", "#e2f0f6")
    for step, colour in enumerate(("#a5cf88", "#7fb85e", "#5fa046")):
        ridge(
            canvas,
            520 + 120 * step,
            90,
            profile(1200, 330 + step, swell=620, smooth=True),
            down(mix(colour, "#f6ffd8", 0.3), colour),
        )
    rng = np.random.default_rng(65)
    for x, y in rng.uniform((0, 640), (1200, 900), (260, 2)):
        canvas.polygon(
            [(x - 3, y), (x + rng.normal() * 4, y - 22), (x + 3, y)], mix("#4f8f3c", "#8cc860", rng.random())
        )
    for x, y, size in ((930, 560, 0.42), (230, 590, 0.5), (560, 640, 1.15)):
        sheep(canvas, x, y, size)
    return canvas.finish(GRAIN)


def sheep(canvas: Canvas, x: float, y: float, size: float) -> None:
    shadow(canvas, x, y + 150 * size, 220 * size, 30 * size, "#1d3a16")
    for dx in (-90, -50, 60, 100):
        canvas.rectangle(x + dx * size, y + 60 * size, 22 * size, 90 * size, "#3b3436", 6 * size)
    rng = np.random.default_rng(68)
    puffs = [(np.cos(turn) * 150, np.sin(turn) * 84, 62) for turn in np.linspace(0, 6.283, 15)]
    for dx, dy, radius in puffs:
        canvas.circle(x + dx * size, y + dy * size, radius * size, down("#ffffff", "#e4e4e2"))
    canvas.ellipse(x, y, 170 * size, 100 * size, "#f8f8f5")
    for dx, dy in rng.normal(0, 1, (16, 2)):
        canvas.arc(x + dx * 70 * size, y + dy * 36 * size, 24 * size, 20 * size, 180, 340, "#d5d7d8", 4 * size)
    canvas.ellipse(x + 202 * size, y - 50 * size, 58 * size, 72 * size, "#403839")
    for side in (-1, 1):
        canvas.ellipse(x + (202 + side * 62) * size, y - 76 * size, 32 * size, 14 * size, "#332c2d")
        canvas.circle(x + (202 + side * 22) * size, y - 52 * size, 8 * size, "#ffffff")
        canvas.circle(x + (204 + side * 22) * size, y - 51 * size, 4.5 * size, "#111111")
    for dx in (-34, 0, 34):
        canvas.circle(x + (202 + dx) * size, y - 112 * size, 32 * size, "#f8f8f5")


def brown_dog() -> Image.Image:
    canvas = Canvas(1200, 900, down("#bfe0ec", "#eef5ea"))
    ridge(canvas, 560, 60, profile(1200, 73, swell=620, smooth=True), down("#a9cf86", "#7cb45a"))
    for x, size in ((160, 90), (1050, 110)):
        round_tree(canvas, x, 570, size)
    canvas.rectangle(0, 600, 1200, 300, down("#86bd5c", "#5a9640"))
    shadow(canvas, 590, 806, 330, 34, "#1f3a14")
    fur, dark = "#a5683a", "#7a4624"
    canvas.line(curve([(360, 590), (290, 520), (280, 420)], closed=False), fur, 34)
    for x, tone in ((420, dark), (740, dark), (380, fur), (700, fur)):
        canvas.rectangle(x, 620, 56, 186, tone, 24)
        canvas.ellipse(x + 36, 796, 42, 18, tone)
    canvas.polygon(
        curve(
            [(360, 560), (460, 515), (620, 520), (760, 480), (810, 580), (760, 690), (600, 700), (420, 700), (350, 660)]
        ),
        down("#b97a48", fur, dark),
    )
    canvas.polygon(curve([(730, 560), (740, 400), (850, 370), (880, 500), (820, 620)]), fur)
    canvas.ellipse(840, 395, 112, 98, ball("#c88a56", fur, dark))
    canvas.ellipse(926, 428, 74, 50, "#d7a878")
    canvas.ellipse(984, 406, 22, 18, "#1d1514")
    canvas.circle(866, 372, 13, "#1d1514")
    canvas.circle(870, 368, 4, "#ffffff")
    canvas.polygon(curve([(790, 320), (820, 370), (800, 500), (748, 510), (726, 410)]), dark)
    canvas.polygon(curve([(930, 470), (962, 468), (960, 520), (940, 530)]), "#e2697a")
    canvas.line(curve([(742, 494), (790, 534), (852, 520)], closed=False), "#c9302c", 20)
    canvas.circle(806, 556, 15, "#f2c53a")
    canvas.circle(1040, 790, 34, ball("#f5ff9a", "#cfe02e", "#8a9a14"))
    return canvas.finish(GRAIN)
