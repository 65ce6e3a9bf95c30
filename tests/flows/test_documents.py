"""What documents tell people to type is typed: README, two of docs/, and the example in the help of each command.

Boxes marked ``sh`` are run line by line; those marked ``console`` need root, Docker, a network or another machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from app.cli import cli
from tests.conftest import wait_for
from tests.flows.processes import PROJECT, Server, clean_environment
from tests.pictures import picture
from tests.ports import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")

DOCUMENTS = ("README.md", "docs/api.md", "docs/operations.md")
ELSEWHERE = ("python3 -m venv",)
"""Run by `.ci/run`."""
NETWORK = ("models fetch", "models use", "models rollback", "models compare", "migrate")
"""What can't succeed here, without a network, a second model or another database: it has to say so, and end with 1."""
PASSWORD = "correct horse battery\n"  # noqa: S105


def boxes(text: str, kind: str) -> list[str]:
    """Lines of all boxes of a kind, continued ones joined."""
    found = re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S)
    return [line for box in found for line in box.replace("\\\n", " ").splitlines() if line.strip()]


def commands() -> dict[str, Any]:
    """Every command that is shown, by its full name."""
    found: dict[str, Any] = {}

    def visit(name: str, command: Any) -> None:
        inside = getattr(command, "commands", None)
        if inside is None:
            found[name] = command
        for part, below in (inside or {}).items():
            visit(f"{name} {part}".strip(), below)

    visit("", typer.main.get_command(cli))
    return found


def examples(name: str) -> list[str]:
    _, _, example = (commands()[name].help or "").partition("Example")
    return re.findall(r"`([^`]*run\.py[^`]*)`", example)


@pytest.mark.parametrize("name", commands())
def test_every_command_has_an_example_of_itself(name: str) -> None:
    assert any(re.search(rf"run\.py( --data \S+)? {name}\b", example) for example in examples(name))


class Reader:
    """Somebody who types what is written, in a folder with the files that the documents speak of."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._folder, self._server = folder, server
        folder.mkdir()
        (folder / "bin").mkdir()
        (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (folder / "bin" / "python").chmod(0o755)
        (folder / "run.py").symlink_to(PROJECT / "run.py")
        (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
        (folder / "file").write_text(PASSWORD)
        for place in ("Pictures/deep", "media/camera"):
            (folder / place).mkdir(parents=True)
            (folder / place / f"{place[:5]}.jpg").write_bytes(picture("purple" if "deep" in place else "orange"))
        for name, colour in (("beach.jpg", "yellow"), ("dog.png", "brown"), ("like-this.jpg", "red")):
            (folder / name).write_bytes(picture(colour, format="PNG" if name.endswith("png") else "JPEG"))
        shutil.make_archive(str(folder / "holiday"), "zip", folder / "Pictures")

    def type(self, line: str) -> None:
        """Run a line; what never ends by itself is ended once it works."""
        line = re.sub(r"\s#\s.*", "", line).replace("127.0.0.1:3000", f"127.0.0.1:{self._server.port}")
        line = re.sub(r"(?<=[\s'=])/(mnt|srv|media)/", rf"{self._folder}/\1/", line)
        arguments = line.partition("run.py")[2]
        goes_on = "run.py" in line and (
            not any(re.match(rf"\s*(--data \S+)?\s*{name.split()[0]}\b", arguments) for name in commands())
            or re.match(r"\s*(worker|watch(?!.*--once))\b", arguments) is not None
        )
        if goes_on:
            self._run_and_stop(line)
            return
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=self._folder,
            env=self._environment(self._server.port),
            input=PASSWORD,
            capture_output=True,
            text=True,
            timeout=150,
        )
        allowed = (0, 1) if any(f"run.py {name}" in line for name in NETWORK) else (0,)
        assert ended.returncode in allowed, (line, ended.returncode, ended.stdout, ended.stderr)
        assert ended.returncode == 0 or ended.stderr.strip(), line
        assert "Traceback" not in ended.stderr, (line, ended.stderr)

    def _run_and_stop(self, line: str) -> None:
        log, port = self._folder / "log", free_port()
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", line],
                cwd=self._folder,
                env=self._environment(port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            wait_for(lambda: bool(log.read_text().strip()) or process.poll() is not None)
            assert process.poll() is None, (line, log.read_text())
            os.killpg(process.pid, signal.SIGTERM)
            assert process.wait(60) in (0, -signal.SIGTERM), (line, log.read_text())
            assert "Traceback" not in log.read_text(), (line, log.read_text())
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _environment(self, port: int) -> dict[str, str]:
        return clean_environment(self._folder) | {
            "PATH": f"{self._folder}/bin:{os.environ['PATH']}",
            "HOME": str(self._folder),
            "CURL_HOME": str(self._folder),
            "GLIMPSE_DATA": str(self._server.data),
            "GLIMPSE_PORT": str(port),
        }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves a library of four pictures with the starter model."""
    made = Server(tmp_path_factory.mktemp("documents") / "data", model="auto")
    made.start()
    try:
        for colour in ("red", "green", "blue", "white"):
            made.client.post("/api/v1/images", files={"files": (f"{colour}.jpg", picture(colour, (320, 240)))})
        wait_for(lambda: made.counts()["indexed"] == 4, 240)
        wait_for(lambda: made.client.get("/readyz").status_code == 200, 240)
        yield made
    finally:
        made.close()


@pytest.fixture
def reader(tmp_path: Path, server: Server) -> Iterator[Reader]:
    if shutil.which("curl") is None and os.environ.get("GLIMPSE_TEST_BROWSER") != "required":
        pytest.skip("there is no curl on this machine")
    yield Reader(tmp_path / "home", server)
    # Tests come in any order, and each starts without a password and without the keys of the one before.
    server.run("password", "--remove")
    for line in server.run("keys", "list").splitlines():
        server.run("keys", "revoke", line.split("\t")[0])
    wait_for(lambda: server.client.get("/api/v1/status").status_code == 200)


def test_the_answers_in_the_api_page_have_the_fields_that_they_have(server: Server) -> None:
    text = (PROJECT / "docs" / "api.md").read_text("utf-8")
    [shown] = [json.loads(box) for box in boxes(text, "json")]
    answer = server.client.post("/api/v1/images", files={"files": ("red.jpg", picture("red", (320, 240)))}).json()
    assert shown.keys() == answer.keys()
    assert shown["results"][0].keys() == answer["results"][0].keys()
    found = server.client.get("/api/v1/search", params={"q": "something red"}).json()
    explained = set(re.findall(r"^\| `(\w+)` \|", text, re.M))
    assert explained == {"score", "relevance", "band", "why"}
    assert explained <= found["results"][0].keys()
    assert {"matches", "indexed", "total", "model", "next"} <= found.keys()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_a_document_says_is_so(reader: Reader, name: str) -> None:
    for line in boxes((PROJECT / name).read_text("utf-8"), "sh"):
        if not line.startswith(ELSEWHERE):
            reader.type(line)


@pytest.mark.timeout(600)
def test_what_the_help_says_is_so(reader: Reader) -> None:
    typed = {line for name in DOCUMENTS for line in boxes((PROJECT / name).read_text("utf-8"), "sh")}
    for name in commands():
        for line in examples(name):
            if line not in typed:
                reader.type(line)
