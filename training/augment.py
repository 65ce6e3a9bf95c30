"""What happens to a batch of stored pictures on its way into the network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from drawings import COLOURS
from torch import Tensor

BINS = 16


def colour_table() -> Tensor:
    """int64 [16 · 16 · 16]: which colour word names each coarse RGB value (index into COLOURS)."""
    import colorsys

    index = {name: i for i, name in enumerate(COLOURS)}
    table = []
    for r, g, b in np.ndindex(BINS, BINS, BINS):
        hue, saturation, value = colorsys.rgb_to_hsv(*((c + 0.5) / BINS for c in (r, g, b)))
        table.append(index[_name(hue * 360, saturation, value)])
    return torch.tensor(table)


HUES: tuple[tuple[float, Callable[[float, float], str]], ...] = (
    (14, lambda s, v: "pink" if s < 0.5 and v > 0.75 else "brown" if v < 0.38 else "red"),
    (42, lambda s, v: "brown" if v < 0.62 or s < 0.5 else "orange"),
    (66, lambda s, v: "yellow" if v > 0.55 and s > 0.4 else "brown" if s > 0.3 else "gray"),
    (170, lambda s, v: "green"),
    (252, lambda s, v: "blue"),
    (300, lambda s, v: "purple"),
    (345, lambda s, v: "pink" if v > 0.6 else "purple"),
    (361, lambda s, v: "pink" if s < 0.5 and v > 0.75 else "brown" if v < 0.38 else "red"),
)
"""Up to which hue (degrees) which word holds, given saturation and value."""


def _name(hue: float, saturation: float, value: float) -> str:
    if value < 0.17:
        return "black"
    if saturation < 0.16:
        return "white" if value > 0.86 else "gray"
    return next(word(saturation, value) for until, word in HUES if hue < until)


def colour_shares(pixels: Tensor, table: Tensor) -> Tensor:
    """[n, 3, s, s] of 0…255 → [n, 11]: the share of each colour word, the middle of the picture counting double."""
    small = F.interpolate(pixels, size=(16, 16), mode="area").clamp(0, 255)
    coarse = (small / (256 / BINS)).long()
    names = table.to(pixels.device)[(coarse[:, 0] * BINS + coarse[:, 1]) * BINS + coarse[:, 2]]
    weight = torch.ones(16, 16, device=pixels.device)
    weight[4:12, 4:12] = 2
    shares = torch.zeros(len(pixels), len(COLOURS), device=pixels.device)
    shares.scatter_add_(1, names.flatten(1), (weight / weight.sum()).flatten().expand(len(pixels), -1))
    return shares


def augment(
    stored: Tensor, side: int, may_shrink: Tensor, rng: np.random.Generator, least: npt.NDArray[np.float64]
) -> Tensor:
    """uint8 [n, 72, 72, 3] → float32 [n, 3, side, side] of about 0…255, from edge to edge: crop, mirror, small turn,
    and sometimes far away. A crop has at least the share `least` [n] of its picture.

    Where `may_shrink`, one picture in six is made smaller and laid on another of the batch: things are rarely as
    large in a person's photographs as they are in these centre crops.
    """
    n = len(stored)
    pictures = resampled(stored.permute(0, 3, 1, 2).float(), rng)
    cut = sample(pictures, np.sqrt(rng.uniform(least, 1.0, n)), side, rng)
    far = torch.from_numpy(np.flatnonzero(may_shrink.numpy() & (rng.random(n) < 1 / 6)))
    if len(far):
        behind = sample(pictures[(far + 1) % n], np.sqrt(rng.uniform(0.3, 0.8, len(far))), side, rng)
        small = sample(pictures[far], rng.uniform(1.1, 1.9, len(far)), side, rng)
        cut[far] = torch.where(small >= 0, small, behind)
    return cut


def resampled(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """[n, 3, s, s]: half of them once in fewer pixels and back again.

    Every set came in a size of its own, and scaling leaves traces: all dishes were 64 pixels wide, and a network that
    learns a dish by that does not find it in a photograph.
    """
    some = torch.from_numpy(np.flatnonzero(rng.random(len(pictures)) < 0.5))
    if not len(some):
        return pictures
    side = int(rng.integers(pictures.shape[-1] * 2 // 3, pictures.shape[-1]))
    few = F.interpolate(pictures[some], size=(side, side), mode="bilinear", antialias=True)
    back = "bicubic" if rng.random() < 0.5 else "bilinear"
    pictures[some] = F.interpolate(few, size=pictures.shape[2:], mode=back)
    return pictures


def refocus(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """[n, 3, s, s]: a little softer or sharper. Photographs, scaled down, are sharper than pictures stored small."""
    soft = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return pixels + torch.from_numpy(rng.uniform(-0.3, 0.6, (len(pixels), 1, 1, 1))).float() * (pixels - soft)


def sample(pictures: Tensor, span: npt.NDArray[np.float64], side: int, rng: np.random.Generator) -> Tensor:
    """Cuts windows of `span` of the picture's side (above 1: beyond its edge, filled with −1) and scales them to
    `side`, whose first and last pixels lie on the edges."""
    n = len(pictures)
    stretch = np.exp(rng.uniform(-0.16, 0.16, n))
    wide, high = span * stretch, span / stretch
    within = span <= 1
    wide, high = np.where(within, np.minimum(wide, 1), wide), np.where(within, np.minimum(high, 1), high)
    angle = np.where(rng.random(n) < 0.25, rng.uniform(-0.14, 0.14, n), 0)
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    x, y = rng.uniform(-1, 1, n) * np.abs(1 - wide), rng.uniform(-1, 1, n) * np.abs(1 - high)
    cos, sin = np.cos(angle), np.sin(angle)
    theta = np.stack(
        [np.stack([wide * cos * mirror, -high * sin, x], 1), np.stack([wide * sin * mirror, high * cos, y], 1)], 1
    )
    where = F.affine_grid(torch.from_numpy(theta).float(), [n, 3, side, side], align_corners=True)
    cut = F.grid_sample(pictures, where, mode="bilinear", padding_mode="border", align_corners=False)
    if within.all():
        return cut
    return cut.masked_fill((where.abs() > 1).any(3)[:, None], -1.0)


def relight(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """A little more or less light, contrast and saturation; hues stay, because colour words are searched for."""
    n = len(pixels)

    def per_picture(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (n, 1, 1, 1))).float()

    light, contrast, colour = per_picture(0.88, 1.12), per_picture(0.8, 1.2), per_picture(0.75, 1.25)
    gray = pixels.mean(1, keepdim=True)
    mean = gray.mean((2, 3), keepdim=True)
    return pixels * (light * contrast * colour) + (
        gray * (light * contrast * (1 - colour)) + mean * (light * (1 - contrast))
    )
