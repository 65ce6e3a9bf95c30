"""Whether another model may read the queries of an image model: languages without embedding a picture again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.models import EmbeddingSpace, FloatArray
from app.vectors.relevance import neutral_texts

COMPARED = 64
"""Neutral texts that both read."""
LEAST_AGREEMENT = 0.2
"""Share of texts that the one puts nearest to where the other has them. A tower that was trained for the space does so
with most of them, any other with one of 64, by chance."""


class TextReader(Protocol):
    """Turns texts into vectors of a space. Safe to call from several threads."""

    @property
    def space(self) -> EmbeddingSpace:
        """Of itself: which model, which weights."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Texts → float32 [n, dimension], L2-normalised rows."""
        ...


def complaint_about(tower: TextReader, own: TextReader) -> str | None:
    """Why ``tower`` can't read in place of the image model's ``own``; ``None`` if it can.

    Equal dimensions say little: so both read the same English texts, and have to mean the same by them.
    """
    name, model = tower.space.model, own.space.model
    if tower.space.dimension != own.space.dimension:
        why = f"its vectors have {tower.space.dimension} dimensions, those of {model} {own.space.dimension}"
        return _refused(name, model, why)
    texts = neutral_texts()[:COMPARED]
    nearest = (tower.encode_texts(texts) @ own.encode_texts(texts).T).argmax(1)
    if (nearest == range(len(texts))).mean() < LEAST_AGREEMENT:
        return _refused(name, model, "they mean other things by the same words")
    return None


def _refused(name: str, model: str, why: str) -> str:
    return f"The text model {name} does not belong to {model}: {why}. Words are read by {model} itself."
