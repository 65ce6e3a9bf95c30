"""What a server starts beside its requests, and how that ends."""

from __future__ import annotations

import time

import pytest

from app.catalog.database import Database
from app.config import Settings
from app.library.serving import ServedModels
from tests.conftest import running, wait_for


def test_what_runs_beside_the_requests_ends_before_the_catalog_is_closed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would open the catalog again, whose files then look as if a server ran."""
    happened: list[str] = []
    follow, close = ServedModels.follow, Database.close

    def slowly(models: ServedModels) -> None:
        happened.append("begun")
        time.sleep(0.5)
        follow(models)
        happened.append("ended")

    def noted(database: Database) -> None:
        happened.append("closed")
        close(database)

    monkeypatch.setattr(ServedModels, "follow", slowly)
    monkeypatch.setattr(Database, "close", noted)
    with running(settings):
        wait_for(lambda: happened[-1:] == ["begun"])
    assert happened[-2:] == ["ended", "closed"]
