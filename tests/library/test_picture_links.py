"""Pictures in addresses: what a token holds, and what it is worth when it is old, torn, or of another model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from itsdangerous import TimestampSigner

from app.errors import InvalidInput
from app.library.picture_links import HOLDS_SECONDS, LONGEST, PictureLinks
from app.models import EmbeddingSpace
from tests.catalogs import unit_vectors

SPACE = EmbeddingSpace("clip", "f" * 64, 512)
links = PictureLinks(lambda: b"secret")


@pytest.mark.parametrize("dimension", [4, 256, 512, 1024])
def test_a_vector_comes_back_nearly_as_it_was(dimension: int) -> None:
    (vector,) = unit_vectors(1, dimension)
    space = replace(SPACE, dimension=dimension)
    back = links.read(links.write(vector, space), space)
    assert back.dtype == np.float32
    assert np.linalg.norm(back) == pytest.approx(1, abs=1e-6)
    assert float(back @ vector) > 0.9999


def test_pictures_are_ranked_practically_the_same() -> None:
    library, queries = unit_vectors(2000, 512), unit_vectors(20, 512, seed=1)
    for query in queries:
        before = library @ query
        after = library @ links.read(links.write(query, SPACE), SPACE)
        assert np.abs(after - before).max() < 0.002
        best = [set(np.argsort(-scores)[:20].tolist()) for scores in (before, after)]
        assert len(best[0] & best[1]) >= 18


@pytest.mark.parametrize(("dimension", "characters"), [(512, 800), (1024, 1500)])
def test_addresses_stay_short(dimension: int, characters: int) -> None:
    (vector,) = unit_vectors(1, dimension)
    token = links.write(vector, replace(SPACE, dimension=dimension))
    assert len(token) < characters < LONGEST
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_after_an_hour_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    token = links.write(unit_vectors(1, 512)[0], SPACE)
    now = TimestampSigner("any").get_timestamp()
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: now + HOLDS_SECONDS - 5)
    links.read(token, SPACE)
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: now + HOLDS_SECONDS + 5)
    with pytest.raises(InvalidInput, match=r"for an hour.*Choose the picture again"):
        links.read(token, SPACE)


def test_of_another_model_it_says_so() -> None:
    token = links.write(unit_vectors(1, 512)[0], SPACE)
    for other in (replace(SPACE, fingerprint="e" * 64), replace(SPACE, model="siglip"), replace(SPACE, dimension=768)):
        with pytest.raises(InvalidInput, match="another model"):
            links.read(token, other)


def test_torn_or_invented_it_is_refused() -> None:
    token = links.write(unit_vectors(1, 512)[0], SPACE)
    for harmed in (token[:-1], "B" + token[1:], "", "x" * 5000, "é", "a.b.c"):
        with pytest.raises(InvalidInput, match="Choose the picture again"):
            links.read(harmed, SPACE)


def test_another_library_signs_with_another_secret() -> None:
    token = PictureLinks(lambda: b"other").write(unit_vectors(1, 512)[0], SPACE)
    with pytest.raises(InvalidInput, match="not whole"):
        links.read(token, SPACE)
