"""Two web servers and two workers, real processes, over one PostgreSQL and one folder of pictures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest

from tests.conftest import wait_for
from tests.flows.processes import PROJECT, Server, clean_environment
from tests.pictures import unique_pictures

PICTURES = 60


class Machines:
    """What runs on them; nothing outlives the test."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self._data = folder / "data"
        self._environment = {"GLIMPSE_CATALOG": url, "GLIMPSE_WORKER": "false"}
        self._folder = folder
        self._stack = stack

    def serve(self) -> Server:
        server = Server(self._data, model="auto", **self._environment)
        self._stack.callback(server.close)
        return server.start()

    def work(self) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self._folder / "worker.log").open("ab"))
        process = subprocess.Popen(
            [sys.executable, "run.py", "--data", str(self._data), "worker"],
            cwd=PROJECT,
            env=clean_environment(self._folder) | self._environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self._stack.callback(process.wait, 60)
        self._stack.callback(process.kill)
        return process

    def run(self, *arguments: str) -> str:
        ran = subprocess.run(
            [sys.executable, "run.py", "--data", str(self._data), *arguments],
            cwd=PROJECT,
            env=clean_environment(self._folder) | self._environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


@pytest.fixture
def machines(tmp_path: Path, postgres_url: str) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(tmp_path, postgres_url, stack)


def found(server: Server) -> set[int]:
    answer = server.get("/api/v1/search?q=a%20picture&limit=200")
    return {result["id"] for result in answer["results"]}


@pytest.mark.timeout(400)
def test_what_one_takes_in_all_have_whoever_is_killed(machines: Machines, tmp_path: Path) -> None:
    first, second = machines.serve(), machines.serve()
    doomed, _other = machines.work(), machines.work()
    files = [("files", (f"{n}.jpg", data)) for n, data in enumerate(islice(unique_pictures(PICTURES), PICTURES))]
    for server, part in ((first, files[::2]), (second, files[1::2])):
        answer = server.client.post("/api/v1/images", files=part)
        assert {result["outcome"] for result in answer.json()["results"]} == {"added"}, answer.text
    wait_for(lambda: first.counts()["pending"] < PICTURES, 120)
    doomed.kill()
    doomed.wait(30)
    machines.work()  # what the dead one had is given back by the next one of its machine

    wait_for(lambda: second.counts()["indexed"] == PICTURES, 200)
    assert first.counts() == {"total": PICTURES, "pending": 0, "prepared": 0, "indexed": PICTURES, "failed": 0}
    for server in (first, second):
        wait_for(lambda asked=server: asked.client.get("/readyz").status_code == 200, 120)  # type: ignore[misc]
    ids = found(first)
    assert len(ids) == PICTURES
    assert found(second) == ids

    gone = max(ids)
    assert second.client.delete(f"/api/v1/images/{gone}").status_code in (200, 204)
    assert found(first) == found(second) == ids - {gone}, "at once, also in the process that never heard of it"
    first.kill()
    assert len(found(second)) == PICTURES - 1

    there = machines.run("migrate", "--catalog", f"sqlite:///{tmp_path / 'data' / 'index' / 'catalog.sqlite3'}")
    assert "The copy is complete." in there
    assert "without GLIMPSE_CATALOG" in there
    machines.run("doctor", "--deep")  # ends with 0: all is well
