"""Tests of this folder are about other engines than the ones that come along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import needs
from tests.engines.milvus import EXACT, MilvusServer
from tests.engines.milvus import program as milvus_program


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.engines)


def milvus_at_hand() -> Path:
    """The program that starts a Milvus."""
    needs.package("pymilvus")
    program = milvus_program()
    if not program.exists():
        needs.missing(f"There is no Milvus server at {program}: tests/engines/milvus.py says how to get one")
    return program


@pytest.fixture(scope="session")
def milvus() -> Iterator[MilvusServer]:
    """A running Milvus, shared by all tests: each has a catalog, and so collections, of its own.

    It searches exactly: what is compared here is meaning. How near its graph comes, `python -m benchmarks scale` says.
    """
    server = MilvusServer(milvus_at_hand(), EXACT)
    server.start()
    yield server
    server.close()
