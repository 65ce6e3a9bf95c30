"""From nearest to most relevant: what any index needs to rank pictures, wherever its vectors lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from app.models import FloatArray
from app.vectors.relevance import LIKELY, bar, relevance

TIE_MARGIN = 16
"""Neighbours looked at beyond those asked for, to see whether a tie crosses the end of the page."""
WINDOW = 256
"""Nearest pictures that relevance puts in order; more where matches reach to the end of it."""


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


def ranked(find: Callable[[int], Candidates], pictures: int, k: int) -> Ranking:
    """The ``k`` most relevant of what ``find`` has nearest in a library of so many: the same order for every ``k``."""
    window, passed = WINDOW, bar(pictures)
    while True:
        found = find(window)
        relevant = relevance(found.scores, found.stances, passed)
        # Relevance follows the score closely: with no match in the last quarter there are none behind it.
        if len(found.ids) < window or relevant[-window // 4 :].max() < LIKELY:
            break
        window *= 2
    order = np.lexsort((found.ids, -relevant))
    found, relevant = found.only(order), relevant[order]
    matches = int((relevant >= LIKELY).sum())
    if k > len(found.ids):  # far behind every match: the rest comes by score
        before = len(relevant)
        found = found.and_behind(find(k), k)
        behind = relevance(found.scores[before:], found.stances[before:], passed)
        relevant = np.concatenate([relevant, np.minimum(behind, relevant[-1:])])
    return Ranking(found.ids[:k], found.scores[:k], relevant[:k], matches, found.competed)
