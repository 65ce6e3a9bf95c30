"""Killed, interrupted and started again: whatever was acknowledged is there, whatever was begun is finished."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from tests.conftest import wait_for
from tests.flows.processes import NO_MODEL, PROJECT, Server, clean_environment
from tests.pictures import unique_pictures
from tests.web.html import page

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers that end with the test."""
    servers: list[Server] = []

    def start(*options: str, model: str = NO_MODEL, **environment: str) -> Server:
        server = Server(tmp_path / "data", *options, model=model, **environment)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.close()


class Uploading:
    """Sends one file per request until the server is gone, and remembers what was acknowledged."""

    def __init__(self, server: Server, files: Iterator[bytes]) -> None:
        self.acknowledged: dict[int, bytes] = {}
        self._server = server
        self._files = files
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with httpx2.Client(base_url=self._server.client.base_url, timeout=60, trust_env=False) as client:
            for number, data in enumerate(self._files):
                try:
                    answer = client.post("/api/v1/images", files={"files": (f"{number}.jpg", data)})
                except httpx2.TransportError:
                    return
                [result] = answer.json()["results"]
                self.acknowledged[result["id"]] = data

    def wait_for(self, count: int) -> None:
        wait_for(lambda: len(self.acknowledged) >= count or not self._thread.is_alive())
        assert len(self.acknowledged) >= count, self._server.log.read_text()

    def join(self) -> dict[int, bytes]:
        self._thread.join(100)
        return self.acknowledged


def prepared(server: Server) -> bool:
    """Nothing waits, and no original is still to be adopted by the start."""
    files = {path.stem for path in (server.data / "images").glob("??/*")}
    rows = {image["md5"] for image in server.get("/api/v1/images?limit=1000")["images"]}
    return files <= rows and server.counts()["pending"] == 0


def has_ended(server: Server, pid: int) -> bool:
    return pid not in server.processes()


def assert_whole(server: Server, acknowledged: dict[int, bytes]) -> None:
    """Every acknowledged picture is there with its bytes; the folder holds these pictures and no others."""
    images = server.get("/api/v1/images?limit=1000")["images"]
    for image in images:
        original = server.client.get(image["urls"]["original"]).content
        assert hashlib.md5(original, usedforsecurity=False).hexdigest() == image["md5"]
        assert acknowledged.get(image["id"], original) == original
        assert server.client.get(image["urls"]["thumbnails"]["48"]).status_code == 200
    assert acknowledged.keys() <= {image["id"] for image in images}
    folder = server.data / "images"
    assert {path.stem for path in folder.glob("??/*")} == {image["md5"] for image in images}
    assert {path.stem for path in folder.glob("thumbs/*/??/*")} == {image["md5"] for image in images}
    counts = server.counts()
    assert (counts["total"], counts["failed"], counts["pending"]) == (len(images), 0, 0)


class TestKilled:
    def test_a_server_in_the_middle_of_uploads_loses_nothing_it_acknowledged(self, start: Start) -> None:
        files = iter(list(unique_pictures(2000)))
        acknowledged: dict[int, bytes] = {}
        server = start()
        for count in (40, 25):
            uploading = Uploading(server, files)
            uploading.wait_for(count)
            server.kill()
            acknowledged |= uploading.join()
            server.start()
        wait_for(lambda: prepared(server))
        assert_whole(server, acknowledged)
        assert len(acknowledged) >= 65
        assert server.counts()["total"] <= len(acknowledged) + 2
        server.kill()
        wait_for(lambda: not server.processes())

    def test_a_worker_at_any_moment_is_replaced_and_its_work_is_finished(self, start: Start) -> None:
        moment = random.Random(2)  # noqa: S311 - the same moments every time, as far as processes allow
        server = start()
        uploading = Uploading(server, unique_pictures(120))
        for killed in (1, 2):
            wait_for(lambda: bool(server.workers()))
            [worker] = server.workers()
            uploading.wait_for(30 * killed)
            time.sleep(moment.uniform(0, 0.5))
            subprocess.run(["kill", "-9", str(worker)], check=True)
            wait_for(partial(has_ended, server, worker))
            assert server.answers()
        acknowledged = uploading.join()
        wait_for(lambda: prepared(server))
        assert_whole(server, acknowledged)
        assert server.counts()["total"] == 120
        assert server.terminate() == 0
        wait_for(lambda: not server.processes())


class TestEnded:
    @pytest.mark.parametrize("how", [Server.interrupt, Server.terminate], ids=["Ctrl-C", "SIGTERM"])
    def test_everything_ends_in_the_middle_of_work_and_goes_on_at_the_next_start(
        self, start: Start, how: Callable[[Server], int]
    ) -> None:
        server = start()
        acknowledged = Uploading(server, unique_pictures(40)).join()
        wait_for(lambda: bool(server.workers()))
        assert how(server) in (0, 130)
        wait_for(lambda: not server.processes())
        assert "Traceback" not in server.log.read_text()
        assert not list((server.data / "index").glob("*-wal")), "it looks as if a server ran: nothing could be restored"
        server.start()
        wait_for(lambda: prepared(server))
        assert_whole(server, acknowledged)
        assert how(server) in (0, 130)
        wait_for(lambda: not server.processes())

    @pytest.mark.parametrize("seconds", [0.0, 0.7, 1.4, 2.1])
    def test_while_the_model_loads(self, start: Start, seconds: float) -> None:
        server = start(model="auto")
        assert server.get("/api/v1/status")["model"]["state"] == "loading"
        time.sleep(seconds)  # native code is in the middle of something else each time
        assert server.interrupt() in (0, 130)
        wait_for(lambda: not server.processes())
        log = server.log.read_text()
        assert "Traceback" not in log
        assert "terminate called" not in log


class TestStarts:
    def test_with_the_bundled_model_and_the_demo(self, start: Start) -> None:
        server = start("--demo", model="auto")
        assert server.get("/api/v1/status")["model"]["state"] == "loading"
        page(server.client.get("/"))
        assert "warming up" in page(server.client.get("/search?q=scarlet"), 503).words
        wait_for(lambda: server.client.get("/readyz").status_code == 200)
        wait_for(lambda: server.counts()["total"] >= 50 and server.counts()["indexed"] >= 16)
        found = server.get("/api/v1/search?q=a+red+thing&limit=1000")
        assert found["model"] == "starter"
        assert len(found["results"]) >= 16
        assert server.interrupt() in (0, 130)
        assert list((server.data / "index").glob("*.snapshot"))
        assert "Traceback" not in server.log.read_text()

    def test_with_a_model_that_cannot_be_had(self, start: Start) -> None:
        server = start(model="no/such-model", GLIMPSE_WORKER="false")
        [image] = Uploading(server, unique_pictures(1)).join()
        wait_for(lambda: server.get("/api/v1/status")["model"]["state"] == "unavailable")
        for path in ("/", "/status", f"/images/{image}"):
            page(server.client.get(path))
        assert "The model no/such-model" in page(server.client.get("/")).words
        assert "The model no/such-model" in page(server.client.get("/search?q=sea"), 503).words
        assert "model unavailable name=no/such-model" in server.log.read_text()

    def test_listen_and_keep_pictures_where_they_are_told_to(self, start: Start) -> None:
        server = start("--host", "0.0.0.0", "--open", GLIMPSE_WORKER="false")  # noqa: S104 - that it is possible is the test
        assert f"http://0.0.0.0:{server.port}" in server.log.read_text()
        Uploading(server, unique_pictures(2)).join()
        assert {path.name for path in server.data.iterdir()} == {"images", "index"}
        assert len(list((server.data / "images").glob("??/*.jpeg"))) == 2
        assert not server.workers()
        assert server.terminate() == 0

    def test_on_a_port_that_is_taken_end_with_a_word(self, start: Start) -> None:
        server = start(GLIMPSE_WORKER="false")
        second = subprocess.run(
            [sys.executable, "run.py", "--port", str(server.port), "--data", str(server.data), "--model", NO_MODEL],
            cwd=PROJECT,
            env=clean_environment(server.data.parent),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert second.returncode not in (0, None)
        assert "address already in use" in second.stderr
        assert server.answers()
        wait_for(lambda: not server.workers(), 10)
