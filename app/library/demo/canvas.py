"""The few means that every demo picture is drawn with: a canvas, gradients, soft light and shadow, text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter, ImageFont

Colour = str
"""``#rrggbb``, or ``#rrggbbaa`` where it lets through what lies below."""
Point = tuple[float, float]

_SHARP_BELOW = 700_000
"""Pictures with fewer pixels than this are drawn at three times their size, larger ones at twice."""
_SOFTNESS = 8
"""Blurred shapes are made this many times smaller and enlarged: nobody sees it, and it is 64 times less work."""


def _rgba(colour: Colour) -> tuple[int, int, int, int]:
    red, green, blue, *alpha = ImageColor.getrgb(colour)
    return red, green, blue, alpha[0] if alpha else 255


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``first`` with ``share`` (0 to 1) of ``second`` in it."""
    pairs = zip(_rgba(first), _rgba(second), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def fade(colour: Colour, alpha: float) -> Colour:
    """The colour, translucent: ``alpha`` 0 is invisible, 1 is opaque."""
    return "#" + "".join(f"{value:02x}" for value in (*_rgba(colour)[:3], round(alpha * 255)))


@dataclass(frozen=True)
class Gradient:
    """Colours that flow into each other, evenly spread: downwards, to the right, or over a ball lit from above."""

    stops: tuple[Colour, ...]
    course: Literal["down", "across", "ball"]

    def render(self, size: tuple[int, int]) -> Image.Image:
        """RGB, or RGBA where some stop is translucent."""
        position = self._positions()
        stops = np.array([_rgba(stop) for stop in self.stops], np.float32)
        steps = np.linspace(0, 1, len(stops))
        channels = [np.interp(position, steps, stops[:, channel]) for channel in range(4)]
        small = Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))
        if stops[:, 3].min() == 255:
            small = small.convert("RGB")
        if self.course == "down":  # in two steps: enlarging along one axis is cheap, repeating along the other is free
            return small.resize((1, size[1]), Image.Resampling.BILINEAR).resize(size, Image.Resampling.NEAREST)
        if self.course == "across":
            return small.resize((size[0], 1), Image.Resampling.BILINEAR).resize(size, Image.Resampling.NEAREST)
        return small.resize(size, Image.Resampling.BILINEAR)

    def _positions(self) -> np.ndarray:
        line = np.linspace(0, 1, 256)
        if self.course == "down":
            return line[:, None]
        if self.course == "across":
            return line[None, :]
        x, y = np.meshgrid(line[::2], line[::2])
        return np.hypot(x - 0.36, y - 0.3) / 0.8


Fill = Colour | Gradient


def down(*stops: Colour) -> Gradient:
    return Gradient(stops, "down")


def across(*stops: Colour) -> Gradient:
    return Gradient(stops, "across")


def ball(*stops: Colour) -> Gradient:
    return Gradient(stops, "ball")


class Canvas:
    """A picture drawn larger than it will be and shrunk at the end, which smooths every edge.

    All coordinates and lengths are in pixels of the finished picture, from the upper left.
    """

    def __init__(self, width: int, height: int, ground: Fill, scale: int | None = None) -> None:
        self.width, self.height = width, height
        self.scale = scale or (3 if width * height < _SHARP_BELOW else 2)
        size = (width * self.scale, height * self.scale)
        if isinstance(ground, Gradient):
            self.image = ground.render(size)
        else:
            self.image = Image.new("RGB", size, ground)
        self._opaque, self._blending = ImageDraw.Draw(self.image), ImageDraw.Draw(self.image, "RGBA")

    def polygon(self, points: Iterable[Point], fill: Fill) -> None:
        corners = [(x * self.scale, y * self.scale) for x, y in points]
        xs, ys = zip(*corners, strict=True)
        self._fill(
            (min(xs), min(ys), max(xs), max(ys)),
            fill,
            lambda draw, left, top, ink: draw.polygon([(x - left, y - top) for x, y in corners], fill=ink),
        )

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Fill) -> None:
        """An ellipse around ``(x, y)``."""
        self._fill(
            self._scaled(x - rx, y - ry, x + rx, y + ry),
            fill,
            lambda draw, left, top, ink: draw.ellipse(
                self._scaled(x - rx, y - ry, x + rx, y + ry, left, top), fill=ink
            ),
        )

    def circle(self, x: float, y: float, radius: float, fill: Fill) -> None:
        self.ellipse(x, y, radius, radius, fill)

    def rectangle(self, x: float, y: float, width: float, height: float, fill: Fill, radius: float = 0) -> None:
        """A rectangle from its upper left corner on; ``radius`` rounds the corners."""
        self._fill(
            self._scaled(x, y, x + width, y + height),
            fill,
            lambda draw, left, top, ink: draw.rounded_rectangle(
                self._scaled(x, y, x + width - 1 / self.scale, y + height - 1 / self.scale, left, top),
                radius * self.scale,
                fill=ink,
            ),
        )

    def line(self, points: Iterable[Point], fill: Colour, width: float = 1) -> None:
        """A line with round ends and joints."""
        path = [(x * self.scale, y * self.scale) for x, y in points]
        thickness = max(1, round(width * self.scale))
        pen = self._pen(fill)
        pen.line(path, fill, thickness, joint="curve")
        if thickness > 3 and _rgba(fill)[3] == 255:
            for x, y in (path[0], path[-1]):
                half = thickness / 2 - 0.5
                pen.ellipse((x - half, y - half, x + half, y + half), fill)

    def arc(
        self, x: float, y: float, rx: float, ry: float, start: float, end: float, fill: Colour, width: float
    ) -> None:
        """Part of an ellipse's outline; degrees clockwise from three o'clock."""
        self._pen(fill).arc(
            self._scaled(x - rx, y - ry, x + rx, y + ry), start, end, fill, max(1, round(width * self.scale))
        )

    def pie(self, x: float, y: float, rx: float, ry: float, start: float, end: float, fill: Colour) -> None:
        self._pen(fill).pieslice(self._scaled(x - rx, y - ry, x + rx, y + ry), start, end, fill)

    def text(
        self, x: float, y: float, text: str, size: float, fill: Colour, anchor: str = "la", bold: bool = False
    ) -> float:
        """Returns the width. ``anchor`` is Pillow's: ``la`` puts the upper left at ``(x, y)``, ``mm`` the middle."""
        weight = size * self.scale / 34 if bold else 0
        font = _font(round(size * self.scale))
        position = (x * self.scale, y * self.scale)
        self._pen(fill).text(position, text, fill, font, anchor, stroke_width=weight, stroke_fill=fill)
        return font.getlength(text) / self.scale

    def glow(self, x: float, y: float, rx: float, ry: float, colour: Colour, strength: float = 1.0) -> None:
        """Soft light (or, in a dark colour, soft shadow) that is strongest in the middle and gone at the edge."""
        left, top, right, bottom = self._scaled(x - rx, y - ry, x + rx, y + ry)
        seen = (max(0, round(left)), max(0, round(top)))
        size = (min(self.image.width, round(right)) - seen[0], min(self.image.height, round(bottom)) - seen[1])
        light = _falloff().point(lambda value: value * strength)
        wide, high = light.width / (right - left), light.height / (bottom - top)
        corner = (max(0.0, (seen[0] - left) * wide), max(0.0, (seen[1] - top) * high))
        end = (min(light.width, corner[0] + size[0] * wide), min(light.height, corner[1] + size[1] * high))
        mask = light.resize(size, Image.Resampling.BILINEAR, box=(*corner, *end))
        self.image.paste(colour, seen, mask)

    def soft(self, points: Iterable[Point], colour: Colour, blur: float, strength: float = 1.0) -> None:
        """A polygon with blurred edges: shadow, mist, cloud."""
        shrink = self.scale / _SOFTNESS
        corners = [(x * shrink, y * shrink) for x, y in points]
        xs, ys = zip(*corners, strict=True)
        spread = blur * shrink * 2.5
        left, top = (max(0, math.floor(min(values) - spread)) for values in (xs, ys))
        right = min(self.image.width // _SOFTNESS + 1, math.ceil(max(xs) + spread))
        bottom = min(self.image.height // _SOFTNESS + 1, math.ceil(max(ys) + spread))
        small = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(small).polygon([(x - left, y - top) for x, y in corners], fill=round(255 * strength))
        mask = small.filter(ImageFilter.GaussianBlur(blur * shrink))
        mask = mask.resize((small.width * _SOFTNESS, small.height * _SOFTNESS), Image.Resampling.BILINEAR)
        self.image.paste(colour, (left * _SOFTNESS, top * _SOFTNESS), mask)

    def reflect(self, horizon: float, depth: float, tint: Colour, share: float = 0.35, ripple: float = 3.0) -> None:
        """Water from ``horizon`` on, ``depth`` deep: what stands above, upside down, tinted and in ripples."""
        top, rows = round(horizon * self.scale), round(depth * self.scale)
        above = self.image.crop((0, max(0, top - rows), self.image.width, top))
        mirrored = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize((self.image.width, rows))
        water = np.asarray(Image.blend(mirrored, Image.new("RGB", mirrored.size, tint), share)).copy()
        row = np.arange(rows) / self.scale
        near = 0.3 + row / depth
        shift = ripple * self.scale * near * (np.sin(row / (1.5 + 3 * near)) + np.sin(row / 2.3 + 1) * 0.6)
        for index, by in enumerate(shift.round().astype(int)):
            water[index] = np.roll(water[index], by, axis=0)
        self.image.paste(Image.fromarray(water), (0, top))

    def place(self, other: Canvas, x: float, y: float, angle: float = 0) -> None:
        """Lays a canvas of the same scale on this one, turned by ``angle`` degrees, its middle at ``(x, y)``."""
        turned = other.image.rotate(angle, Image.Resampling.BILINEAR, expand=True)
        mask = Image.new("L", other.image.size, 255).rotate(angle, Image.Resampling.BILINEAR, expand=True)
        corner = (round(x * self.scale) - turned.width // 2, round(y * self.scale) - turned.height // 2)
        self.image.paste(turned, corner, mask)

    def slanted(self, ink: Canvas, colour: Colour, slant: float) -> None:
        """Puts in ``colour`` what ``ink``, a canvas of the same size, has in black on white, leaning to the right."""
        mask = ImageChops.invert(ink.image.convert("L"))
        shear = (1, slant, -slant * mask.height / 2, 0, 1, 0)
        self.image.paste(
            colour, (0, 0), mask.transform(mask.size, Image.Transform.AFFINE, shear, Image.Resampling.BILINEAR)
        )

    def finish(self, grain: float = 0.0) -> Image.Image:
        """The picture in its own size; ``grain`` is the spread of a fine noise, in grey levels, as film has it."""
        picture = self.image.reduce(self.scale)
        if not grain:
            return picture
        pixels = np.asarray(picture).astype(np.int16)
        tile = (_noise() * grain).round().astype(np.int16)
        repeats = (-(-self.height // tile.shape[0]), -(-self.width // tile.shape[1]))
        pixels += np.tile(tile, repeats)[: self.height, : self.width, None]
        return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))

    def _pen(self, colour: Colour) -> ImageDraw.ImageDraw:
        """Blending takes twice the time of covering."""
        return self._opaque if _rgba(colour)[3] == 255 else self._blending

    def _scaled(self, x0: float, y0: float, x1: float, y1: float, left: float = 0, top: float = 0) -> tuple[float, ...]:
        return x0 * self.scale - left, y0 * self.scale - top, x1 * self.scale - left, y1 * self.scale - top

    def _fill(self, bounds: Sequence[float], fill: Fill, shape: Callable[..., None]) -> None:
        if isinstance(fill, str):
            shape(self._pen(fill), 0, 0, fill)
            return
        left, top = math.floor(bounds[0]), math.floor(bounds[1])
        size = (max(1, math.ceil(bounds[2]) - left), max(1, math.ceil(bounds[3]) - top))
        colours = fill.render(size)
        mask = Image.new("L", size)
        shape(ImageDraw.Draw(mask), left, top, 255)
        if colours.mode == "RGBA":
            mask = ImageChops.multiply(mask, colours.getchannel("A"))
        self.image.paste(colours, (left, top), mask)


def profile(width: float, seed: int, rough: float = 0.5, swell: float = 300, smooth: bool = False) -> list[float]:
    """Heights 0 to 1 of a line of hills, one for every fourth pixel.

    ``swell`` is the width of the largest hill in pixels, ``rough`` how much each smaller size of hill adds to it.
    """
    rng = np.random.default_rng(seed)
    x = np.arange(0, width + 8, 4) / swell
    heights = np.zeros(len(x))
    for octave in range(2 if smooth else 6):
        knots = rng.random(int(x[-1] * 2**octave) + 3)
        place = x * 2**octave
        low = place.astype(int)
        between = place - low
        if smooth:
            between = between * between * (3 - 2 * between)
        heights += rough**octave * (knots[low] * (1 - between) + knots[low + 1] * between)
    heights -= heights.min()
    return [float(height) for height in heights / max(heights.max(), 1e-9)]


def curve(points: list[Point], steps: int = 12, closed: bool = True) -> list[Point]:
    """A smooth line through the points (Catmull and Rom's)."""
    count = len(points)
    path: list[Point] = []
    for index in range(count if closed else count - 1):
        around = [
            points[(index + shift) % count if closed else min(max(index + shift, 0), count - 1)]
            for shift in (-1, 0, 1, 2)
        ]
        before, start, end, after = np.array(around, float)
        for t in np.linspace(0, 1, steps, endpoint=False):
            bend = 2 * start + (end - before) * t + (2 * before - 5 * start + 4 * end - after) * t**2
            x, y = (bend + (3 * start - before - 3 * end + after) * t**3) / 2
            path.append((float(x), float(y)))
    return path if closed else [*path, points[-1]]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101  (Pillow's own wheels always carry FreeType)
    return font


@cache
def _falloff() -> Image.Image:
    line = np.linspace(-1, 1, 128)
    distance = np.hypot(line[:, None], line[None, :]).clip(0, 1)
    return Image.fromarray(((1 - distance) ** 2 * (1 + 2 * distance) * 255).round().astype(np.uint8))


@cache
def _noise() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((256, 256))
