"""Which model finds, as people change it: real servers, workers and commands, tiny models of the real architecture."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.catalog.database import Database
from app.catalog.switching import Switches
from app.catalog.vectors import Vectors
from tests.conftest import wait_for
from tests.flows.hub import Hub
from tests.flows.processes import PROJECT, Server, clean_environment
from tests.pictures import unique_pictures
from tests.vectors.models import save_as_sentence_transformers, save_slow_clip, save_tiny_clip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")

QUERIES = ("a dog on grass", "something red", "zebra", "the sea at night", "k", "1984")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `first` and `second`: the same architecture and dimension, other weights."""
    folder = tmp_path_factory.mktemp("models")
    save_tiny_clip(folder / "first", seed=0)
    save_tiny_clip(folder / "second", seed=1)
    return folder


def run(folder: Path, *arguments: str, code: int = 0, hub: str | None = None) -> subprocess.CompletedProcess[str]:
    """A command on the library in ``folder``; models come from the ``hub`` at this address, or from nowhere."""
    online = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0"} if hub else {}
    ended = subprocess.run(
        [sys.executable, "run.py", "--data", str(folder), *arguments],
        cwd=PROJECT,
        env=clean_environment(folder.parent) | online,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended


def upload(server: Server, count: int, first: int = 0) -> None:
    pictures = list(unique_pictures(first + count))[first:]
    files = [("files", (f"{first + number}.jpg", data)) for number, data in enumerate(pictures)]
    assert server.client.post("/api/v1/images", files=files).status_code == 200


def serving(server: Server) -> str:
    """Name of the model that answers."""
    return str(server.get("/api/v1/status")["model"]["name"])


class Asking:
    """Searches without a rest, and remembers every answer."""

    def __init__(self, server: Server) -> None:
        self.answers: list[tuple[str, int, Any]] = []
        self._url = server.client.base_url
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with httpx2.Client(base_url=self._url, timeout=60, trust_env=False) as client:
            number = 0
            while not self._stopping.is_set():
                query = QUERIES[number % len(QUERIES)]
                answer = client.get("/api/v1/search", params={"q": query, "limit": 100})
                self.answers.append((query, answer.status_code, answer.json()))
                number += 1

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(60)


def scores(body: Any) -> dict[int, float]:
    return {result["id"]: result["score"] for result in body["results"]}


def reference(server: Server) -> dict[str, dict[int, float]]:
    """Scores of every picture for every query, while one model serves."""
    return {query: scores(server.get(f"/api/v1/search?q={query}&limit=100")) for query in QUERIES}


def apart(one: dict[int, float], other: dict[int, float]) -> float:
    return max(abs(one[key] - other[key]) for key in other) if one.keys() == other.keys() else 9.0


def test_a_switch_and_the_way_back_under_search_traffic(models: Path, tmp_path: Path) -> None:
    unlimited = {"GLIMPSE_SEARCH_RATE": "", "GLIMPSE_REQUEST_RATE": ""}
    server = Server(tmp_path / "data", model=str(models / "first"), **unlimited).start()
    try:
        upload(server, 24)
        wait_for(lambda: server.counts()["indexed"] == 24)
        wait_for(lambda: server.client.get("/readyz").status_code == 200)
        by_model = {"first": reference(server)}
        asking = Asking(server)
        told = run(server.data, "models", "use", str(models / "second"))
        assert "first serves on" in told.stderr
        wait_for(lambda: serving(server) == "second")
        by_model["second"] = reference(server)
        wait_for(lambda: asking.answers[-1][2].get("model") == "second")
        assert "first serves again" in run(server.data, "models", "rollback").stderr
        wait_for(lambda: serving(server) == "first")
        wait_for(lambda: asking.answers[-1][2].get("model") == "first")
        asking.stop()

        assert {code for _, code, _ in asking.answers} == {200}
        order = [body["model"] for _, _, body in asking.answers]
        assert [name for name, before in zip(order, ["", *order], strict=False) if name != before] == [
            "first",
            "second",
            "first",
        ], "each change is one moment"
        assert min(apart(by_model["first"][query], by_model["second"][query]) for query in QUERIES) > 0.1
        for query, _, body in asking.answers:
            assert len(body["results"]) == 24, "never an empty answer"
            # Compiled meanwhile, a model may say the same a little differently.
            assert apart(scores(body), by_model[body["model"]][query]) < 0.05, "never a mixed space"
        assert server.terminate() == 0
    finally:
        server.close()


def test_killed_in_the_middle_of_filling_it_goes_on(models: Path, tmp_path: Path) -> None:
    slow = save_slow_clip(tmp_path / "slow")
    server = Server(tmp_path / "data", model=str(models / "first")).start()
    database = Database(f"sqlite:///{server.data / 'index' / 'catalog.sqlite3'}")
    switches = Switches(database)

    def filled() -> int:
        told = switches.read()
        return switches.progress(told.filling, told.after)[0] if told.filling else 0

    try:
        upload(server, 40)
        wait_for(lambda: server.counts()["indexed"] == 40)
        switches.want(str(slow))
        wait_for(lambda: filled() > 0)
        for process in (*server.workers(), server.process.pid):
            os.kill(process, signal.SIGKILL)
        server.process.wait(30)
        before = filled()
        assert 0 < before < 40, "it was in the middle"
        wait_for(lambda: not server.workers())

        server.start()
        wait_for(lambda: server.client.get("/readyz").status_code == 200)
        upload(server, 3, first=40)
        answer = server.get("/api/v1/search?q=a+dog&limit=100")
        assert answer["model"] == "first"
        assert len(answer["results"]) > 39
        assert filled() >= before, "nothing of it was lost"
        wait_for(lambda: serving(server) == "slow", 180)
        wait_for(lambda: server.counts()["indexed"] == 43)
        assert len(server.get("/api/v1/search?q=a+dog&limit=100")["results"]) == 43
        spaces = {kept.space.model: kept.id for kept in Vectors(database).spaces()}
        assert all(Vectors(database).get(spaces["slow"], image_id) is not None for image_id in range(1, 44))
        assert server.terminate() == 0
    finally:
        database.close()
        server.close()


def test_a_model_is_fetched_listed_and_chosen_without_its_other_files(models: Path, tmp_path: Path) -> None:
    folder = save_as_sentence_transformers(models / "first", tmp_path / "repository")
    for name in ("README.md", "pytorch_model.bin", "open_clip_model.safetensors", "modeling.py"):
        (folder / name).write_bytes(b"x")
    hub, data = Hub(tiny__clip=folder, tiny__pickled=tmp_path / "pickled"), tmp_path / "data"
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"x")
    try:
        told = run(data, "models", "fetch", "tiny/clip", hub=hub.url)
        assert (told.stdout, told.stderr) == ("", "tiny/clip is here.\n"), "no bar where there is no terminal"
        assert any(name.endswith("model.safetensors") for name in hub.asked)
        assert not {"README.md", "pytorch_model.bin", "open_clip_model.safetensors", "modeling.py"} & set(hub.asked)
        hub.asked.clear()
        assert "was here already" in run(data, "models", "fetch", "tiny/clip", hub=hub.url).stderr
        assert hub.asked == []
        missing = run(data, "models", "fetch", "tiny/nothing", code=1, hub=hub.url).stderr
        assert "tiny/nothing" in missing
        assert "the hub has no such model" in missing
        pickled = run(data, "models", "fetch", "tiny/pickled", code=1, hub=hub.url).stderr
        assert "safetensors" in pickled
        hub.repositories["tiny/huge"] = folder
        largest = next(name for name in map(str, _names(folder)) if name.endswith("model.safetensors"))
        hub.claims[largest] = 10**15
        full = run(data, "models", "use", "tiny/huge", code=1, hub=hub.url).stderr
        assert "1,000,000,000 MB" in full
        assert "are free in" in full
    finally:
        hub.close()
    assert "serves as soon as a server runs" in run(data, "models", "use", "tiny/clip").stderr
    listed = {model["name"]: model for model in json.loads(run(data, "models", "--json").stdout)}
    assert listed["tiny/clip"]["role"] == "next"
    assert listed["tiny/clip"]["here"] is True
    assert listed["clip-ViT-L-14"]["download_mb"] == 1710
    assert listed["clip-ViT-L-14"]["here"] is False


def _names(folder: Path) -> Iterator[Path]:
    return (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def test_a_model_that_cannot_be_had_changes_nothing_and_ends_with_1(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        told = run(tmp_path / "data", "models", "use", "clip-ViT-B-32", code=1, hub=nobody)
    assert "The model clip-ViT-B-32" in told.stderr
    assert "the hub did not answer" in told.stderr
    status = json.loads(run(tmp_path / "data", "status", "--json").stdout)
    assert "the hub did not answer" in status["model"]["problem"]
    assert "next" not in status["model"]
    assert "no earlier model" in run(tmp_path / "data", "models", "rollback", code=1).stderr
    assert "nothing to embed again" in run(tmp_path / "data", "reindex", code=1).stderr
