"""What a setting of a vector engine says."""

from __future__ import annotations

import pytest

from app.vectors.engines import place_of


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("milvus://milvus:19530", "milvus://milvus:19530"),
        ("qdrant+tls://:secret@qdrant.example.org", "qdrant+tls://qdrant.example.org"),
        ("postgresql://me:secret@host:5432/glimpse", "postgresql://host:5432/glimpse"),
        ("postgresql://host/glimpse?user=me&password=secret", "postgresql://host/glimpse"),
    ],
)
def test_a_place_is_told_without_its_secrets(url: str, place: str) -> None:
    assert place_of(url) == place
