"""From nearest to most relevant: what any index needs to rank pictures, wherever its vectors lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from app.models import FloatArray
from app.vectors.relevance import LIKELY, Yardstick

TIE_MARGIN = 16
"""Neighbours looked at beyond those asked for, to see whether a tie crosses the end of the page."""
WINDOW = 256
"""Nearest pictures that relevance puts in order; more where matches reach to the end of it."""
SAMPLE = 1000
"""Pictures that tell how a text scores in general."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Pictures in order, with cosine and relevance. Of all that competed, ``total``, so many are ``matches``."""

    ids: npt.NDArray[np.int64]
    scores: FloatArray
    relevance: npt.NDArray[np.float64]
    matches: int
    total: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pictures in order, with what relevance needs of them. So many have ``competed``."""

    ids: npt.NDArray[np.int64]
    scores: FloatArray
    stances: FloatArray
    competed: int

    def only(self, places: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Candidates:
        return replace(self, ids=self.ids[places], scores=self.scores[places], stances=self.stances[places])

    def and_behind(self, others: Candidates, k: int) -> Candidates:
        """These, and behind them those of ``others`` that are not among them; ``k`` in all."""
        rest = others.only(~np.isin(others.ids, self.ids))
        return replace(
            self,
            ids=np.concatenate([self.ids, rest.ids])[:k],
            scores=np.concatenate([self.scores, rest.scores])[:k],
            stances=np.concatenate([self.stances, rest.stances])[:k],
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """Some pictures of a library of ``pictures``: float32 [n, dimension], and their stances [n, 3]."""

    vectors: FloatArray
    stances: FloatArray
    pictures: int

    @classmethod
    def none(cls, dimension: int) -> Sample:
        return cls(np.empty((0, dimension), np.float32), np.empty((0, 3), np.float32), -1)

    def stands_for(self, pictures: int) -> bool:
        """Whether it still does, now that there are so many."""
        return 0.8 * pictures <= self.pictures <= pictures

    def yardstick(self, vector: FloatArray, pictures: int) -> Yardstick:
        """How a text's vector scores on pictures in general."""
        # Not a product of BLAS: its threads would wait for each other where others keep the cores busy.
        scores = np.einsum("ij,j->i", self.vectors, vector)
        return Yardstick.of(scores, self.stances, pictures)


class Index(Protocol):
    """One space's vectors, to be searched: in memory (`app.vectors.index`) or in an engine (`app.vectors.shared`).

    ``allowed``: ids of those that may compete or, where `Indexes.carries_facts`, tests of facts.
    """

    @property
    def deepest(self) -> int:
        """No answer is longer than this."""
        ...

    def use_bank(self, bank: FloatArray) -> None:
        """These neutral texts [texts, dimension] are what relevance compares with."""
        ...

    def search(self, vector: FloatArray, k: int, allowed: Any = None) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """The ``k`` nearest to ``vector`` [dimension]: ids and scores (cosine), best first, ties by id."""
        ...

    def rank(self, vector: FloatArray, k: int, allowed: Any = None) -> Ranking:
        """The ``k`` most relevant for a text's ``vector``."""
        ...


MIXED = 2**48
"""All numbers of `mixed` are below."""


def mixed(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """A number for each id. The pictures with the lowest are the sample: they are spread over the library,
    and the same pictures give the same sample everywhere."""
    return (ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(16)


def ranked(find: Callable[[int], Candidates], yardstick: Yardstick, k: int) -> Ranking:
    """The ``k`` most relevant of what ``find`` has nearest: the same order for every ``k``."""
    window = WINDOW
    while True:
        found = find(window)
        relevance = yardstick.relevance(found.scores, found.stances)
        # Relevance follows the score closely: with no match in the last quarter there are none behind it.
        if len(found.ids) < window or relevance[-window // 4 :].max() < LIKELY:
            break
        window *= 2
    order = np.lexsort((found.ids, -relevance))
    found, relevance = found.only(order), relevance[order]
    matches = int((relevance >= LIKELY).sum())
    if k > len(found.ids):  # far behind every match: the rest comes by score
        before = len(relevance)
        found = found.and_behind(find(k), k)
        behind = yardstick.relevance(found.scores[before:], found.stances[before:])
        relevance = np.concatenate([relevance, np.minimum(behind, relevance[-1:])])
    return Ranking(found.ids[:k], found.scores[:k], relevance[:k], matches, found.competed)
