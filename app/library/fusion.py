"""Two lists made one: pictures that look like the words, and pictures that have the words in their name or caption.

Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): a picture counts 1 / (60 + rank) for each list it
stands in, so what both lists say comes first. Bands come before that sum: a name alone never displaces a picture that
plainly looks like the words. The exception is a query that names a file, as ``IMG_2041`` does, which has no look.

The result is one order, the same for every page: first what matches in any way, then the rest by looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.catalog.words import WordHit
from app.models import Band, Reason
from app.vectors.ranking import Ranking
from app.vectors.relevance import LIKELY, STRONG

DAMPING = 60
"""k of the paper: how little the first ranks of a list count above the next ones."""
UNSEEN = Ranking(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float64), 0, 0)
"""What is known of looks while no model can tell."""

_BANDS = tuple(Band)


@dataclass(frozen=True, slots=True)
class Found:
    """A picture that was found, by its look, by its words (``hit``), or by both."""

    image_id: int
    score: float | None = None
    relevance: float | None = None
    """As in `app.vectors.relevance`, unbounded; ``None`` like ``score`` for a picture without a vector."""
    hit: WordHit | None = None

    @property
    def looks(self) -> bool:
        return self.relevance is not None and self.relevance >= LIKELY

    @property
    def band(self) -> Band:
        said = self.hit is not None and self.hit.whole
        if self.named or (said and self.looks) or (self.relevance is not None and self.relevance >= STRONG):
            return Band.STRONG
        return Band.LIKELY if said or self.looks else Band.UNCERTAIN

    @property
    def named(self) -> bool:
        return self.hit is not None and self.hit.named

    @property
    def why(self) -> tuple[Reason, ...]:
        if self.hit is None:
            return (Reason.LOOKS,)
        given = ((Reason.LOOKS, self.looks), (Reason.NAME, self.hit.in_name), (Reason.CAPTION, self.hit.in_caption))
        return tuple(reason for reason, holds in given if holds)


def fuse(ranking: Ranking, hits: Sequence[WordHit], seen: Ranking) -> list[Found]:
    """Everything found, in order. ``ranking``: by looks, at least all its matches. ``seen``: how the hits look."""
    looks = _found(ranking)
    matches = looks[: ranking.matches]
    known = {found.image_id: found for found in (*_found(seen), *matches)}
    by_id = {hit.image_id: hit for hit in hits}
    weight: dict[int, float] = {}
    for ranks in ((found.image_id for found in matches), by_id):
        for rank, image_id in enumerate(ranks, start=1):
            weight[image_id] = weight.get(image_id, 0.0) + 1 / (DAMPING + rank)
    fused = [_with_hit(known.get(image_id, Found(image_id)), by_id.get(image_id)) for image_id in weight]
    fused.sort(key=lambda found: (not found.named, _BANDS.index(found.band), -weight[found.image_id], found.image_id))
    return fused + [found for found in looks[ranking.matches :] if found.image_id not in by_id]


def _found(ranking: Ranking) -> list[Found]:
    measured = zip(ranking.ids, ranking.scores, ranking.relevance, strict=True)
    return [Found(int(image_id), float(score), float(relevance)) for image_id, score, relevance in measured]


def _with_hit(found: Found, hit: WordHit | None) -> Found:
    return Found(found.image_id, found.score, found.relevance, hit)
