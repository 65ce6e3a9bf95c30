"""A library in a bucket, with real processes: its whole life, and the object store going away and coming back."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Raster

from tests.conftest import wait_for
from tests.engines.objects import KEY, SECRET, ObjectServer, environment
from tests.flows.processes import NO_MODEL, PROJECT, Server, clean_environment, kill
from tests.pictures import encoded, picture

RED, BLUE, GREEN = picture("red"), picture("blue"), picture("green")
Start = Callable[..., Server]


@pytest.fixture
def storage(objects: ObjectServer) -> dict[str, str]:
    """The settings of a new bucket, and what is needed to get in."""
    where = {"GLIMPSE_STORAGE": f"s3://{objects.new_bucket()}/glimpse", "GLIMPSE_STORAGE_ENDPOINT": objects.endpoint}
    return where | environment()


@pytest.fixture
def start(tmp_path: Path, storage: dict[str, str]) -> Iterator[Start]:
    """Starts servers on the bucket, each time the same library."""
    servers: list[Server] = []

    def start(model: str = NO_MODEL, **more: str) -> Server:
        servers.append(Server(tmp_path / "data", model=model, **storage, **more))
        return servers[-1].start()

    yield start
    for server in servers:
        server.close()


@contextmanager
def worker(server: Server, storage: dict[str, str]) -> Iterator[None]:
    """A worker process of its own, as on another machine."""
    command = [sys.executable, "run.py", "--data", str(server.data), "--model", NO_MODEL, "worker"]
    with server.log.open("ab") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=clean_environment(server.data.parent) | storage, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def send(server: Server, **files: bytes) -> Any:
    return server.client.post("/api/v1/images", files=[("files", (f"{n}.jpg", data)) for n, data in files.items()])


def upload(server: Server, **files: bytes) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = send(server, **files).json()["results"]
    return results


def thumbnail(data: bytes) -> str:
    return f"/thumbs/256/{hashlib.md5(data, usedforsecurity=False).hexdigest()}.webp"


def objects_of(storage: dict[str, str], tmp_path: Path) -> set[str]:
    """Names of all that lies in the bucket."""
    from app.media.bucket import Bucket

    bucket = Bucket(storage["GLIMPSE_STORAGE"], tmp_path / "looking", storage["GLIMPSE_STORAGE_ENDPOINT"])
    return {name for name, _ in bucket.found()}


def trouble(server: Server) -> str | None:
    told: str | None = server.get("/api/v1/status")["storage"]
    return told


def test_the_whole_life_of_a_library_in_a_bucket(start: Start, storage: dict[str, str], tmp_path: Path) -> None:
    server = start(model="auto")
    assert [result["outcome"] for result in upload(server, red=RED, blue=BLUE, green=GREEN)] == ["added"] * 3
    assert upload(server, again=RED)[0]["outcome"] == "duplicate"
    wait_for(lambda: server.counts()["indexed"] == 3, 120)

    assert server.client.get(thumbnail(RED)).headers["content-type"] == "image/webp"
    found = server.get("/api/v1/search?q=red&limit=3")["results"]
    assert {result["filename"] for result in found} == {"red.jpg", "blue.jpg", "green.jpg"}
    assert server.get("/api/v1/search?q=like:1")["results"]
    part = server.client.get("/images/1/original", headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, RED[2:6])

    server.client.delete("/api/v1/images/1")
    assert server.client.get("/images/1/original").status_code == 404
    server.client.post("/api/v1/images/1/restore")
    wait_for(lambda: server.counts()["indexed"] == 3)
    assert server.client.get("/images/1/original").content == RED

    server.client.delete("/api/v1/images/2?forever=true")
    server.client.delete("/api/v1/images/3")
    server.client.delete("/api/v1/trash")
    md5 = hashlib.md5(RED, usedforsecurity=False).hexdigest()
    assert {name for name in objects_of(storage, tmp_path) if md5 not in name} == set()
    assert f"{md5[:2]}/{md5}.jpeg" in objects_of(storage, tmp_path)

    assert storage["GLIMPSE_STORAGE"] in server.client.get("/status").text
    assert not (server.data / "images").exists()
    assert list((server.data / "index" / "incoming").iterdir()) == []
    assert server.terminate() == 0
    for told in (SECRET, KEY):
        assert told not in server.log.read_text()


def test_while_it_is_away_pages_say_so_and_nothing_is_lost(
    start: Start, objects: ObjectServer, storage: dict[str, str], tmp_path: Path
) -> None:
    server = start()
    upload(server, red=RED, blue=BLUE)
    wait_for(lambda: server.counts()["prepared"] == 2)
    with objects.stopped():
        missing = server.client.get(thumbnail(RED))
        assert missing.status_code == 503
        assert int(missing.headers["retry-after"]) > 0
        page = server.client.get("/")
        assert page.status_code == 200
        assert "the object store does not answer" in page.text
        assert thumbnail(BLUE) in page.text
        assert "does not answer" in server.client.get("/status").text
        assert server.client.get("/images/1/original").status_code == 503
        refused = send(server, green=GREEN)
        assert refused.status_code == 503
        assert "does not answer. Nothing of this file was kept; send it again later." in refused.json()["detail"]
        assert server.client.delete("/api/v1/images/2?forever=true").status_code in (200, 204)
        assert server.client.get("/images/2").status_code == 404
        assert server.counts()["total"] == 1
    wait_for(lambda: trouble(server) is None)
    assert server.client.get(thumbnail(RED)).status_code == 200
    assert upload(server, green=GREEN)[0]["outcome"] == "added"
    wait_for(lambda: server.counts()["prepared"] == 2)
    blue = hashlib.md5(BLUE, usedforsecurity=False).hexdigest()
    wait_for(lambda: not any(blue in name for name in objects_of(storage, tmp_path)))
    told = server.log.read_text()
    assert "Traceback" not in told
    for secret in (SECRET, KEY, "Signature"):
        assert secret not in told


def test_a_worker_waits_for_it_and_blames_no_picture(
    start: Start, objects: ObjectServer, storage: dict[str, str]
) -> None:
    server = start(GLIMPSE_WORKER="false")
    upload(server, red=RED, blue=BLUE, green=GREEN)
    with objects.stopped(), worker(server, storage):
        wait_for(lambda: "does not answer" in (server.get("/api/v1/status")["worker"]["message"] or ""))
        assert (server.counts()["pending"], server.counts()["failed"]) == (3, 0)
    with worker(server, storage):
        wait_for(lambda: server.counts()["prepared"] == 3)
    assert server.counts()["failed"] == 0


def test_it_may_be_away_at_the_start_and_come_later(start: Start, objects: ObjectServer) -> None:
    with objects.stopped():
        server = start()
        assert server.client.get("/").status_code == 200
        assert send(server, red=RED).status_code == 503
    assert upload(server, red=RED)[0]["outcome"] == "added"
    wait_for(lambda: server.counts()["prepared"] == 1)


def test_pages_do_not_wait_for_an_object_store_that_hangs(start: Start, objects: ObjectServer) -> None:
    server = start()
    upload(server, red=RED)
    wait_for(lambda: server.counts()["prepared"] == 1)
    with ThreadPoolExecutor(60) as browsers:
        with objects.hanging():
            waiting = [browsers.submit(server.client.get, thumbnail(RED)) for _ in range(60)]
            assert server.client.get("/").status_code == 200
            assert not all(request.done() for request in waiting), "pages are meant to come before, not after"
        assert {request.result().status_code for request in waiting} <= {200, 503}
    wait_for(lambda: server.client.get(thumbnail(RED)).status_code == 200)


def test_what_was_answered_added_is_there_after_kill_9(start: Start) -> None:
    server = start()
    large = [encoded(Raster.effect_noise((400, 300), sigma)) for sigma in range(10, 40)]
    added: list[bytes] = []
    with ThreadPoolExecutor(3) as uploads:

        def take(data: bytes) -> None:
            if upload(server, picture=data)[0]["outcome"] == "added":
                added.append(data)

        sent = [uploads.submit(take, data) for data in large]
        wait_for(lambda: len(added) >= 8)
        server.kill()
        assert [request.exception() for request in sent if request.exception()], "it was killed in the middle"
    for pid in server.workers():
        kill(pid)
    again = start()
    for data in added:
        assert again.client.get("/api/v1/images?limit=1").status_code == 200
        assert upload(again, picture=data)[0]["outcome"] == "duplicate"
    wait_for(lambda: again.counts()["pending"] == 0)
    assert again.counts()["failed"] == 0


def test_a_bucket_that_is_not_there_is_no_empty_library(start: Start, storage: dict[str, str]) -> None:
    server = start()
    upload(server, red=RED)
    wait_for(lambda: server.counts()["prepared"] == 1)
    server.terminate()
    storage["GLIMPSE_STORAGE"] = "s3://there-is-no-such-bucket"
    other = start()
    assert other.client.get(thumbnail(RED)).status_code == 503
    assert "there is no such bucket" in (trouble(other) or "")
    assert (other.counts()["pending"], other.counts()["failed"]) == (0, 0)


def test_a_library_moves_to_a_bucket_and_back_while_it_serves(
    start: Start, storage: dict[str, str], tmp_path: Path
) -> None:
    in_bucket, endpoint = storage.pop("GLIMPSE_STORAGE"), storage["GLIMPSE_STORAGE_ENDPOINT"]

    def migrate(to: str, code: int = 0) -> str:
        command = [sys.executable, "run.py", "--data", str(tmp_path / "data"), "migrate", "--storage", to]
        environment = clean_environment(tmp_path) | storage
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    server = start()
    upload(server, red=RED, blue=BLUE)
    wait_for(lambda: server.counts()["prepared"] == 2)
    assert f"2 pictures in {in_bucket}, each with its MD5: 2 new" in migrate(in_bucket)
    upload(server, green=GREEN)
    wait_for(lambda: server.counts()["prepared"] == 3)
    server.terminate()
    told = migrate(in_bucket)
    assert "3 pictures" in told
    assert "1 new" in told
    assert f"GLIMPSE_STORAGE={in_bucket}\nGLIMPSE_STORAGE_ENDPOINT={endpoint}" in told

    (tmp_path / "data" / "images").rename(tmp_path / "old images")
    storage["GLIMPSE_STORAGE"] = in_bucket
    server = start()
    assert server.client.get("/images/3/original").content == GREEN
    assert server.client.get(thumbnail(RED)).status_code == 200
    server.client.delete("/api/v1/images/1?forever=true")
    server.terminate()
    assert "already" in migrate(in_bucket, 2)
    folder = str(tmp_path / "data" / "images")
    told = migrate(folder)
    assert f"2 pictures in {folder}, each with its MD5: 2 new" in told
    assert "no GLIMPSE_STORAGE" in told

    del storage["GLIMPSE_STORAGE"]
    server = start()
    assert server.client.get("/images/2/original").content == BLUE
    assert server.client.get("/images/1").status_code == 404
    assert server.counts()["total"] == 2
