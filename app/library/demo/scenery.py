"""What landscapes are put together from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from app.library.demo.canvas import Canvas, Colour, Fill, Point, ball, down, fade, mix

GRAIN = 2.2


def ridge(canvas: Canvas, base: float, height: float, line: Sequence[float], fill: Fill) -> None:
    """A range of hills over the whole width: ``base`` is where its valleys lie, ``line`` a `profile`."""
    top = [(4.0 * step, base - height * value) for step, value in enumerate(line)]
    canvas.polygon([(-4, canvas.height), (-4, top[0][1]), *top, (canvas.width + 4, canvas.height)], fill)


def peak(
    canvas: Canvas, x: float, top: float, foot: float, half: float, light: Colour, dark: Colour, seed: int
) -> None:
    """One mountain with a sunny side, a shady one, and snow."""
    rng = np.random.default_rng(seed)
    spine = [(x + rng.uniform(-0.07, 0.07) * half * step / 2, top + (foot - top) * step / 7) for step in range(8)]
    canvas.polygon([*spine, (x - half, foot)], light)
    canvas.polygon([*spine, (x + half, foot)], dark)
    for side, colour in ((-1, "#ffffff"), (1, "#c4d6e8")):
        edge: list[Point] = []
        for step in range(5):
            depth = (0.34, 0.24, 0.33, 0.23, 0.31)[step] + rng.uniform(-0.03, 0.03)
            edge.append((x + side * half * depth * (1 - step / 4), top + (foot - top) * (depth + 0.02 * step)))
        canvas.polygon([(x, top), *edge], colour)


def pine(canvas: Canvas, x: float, foot: float, height: float, colour: Colour, snow: Colour | None = None) -> None:
    canvas.rectangle(
        x - height * 0.025, foot - height * 0.15, height * 0.05, height * 0.15, mix(colour, "#2b1a10", 0.5)
    )
    for tier in range(4):
        half, low, high = height * (0.25 - 0.05 * tier), foot - height * (0.1 + 0.2 * tier), height * 0.36
        canvas.polygon([(x - half, low), (x, low - high), (x + half, low)], mix(colour, "#ffffff", 0.02 * tier))
        if snow:
            tip = low - high
            drift = [(x, tip), (x + half * 0.62, tip + high * 0.62), (x + half * 0.2, tip + high * 0.52)]
            canvas.polygon([*drift, (x - half * 0.15, tip + high * 0.7), (x - half * 0.55, tip + high * 0.55)], snow)


def round_tree(canvas: Canvas, x: float, foot: float, size: float) -> None:
    canvas.glow(x + size * 0.4, foot, size * 1.2, size * 0.2, "#1d3a1c", 0.6)
    canvas.rectangle(x - size * 0.08, foot - size * 0.6, size * 0.16, size * 0.6, "#5b4029")
    canvas.circle(x, foot - size * 1.1, size * 0.7, ball("#a4d278", "#4f9148", "#275c33"))


def sun(canvas: Canvas, x: float, y: float, radius: float, colour: Colour, halo: Colour, reach: float = 7) -> None:
    canvas.glow(x, y, radius * reach, radius * reach, halo, 0.6)
    canvas.glow(x, y, radius * 2.6, radius * 2.6, mix(colour, halo, 0.4), 0.8)
    canvas.circle(x, y, radius, colour)


def moon(canvas: Canvas, x: float, y: float, radius: float) -> None:
    canvas.glow(x, y, radius * 6, radius * 6, "#9fb6e8", 0.45)
    canvas.circle(x, y, radius, ball("#fffdf2", "#f1eddb", "#cfcbb9"))
    for dx, dy, size in ((-0.3, -0.25, 0.2), (0.25, 0.1, 0.28), (-0.15, 0.45, 0.15), (0.4, -0.4, 0.11)):
        canvas.circle(x + dx * radius, y + dy * radius, size * radius, fade("#b9b5a4", 0.45))


def stars(canvas: Canvas, count: int, lowest: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for x, y, light in rng.random((count, 3)):
        canvas.circle(x * canvas.width, y**1.3 * lowest, 0.6 + 1.3 * light**6, fade("#fff8e6", 0.35 + 0.65 * light))


def cloud(canvas: Canvas, x: float, y: float, width: float, light: Colour, shade: Colour) -> None:
    canvas.ellipse(x, y + width * 0.03, width * 0.5, width * 0.085, shade)
    for dx, dy, size in ((-0.27, -0.02, 0.13), (-0.08, -0.08, 0.19), (0.14, -0.05, 0.15), (0.3, 0.0, 0.1)):
        canvas.circle(x + dx * width, y + dy * width, size * width, down(light, light, shade))
    canvas.ellipse(x, y + width * 0.035, width * 0.49, width * 0.07, shade)


def streaks(canvas: Canvas, spots: Iterable[tuple[float, float, float, float]], colour: Colour, height: float) -> None:
    """Thin evening clouds: for each its x, y, width and strength."""
    for x, y, width, strength in spots:
        outline = [(x - width / 2, y), (x, y - height), (x + width / 2, y - 4), (x + width / 5, y + height * 0.7)]
        canvas.soft(outline, colour, height * 0.55, strength)


def birds(canvas: Canvas, x: float, y: float, size: float, colour: Colour) -> None:
    for dx, dy, scale in ((0, 0, 1), (2.1, -0.8, 0.8), (3.6, 0.5, 0.9), (5.4, -0.4, 0.6), (1.2, 1.5, 0.7)):
        cx, cy, half = x + dx * size, y + dy * size, size * scale
        for side in (-1, 1):
            wing = [(cx, cy), (cx + side * half * 0.45, cy - half * 0.42), (cx + side * half, cy - half * 0.3)]
            canvas.line(wing, colour, max(1.2, size / 12))


def shadow(
    canvas: Canvas, x: float, y: float, rx: float, ry: float, colour: Colour = "#1d1420", strength: float = 0.75
) -> None:
    canvas.glow(x, y, rx, ry, colour, strength)
