"""How plainly a picture shows what a text says, on a scale that means the same for every query, picture and model.

A cosine by itself says little: some pictures are near to every text (hubs), and each model has a range of its own. So
the query has to compete. Each space has a *bank*: vectors of some 1,400 neutral texts (`neutral.txt`), what people look
for and what pictures show. For a picture with bank scores b₁…bₙ, and a query that scores s on it,

    relevance = ln( e^Z(s) / mean e^Z(bᵢ) ) − bar,    Z(x) = SHARPNESS · (x − mean b) / spread b

which is a softmax over the bank: how much rather a picture says this than anything else. The *bar* rises with the
logarithm of the library's size, as the number of pictures does that a text fits by chance. All but s belongs to the
picture, makes a straight line over s, and costs one product with the bank when the picture is added.

The parts are known: a softmax over a bank of queries is QB-Norm (arXiv 2112.12777), a picture's scores over a bank as
its own zero are NNN (arXiv 2410.24114).
"""

from __future__ import annotations

import hashlib
import math
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from app.models import FloatArray

SHARPNESS = 1.75
"""What a picture's own spread over the bank counts: models are a little surer of themselves than right."""
NARROWEST = 1e-4
"""Bound for spreads, so that a model which says the same of everything divides by something."""
FEW_PICTURES = 20
"""A library of fewer has the bar of this many."""

BAR, BAR_GROWTH = -0.45, 0.61
"""How much it takes to be a match: BAR + BAR_GROWTH · ln(pictures). Fitted to libraries of 300 to 2,600 pictures drawn
from labelled ones and the bundled model (`benchmarks/relevance.py`), at the best F1 of each size."""
LIKELY = 0.0
"""From here on a picture counts as a match."""
STRONG = 2.0
"""From here on it is a plain one: nine of ten queries for something that no picture shows stay below it everywhere."""


def neutral_texts() -> tuple[str, ...]:
    """The texts of the bank."""
    return tuple(files(__package__).joinpath("neutral.txt").read_text("utf-8").split("\n")[:-1])


def neutral_digest(reader: str = "") -> str:
    """Which texts the bank is made of, and which text tower has read them, where it is not the model's own."""
    return hashlib.sha256("\n".join((*neutral_texts(), *([reader] if reader else []))).encode()).hexdigest()


def stances(vectors: FloatArray, bank: FloatArray) -> FloatArray:
    """What relevance needs of each picture: [n, 2], slope (above 0) and intercept of the line over a query's score.

    ``vectors``: [n, dimension], ``bank``: [texts, dimension], both unit rows.
    """
    scores = vectors @ bank.T
    mean = scores.mean(1, keepdims=True)
    slope = SHARPNESS / np.maximum(scores.std(1, keepdims=True), NARROWEST)
    sharpened = slope * (scores - mean)
    most = sharpened.max(1, keepdims=True)  # so that no exponential overflows
    log_mean = most + np.log(np.exp(sharpened - most).mean(1, keepdims=True))
    return np.hstack([slope, -slope * mean - log_mean]).astype(np.float32)


def bar(pictures: int) -> float:
    """What a picture has to pass in a library of so many."""
    return BAR + BAR_GROWTH * math.log(max(pictures, FEW_PICTURES))


def relevance(scores: FloatArray, stances: FloatArray, bar: float) -> npt.NDArray[np.float64]:
    """[n], unbounded, for one query's scores [n] on pictures with these stances [n, 2]; a match from `LIKELY` on."""
    return np.asarray(scores.astype(np.float64) * stances[:, 0] + stances[:, 1] - bar)


def confidence(relevance: float) -> float:
    """Relevance on a scale from 0 to 1: ½ at `LIKELY`, 0.8 at `STRONG`."""
    return 0.5 + 0.5 * math.tanh(math.log(2) * (relevance - LIKELY) / (STRONG - LIKELY))
