"""What a server starts beside its requests, and how that ends."""

from __future__ import annotations

import time

import pytest

from app.catalog.database import Database
from app.config import Settings
from app.library.intake import Intake
from app.library.serving import ServedModels
from tests.conftest import running, wait_for


@pytest.mark.parametrize("fails", [False, True])
def test_what_runs_beside_the_requests_ends_before_the_catalog_is_closed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Also if work of the start fails. Else the catalog is opened again, and its files look as if a server ran."""
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

    def fail(_intake: Intake) -> None:
        raise ValueError("a fault of ours")

    if fails:
        monkeypatch.setattr(Intake, "recover", fail)
    monkeypatch.setattr(ServedModels, "follow", slowly)
    monkeypatch.setattr(Database, "close", noted)
    with running(settings):
        wait_for(lambda: happened[-1:] == ["begun"])
    assert happened[-2:] == ["ended", "closed"]
