"""Encoders for tests: deterministic, without a model, and with a ranking that means something."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageColor

from app.models import EmbeddingSpace, FloatArray

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray")


class ColourEncoder:
    """Pictures by their mean colour, texts by the colour words in them: "something red" finds red pictures first.

    4 dimensions: red, green and blue around mid-grey, and a constant. A text without a colour has a faint tint of its
    own, as texts of a real model are all a little different.
    """

    side = 64
    batch = 16

    def __init__(self, model: str = "colours", fingerprint: str = "1") -> None:
        self.space = EmbeddingSpace(model, fingerprint, 4)

    def encode_images(self, images: Sequence[Image.Image]) -> FloatArray:
        return _unit(np.stack([np.asarray(image.convert("RGB"), np.float32).mean((0, 1)) for image in images]))

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        return _unit(np.stack([self._colour(text) for text in texts]))

    def _colour(self, text: str) -> FloatArray:
        named = [ImageColor.getrgb(word)[:3] for word in text.lower().split() if word in COLOURS]
        if named:
            return np.asarray(np.mean(named, axis=0), np.float32)
        tint = np.frombuffer(hashlib.sha256(text.encode()).digest()[:3], np.uint8).astype(np.float32)
        return np.asarray(127.5 + (tint - 127.5) / 4, np.float32)


class FailingEncoder(ColourEncoder):
    """Fails on any batch that holds a black picture; alone, the others pass."""

    def encode_images(self, images: Sequence[Image.Image]) -> FloatArray:
        for image in images:
            if np.asarray(image).max() < 16:
                raise RuntimeError("too dark")
        return super().encode_images(images)


class GatedEncoder(ColourEncoder):
    """Waits with every picture until `gate` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def encode_images(self, images: Sequence[Image.Image]) -> FloatArray:
        self.gate.wait(30)
        return super().encode_images(images)


def _unit(colours: FloatArray) -> FloatArray:
    vectors = np.concatenate([colours / 127.5 - 1, np.full((len(colours), 1), 0.2)], axis=1)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
