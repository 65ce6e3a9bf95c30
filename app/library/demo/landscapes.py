"""Mountains, woods, meadows and deserts at all hours, in layers that fade into the distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from app.library.demo.canvas import Canvas, Colour, Point, across, down, fade, mix, profile
from app.library.demo.scenery import (
    GRAIN,
    birds,
    cloud,
    moon,
    peak,
    pine,
    ridge,
    round_tree,
    shadow,
    stars,
    streaks,
    sun,
)


@dataclass(frozen=True)
class Hour:
    """The colours of an hour: the sky from above down, then the farthest and the nearest ridge."""

    sky: tuple[Colour, ...]
    far: Colour
    near: Colour


DAWN = Hour(("#39507a", "#8a84ab", "#e9a99a", "#fbd9ac"), "#c99aa0", "#232c48")
NOON = Hour(("#3d8acb", "#82bfe6", "#e4f3f6"), "#a9cadb", "#2c5a47")
DUSK = Hour(("#2a2150", "#743c78", "#dd6a58", "#f8bd62"), "#b0567a", "#190f2c")
NIGHT = Hour(("#050a1c", "#0e1b3d", "#2b4178"), "#3a4f83", "#060915")


def range_of_ridges(canvas: Canvas, hour: Hour, highest: float, seed: int, count: int = 6) -> None:
    for step in range(count):
        share = step / (count - 1)
        colour = mix(hour.far, hour.near, share**0.8)
        haze = mix(colour, hour.sky[-1], 0.55 * (1 - share))
        line = profile(canvas.width, seed + step, rough=0.48, swell=520 - 60 * step)
        base = canvas.height * (highest + 0.13 + 0.5 * share**1.2)
        ridge(canvas, base, canvas.height * (0.24 - 0.09 * share), line, down(colour, colour, haze))


def mountains_at_dawn() -> Image.Image:
    canvas = Canvas(1440, 960, down(*DAWN.sky, "#fbd9ac"))
    sun(canvas, 1010, 350, 50, "#fff6dc", "#ffd394")
    range_of_ridges(canvas, DAWN, 0.42, seed=5)
    mist = [(-100, 640), (500, 600), (1000, 650), (1600, 610), (1600, 690), (-100, 700)]
    canvas.soft(mist, "#f6cdb4", 34, 0.5)
    birds(canvas, 420, 250, 22, "#3b3f63")
    return canvas.finish(GRAIN)


def mountains_at_noon() -> Image.Image:
    canvas = Canvas(1440, 960, down(*NOON.sky))
    cloud(canvas, 260, 200, 300, "#ffffff", "#dcebf5")
    cloud(canvas, 1190, 130, 220, "#ffffff", "#dcebf5")
    ridge(canvas, 640, 200, profile(1440, 21, swell=400), down("#a3c3dc", "#d3e5ec"))
    peak(canvas, 1120, 250, 760, 420, "#8ba8c4", "#6f8cab", 3)
    peak(canvas, 330, 300, 760, 400, "#88a5c1", "#6a88a8", 5)
    peak(canvas, 730, 170, 780, 520, "#7c9abb", "#587798", 4)
    canvas.soft([(-50, 690), (1500, 690), (1500, 760), (-50, 760)], "#e8f2f0", 22, 0.75)
    for step, colour in enumerate(("#79a67c", "#4f8661", "#336b4c")):
        line = profile(1440, 31 + step, swell=500, smooth=True)
        ridge(canvas, 790 + 70 * step, 70, line, down(mix(colour, "#ffffff", 0.12), colour))
    rng = np.random.default_rng(6)
    for x in sorted(rng.uniform(0, 1440, 46), key=lambda place: place % 97):
        pine(canvas, x, 930 + rng.uniform(-30, 40), rng.uniform(70, 130), mix("#1f4d3a", "#2f6b4a", rng.random()))
    return canvas.finish(GRAIN)


def mountains_at_dusk() -> Image.Image:
    canvas = Canvas(1440, 960, down(*DUSK.sky, "#fbd884"))
    sun(canvas, 560, 430, 64, "#fff0b8", "#ffb65c")
    spots = (
        (300, 240, 420, 0.4),
        (1050, 180, 520, 0.45),
        (900, 330, 380, 0.35),
        (150, 390, 300, 0.3),
    )
    streaks(canvas, spots, "#f58f6c", 16)
    range_of_ridges(canvas, DUSK, 0.44, seed=44)
    return canvas.finish(GRAIN)


def mountains_at_night() -> Image.Image:
    canvas = Canvas(1440, 960, down(*NIGHT.sky))
    canvas.soft([(900, -50), (1150, -50), (620, 620), (380, 620)], "#7d8fd0", 70, 0.3)
    stars(canvas, 520, 700, seed=8)
    moon(canvas, 1100, 230, 58)
    range_of_ridges(canvas, NIGHT, 0.42, seed=63)
    return canvas.finish(GRAIN)


def milky_way_over_a_tent() -> Image.Image:
    canvas = Canvas(860, 1200, down("#070a1f", "#141c4a", "#3c3a78", "#a0628a"))
    for width, colour, strength in ((300, "#5a62b4", 0.5), (170, "#a79be0", 0.4), (70, "#ffe9ea", 0.35)):
        canvas.soft(
            [(640 - width / 2, -80), (640 + width / 2, -80), (260 + width / 2, 980), (260 - width / 2, 980)],
            colour,
            46,
            strength,
        )
    stars(canvas, 760, 1000, seed=15)
    ridge(canvas, 1010, 130, profile(860, 71, swell=380), down("#2c2a5c", "#4a3c6e"))
    ridge(canvas, 1110, 60, profile(860, 72, swell=500, smooth=True), "#0b0d22")
    canvas.glow(430, 1080, 260, 130, "#ffb050", 0.75)
    canvas.polygon([(290, 1120), (430, 965), (480, 1120)], down("#ffd27a", "#f08a2c"))
    canvas.polygon([(430, 965), (570, 1100), (480, 1120)], down("#d9782a", "#9a4a1e"))
    canvas.polygon([(350, 1120), (418, 1000), (410, 1120)], "#7a3414")
    for x, size in ((70, 250), (150, 180), (760, 300), (680, 170), (830, 220)):
        pine(canvas, x, 1150, size, "#070918")
    return canvas.finish(GRAIN)


def northern_lights() -> Image.Image:
    canvas = Canvas(1500, 900, down("#04101f", "#08263a", "#12455a"))
    stars(canvas, 330, 560, seed=4)
    rng = np.random.default_rng(12)
    for band, (colour, strength) in enumerate((("#9a7cf5", 0.2), ("#2fe08c", 0.3), ("#6df5b8", 0.24))):
        for step in range(18):
            x = 30 + step * 82 + 30 * np.sin(step / 3 + band)
            foot = 470 - 90 * np.sin(step / 2.9 + band * 1.4) - 55 * (1 - band)
            top = foot - rng.uniform(180, 360)
            canvas.soft([(x - 46, foot), (x - 6, top), (x + 56, top), (x + 54, foot)], colour, 20, strength)
    ridge(canvas, 610, 130, profile(1500, 91, swell=330), down("#16384c", "#0b2234"))
    canvas.reflect(610, 290, "#06202f", 0.4, 3)
    ridge(canvas, 880, 60, profile(1500, 95, swell=600, smooth=True), "#030b13")
    for x, size in ((60, 260), (150, 190), (1300, 230), (1390, 330), (1460, 210), (260, 120)):
        pine(canvas, x, 890, size, "#030b13")
    return canvas.finish(GRAIN)


def dune(canvas: Canvas, crest: Point, left: float, right: float, foot: float, light: Colour, dark: Colour) -> None:
    """A hill of sand whose windward side is lit; its shady side runs down from the crest in an S."""
    x, y = crest
    share = np.linspace(0, 1, 40)
    rise = zip(left + (x - left) * share, foot + (y - foot) * share**1.6, strict=True)
    fall = list(zip(x + (right - x) * share, y + (foot - y) * (1 - (1 - share) ** 1.5), strict=True))
    canvas.polygon([*rise, *fall, (right, canvas.height), (left, canvas.height)], down(light, mix(light, dark, 0.3)))
    bend = np.sin(share * 2 * np.pi) * (foot - y) * 0.3
    edge = zip(x + bend - 60 * share, y + (canvas.height - y) * share, strict=True)
    canvas.polygon([*reversed(fall), *edge, (right, canvas.height)], across(dark, mix(dark, light, 0.45)))


def desert_dunes() -> Image.Image:
    canvas = Canvas(1440, 960, down("#e9a25f", "#f4c888", "#fbe6bf", "#fbe6bf"))
    sun(canvas, 330, 210, 62, "#fffbe6", "#fff0c0")
    ridge(canvas, 500, 50, profile(1440, 203, swell=700, smooth=True), down("#f0cb97", "#e5b27a"))
    dune(canvas, (1120, 400), 500, 1900, 600, "#ecbd82", "#bd8056")
    dune(canvas, (400, 470), -300, 1500, 660, "#e9b273", "#b06f45")
    dune(canvas, (960, 590), -100, 1800, 800, "#e3a25f", "#96562f")
    dune(canvas, (300, 740), -500, 1100, 960, "#dc9450", "#7f4526")
    for step in range(5):
        camel(canvas, 560 + 66 * step, 706 - 17.5 * step, 0.5)
    return canvas.finish(GRAIN)


def camel(canvas: Canvas, x: float, foot: float, size: float) -> None:
    ink = "#4a2818"
    canvas.ellipse(x, foot - 52 * size, 34 * size, 17 * size, ink)
    canvas.ellipse(x - 2 * size, foot - 72 * size, 13 * size, 15 * size, ink)
    canvas.line(
        [(x + 28 * size, foot - 54 * size), (x + 44 * size, foot - 56 * size), (x + 52 * size, foot - 88 * size)],
        ink,
        9 * size,
    )
    canvas.ellipse(x + 60 * size, foot - 90 * size, 13 * size, 7 * size, ink)
    for dx in (-26, -16, 14, 25):
        canvas.line([(x + dx * size, foot - 50 * size), (x + (dx + 2) * size, foot)], ink, 6 * size)


def forest_in_fog() -> Image.Image:
    canvas = Canvas(900, 1200, down("#dfe6df", "#cfdad3", "#b4c6bd"))
    canvas.glow(600, 260, 420, 420, "#fffbe8", 0.8)
    rng = np.random.default_rng(31)
    for step in range(6):
        share = step / 5
        colour = mix("#bccbc3", "#1d3d35", share**1.4)
        foot, size = 620 + 730 * share, 170 + 600 * share
        count = round(15 - 10 * share)
        for x in np.linspace(-40, 940, count) + rng.uniform(-30, 30, count):
            pine(canvas, x, foot + rng.uniform(-20, 20), size * rng.uniform(0.7, 1.1), colour)
        if step < 5:
            canvas.soft(
                [(-80, foot - size * 0.45), (980, foot - size * 0.4), (980, foot + 90), (-80, foot + 90)],
                "#d6e0d9",
                50,
                0.85,
            )
    birds(canvas, 250, 240, 17, "#6d8279")
    return canvas.finish(GRAIN)


def forest_in_snow() -> Image.Image:
    canvas = Canvas(1280, 960, down("#7ea0c4", "#bcd0e0", "#eef2f4"))
    ridge(canvas, 520, 150, profile(1280, 81, swell=380), down("#cddbe8", "#e9eff4"))
    rng = np.random.default_rng(18)
    for step in range(3):
        share = step / 2
        foot, size = 560 + 210 * share, 150 + 260 * share
        line = profile(1280, 85 + step, swell=600, smooth=True)
        ridge(canvas, foot, 46, line, down("#f4f8fb", mix("#ffffff", "#c4d6e8", 0.5 + 0.3 * share)))
        count = round(22 - 12 * share)
        for x in np.linspace(-20, 1300, count) + rng.uniform(-24, 24, count):
            if step < 2 or not 380 < x < 900:
                pine(canvas, x, foot + 10, size * rng.uniform(0.7, 1.1), mix("#6f90a0", "#234a4e", share), "#fbfdff")
    ridge(canvas, 900, 60, profile(1280, 89, swell=800, smooth=True), down("#ffffff", "#cfdeec"))
    for step in range(9):
        x, y = 620 + 18 * step * (-1) ** step / (1 + step / 4), 770 + 22 * step
        canvas.ellipse(x, y, 9 + step, 4 + step / 2, "#9db7d0")
    for x, y, size in rng.random((230, 3)):
        canvas.circle(x * 1280, y * 960, 1 + 3.4 * size**2, "#ffffffdd")
    return canvas.finish(GRAIN)


def meadow_with_poppies() -> Image.Image:
    canvas = Canvas(1440, 960, down("#6db7e4", "#b7def0", "#f2f6e6"))
    cloud(canvas, 320, 170, 280, "#ffffff", "#e2f0f6")
    cloud(canvas, 1080, 120, 240, "#ffffff", "#e2f0f6")
    for step, colour in enumerate(("#a8cfa0", "#86bb74", "#6aa854")):
        ridge(
            canvas,
            450 + 60 * step,
            80,
            profile(1440, 301 + step, swell=560, smooth=True),
            down(mix(colour, "#fffbe0", 0.25), colour),
        )
    rng = np.random.default_rng(20)
    for step in range(15):
        share = step / 14
        y = 540 + 420 * share**1.3
        for x in rng.uniform(-20, 1460, 150 - 6 * step):
            length, lean = (14 + 60 * share) * rng.uniform(0.6, 1.2), rng.normal() * 8
            blade = mix("#86bd5c", "#2d6a33", min(1, share * rng.uniform(0.7, 1.2)))
            canvas.polygon([(x - 1 - 2 * share, y + 30), (x + lean, y - length), (x + 1 + 2 * share, y + 30)], blade)
        for x in rng.uniform(-20, 1460, 34 - 2 * step):
            poppy(canvas, x, y - (12 + 56 * share) * rng.uniform(0.7, 1.3), 4 + 24 * share, rng)
    return canvas.finish(GRAIN)


def poppy(canvas: Canvas, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    red = mix("#e5382f", "#ff6a3c", rng.random() * 0.5)
    canvas.line([(x, y), (x + rng.normal() * size * 0.2, y + size * 2.4)], "#3f7a38", size * 0.1)
    canvas.ellipse(x - size * 0.4, y, size * 0.75, size * 0.62, mix(red, "#7a0f14", 0.25))
    canvas.ellipse(x + size * 0.4, y, size * 0.75, size * 0.62, mix(red, "#7a0f14", 0.12))
    canvas.ellipse(x, y + size * 0.14, size * 0.8, size * 0.55, red)
    if size > 8:
        canvas.ellipse(x, y - size * 0.05, size * 0.22, size * 0.16, "#2a1a1c")


def rainbow_over_hills() -> Image.Image:
    canvas = Canvas(1440, 960, down("#5d7c99", "#93b0c4", "#d5e2e4"))
    for step, colour in enumerate(("#e0524d", "#ee8a42", "#f3cf4e", "#6dbb63", "#4a93d0", "#5a62b8", "#8a58ad")):
        reach = 620 - 20 * step
        canvas.arc(720, 760, reach, reach, 180, 360, fade(colour, 0.62), 21)
    cloud(canvas, 200, 240, 380, "#f4f7f8", "#b3c3ce")
    cloud(canvas, 1210, 190, 340, "#f4f7f8", "#b3c3ce")
    for step, colour in enumerate(("#9dbf9a", "#7cac6e", "#5d9650", "#41793c")):
        ridge(
            canvas,
            660 + 84 * step,
            100,
            profile(1440, 321 + step, swell=520, smooth=True),
            down(mix(colour, "#f6ffd8", 0.28), colour),
        )
    rng = np.random.default_rng(19)
    for x, y, light in rng.random((170, 3)):
        canvas.line([(x * 1440, y * 700), (x * 1440 - 8, y * 700 + 26)], fade("#ffffff", 0.08 + 0.14 * light), 1.2)
    for x, y, size in ((230, 800, 60), (310, 812, 44), (1120, 770, 70), (1220, 790, 50)):
        round_tree(canvas, x, y, size)
    return canvas.finish(GRAIN)


def bare_branches(
    canvas: Canvas,
    x: float,
    y: float,
    length: float,
    angle: float,
    width: float,
    colour: Colour,
    rng: np.random.Generator,
    tips: list[Point],
) -> None:
    end = (x + length * np.cos(angle), y - length * np.sin(angle))
    canvas.line([(x, y), end], colour, width)
    if length < 34:
        tips.append(end)
        return
    for lean in (-0.5, 0.42) if length < 110 else (-0.62, -0.05, 0.56):
        bare_branches(
            canvas,
            *end,
            length * rng.uniform(0.66, 0.8),
            angle + lean + rng.normal() * 0.12,
            width * 0.66,
            colour,
            rng,
            tips,
        )


def tree_in_autumn() -> Image.Image:
    canvas = Canvas(1000, 1250, down("#c9dde6", "#f3ebdc"))
    ridge(canvas, 1010, 70, profile(1000, 77, swell=460, smooth=True), down("#d9b878", "#b98a4c"))
    rng, tips = np.random.default_rng(73), list[Point]()
    shadow(canvas, 540, 1060, 420, 44, "#4a2f14", 0.6)
    bare_branches(canvas, 500, 1060, 230, np.pi / 2, 54, "#54382a", rng, tips)
    for x, y in tips:
        for dx, dy, tone in rng.normal(0, 1, (4, 3)):
            colour = mix("#c8401f", "#f5b52e", float(np.clip(0.5 + 0.3 * tone, 0, 1)))
            canvas.circle(x + dx * 24, y + dy * 20, 13 + 3 * tone, fade(colour, 0.9))
    for x, y, tone in rng.random((120, 3)):
        colour = mix("#c8401f", "#f5b52e", tone)
        canvas.ellipse(500 + (x - 0.5) * 880, 1040 + y * 180, 11, 6, colour)
    for x, y in rng.uniform((120, 650), (880, 1000), (14, 2)):
        canvas.ellipse(x, y, 9, 6, "#e0782a")
    return canvas.finish(GRAIN)


def tree_in_winter() -> Image.Image:
    canvas = Canvas(1000, 1250, down("#a9bccd", "#dde5ea", "#f2ece6"))
    canvas.glow(700, 520, 380, 380, "#fff6e2", 0.8)
    canvas.circle(700, 520, 48, "#fffaf0")
    ridge(canvas, 1020, 60, profile(1000, 78, swell=460, smooth=True), down("#f6f9fb", "#c8d6e2"))
    shadow(canvas, 440, 1066, 380, 36, "#6f88a2", 0.8)
    bare_branches(canvas, 500, 1070, 240, np.pi / 2, 50, "#3a3336", np.random.default_rng(74), [])
    rng = np.random.default_rng(75)
    for x, y, size in rng.random((150, 3)):
        canvas.circle(x * 1000, y * 1250, 1 + 3 * size**2, "#ffffffe0")
    return canvas.finish(GRAIN)
