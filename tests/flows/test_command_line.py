"""The command line as people use it: processes on real folders, beside a running server and without one."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import wait_for
from tests.flows.processes import PROJECT, Server, clean_environment
from tests.pictures import picture, text_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


RIGHTS = "-dac_override,-dac_read_search"
LIKE_ANYBODY = ("setpriv", f"--bounding-set={RIGHTS}", f"--inh-caps={RIGHTS}")
"""Root without its right to read everything."""


class Terminal:
    """Runs commands on one library. ``server`` serves the same one when it is started."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder / "data", model="auto")
        self._environment = clean_environment(folder)
        self._options = ("--port", str(self.server.port), "--data", str(folder / "data"))

    def run(
        self, *arguments: str, code: int = 0, text: str | None = None, before: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        command = [*before, sys.executable, "run.py", *self._options, *arguments]
        ended = subprocess.run(
            command, cwd=PROJECT, env=self._environment, capture_output=True, text=True, timeout=120, input=text
        )
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended

    def json(self, *arguments: str) -> Any:
        """What a command says with `--json`: nothing else may stand on its standard output."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def start(self, *arguments: str, stderr: int = subprocess.PIPE, **options: Any) -> subprocess.Popen[str]:
        """A command that goes on until it is stopped."""
        command = [sys.executable, "run.py", *self._options, *arguments]
        environment = self._environment | options.pop("environment", {})
        return subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=stderr, text=True, **options)

    def run_on_screen(self, *arguments: str, **environment: str) -> tuple[str, str]:
        """Standard output, and what is shown on a terminal that standard error is."""
        screen, end = pty.openpty()
        process = self.start(*arguments, stderr=end, stdout=subprocess.PIPE, environment=environment)
        os.close(end)
        shown = b""
        while True:
            try:
                part = os.read(screen, 4096)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            shown += part
        os.close(screen)
        assert process.stdout is not None
        out = process.stdout.read()
        process.stdout.close()
        process.wait(60)
        return out, shown.decode(errors="replace")


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


def runs_as_chosen(terminal: Terminal) -> bool:
    return terminal.server.client.get("/api/v1/status").json()["model"]["choice"] is not None


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
    assert terminal.json("status")["pictures"]["total"] == 5
    assert terminal.json("status")["server"] is None

    terminal.server.start()
    wait_for(lambda: terminal.server.counts()["indexed"] == 5)
    wait_for(lambda: terminal.server.client.get("/readyz").status_code == 200)
    status = terminal.json("status")
    assert (status["model"]["name"], status["pictures"]["searchable"], status["worker"]["running"]) == (
        "starter", 5, True,
    )  # fmt: skip
    wait_for(lambda: runs_as_chosen(terminal))  # else the last digits change when a faster way to run it is found
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
    wait_for(lambda: terminal.json("status")["pictures"]["searchable"] == 1)
    wait_for(lambda: terminal.json("status")["server"] is not None)
    assert terminal.server.client.get("/api/v1/status").status_code == 401
    key = terminal.run("keys", "add", "frame").stdout.strip()
    terminal.server.client.headers["Authorization"] = f"Bearer {key}"
    wait_for(lambda: terminal.server.client.get("/api/v1/status").status_code == 200)
    assert terminal.server.counts()["indexed"] == 1


def test_what_is_written_for_programs_is_utf_8_whatever_the_terminal_speaks(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "日本.jpg").write_bytes(picture("red"))
    terminal.run("import", str(tmp_path / "日本.jpg"))
    for form in ("csv", "jsonl"):
        environment = clean_environment(tmp_path) | {"PYTHONIOENCODING": "cp1252"}
        command = [sys.executable, "run.py", "--data", str(tmp_path / "data"), "export", "--format", form]
        ended = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, timeout=120, check=True)
        assert "日本.jpg" in ended.stdout.decode("utf-8")


def test_words_to_leave_out_may_come_first(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "beach.png").write_bytes(picture("red", format="PNG"))
    (tmp_path / "beach.jpg").write_bytes(picture("blue"))
    terminal.run("import", str(tmp_path / "beach.png"), str(tmp_path / "beach.jpg"))
    assert terminal.run("search", "-type:jpg", "--top", "5").stdout.split("\t")[2] == "beach.png"
    assert "unexpected extra argument" in terminal.run("search", "red", "--tpo", "5", code=2).stderr


def test_pictures_whose_original_is_missing_hold_up_no_others(terminal: Terminal, tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        (tmp_path / f"{colour}.png").write_bytes(picture(colour, format="PNG"))
        terminal.run("import", str(tmp_path / f"{colour}.png"))
    lost = terminal.run("search", "type:png", "--top", "1").stdout.rstrip("\n").split("\t")
    Path(lost[3]).unlink()
    told = terminal.run("search", "type:png", "--save", str(tmp_path / "found"), code=1)
    assert f"Not saved, since their originals are missing: {lost[2]}." in told.stderr
    assert len(list((tmp_path / "found").iterdir())) == 1


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
    assert terminal.json("status")["pictures"]["total"] == 400
    assert "400 imported before" in terminal.run("import", str(folder)).stderr
    assert "not taken" not in ended.stderr


TINY = int(os.environ.get("GLIMPSE_TEST_IMPORT", "300"))
"""Files in the large import; 10,000 take a minute."""


def tiny_pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (8, 8), (number % 256, number // 256, 9)).save(folder / f"{number:05}.png", compress_level=1)


def test_thousands_of_tiny_files_come_in_beside_a_running_server(terminal: Terminal, tmp_path: Path) -> None:
    tiny_pictures(tmp_path / "tiny", TINY)
    terminal.server.start()
    imported = terminal.start("import", str(tmp_path / "tiny"))
    while imported.poll() is None:
        assert terminal.server.client.get("/").status_code == 200
        time.sleep(0.2)
    assert imported.communicate()[1].splitlines()[-1] == f"{TINY:,} added."
    assert terminal.server.counts()["total"] == TINY
    told = terminal.run("import", str(tmp_path / "tiny")).stderr
    assert f"{TINY:,} imported before." in told


def test_a_stranger_disk_is_imported_as_far_as_it_can_be(terminal: Terminal, disk: Path) -> None:
    (disk / "loop").symlink_to(disk, target_is_directory=True)
    (disk / "itself.jpg").symlink_to("itself.jpg")
    os.mkfifo(disk / "pipe.png")
    for name in (b"caf\xe9.jpg", b"new\nline.jpg", b"\x1b[31mred.jpg", "日本 の 写真.jpg".encode()):
        with open(os.fsencode(disk) + b"/" + name, "wb") as file:
            file.write(picture("purple"))
    told = terminal.run("import", str(disk), "--dry-run", code=1)
    assert "日本 の 写真.jpg" in told.stdout
    assert "\x1b" not in told.stdout + told.stderr
    assert terminal.json("status")["pictures"]["total"] == 0
    told = terminal.run("import", str(disk), code=1)
    assert "6 added, 4 already here, 3 not taken." in told.stderr
    assert "\x1b" not in told.stderr
    assert "already here as picture" in told.stderr


def test_what_is_left_out_moved_and_linked(terminal: Terminal, disk: Path, tmp_path: Path) -> None:
    again = disk / "again.jpg"
    assert "1 added" in terminal.run("import", str(disk), "--exclude", "* wall.jpg", "--exclude", "broken*").stderr
    report = tmp_path / "report.tsv"
    told = terminal.run("import", str(disk), "--link", "--exclude", "broken*", "--report", str(report)).stderr
    assert "4 added, 1 already here, 1 imported before." in told
    assert report.read_text().count("duplicate") == 1
    assert len({os.stat(path).st_ino for path in (tmp_path / "data" / "images").glob("??/*.jpeg")}) == 5
    assert sum(os.stat(path).st_nlink == 2 for path in disk.glob("* wall.jpg")) == 4
    terminal.run("import", str(disk), "--move", "--exclude", "broken*")
    assert [path.name for path in disk.iterdir()] == ["broken.jpg"]
    assert not again.exists()
    assert terminal.json("status")["pictures"]["total"] == 5
    assert "library itself" in terminal.run("import", "--move", str(tmp_path / "data" / "images"), code=1).stderr


def test_files_of_another_volume_are_copied_instead_of_linked(terminal: Terminal, tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm") / f"glimpse-{os.getpid()}"  # noqa: S108 - memory, hence another volume
    if not Path("/dev/shm").is_dir() or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:  # noqa: S108
        pytest.skip("there is no second volume on this machine")
    try:
        tiny_pictures(elsewhere, 3)
        assert "3 of them: It was copied" in terminal.run("import", str(elsewhere), "--link").stderr
    finally:
        for path in elsewhere.iterdir():
            path.unlink()
        elsewhere.rmdir()


def test_files_of_others_cost_themselves(terminal: Terminal, disk: Path) -> None:
    (disk / "red wall.jpg").chmod(0)
    (disk / "closed").mkdir()
    (disk / "closed").chmod(0)
    told = terminal.run("import", str(disk), code=1, before=LIKE_ANYBODY if os.geteuid() == 0 else ()).stderr
    (disk / "closed").chmod(0o700)
    assert "red wall.jpg: It can't be read: Permission denied." in told
    assert "closed: It can't be read: Permission denied." in told
    assert "5 added, 3 not taken." in told


def test_an_import_that_is_interrupted_says_how_far_it_came(terminal: Terminal, tmp_path: Path) -> None:
    tiny_pictures(tmp_path / "many", 400)
    process = terminal.start("import", str(tmp_path / "many"), start_new_session=True)
    wait_for(lambda: len(list((tmp_path / "data" / "images").glob("??/*.png"))) > 10)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Interrupted. The same command goes on from here." in told
    assert "Traceback" not in told
    added = int(re.findall(r"([\d,]+) added", told)[0].replace(",", ""))
    assert 0 < added < 400
    assert f"{added:,} imported before" in terminal.run("import", str(tmp_path / "many")).stderr


def test_progress_is_shown_on_a_terminal_only_and_colours_only_where_they_are_wanted(
    terminal: Terminal, tmp_path: Path
) -> None:
    tiny_pictures(tmp_path / "some", 100)
    out, shown = terminal.run_on_screen("import", str(tmp_path / "some"), TERM="xterm-256color", NO_COLOR="1")
    assert out == ""
    assert "100/100" in shown
    assert not re.search(r"\x1b\[[\d;]*(3[0-7]|9[0-7]|38;)[\d;]*m", shown)
    _, coloured = terminal.run_on_screen("import", str(tmp_path / "some"), TERM="xterm-256color")
    assert re.search(r"\x1b\[[\d;]*(3[0-7]|9[0-7]|38;)[\d;]*m", coloured)
    assert "/100" not in terminal.run("import", str(tmp_path / "some")).stderr


def test_what_reads_the_data_may_stop_reading(terminal: Terminal, disk: Path) -> None:
    terminal.run("import", str(disk), code=1)
    process = terminal.start("status", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(60)


def test_a_folder_that_cannot_be_written_to_is_told_in_a_line(terminal: Terminal) -> None:
    assert "/proc/nowhere" in terminal.run("--data", "/proc/nowhere", "status", code=1).stderr


def test_status_tells_the_version_that_the_project_has(terminal: Terminal) -> None:
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    terminal.run("keys", "add", "frame")  # which makes a library
    assert terminal.json("status")["version"] == version
    lines = terminal.run("status").stdout.splitlines()
    assert f"version\t{version}" in lines
    assert "server\t–" in lines


def test_a_watched_folder_is_looked_after_also_after_a_crash(terminal: Terminal, disk: Path, tmp_path: Path) -> None:
    (disk / "broken.jpg").unlink()
    watching = terminal.start("watch", str(disk), stderr=subprocess.DEVNULL)
    wait_for((tmp_path / "data" / "index" / "catalog.sqlite3").exists)
    wait_for(lambda: terminal.json("status")["pictures"]["total"] == 5)

    def remembered() -> bool:  # only then a kill costs nothing: what was under way is read again
        [folder] = terminal.json("status")["watched"]
        return bool(folder["files"] == 6 and folder["waiting"] == 0)

    wait_for(remembered)
    watching.kill()
    watching.wait()
    watching = terminal.start("watch", str(disk), stderr=subprocess.PIPE)
    tiny_pictures(disk / "more", 3)
    (disk / "red wall.jpg").unlink()

    def seen() -> tuple[int, int, bool]:
        [folder] = terminal.json("status")["watched"]
        return folder["files"], folder["gone"], folder["watched_now"]

    wait_for(lambda: terminal.json("status")["pictures"]["total"] == 8)
    wait_for(lambda: seen() == (8, 1, True))
    watching.terminate()
    _, told = watching.communicate(timeout=60)
    assert watching.returncode == 0
    assert told.count("picture added") == 3
    assert told.count("file is gone, its picture stays") == 1
    assert terminal.json("status")["watched"] == []
    tiny_pictures(disk / "again", 4)
    assert "picture added" in terminal.run("watch", "--once", str(disk)).stderr
    assert terminal.json("status")["pictures"]["total"] == 9
    assert "name a folder" in terminal.run("watch", code=2).stderr


def test_the_server_watches_folders_by_a_setting(tmp_path: Path) -> None:
    first, second, left = (tmp_path / name for name in ("first one", "second", "second/left out"))
    tiny_pictures(first, 2)
    tiny_pictures(left, 5)
    folders = os.pathsep.join([str(first), str(second)])
    options = {"GLIMPSE_WATCH": folders, "GLIMPSE_WATCH_EXCLUDE": "left out,*.bmp", "GLIMPSE_WATCH_SECONDS": "1"}
    server = Server(tmp_path / "data", **options)
    try:
        server.start()
        wait_for(lambda: server.counts()["total"] == 2)
        tiny_pictures(second / "below", 4)
        wait_for(lambda: server.counts()["total"] == 4)
        wait_for(lambda: "Looked at" in server.client.get("/status").text)
        page = server.client.get("/status").text
        assert str(first) in page.replace("<wbr>", "")
        [watcher] = server.processes("run.py watch")
        os.kill(watcher, signal.SIGKILL)
        wait_for(lambda: server.processes("run.py watch") not in ([], [watcher]))
        assert server.terminate() == 0
        wait_for(lambda: not server.processes())
    finally:
        server.close()
