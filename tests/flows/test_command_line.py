"""The command line as people use it: processes on real folders, beside a running server and without one."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import wait_for
from tests.flows.processes import PROJECT, Server, clean_environment
from tests.pictures import picture, text_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


class Terminal:
    """Runs commands on one library. ``server`` serves the same one when it is started."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder / "data", model="auto")
        self._environment = clean_environment(folder)
        self._options = ("--port", str(self.server.port), "--data", str(folder / "data"))

    def run(self, *arguments: str, code: int = 0, text: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "run.py", *self._options, *arguments]
        ended = subprocess.run(
            command, cwd=PROJECT, env=self._environment, capture_output=True, text=True, timeout=120, input=text
        )
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended

    def json(self, *arguments: str) -> Any:
        """What a command says with `--json`: nothing else may stand on its standard output."""
        return json.loads(self.run(*arguments, "--json").stdout)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    made.server.close()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Pictures in five colours, one of them twice, and something else."""
    folder = tmp_path / "my pictures" / "Zoë"
    folder.mkdir(parents=True)
    for colour in ("red", "green", "blue", "yellow", "white"):
        (folder / f"{colour} wall.jpg").write_bytes(picture(colour, size=(320, 240)))
    (folder / "again.jpg").write_bytes((folder / "red wall.jpg").read_bytes())
    (folder / "broken.jpg").write_bytes(text_file())
    return folder


def test_a_folder_is_imported_searched_and_looked_after(terminal: Terminal, disk: Path, tmp_path: Path) -> None:
    told = terminal.run("import", str(disk.parent), code=1)
    assert told.stdout == ""
    assert "5 added, 1 already here, 1 not taken." in told.stderr
    assert "broken.jpg" in told.stderr
    with (tmp_path / "data" / "index" / "last-import.tsv").open(encoding="utf-8") as file:
        fates = {Path(row[2]).name: row[0] for row in csv.reader(file, delimiter="\t")}
    assert fates["broken.jpg"] == "problem"
    assert fates["again.jpg"] == "added"
    assert fates["red wall.jpg"] == "duplicate"
    assert "6 imported before, 1 not taken." in terminal.run("import", str(disk), code=1).stderr
    assert terminal.json("status")["pictures"] == 5
    assert terminal.json("status")["server"] == "not running"

    terminal.server.start()
    wait_for(lambda: terminal.server.counts()["indexed"] == 5)
    wait_for(lambda: terminal.server.client.get("/readyz").status_code == 200)
    status = terminal.json("status")
    assert (status["model"], status["searchable"], status["worker"]) == ("starter", 5, "running")
    warm = terminal.json("search", "something red", "--top", "2")
    assert warm[0]["filename"] == "again.jpg"
    assert len(warm) == 2
    by_picture = terminal.json("search", "--image", str(disk / "green wall.jpg"))
    assert by_picture[0]["filename"] == "green wall.jpg"
    assert "There is no colour: to search by" in terminal.run("search", "colour:red", code=1).stderr

    assert terminal.server.interrupt() in (0, 130)
    assert terminal.json("search", "something red", "--top", "2") == warm
    assert terminal.json("search", "--image", str(disk / "green wall.jpg")) == by_picture

    saved, sheet = tmp_path / "found", tmp_path / "found.png"
    lines = terminal.run("search", "type:jpeg", "--save", str(saved), "--sheet", str(sheet)).stdout.splitlines()
    assert [line.split("\t")[2] for line in lines] == [
        file.name[4:].replace(".jpeg", ".jpg") for file in sorted(saved.iterdir())
    ]
    assert Path(lines[0].split("\t")[3]).read_bytes() == sorted(saved.iterdir())[0].read_bytes()
    with Image.open(sheet) as drawn:
        assert drawn.width > 5 * 256
    assert terminal.run("doctor", "--deep").returncode == 0


def test_with_a_password_set_a_running_server_answers_the_command_line(terminal: Terminal, disk: Path) -> None:
    terminal.run("import", str(disk / "red wall.jpg"))
    terminal.run("password", text="correct horse\n")
    terminal.server.start()
    wait_for(lambda: terminal.json("status")["searchable"] == 1)
    assert terminal.json("status")["server"] != "not running"
    assert terminal.server.client.get("/api/v1/status").status_code == 401
    key = terminal.run("keys", "add", "frame").stdout.strip()
    terminal.server.client.headers["Authorization"] = f"Bearer {key}"
    wait_for(lambda: terminal.server.client.get("/api/v1/status").status_code == 200)
    assert terminal.server.counts()["indexed"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "/nowhere"), "There is no file or folder /nowhere"),
        (("search", "x", "--image", "/nowhere.jpg"), "does not exist"),
        (("search",), "say what to look for"),
        (("import", ".", "--move", "--link"), "exclude each other"),
    ],
)
def test_a_wrong_call_is_told_in_a_line(terminal: Terminal, arguments: tuple[str, ...], said: str) -> None:
    ended = terminal.run(*arguments, code=1 if arguments[0] == "import" and len(arguments) == 2 else 2)
    assert said in " ".join(ended.stderr.replace("│", " ").split())
    assert ended.stdout == ""


def test_an_import_is_interrupted_and_goes_on(terminal: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number:03}.png").write_bytes(picture(f"rgb({number % 256},{number // 2},9)", (8, 8), "PNG"))
    command = [sys.executable, "run.py", "--data", str(tmp_path / "data"), "import", str(folder)]
    process = subprocess.Popen(command, cwd=PROJECT, env=os.environ | {"HF_HUB_OFFLINE": "1"}, stderr=subprocess.PIPE)
    wait_for(lambda: len(list((tmp_path / "data" / "images").glob("??/*.png"))) > 50)
    process.kill()
    process.communicate()
    ended = terminal.run("import", str(folder))
    here = len(list((tmp_path / "data" / "images").glob("??/*.png")))
    assert here == 400
    assert terminal.json("status")["pictures"] == 400
    assert "400 imported before" in terminal.run("import", str(folder)).stderr
    assert "not taken" not in ended.stderr
