"""The picture network: a small residual CNN. float32 [n, 3, 64, 64] (normalised by `normalise`) → float32 [n, 256].

It is trained in this plain form and exported as an ordinary transformers ResNet (see export.py), which every
sentence-transformers installation loads without any code of this project.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (0.48, 0.45, 0.40)
STD = 0.27
DIMENSION = 256
WIDTHS = (48, 96, 192, 384)
DEPTHS = (2, 2, 3, 2)
FEATURES = WIDTHS[-1]


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and batch norm."""
    kernel = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(kernel, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two convolutions beside a shortcut: ResNet's basic block, https://arxiv.org/abs/1512.03385."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.a, self.b = convolution(inputs, channels, stride=stride), convolution(channels, channels)
        self.shortcut = convolution(inputs, channels, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.b(F.relu(self.a(x))))


class PictureNetwork(nn.Module):
    """7.0 M parameters, 333 M multiply-adds at 64 × 64. The first block of each stage halves the picture."""

    def __init__(self) -> None:
        super().__init__()
        stages = []
        for inputs, channels, depth in zip((3, *WIDTHS), WIDTHS, DEPTHS, strict=False):
            stages.append(
                nn.Sequential(Block(inputs, channels, 2), *(Block(channels, channels, 1) for _ in range(1, depth)))
            )
        self.stages = nn.Sequential(*stages)
        self.h = nn.Linear(FEATURES, DIMENSION)

    def features(self, x: Tensor) -> Tensor:
        """[n, 3, s, s] → [n, 384], before the projection; the classifier heads of training read these."""
        maps: Tensor = self.stages(x)
        return maps.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.h(self.features(x))
        return projected


def normalise(pixels: Tensor) -> Tensor:
    """[n, 3, s, s] of 0…255 → about zero mean and unit variance."""
    mean = torch.tensor(MEAN, device=pixels.device).view(1, 3, 1, 1) * 255
    return (pixels - mean) / (STD * 255)


def shrink(pixels: Tensor) -> Tensor:
    """[n, 3, 2·s + 1, 2·s + 1], from edge to edge → [n, 3, s, s]: the middle between the highest and the lowest 2 × 2
    mean around each pixel.

    The exported network has to begin with ResNet's max pooling, which cannot pick one pixel but can do this (see
    `as_resnet` in export.py); so training sees its pictures the same way, edges included: a quarter of what lies there
    is nothing, which is the mean colour.
    """
    means = (pixels[..., :-1] + pixels[..., 1:]) / 2
    means = (means[..., :-1, :] + means[..., 1:, :]) / 2
    nothing = torch.tensor(MEAN, device=pixels.device).view(3, 1) * 255
    for edge in (0, -1):
        for line in (means[..., edge], means[..., edge, :]):
            line.lerp_(nothing, 0.25)
    return (_pooled(means, torch.maximum) + _pooled(means, torch.minimum)) / 2


def _pooled(x: Tensor, extreme: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """3 × 3 pooling with stride 2, rows after columns: a quarter of the time of PyTorch's own on a CPU."""
    for axis in (-1, -2):
        x = x.transpose(axis, -1)
        pooled = extreme(x[..., 0::2], x[..., 1::2])
        pooled[..., 1:] = extreme(pooled[..., 1:], x[..., 1:-1:2])
        x = pooled.transpose(axis, -1)
    return x
