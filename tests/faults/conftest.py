"""What tests of faults share."""

from __future__ import annotations

import pytest

from app import worker
from tests.faults.disks import disk
from tests.library.conftest import decoder, rooms

__all__ = ["decoder", "disk", "rooms"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers rest for moments only."""
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.05)
