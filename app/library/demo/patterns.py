"""Pictures of nothing but colour and rhythm."""

from __future__ import annotations

import numpy as np
from PIL import Image

from app.library.demo.canvas import Canvas, Point, down, fade, mix


def stripes() -> Image.Image:
    canvas = Canvas(900, 900, "#f6efe0")
    x = -900.0
    for step in range(60):
        width = (46, 18, 30)[step % 3]
        colour = ("#1f3f6e", "#d8604a", "#e9b04a")[step % 3]
        canvas.polygon([(x, 910), (x + 910, 0), (x + 910 + width, 0), (x + width, 910)], colour)
        x += width + 26
    return canvas.finish(1.2)


def polka_dots() -> Image.Image:
    canvas = Canvas(900, 900, "#e0574f")
    for row in range(-1, 11):
        for column in range(-1, 11):
            canvas.circle(column * 100 + 50 * (row % 2), row * 92 + 30, 27, "#fdf6e8")
    return canvas.finish(1.2)


def checkerboard() -> Image.Image:
    canvas = Canvas(800, 800, "#f3ece0")
    for row in range(8):
        for column in range(8):
            if (row + column) % 2:
                canvas.rectangle(column * 100, row * 100, 100, 100, "#1c1c22")
    return canvas.finish()


def soft_gradient() -> Image.Image:
    canvas = Canvas(1200, 800, down("#3a3aa0", "#8a4fb8", "#f0738a", "#fcb77a"))
    for x, y, reach, colour in (
        (200, 160, 700, "#2f7fe0"),
        (1050, 120, 620, "#7a3fd0"),
        (900, 760, 760, "#ffd27a"),
        (240, 760, 560, "#f2508a"),
    ):
        canvas.glow(x, y, reach, reach, colour, 0.75)
    return canvas.finish(1.6)


def plaid() -> Image.Image:
    canvas = Canvas(960, 960, "#9c2730")
    bands = ((0, 120, "#14352c", 0.55), (150, 14, "#f2d27a", 0.75), (190, 40, "#0f1c2e", 0.5), (260, 8, "#f6efe0", 0.8))
    for start in range(-40, 1000, 320):
        for offset, width, colour, alpha in bands:
            canvas.rectangle(start + offset, 0, width, 960, fade(colour, alpha))
            canvas.rectangle(0, start + offset, 960, width, fade(colour, alpha * 0.8))
    for step in range(-960, 960, 6):
        canvas.line([(step, 0), (step + 960, 960)], "#00000014", 2)
    return canvas.finish(2.0)


def spiral() -> Image.Image:
    canvas = Canvas(900, 900, "#f4ead6")
    for arm in range(12):
        edges: list[list[Point]] = [[], []]
        for side in (0, 1):
            for step in range(78):
                turn = 2 * np.pi * (arm + 0.5 * side) / 12 + step / 24
                reach = 0.35 * step**1.75
                edges[side].append((450 + reach * float(np.cos(turn)), 450 + reach * float(np.sin(turn))))
        canvas.polygon([*edges[0], *reversed(edges[1])], mix("#0f5f6e", "#e2743a", arm % 2))
    canvas.glow(450, 450, 140, 140, "#fffaf0", 0.6)
    return canvas.finish(1.2)


def mosaic() -> Image.Image:
    canvas = Canvas(1200, 800, "#22303e")
    rng = np.random.default_rng(90)
    nodes = {
        (row, column): (column * 100 - 50 + rng.uniform(-32, 32), row * 100 - 50 + rng.uniform(-32, 32))
        for row in range(11)
        for column in range(15)
    }
    palette = ("#123c5a", "#1f7a8c", "#7fc8b2", "#f3e3b5", "#f2a65a", "#d8573c")
    for row in range(10):
        for column in range(14):
            corners = [nodes[row + down_by, column + right] for down_by, right in ((0, 0), (0, 1), (1, 1), (1, 0))]
            for triangle in ((0, 1, 2), (0, 2, 3)):
                place = (column + row * 0.8) / 21 * 5 + rng.uniform(-0.5, 0.5)
                step = int(np.clip(place, 0, 4.99))
                colour = mix(palette[step], palette[step + 1], float(np.clip(place - step, 0, 1)))
                canvas.polygon([corners[index] for index in triangle], mix(colour, "#ffffff", rng.uniform(0, 0.12)))
    return canvas.finish(1.4)
