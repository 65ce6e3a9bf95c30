"""Parts of space: most of what is near to a query lies in a few of them, so that the others need not be looked at.

The coarse half of an inverted file (Jégou, Douze and Schmid 2011, "Product quantization for nearest neighbor search"):
spherical k-means over a sample, and every vector belongs to the centre it is nearest to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.models import FloatArray

SAMPLED = 48
"""Vectors that each centre is learned from, on average."""
ROUNDS = 8
"""Of k-means; more changes little."""
PART = 4096
"""Vectors compared with the centres at once."""


@dataclass(frozen=True, slots=True)
class Cells:
    """``centres``: float32 [cells, dimension], unit rows. ``probes``: how many cells a search looks into."""

    centres: FloatArray
    probes: int

    def __len__(self) -> int:
        return len(self.centres)

    def of(self, vectors: npt.NDArray[np.float16] | FloatArray) -> npt.NDArray[np.uint16]:
        """The cell of each vector [n, dimension]."""
        return nearest(vectors, self.centres)

    def order(self, query: FloatArray) -> npt.NDArray[np.int64]:
        """All cells, the one nearest to ``query`` first."""
        return np.argsort(-np.einsum("ij,j->i", self.centres, query), kind="stable")


def number_for(vectors: int) -> int:
    """How many cells so many vectors are divided into: a power of two near the square root, at most 4096."""
    return int(min(2 ** round(np.log2(max(vectors, 4)) / 2), 4096))


def learned(sample: FloatArray, count: int) -> FloatArray:
    """``count`` centres of a sample [n, dimension], n ≥ count. The same sample gives the same centres."""
    centres = sample[np.linspace(0, len(sample) - 1, count).astype(np.int64)].copy()
    for _ in range(ROUNDS):
        owners = nearest(sample, centres)
        order = np.argsort(owners, kind="stable")
        found, starts = np.unique(owners[order], return_index=True)
        centres[found] = np.add.reduceat(sample[order], starts, axis=0)  # an empty cell keeps its centre
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    return centres


def nearest(vectors: npt.NDArray[np.float16] | FloatArray, centres: FloatArray) -> npt.NDArray[np.uint16]:
    """The number of the centre that each vector is nearest to."""
    owners = np.empty(len(vectors), np.uint16)
    for start in range(0, len(vectors), PART):
        part = vectors[start : start + PART].astype(np.float32)
        owners[start : start + PART] = np.argmax(part @ centres.T, axis=1)
    return owners
