"""A catalog for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.catalog.database import Database
from app.catalog.images import Images
from app.catalog.vectors import Vectors
from tests.catalogs import Clock


@pytest.fixture
def database(catalog_url: str) -> Iterator[Database]:
    """An empty catalog, on SQLite and on PostgreSQL."""
    opened = Database(catalog_url)
    yield opened
    opened.close()


@pytest.fixture
def images(database: Database) -> Images:
    return Images(database)


@pytest.fixture
def vectors(database: Database) -> Vectors:
    return Vectors(database)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time the catalog goes by."""
    clock = Clock()
    for module in ("images", "switching", "workers", "receipts"):
        monkeypatch.setattr(f"app.catalog.{module}.time", clock)
    return clock
