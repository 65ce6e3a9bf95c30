"""Single things with a colour of their own: fruit, flowers, what stands about in a house."""

from __future__ import annotations

import numpy as np
from PIL import Image

from app.library.demo.canvas import Canvas, Colour, across, ball, curve, down, fade, mix, profile
from app.library.demo.scenery import GRAIN, cloud, ridge, shadow


def table(width: int, height: int, wall: Colour, top: Colour) -> Canvas:
    """A plain wall and a table, for still lifes."""
    canvas = Canvas(width, height, down(mix(wall, "#ffffff", 0.14), wall))
    canvas.glow(width * 0.3, height * 0.25, width * 0.7, height * 0.7, mix(wall, "#ffffff", 0.6), 0.6)
    canvas.rectangle(0, height * 0.7, width, height * 0.3, down(mix(top, "#ffffff", 0.15), mix(top, "#000000", 0.12)))
    return canvas


def leaf(canvas: Canvas, x: float, y: float, length: float, angle: float, colour: Colour) -> None:
    turn, half = np.radians(angle), length * 0.24
    dx, dy = float(np.cos(turn)), float(np.sin(turn))
    bow = [(x + dx * length * 0.45 + side * dy * half, y + dy * length * 0.45 - side * dx * half) for side in (1, -1)]
    tip = (x + dx * length, y + dy * length)
    outline = curve([(x, y), bow[0], tip, bow[1]])
    canvas.polygon(outline, colour)
    canvas.polygon([*outline[:25]], mix(colour, "#ffffff", 0.14))
    canvas.line(
        [(x, y), (x + dx * length * 0.85, y + dy * length * 0.85)], mix(colour, "#0c2a12", 0.35), max(1.5, length / 40)
    )


def red_apple() -> Image.Image:
    canvas = table(1000, 1000, "#e9dcc9", "#b98a62")
    shadow(canvas, 560, 806, 330, 60)
    body = curve(
        [
            (500, 400),
            (600, 350),
            (720, 400),
            (762, 540),
            (700, 720),
            (590, 806),
            (500, 790),
            (410, 806),
            (300, 720),
            (238, 540),
            (280, 400),
            (400, 350),
        ]
    )
    canvas.polygon(body, ball("#ff8f74", "#e4312c", "#b3151f", "#6b0a18"))
    canvas.ellipse(500, 398, 74, 22, "#7d0f1a")
    canvas.line(curve([(500, 404), (505, 340), (535, 280)], closed=False), "#5a3a20", 15)
    leaf(canvas, 515, 330, 170, -18, "#4f9d45")
    canvas.soft(curve([(330, 440), (400, 400), (420, 440), (350, 540), (320, 520)]), "#ffffff", 12, 0.55)
    return canvas.finish(GRAIN)


def orange_fruit() -> Image.Image:
    canvas = table(1000, 1000, "#c9dedd", "#7d9a97")
    shadow(canvas, 520, 800, 330, 56, "#16282a")
    canvas.circle(440, 560, 240, ball("#ffd08a", "#fb9a2a", "#ea7a12", "#a8480a"))
    rng = np.random.default_rng(61)
    for distance, turn in rng.random((240, 2)):
        canvas.circle(
            440 + 225 * distance**0.5 * np.cos(turn * 6.283),
            560 + 225 * distance**0.5 * np.sin(turn * 6.283),
            3,
            "#c35a0a2e",
        )
    canvas.circle(452, 356, 13, "#5d7a2e")
    leaf(canvas, 456, 352, 150, -28, "#3f8f4a")
    shadow(canvas, 770, 816, 170, 30, "#16282a")
    canvas.circle(740, 690, 128, "#f08a1c")
    canvas.circle(740, 690, 117, "#ffe9c4")
    for step in range(9):
        canvas.pie(740, 690, 109, 109, 40 * step + 3, 40 * step + 37, mix("#ffb042", "#f9941e", step % 2))
    canvas.circle(740, 690, 13, "#ffe9c4")
    return canvas.finish(GRAIN)


def lemons() -> Image.Image:
    canvas = table(1080, 810, "#3e6f8e", "#e8e2d6")
    for x, y, size in ((400, 520, 1.0), (690, 555, 0.86)):
        shadow(canvas, x + 20, y + 130 * size, 250 * size, 40)
        body = [
            (-225, 6),
            (-190, -34),
            (-120, -106),
            (0, -138),
            (120, -106),
            (190, -34),
            (222, 6),
            (190, 44),
            (120, 104),
            (0, 134),
            (-120, 104),
            (-190, 44),
        ]
        canvas.polygon(
            curve([(x + dx * size, y + dy * size) for dx, dy in body]), ball("#fffbb0", "#ffe23e", "#f2c21a", "#b98808")
        )
        canvas.soft(
            curve(
                [
                    (x - 110 * size, y - 60 * size),
                    (x - 20, y - 96 * size),
                    (x - 20, y - 70 * size),
                    (x - 90 * size, y - 30 * size),
                ]
            ),
            "#ffffff",
            9,
            0.6,
        )
    leaf(canvas, 610, 540, 150, -150, "#3c8b4c")
    return canvas.finish(GRAIN)


def green_pear() -> Image.Image:
    canvas = table(900, 1200, "#f0cfc4", "#c77f74")
    shadow(canvas, 500, 978, 300, 54)
    body = curve(
        [
            (450, 330),
            (520, 370),
            (548, 480),
            (600, 600),
            (680, 740),
            (650, 900),
            (540, 980),
            (450, 966),
            (360, 980),
            (250, 900),
            (220, 740),
            (300, 600),
            (352, 480),
            (380, 370),
        ]
    )
    canvas.polygon(body, ball("#f2f9b0", "#b9d64b", "#8db52f", "#4f7a1e"))
    rng = np.random.default_rng(62)
    for x, y in rng.normal(0, 1, (150, 2)):
        canvas.circle(450 + np.clip(x, -1.5, 1.5) * 105, 780 + np.clip(y, -1.4, 1.4) * 110, 2.6, "#5d7a1e66")
    canvas.line(curve([(450, 346), (455, 280), (490, 230)], closed=False), "#5c4023", 15)
    leaf(canvas, 462, 285, 160, 200, "#5c9c3a")
    canvas.soft(curve([(310, 690), (360, 610), (380, 650), (330, 790), (300, 780)]), "#ffffff", 14, 0.6)
    return canvas.finish(GRAIN)


def brown_mug() -> Image.Image:
    canvas = table(1000, 1000, "#e5e3dc", "#8d9a8c")
    shadow(canvas, 520, 806, 330, 50)
    canvas.arc(690, 590, 105, 120, 0, 360, "#6b3f26", 40)
    canvas.polygon(
        [(300, 400), (330, 790), (370, 806), (590, 806), (630, 790), (660, 400)],
        across("#5d3420", "#9a6340", "#8a5434", "#4a2818"),
    )
    canvas.ellipse(480, 400, 180, 46, "#a8734e")
    canvas.ellipse(480, 404, 162, 38, "#2e170d")
    canvas.ellipse(480, 412, 142, 28, across("#5a3018", "#3b1d0f"))
    for dx, lift in ((-70, 0), (10, 40), (80, 10)):
        steam = curve(
            [(480 + dx, 370 - lift), (450 + dx, 290 - lift), (500 + dx, 210 - lift), (470 + dx, 130 - lift)],
            closed=False,
        )
        canvas.soft([*steam, *((x + 24, y) for x, y in reversed(steam))], "#ffffff", 11, 0.8)
    return canvas.finish(GRAIN)


def birthday_cake() -> Image.Image:
    canvas = table(1000, 1000, "#cfe3ea", "#f3ece2")
    shadow(canvas, 510, 826, 400, 54, "#2a3a44")
    canvas.ellipse(500, 812, 370, 44, "#ffffff")
    canvas.ellipse(500, 804, 350, 36, "#dfe9ee")
    for x, y, half, height, colour in ((500, 800, 300, 190, "#f3a6b8"), (500, 610, 210, 160, "#fbe3d2")):
        canvas.ellipse(x, y, half, 34, mix(colour, "#6a2a3a", 0.3))
        canvas.rectangle(
            x - half,
            y - height,
            2 * half,
            height,
            across(mix(colour, "#ffffff", 0.35), colour, mix(colour, "#6a2a3a", 0.3)),
        )
        canvas.ellipse(x, y - height, half, 34, "#fff6ee")
        for step in range(12):
            drop = x - half + 2 * half * (step + 0.5) / 12
            canvas.rectangle(drop - half / 12, y - height, half / 6, 38 + 26 * (step % 3), "#fff6ee", half / 12)
    for step, colour in enumerate(("#5aa9e0", "#f2b632", "#7cc06a", "#e0607e", "#9a77d0")):
        x, top = 360 + 70 * step, 330 + 10 * abs(2 - step) * (-1)
        canvas.rectangle(x - 8, top, 16, 118, across(mix(colour, "#ffffff", 0.4), colour), 3)
        canvas.glow(x, top - 28, 60, 60, "#ffc24a", 0.7)
        canvas.polygon(
            curve([(x, top - 58), (x + 12, top - 22), (x, top - 4), (x - 12, top - 22)]), down("#fff0a8", "#f58a1c")
        )
    rng = np.random.default_rng(64)
    for x, y in rng.uniform((220, 690), (780, 780), (54, 2)):
        canvas.circle(x, y, 7, str(rng.choice(["#5aa9e0", "#f2b632", "#7cc06a", "#ffffff", "#9a77d0"])))
    return canvas.finish(GRAIN)


def cactus_on_a_sill() -> Image.Image:
    canvas = table(900, 1125, "#f3e3cf", "#e2b690")
    shadow(canvas, 470, 1000, 260, 40)
    body = "#3f8a5c"
    for points, width in (
        ([(300, 640), (300, 520), (300, 440)], 78),
        ([(300, 640), (440, 660)], 70),
        ([(600, 570), (600, 400)], 72),
        ([(600, 570), (460, 590)], 66),
    ):
        canvas.line(points, mix(body, "#12301f", 0.12), width)
        canvas.circle(*points[0], width / 2, mix(body, "#12301f", 0.12))
    canvas.rectangle(370, 250, 160, 560, across("#6bb583", body, "#24603f"), 80)
    for x in (405, 450, 495):
        canvas.line([(x, 300), (x, 770)], "#24603f88", 3)
        for y in range(310, 770, 42):
            for dx in (-9, 0, 9):
                canvas.line([(x, y), (x + dx, y - 13)], "#f5efd2", 1.6)
    for turn in range(0, 360, 45):
        canvas.ellipse(450 + 26 * np.cos(np.radians(turn)), 246 + 16 * np.sin(np.radians(turn)), 22, 15, "#ef6f9b")
    canvas.circle(450, 244, 13, "#ffd95a")
    canvas.polygon([(300, 790), (600, 790), (556, 1004), (344, 1004)], across("#d9754a", "#c25c36", "#863a20"))
    canvas.rectangle(280, 752, 340, 66, across("#e48a5e", "#cf673f", "#8f4024"), 8)
    return canvas.finish(GRAIN)


def purple_flower() -> Image.Image:
    canvas = Canvas(900, 1200, down("#e8eee2", "#c8dcc4"))
    canvas.glow(300, 300, 600, 600, "#ffffff", 0.7)
    canvas.line(curve([(450, 500), (470, 800), (440, 1220)], closed=False), "#4c8a48", 20)
    leaf(canvas, 462, 960, 280, -38, "#4f9650")
    leaf(canvas, 456, 1040, 260, 212, "#3f8646")
    for ring, (reach, count, colour) in enumerate(((330, 12, "#6a3aa8"), (270, 12, "#8a56c9"), (190, 10, "#ab7fe0"))):
        for step in range(count):
            turn = 2 * np.pi * (step + 0.5 * ring) / count
            dx, dy = float(np.cos(turn)), float(np.sin(turn))
            wide = reach * 0.2
            sides = [
                (450 + dx * reach * 0.62 + side * dy * wide, 480 + dy * reach * 0.62 - side * dx * wide)
                for side in (1, -1)
            ]
            petal = curve([(450, 480), sides[0], (450 + dx * reach, 480 + dy * reach), sides[1]])
            canvas.polygon(petal, mix(colour, "#2a1050", 0.18 * (step % 2)))
    canvas.circle(450, 480, 66, ball("#ffe88a", "#f5b82e", "#b87412"))
    rng = np.random.default_rng(63)
    for distance, turn in rng.random((70, 2)):
        canvas.circle(
            450 + 56 * distance**0.5 * np.cos(turn * 6.283),
            480 + 56 * distance**0.5 * np.sin(turn * 6.283),
            3.2,
            "#a8620e",
        )
    return canvas.finish(GRAIN)


def sunflowers() -> Image.Image:
    canvas = Canvas(960, 1280, down("#5fa8dc", "#bfe0ee"))
    cloud(canvas, 220, 190, 260, "#ffffff", "#e0eef5")
    ridge(canvas, 1130, 60, profile(960, 66, swell=500, smooth=True), down("#7fae4a", "#3f7a32"))
    for x, y, size in ((240, 620, 0.72), (720, 700, 0.66), (490, 420, 1.0)):
        canvas.line(curve([(x, y), (x + 16, (y + 1280) / 2), (x - 10, 1300)], closed=False), "#3f7d36", 22 * size)
        leaf(canvas, x + 12, y + 420 * size, 240 * size, -25, "#4c9440")
        leaf(canvas, x + 8, y + 500 * size, 230 * size, 205, "#3d8338")
        for ring in range(2):
            for step in range(20):
                turn = 2 * np.pi * (step + 0.5 * ring) / 20
                dx, dy, reach = float(np.cos(turn)), float(np.sin(turn)), (225 - 28 * ring) * size
                sides = [
                    (x + dx * reach * 0.66 + side * dy * 30 * size, y + dy * reach * 0.66 - side * dx * 30 * size)
                    for side in (1, -1)
                ]
                canvas.polygon(
                    curve([(x, y), sides[0], (x + dx * reach, y + dy * reach), sides[1]], 6),
                    ("#eea414", "#ffcb2b")[ring],
                )
        canvas.circle(x, y, 108 * size, ball("#8a5a2a", "#5c3517", "#2f1a0c"))
        for step in range(150):
            distance, turn = 100 * size * (step / 150) ** 0.5, step * 2.39996
            canvas.circle(
                x + distance * np.cos(turn),
                y + distance * np.sin(turn),
                3.4 * size,
                mix("#3a200e", "#a8743a", step / 150),
            )
    return canvas.finish(GRAIN)


def blue_balloons() -> Image.Image:
    canvas = Canvas(900, 1200, down("#fdf4e6", "#f6dfc8"))
    canvas.glow(420, 360, 600, 600, "#ffffff", 0.7)
    for x, y, size, colour in ((300, 420, 0.9, "#5fa8e6"), (640, 460, 0.85, "#1f5fc0"), (470, 300, 1.05, "#2f7fd8")):
        canvas.line(curve([(x, y + 190 * size), ((x + 460) / 2 + 20, 850), (460, 1120)], closed=False), "#7a8694", 3)
        canvas.polygon(
            [(x, y + 172 * size), (x - 20 * size, y + 206 * size), (x + 20 * size, y + 206 * size)],
            mix(colour, "#0a1f4a", 0.3),
        )
        outline = curve(
            [
                (x, y - 190 * size),
                (x + 124 * size, y - 130 * size),
                (x + 156 * size, y - 10),
                (x + 100 * size, y + 120 * size),
                (x, y + 184 * size),
                (x - 100 * size, y + 120 * size),
                (x - 156 * size, y - 10),
                (x - 124 * size, y - 130 * size),
            ]
        )
        canvas.polygon(
            outline, ball(mix(colour, "#ffffff", 0.6), colour, mix(colour, "#0a1f4a", 0.3), mix(colour, "#0a1f4a", 0.6))
        )
        canvas.soft(
            curve(
                [
                    (x - 90 * size, y - 90 * size),
                    (x - 50 * size, y - 140 * size),
                    (x - 46 * size, y - 100 * size),
                    (x - 80 * size, y - 40 * size),
                ]
            ),
            "#ffffff",
            8,
            0.75,
        )
    canvas.polygon([(460, 1110), (400, 1080), (404, 1140)], "#e0574f")
    canvas.polygon([(460, 1110), (520, 1080), (516, 1140)], "#e0574f")
    return canvas.finish(GRAIN)


def pink_umbrella() -> Image.Image:
    canvas = Canvas(1000, 1000, down("#9fb8c4", "#c3d2d6"))
    rng = np.random.default_rng(72)
    for x, y, light in rng.random((260, 3)):
        canvas.line([(x * 1040, y * 1000), (x * 1040 - 10, y * 1000 + 34)], fade("#ffffff", 0.15 + 0.35 * light), 1.6)
    canvas.rectangle(0, 880, 1000, 120, down("#7d949f", "#647a86"))
    shadow(canvas, 500, 920, 300, 28, "#22323a")
    canvas.line([(500, 210), (500, 840)], "#5a3a3f", 14)
    canvas.arc(460, 840, 40, 46, 0, 180, "#5a3a3f", 14)
    edges = (130, 270, 420, 580, 730, 870)
    for left, right, tone in zip(
        edges, edges[1:], ("#f59ab8", "#ef7fa5", "#f9b0c8", "#ee7aa2", "#dd5f8c"), strict=False
    ):
        arch = curve([(left, 560), ((left + right) / 2, 524), (right, 560)], closed=False)
        side = curve([(right, 560), ((right - 500) * 0.72 + 500, 330), (500, 220)], closed=False)
        back = curve([(500, 220), ((left - 500) * 0.72 + 500, 330), (left, 560)], closed=False)
        canvas.polygon([*arch, *side, *back], down(mix(tone, "#ffffff", 0.2), tone))
    canvas.line([(500, 224), (500, 176)], "#5a3a3f", 12)
    return canvas.finish(GRAIN)
