"""Relevance: what stands out, on one scale for every query."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.models import EmbeddingSpace, FloatArray
from app.vectors.index import VectorIndex
from app.vectors.ranking import WINDOW
from app.vectors.relevance import (
    LIKELY,
    SHARPNESS,
    STRONG,
    bar,
    confidence,
    neutral_digest,
    neutral_texts,
    relevance,
    stances,
)
from app.vectors.snapshots import IndexCache
from tests.vectors.logs import MemoryLog

DIMENSION = 48


def unit(rows: npt.NDArray[np.floating]) -> FloatArray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def library(concepts: int, each: int, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pictures [concepts · each, dimension] around concept texts [concepts, dimension], and a bank of other texts."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(1, DIMENSION))  # texts of a real model all point roughly one way, and so do pictures
    texts = unit(rng.normal(size=(concepts, DIMENSION)) + common)
    around = np.repeat(texts, each, axis=0) * 3 + rng.normal(size=(concepts * each, DIMENSION)) * 0.2
    bank = unit(rng.normal(size=(200, DIMENSION)) + common)
    return unit(around.astype(np.float32)), texts, bank


def indexed(pictures: FloatArray, bank: FloatArray | None = None) -> VectorIndex:
    index = VectorIndex(DIMENSION)
    if bank is not None:
        index.use_bank(bank)
    log = MemoryLog(batch=100)
    log.put_all(pictures)
    index.follow(log)
    return index


def test_pictures_of_the_thing_are_matches_and_others_are_not() -> None:
    pictures, texts, bank = library(concepts=30, each=5)
    index = indexed(pictures, bank)
    rankings = [index.rank(text, 150) for text in texts]
    for concept, ranking in enumerate(rankings):
        assert set(ranking.ids[:5]) == set(range(concept * 5 + 1, concept * 5 + 6))
        assert ranking.matches >= 5
    assert sum(ranking.matches for ranking in rankings) <= 1.5 * 150  # not much else, of 4,500 pairs


def test_a_thing_that_no_picture_shows_has_no_strong_match() -> None:
    pictures, texts, bank = library(concepts=60, each=5)
    index = indexed(pictures[:150], bank)
    strong = [index.rank(text, 1).relevance[0] >= STRONG for text in texts[30:]]
    assert np.mean(strong) <= 0.1


def test_the_bank_may_come_before_or_after_the_pictures() -> None:
    pictures, texts, bank = library(concepts=10, each=5)
    before, after = indexed(pictures, bank), indexed(pictures)
    after.use_bank(bank)
    first, second = before.rank(texts[0], 50), after.rank(texts[0], 50)
    assert first.ids.tolist() == second.ids.tolist()
    np.testing.assert_allclose(first.relevance, second.relevance, atol=0.02)  # after: from float16


def test_what_came_after_a_snapshot_is_compared_with_the_bank_as_well(tmp_path: Path) -> None:
    """An index is read from its snapshot, then from the log, and only then it is given the bank."""
    pictures, texts, bank = library(concepts=10, each=5)
    log, space = MemoryLog(), EmbeddingSpace("model", "1", DIMENSION)
    log.put_all(pictures[:30])
    first = IndexCache(tmp_path, 300, lambda: "catalog")
    first.get(1, space, log).use_bank(bank)
    first.close()
    for image_id, vector in enumerate(pictures[30:], start=31):
        log.put(image_id, vector)
    again = IndexCache(tmp_path, 300, lambda: "catalog").get(1, space, log)
    again.use_bank(bank)
    ranking, expected = again.rank(texts[8], 50), indexed(pictures, bank).rank(texts[8], 50)
    assert ranking.matches == expected.matches > 0
    assert ranking.ids.tolist() == expected.ids.tolist()
    np.testing.assert_allclose(ranking.relevance, expected.relevance, atol=0.02)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 700), st.integers(0, 9), st.booleans())
def test_the_first_of_a_longer_answer_are_the_shorter_answer(k: int, concept: int, filtered: bool) -> None:
    index, texts = LARGE
    allowed = np.arange(1, 601, 3) if filtered else None
    whole = index.rank(texts[concept], 600, allowed)
    part = index.rank(texts[concept], k, allowed)
    assert part.ids.tolist() == whole.ids[:k].tolist()
    assert part.matches == whole.matches
    assert len(set(whole.ids)) == len(whole.ids) == (200 if filtered else 600)


PICTURES, TEXTS, BANK = library(concepts=10, each=60)
LARGE = indexed(PICTURES, BANK), TEXTS


def test_the_most_relevant_come_first_and_matches_before_the_rest() -> None:
    index, texts = LARGE
    ranking = index.rank(texts[3], 600)
    assert ranking.matches == (ranking.relevance >= LIKELY).sum()
    assert (ranking.relevance[: ranking.matches] >= LIKELY).all()
    assert (np.diff(ranking.relevance[:WINDOW]) <= 0).all()
    assert ranking.total == 600


def test_removed_pictures_are_not_ranked() -> None:
    pictures, texts, bank = library(concepts=4, each=5)
    log = MemoryLog()
    log.put_all(pictures)
    index = VectorIndex(DIMENSION)
    index.use_bank(bank)
    index.follow(log)
    log.put(1, None)
    index.follow(log)
    assert 1 not in index.rank(texts[0], 20).ids


def test_a_model_that_says_the_same_of_everything_breaks_nothing() -> None:
    same = np.ones((5, DIMENSION), np.float32) / np.sqrt(DIMENSION).astype(np.float32)
    ranking = indexed(same, same[:3]).rank(same[0], 5)
    assert np.isfinite(ranking.relevance).all()
    assert len(ranking.ids) == 5


def test_an_empty_library_has_no_matches() -> None:
    ranking = indexed(np.empty((0, DIMENSION), np.float32), BANK).rank(TEXTS[0], 10)
    assert (len(ranking.ids), ranking.matches) == (0, 0)


def test_relevance_is_the_logarithm_of_a_softmax_over_the_bank() -> None:
    pictures, texts, bank = library(concepts=3, each=2)
    query = texts[0]
    found = relevance(pictures @ query, stances(pictures, bank), bar(6))
    for picture, relevant in zip(pictures.astype(np.float64), found, strict=True):
        scores = bank @ picture
        standing = SHARPNESS * (scores - scores.mean()) / scores.std()
        own = SHARPNESS * (query @ picture - scores.mean()) / scores.std()
        assert relevant == pytest.approx(np.log(np.exp(own) / np.exp(standing).mean()) - bar(6), abs=1e-4)


def test_other_texts_that_fit_a_picture_better_push_a_query_back() -> None:
    pictures, texts, bank = library(concepts=2, each=1)
    plain, rivalled = (stances(pictures[:1], np.concatenate([bank, more])) for more in (bank[:1], texts[:1]))
    score = pictures[:1] @ texts[0]
    assert relevance(score, rivalled, 0.0) < relevance(score, plain, 0.0) - 0.5


def test_confidence_is_a_half_where_matches_begin() -> None:
    assert confidence(LIKELY) == pytest.approx(0.5)
    assert confidence(STRONG) == pytest.approx(0.8)
    assert confidence(-1000) == pytest.approx(0)


def test_neutral_texts_are_many_and_different() -> None:
    texts = neutral_texts()
    assert len(texts) > 1000
    assert len(set(texts)) == len(texts)
    assert all(texts)
    assert len(neutral_digest()) == 64


def test_the_more_pictures_the_more_it_takes_to_stand_out() -> None:
    bars = [bar(pictures) for pictures in (0, 1, 100, 10_000, 1_000_000)]
    assert bars == sorted(bars)
    assert np.isfinite(bars).all()
