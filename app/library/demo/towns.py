"""Streets and houses, and what drives, sails and floats past them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from app.library.demo.canvas import Canvas, Colour, across, ball, curve, down, fade, mix, profile
from app.library.demo.scenery import GRAIN, cloud, moon, ridge, round_tree, shadow, stars


def city_by_night() -> Image.Image:
    canvas = Canvas(1600, 560, down("#0a1030", "#1c2458", "#4b3f86", "#a1588c"))
    stars(canvas, 150, 260, seed=44)
    moon(canvas, 1330, 110, 30)
    rng = np.random.default_rng(40)
    for step in range(3):
        share = step / 2
        colour = mix("#4a437f", "#0b0f26", share)
        x = -20.0
        while x < 1600:
            width, height = rng.uniform(34, 84), rng.uniform(90, 250) * (1.15 - 0.3 * share)
            tower(canvas, x, 470, width, height, colour, step, rng)
            x += width + rng.uniform(0, 10)
    canvas.rectangle(0, 464, 1600, 8, "#070a1c")
    canvas.reflect(472, 88, "#101536", 0.35, 4)
    return canvas.finish(GRAIN)


def tower(
    canvas: Canvas,
    x: float,
    foot: float,
    width: float,
    height: float,
    colour: Colour,
    depth: int,
    rng: np.random.Generator,
) -> None:
    top = foot - height
    canvas.rectangle(x, top, width, height, down(colour, mix(colour, "#7a5590", 0.3)))
    if rng.random() < 0.25:
        canvas.rectangle(x + width * 0.25, top - 16, width * 0.5, 16, colour)
        canvas.line([(x + width / 2, top - 16), (x + width / 2, top - 46)], colour, 2)
    if depth == 0:
        return
    for column in range(int((width - 8) // 9)):
        for row in range(int((height - 10) // 12)):
            if rng.random() < 0.42:
                light = mix("#ffd47a", "#fff3d0" if rng.random() < 0.7 else "#8fd0ff", rng.random())
                canvas.rectangle(
                    x + 6 + 9 * column, top + 8 + 12 * row, 4.5, 6, fade(light, 0.95 if depth == 2 else 0.6)
                )


def street_in_the_rain() -> Image.Image:
    canvas = Canvas(900, 1200, down("#20283f", "#343c5a", "#6a6480"))
    rng = np.random.default_rng(51)
    for side in (-1, 1):
        for step in range(5):
            near = 1 - step / 5
            x = 450 + side * (90 + 400 * near**1.5)
            width, height = 60 + 190 * near, 250 + 480 * near
            left = x if side > 0 else x - width
            colour = mix("#4c5069", "#191d31", near)
            canvas.rectangle(left, 740 - height, width, height, down(colour, mix(colour, "#b0705a", 0.25)))
            for row in range(int(height // (34 + 20 * near))):
                for column in range(3):
                    if rng.random() < 0.5:
                        size = 8 + 18 * near
                        canvas.rectangle(
                            left + width * (0.14 + 0.28 * column),
                            740 - height + 24 + row * (34 + 20 * near),
                            size,
                            size * 1.4,
                            fade("#ffc873", 0.85),
                        )
    for x, y, colour in (
        (230, 640, "#ff5a6e"),
        (680, 620, "#49d0e0"),
        (330, 690, "#ffd070"),
        (590, 680, "#ff9a4a"),
        (450, 705, "#fff0c4"),
    ):
        canvas.glow(x, y, 90, 90, colour, 0.9)
        canvas.circle(x, y, 9, mix(colour, "#ffffff", 0.5))
    canvas.reflect(740, 460, "#1c2238", 0.3, 8)
    walker_with_umbrella(canvas)
    for x, y, light in rng.random((420, 3)):
        canvas.line(
            [(x * 940, y * 1200), (x * 940 - 9, y * 1200 + 24 + 40 * light)], fade("#dfe9ff", 0.1 + 0.25 * light), 1.3
        )
    return canvas.finish(GRAIN)


def walker_with_umbrella(canvas: Canvas) -> None:
    ink = "#0d101c"
    canvas.glow(430, 1080, 170, 26, "#05070f", 0.9)
    canvas.polygon([(392, 880), (468, 880), (486, 1010), (374, 1010)], ink)
    canvas.circle(430, 852, 27, ink)
    canvas.line([(412, 1000), (402, 1078)], ink, 20)
    canvas.line([(448, 1000), (464, 1074)], ink, 20)
    canvas.line([(462, 760), (462, 930)], ink, 5)
    canvas.pie(456, 812, 140, 112, 180, 360, "#d8343f")
    for start, end in ((316, 400), (400, 512), (512, 596)):
        canvas.pie((start + end) / 2, 814, (end - start) / 2, 16, 180, 360, "#8e1f2c")
    canvas.line([(456, 704), (456, 686)], ink, 4)


def red_house() -> Image.Image:
    canvas = Canvas(1280, 960, down("#8cc4e6", "#d3eaf2", "#f4f4ea"))
    cloud(canvas, 260, 170, 260, "#ffffff", "#e0eef5")
    ridge(canvas, 620, 120, profile(1280, 75, swell=460, smooth=True), down("#9dc09a", "#7fae7c"))
    canvas.rectangle(0, 690, 1280, 270, down("#8fc069", "#5e9a44"))
    for x, foot, size in ((180, 720, 120), (1130, 726, 150)):
        round_tree(canvas, x, foot, size)
    shadow(canvas, 660, 772, 420, 40, "#1d3a16")
    canvas.rectangle(790, 250, 70, 150, "#7c4a3e")
    canvas.rectangle(360, 440, 560, 330, across("#c83a32", "#b52f2b", "#94211f"))
    for y in range(462, 770, 24):
        canvas.line([(360, y), (920, y)], "#7a181844", 2)
    canvas.polygon([(310, 452), (640, 220), (970, 452)], down("#5a5560", "#3d3a45"))
    canvas.polygon([(420, 452), (640, 300), (860, 452)], down("#c83a32", "#b02c29"))
    for x, y, width, height in ((410, 510, 120, 130), (750, 510, 120, 130), (590, 350, 100, 84)):
        canvas.rectangle(x - 12, y - 12, width + 24, height + 24, "#f8f4ea")
        canvas.rectangle(x, y, width, height, down("#7fa4b8", "#c8dde2"))
        canvas.rectangle(x + width / 2 - 4, y, 8, height, "#f8f4ea")
        canvas.rectangle(x, y + height / 2 - 4, width, 8, "#f8f4ea")
    canvas.rectangle(578, 560, 124, 210, "#f8f4ea")
    canvas.rectangle(590, 572, 100, 198, down("#3f6a58", "#2c5044"))
    canvas.circle(674, 676, 7, "#e8c35a")
    canvas.polygon([(585, 770), (695, 770), (800, 970), (440, 970)], down("#e5d9be", "#cdbb96"))
    for x in range(0, 1280, 44):
        if not 540 < x < 720:
            canvas.polygon([(x + 4, 880), (x + 4, 800), (x + 16, 786), (x + 28, 800), (x + 28, 880)], "#fbfaf4")
    for left, right in ((0, 540), (724, 1280)):
        canvas.rectangle(left, 820, right - left, 12, "#f0ede2")
    return canvas.finish(GRAIN)


def yellow_taxi() -> Image.Image:
    canvas = Canvas(1350, 900, down("#f0d9c4", "#f6e8d8"))
    rng = np.random.default_rng(70)
    x = -20.0
    while x < 1350:
        width, height = rng.uniform(120, 220), rng.uniform(300, 560)
        wall = mix("#c98f78", "#8a90a8", rng.random())
        canvas.rectangle(x, 690 - height, width, height, down(mix(wall, "#f0d9c4", 0.35), mix(wall, "#f0d9c4", 0.6)))
        for row in range(int(height // 62)):
            for column in range(int(width // 44)):
                canvas.rectangle(
                    x + 18 + 44 * column, 706 - height + 62 * row, 22, 36, fade(mix(wall, "#3a3450", 0.4), 0.55)
                )
        x += width
    canvas.rectangle(0, 664, 1350, 40, down("#c9bfb6", "#a59c96"))
    canvas.rectangle(0, 700, 1350, 200, down("#5a5a64", "#44444e"))
    for x in range(40, 1350, 220):
        canvas.polygon([(x, 836), (x + 120, 836), (x + 112, 850), (x - 10, 850)], "#f0ead8")
    shadow(canvas, 670, 772, 520, 40, "#101018", 0.95)
    yellow = "#f9c513"
    canvas.polygon(
        curve([(400, 560), (470, 440), (540, 410), (760, 410), (850, 440), (930, 560)], closed=False),
        down("#ffe05a", yellow),
    )
    for window in (
        [(455, 556), (510, 458), (550, 440), (640, 440), (640, 556)],
        [(664, 440), (755, 440), (820, 462), (876, 556), (664, 556)],
    ):
        canvas.polygon(window, down("#3c4e62", "#8ba6b8"))
    body = curve(
        [
            (240, 620),
            (270, 575),
            (420, 552),
            (920, 552),
            (1060, 580),
            (1110, 630),
            (1112, 720),
            (1080, 744),
            (270, 744),
            (236, 720),
        ]
    )
    canvas.polygon(body, down("#ffdf4e", yellow, "#d99a06"))
    for step in range(32):
        canvas.rectangle(300 + 24 * step, 636 + 12 * (step % 2), 24, 12, "#1c1c20")
    canvas.rectangle(590, 372, 130, 42, "#fff7d8", 8)
    canvas.text(655, 393, "TAXI", 28, "#1c1c20", "mm", bold=True)
    canvas.ellipse(1092, 628, 22, 20, "#fffbe0")
    canvas.rectangle(238, 614, 22, 34, "#d8342c", 6)
    for x in (420, 940):
        canvas.circle(x, 740, 74, "#1a1a20")
        canvas.circle(x, 740, 40, ball("#f2f2f2", "#b5b8bd", "#74777e"))
        canvas.circle(x, 740, 12, "#3a3a42")
    return canvas.finish(GRAIN)


def green_bicycle() -> Image.Image:
    canvas = Canvas(1200, 900, "#ead9c0")
    for row in range(10):
        for column in range(-1, 9):
            tone = mix("#e3b795", "#cf9470", ((row * 7 + column * 5) % 9) / 9)
            canvas.rectangle(column * 150 + 75 * (row % 2) + 3, row * 68 + 3, 144, 62, tone, 3)
    canvas.rectangle(0, 690, 1200, 210, down("#8a8d93", "#6d7077"))
    shadow(canvas, 600, 776, 520, 30, "#1c1c22")
    rear, front, crank, seat, head = (360, 590), (850, 590), (560, 600), (500, 370), (790, 360)
    for x, y in (rear, front):
        for turn in range(0, 180, 20):
            dx, dy = 170 * np.cos(np.radians(turn)), 170 * np.sin(np.radians(turn))
            canvas.line([(x - dx, y - dy), (x + dx, y + dy)], "#d5d8dc", 1.6)
        canvas.arc(x, y, 184, 184, 0, 360, "#22232a", 16)
        canvas.circle(x, y, 14, "#55585f")
    green = "#2f8f5b"
    for path in ([rear, crank, seat, rear], [crank, head, (512, 410)], [head, front]):
        canvas.line(path, green, 15)
    canvas.line([seat, (488, 320)], "#55585f", 12)
    canvas.line([head, (775, 296)], "#55585f", 12)
    canvas.polygon(curve([(420, 300), (500, 296), (560, 314), (500, 326), (430, 330)]), "#5b3a24")
    canvas.line(curve([(775, 296), (830, 270), (872, 292), (850, 330)], closed=False), "#33353c", 13)
    canvas.circle(*crank, 40, "#55585f")
    canvas.circle(*crank, 24, "#c9ccd2")
    canvas.line([crank, (592, 672)], "#33353c", 10)
    canvas.rectangle(566, 668, 60, 14, "#22232a", 4)
    return canvas.finish(GRAIN)


def sailboat() -> Image.Image:
    canvas = Canvas(1080, 1350, down("#7dbbe0", "#c9e5f0", "#f8f3e4"))
    canvas.glow(800, 420, 460, 460, "#fffbe4", 0.8)
    cloud(canvas, 260, 260, 280, "#ffffff", "#e4eff4")
    ridge(canvas, 900, 50, profile(1080, 76, swell=360), "#a9c5d3")
    canvas.rectangle(0, 900, 1080, 450, down("#4f9fc4", "#1f6d9c", "#0f4a78"))
    shadow(canvas, 540, 1010, 330, 40, "#08304f")
    canvas.line([(540, 330), (540, 980)], "#6b4a2e", 12)
    canvas.polygon(
        curve([(556, 350), (660, 600), (830, 900), (700, 905), (556, 900)], 10), across("#ffffff", "#f1ece0", "#d9d2c2")
    )
    canvas.polygon([(524, 400), (524, 900), (300, 900)], across("#d9463f", "#f0635a"))
    canvas.polygon([(540, 330), (620, 352), (540, 376)], "#d9463f")
    canvas.polygon([(270, 930), (850, 920), (770, 1016), (360, 1020)], down("#2d4f78", "#17304f"))
    canvas.polygon([(270, 930), (850, 920), (840, 936), (284, 946)], "#fbf8ee")
    rng = np.random.default_rng(71)
    for _ in range(130):
        y = 915 + 425 * rng.random() ** 1.3
        canvas.ellipse(rng.uniform(0, 1080), y, 8 + (y - 900) * 0.16 * rng.random(), 1.2 + (y - 900) / 120, "#ffffff4a")
    canvas.soft([(300, 1010), (830, 1004), (900, 1030), (240, 1040)], "#ffffff", 8, 0.7)
    return canvas.finish(GRAIN)


def hot_air_balloon() -> Image.Image:
    canvas = Canvas(1000, 1333, down("#5a9fd4", "#a9d3e8", "#f8e6c8", "#f6cfa0"))
    cloud(canvas, 190, 850, 300, "#ffffff", "#f2e2d2")
    cloud(canvas, 860, 300, 220, "#ffffff", "#dfeaf0")
    for step, colour in enumerate(("#b9b3b8", "#8a8f9c", "#566a70")):
        ridge(
            canvas,
            1170 + 60 * step,
            90,
            profile(1000, 340 + step, swell=420, smooth=step > 0),
            down(colour, mix(colour, "#f6cfa0", 0.4)),
        )
    for x, y, size, colours in (
        (840, 640, 0.24, ("#4f8a6c", "#f4e8cc")),
        (190, 420, 0.32, ("#f2b632", "#5a62a8")),
        (520, 440, 1.0, ("#d9413b", "#f7c04a")),
    ):
        balloon_with_basket(canvas, x, y, size, colours)
    return canvas.finish(GRAIN)


def balloon_with_basket(canvas: Canvas, x: float, y: float, size: float, colours: tuple[Colour, Colour]) -> None:
    for side in (-1, 1):
        canvas.line(
            [(x + side * 90 * size, y + 260 * size), (x + side * 42 * size, y + 440 * size)], "#4a3a30", 4 * size
        )
    for step in range(6):
        wide = 280 * (1 - step / 5.6)
        tone = mix(colours[step % 2], "#2a1020", 0.05 * step)
        gore = curve(
            [
                (x, y - 290 * size),
                (x + wide * 0.75 * size, y - 200 * size),
                (x + wide * size, y - 20 * size),
                (x + wide * 0.7 * size, y + 170 * size),
                (x + wide * 0.3 * size, y + 290 * size),
            ],
            closed=False,
        )
        canvas.polygon(
            [*gore, *((2 * x - px, py) for px, py in reversed(gore))],
            across(mix(tone, "#ffffff", 0.22), tone, mix(tone, "#2a1020", 0.28)),
        )
    canvas.rectangle(x - 54 * size, y + 430 * size, 108 * size, 92 * size, across("#b98450", "#7a4e2a"), 10 * size)
    canvas.rectangle(x - 60 * size, y + 424 * size, 120 * size, 18 * size, "#5e3a20", 8 * size)
