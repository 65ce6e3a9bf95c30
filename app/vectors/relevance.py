"""How far a picture stands out for a text, on a scale that means the same for every query, picture and model.

A cosine by itself says little: some pictures are near to every text (hubs), some texts near to every picture, and each
model has a range of its own. So the query has to compete. Each space has a *bank*: vectors of some 480 neutral texts
(`neutral.txt`). For a picture with bank scores b₁…bₙ, and a query that scores s on it, with
Z(x) = (x − mean b) / spread b:

    relevance = (Z(s) − m) / d − ¾ · rival − bar

*rival* is the mean Z of the five texts of the bank that fit the picture best, but for the very best, which may say the
same as the query: a picture that is plainly something else needs more. m and d are mean and spread of Z(s) over a
sample of the library, drawn towards 0 and 1: for a text that is near to everything, standing out takes more. The *bar*
rises with the logarithm of the library's size. Mean, spread and rival belong to a picture and cost one product with the
bank when it is added.

The parts are known: subtracting a picture's scores over a bank of queries is NNN (arXiv 2410.24114), normalising over a
query bank QB-Norm (arXiv 2112.12777), the neighbourhood of both sides CSLS (arXiv 1710.04087).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from app.models import FloatArray

RIVALS = 5
RIVAL_WEIGHT = 0.75
SHRINK = 0.5
"""How far m and d are drawn towards 0 and 1: a library that is all dogs must still find dogs."""
FEW_PICTURES = 20
"""A library of this many is trusted half to tell m and d."""
NARROWEST = 1e-4
"""Bound for spreads, so that a model which says the same of everything divides by something."""

BAR, BAR_GROWTH = -1.4, 0.35
"""How much standing out it takes to be a match: BAR + BAR_GROWTH · ln(pictures). The more pictures there are, the more
of them stand out by chance. Fitted to four libraries of 600 and 2,500 pictures drawn from labelled ones and the bundled
model (`benchmarks/relevance.py`), at the best F1 of each size."""
LIKELY = 0.0
"""From here on a picture counts as a match."""
STRONG = 1.85
"""From here on it is a plain one: nine of ten queries for something that no picture shows stay below it everywhere."""


def neutral_texts() -> tuple[str, ...]:
    """The texts of the bank."""
    return tuple(files(__package__).joinpath("neutral.txt").read_text("utf-8").split("\n")[:-1])


def neutral_digest(reader: str = "") -> str:
    """Which texts the bank is made of, and which text tower has read them, where it is not the model's own."""
    return hashlib.sha256("\n".join((*neutral_texts(), *([reader] if reader else []))).encode()).hexdigest()


def stances(vectors: FloatArray, bank: FloatArray) -> FloatArray:
    """What relevance needs of each picture: [n, 3] of mean, spread and rival.

    ``vectors``: [n, dimension], ``bank``: [texts, dimension], both unit rows.
    """
    scores = vectors @ bank.T
    mean = scores.mean(1)
    spread = np.maximum(scores.std(1), NARROWEST)
    most = min(RIVALS + 1, scores.shape[1])
    best = np.partition(scores, (-most, -1), axis=1)[:, -most:-1].mean(1)
    return np.stack([mean, spread, (best - mean) / spread], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Turns scores of one query into relevance."""

    middle: float
    width: float
    bar: float

    @classmethod
    def of(cls, scores: FloatArray, sampled: FloatArray, pictures: int) -> Yardstick:
        """From the query's scores [n] on a sample, with these stances [n, 3], of a library of so many pictures."""
        bar = BAR + BAR_GROWTH * math.log(max(pictures, FEW_PICTURES))
        if not len(scores):
            return cls(0.0, 1.0, bar)
        standing = (scores - sampled[:, 0]) / sampled[:, 1]
        trust = (1 - SHRINK) * len(scores) / (len(scores) + FEW_PICTURES)
        return cls(trust * float(standing.mean()), 1 - trust + trust * float(standing.std()), bar)

    def relevance(self, scores: FloatArray, stances: FloatArray) -> npt.NDArray[np.float64]:
        """[n], unbounded: `LIKELY` and above is a match."""
        standing = (scores.astype(np.float64) - stances[:, 0]) / stances[:, 1]
        return np.asarray((standing - self.middle) / self.width - RIVAL_WEIGHT * stances[:, 2] - self.bar)


def confidence(relevance: float) -> float:
    """Relevance on a scale from 0 to 1: ½ at `LIKELY`, 0.8 at `STRONG`."""
    return 0.5 + 0.5 * math.tanh(math.log(2) * (relevance - LIKELY) / (STRONG - LIKELY))
