"""The picture network: a small residual CNN. float32 [n, 3, 64, 64] (normalised by `normalise`) → float32 [n, 256].

It is trained in this plain form and exported as an ordinary transformers ResNet (see export.py), which every
sentence-transformers installation loads without any code of this project.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (0.48, 0.45, 0.40)
STD = 0.27
DIMENSION = 256
WIDTHS = (48, 96, 192, 384)
DEPTHS = (1, 1, 2, 1)
FEATURES = WIDTHS[-1]


def convolution(inputs: int, outputs: int, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """3 × 3 convolution and batch norm."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class Residual(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = convolution(channels, channels)
        self.b = convolution(channels, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.b(self.a(x)))


class PictureNetwork(nn.Module):
    """5.2 M parameters, 245 M multiply-adds at 64 × 64. Each stage: halve by a convolution, then residual blocks."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, channels, count in zip((3, *WIDTHS), WIDTHS, DEPTHS, strict=False):
            layers += [convolution(inputs, channels, 2), *(Residual(channels) for _ in range(count))]
        self.f = nn.Sequential(*layers)
        self.h = nn.Linear(FEATURES, DIMENSION)

    def features(self, x: Tensor) -> Tensor:
        """[n, 3, s, s] → [n, 384], before the projection; the classifier heads of training read these."""
        maps: Tensor = self.f(x)
        return maps.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.h(self.features(x))
        return projected


def normalise(pixels: Tensor) -> Tensor:
    """[n, 3, s, s] of 0…255 → about zero mean and unit variance."""
    mean = torch.tensor(MEAN, device=pixels.device).view(1, 3, 1, 1) * 255
    return (pixels - mean) / (STD * 255)


def shrink(pixels: Tensor) -> Tensor:
    """[n, 3, 2·s, 2·s] → [n, 3, s, s]: the middle between the highest and the lowest 2 × 2 mean around each pixel.

    The exported network has to begin with ResNet's max pooling, which cannot pick one pixel but can do this (see
    `as_resnet` in export.py); so training sees its pictures the same way.
    """
    means = F.pad(F.avg_pool2d(pixels, 2, 1), (0, 1, 0, 1), mode="replicate")
    return (F.max_pool2d(means, 3, 2, 1) - F.max_pool2d(-means, 3, 2, 1)) / 2


def warm_start(network: PictureNetwork, weights: Path) -> tuple[Tensor, Tensor]:
    """Takes over an earlier checkpoint {net, to_text [256, 384], centre [384]}; returns the last two."""
    stored = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in stored["net"].items()})
    return stored["to_text"].float(), stored["centre"].float()
