"""The command line: what it says about itself, and that its options are settings."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import Connection
from typer.testing import CliRunner

from app.catalog.database import Database
from app.catalog.images import Images
from app.cli import cli
from app.config import Settings
from app.main import create_worker
from app.media.folder import Folder
from app.media.store import Incoming
from app.terminal import until_interrupted
from tests.encoders import ColourEncoder
from tests.pictures import picture


class Ran:
    """What uvicorn was asked to do, and the settings that its processes would find."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.settings: Settings | None = None

    def __call__(self, app: str, **options: Any) -> None:
        self.options = {"app": app, **options}
        self.settings = Settings()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Ran]:
    """Nothing is served; environment, folder and signals are as before afterwards."""
    ran = Ran()
    monkeypatch.setattr("uvicorn.run", ran)
    monkeypatch.chdir(tmp_path)
    terminated = signal.getsignal(signal.SIGTERM)
    interrupted = signal.getsignal(signal.SIGINT)
    with mock.patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("GLIMPSE_")]:
            del os.environ[name]
        yield ran
    signal.signal(signal.SIGTERM, terminated)
    signal.signal(signal.SIGINT, interrupted)


def invoke(*arguments: str, code: int = 0) -> str:
    """The output, without colours and frames."""
    result = CliRunner().invoke(cli, arguments, env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return " ".join(re.sub(r"\x1b\[[\d;]*m|[│╭╮╰╯─]", " ", result.output).split())


def begin_library(data: Path) -> None:
    """An empty one."""
    with closing(Database(f"sqlite:///{data / 'index' / 'catalog.sqlite3'}")) as database:
        database.migrate()


class TestHelp:
    def test_tells_what_it_is_and_how_to_start(self) -> None:
        words = invoke("--help")
        assert "a gallery in which you find your own pictures by describing them" in words
        assert "http://127.0.0.1:3000" in words
        for option in ("--host", "--port", "--data", "--model", "--demo", "--reload"):
            assert option in words
        assert "worker" in words
        assert "--supervised" not in words

    def test_names_the_defaults_that_hold(self) -> None:
        words = invoke("--help")
        fields = Settings.model_fields
        for name in ("host", "port", "model"):
            assert f"[{fields[name].default}]" in words

    def test_of_the_worker_has_an_example(self) -> None:
        words = invoke("worker", "--help")
        assert "Prepare and index pictures" in words
        assert "GLIMPSE_WORKER=false python run.py" in words

    @pytest.mark.parametrize("arguments", [["--nothing"], ["nothing"], ["--port", "x"], ["--port", "70000"]])
    def test_is_offered_to_who_mistypes(self, ran: Ran, arguments: list[str]) -> None:
        words = invoke(*arguments, code=2)
        assert "--help" in words
        assert not ran.options


class TestServing:
    def test_needs_no_options(self, ran: Ran) -> None:
        invoke()
        assert ran.options["app"] == "app.main:app_from_environment"
        assert (ran.options["host"], ran.options["port"], ran.options["reload"]) == ("127.0.0.1", 3000, False)
        assert ran.settings == Settings(_env_file=None)

    def test_takes_every_option_as_a_setting_of_all_its_processes(self, ran: Ran, tmp_path: Path) -> None:
        data = tmp_path / "my pictures"
        everywhere = ("--host", "0.0.0.0", "--open")  # noqa: S104
        invoke(*everywhere, "--port", "8080", "--data", str(data), "--model", "clip-ViT-B-32", "--demo")
        assert (ran.options["host"], ran.options["port"]) == ("0.0.0.0", 8080)  # noqa: S104
        settings = ran.settings
        assert settings is not None
        assert (settings.host, settings.port, settings.model, settings.demo) == (
            "0.0.0.0",  # noqa: S104
            8080,
            "clip-ViT-B-32",
            True,
        )
        assert settings.data == data
        assert settings.images == data / "images"

    def test_options_go_before_the_environment_and_that_before_the_file(self, ran: Ran, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("GLIMPSE_PORT=1111\nGLIMPSE_HOST=127.0.0.3\nGLIMPSE_PAGE_SIZE=7\n")
        os.environ |= {"GLIMPSE_PORT": "2222", "GLIMPSE_HOST": "127.0.0.2"}
        invoke("--port", "3333")
        assert (ran.options["port"], ran.options["host"]) == (3333, "127.0.0.2")
        assert ran.settings is not None
        assert ran.settings.page_size == 7

    def test_starts_again_when_code_changes_if_told_to(self, ran: Ran) -> None:
        invoke("--reload")
        assert ran.options["reload"] is True
        assert ran.options["reload_dirs"] == ["app", "templates"]


def test_the_worker_works_on_the_same_folder(ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    @contextmanager
    def create(settings: Settings) -> Iterator[Any]:
        seen.append(settings)
        with create_worker(settings, ColourEncoder) as worker:
            worker.stop()
            yield worker

    monkeypatch.setattr("app.main.create_worker", create)
    monkeypatch.setattr("app.logs.configure", lambda _level: None)
    monkeypatch.setattr("os.nice", lambda _by: 0)
    data = tmp_path / "data"
    invoke("--data", str(data), "worker")
    assert seen[0].data == data
    assert (data / "images").is_dir()
    assert not ran.options


def test_settings_reach_the_worker_whole(tmp_path: Path) -> None:
    """Through the environment, since it is another process: every one, also those that are not text."""
    settings = Settings(_env_file=None, data=tmp_path, page_size=7, worker=False, decode_seconds=1.5, demo=True)
    with mock.patch.dict(os.environ, settings.environment()):
        assert Settings(_env_file=None) == settings


def test_a_wrong_setting_is_told_by_its_name(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIMPSE_PORT", "abc")
    monkeypatch.setenv("GLIMPSE_PAGE_SIZE", "0")
    result = CliRunner().invoke(cli, [])
    assert result.exit_code == 2
    assert "GLIMPSE_PORT is 'abc': Input should be a valid integer" in result.output
    assert "GLIMPSE_PAGE_SIZE is '0'" in result.output
    assert "Traceback" not in result.output
    assert ran.options == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VECTORS", "mysql://me:hunter2@host/db"),
        ("STORAGE", "s3://key:hunter2@bucket"),
        ("STORAGE_ENDPOINT", "https://key:hunter2@objects.example.org"),
        ("RATE_STORAGE", "nowhere://me:hunter2@host"),
        ("RATE_STORAGE", "redis://[hunter2"),
    ],
)
def test_a_wrong_setting_that_may_hold_a_password_is_not_shown(
    name: str, value: str, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"GLIMPSE_{name}", value)
    result = CliRunner().invoke(cli, [])
    assert result.exit_code == 2
    assert f"GLIMPSE_{name} can't be used: " in result.output
    assert "hunter2" not in result.output
    assert ran.options == {}


class TestAccess:
    OTHERS = ("0.0.0.0", "::", "192.168.1.7", "nas.local")  # noqa: S104

    @pytest.mark.parametrize("host", OTHERS)
    def test_other_machines_are_not_served_by_mistake(self, ran: Ran, tmp_path: Path, host: str) -> None:
        words = invoke("--host", host, "--data", str(tmp_path), code=2)
        assert not ran.options
        assert "python run.py password" in words
        assert "--open" in words

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
    def test_this_machine_is_served_without_a_password(self, ran: Ran, tmp_path: Path, host: str) -> None:
        invoke("--host", host, "--data", str(tmp_path))
        assert ran.options["host"] == host

    def test_with_a_password_they_are_served(self, ran: Ran, tmp_path: Path) -> None:
        words = run_with_input("correct horse\n", "--data", str(tmp_path), "password")
        assert "asks for this password" in words
        invoke("--host", "0.0.0.0", "--data", str(tmp_path))  # noqa: S104
        assert ran.options["host"] == "0.0.0.0"  # noqa: S104

    def test_a_password_can_be_taken_away(self, ran: Ran, tmp_path: Path) -> None:
        run_with_input("correct horse\n", "--data", str(tmp_path), "password")
        invoke("--data", str(tmp_path), "password", "--remove")
        invoke("--host", "0.0.0.0", "--data", str(tmp_path), code=2)  # noqa: S104

    def test_a_short_password_is_refused_with_a_reason(self, ran: Ran, tmp_path: Path) -> None:
        assert "at least 8" in run_with_input("short\n", "--data", str(tmp_path), "password", code=1)

    def test_keys_are_made_listed_and_revoked(self, ran: Ran, tmp_path: Path) -> None:
        data = ("--data", str(tmp_path))
        key = invoke(*data, "keys", "add", "backup", "--scope", "write")
        assert key.startswith("glimpse_")
        assert "backup" in (listed := invoke(*data, "keys", "list"))
        assert "write" in listed
        assert key not in listed
        assert "already" in invoke(*data, "keys", "add", "backup", code=1)
        invoke(*data, "keys", "revoke", "backup")
        assert invoke(*data, "keys", "list") == ""
        assert "no key backup" in invoke(*data, "keys", "revoke", "backup", code=1)
        # Nothing looks as if a server ran here: `restore` would refuse.
        assert [path.name for path in (tmp_path / "index").glob("catalog*")] == ["catalog.sqlite3"]


class TestImport:
    def test_an_interruption_that_comes_with_a_transaction_ends_it_first(
        self, ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`KeyboardInterrupt` at this place would leave the transaction open, and what was imported unremembered."""
        data = ("--data", str(tmp_path / "data"))
        (tmp_path / "disk").mkdir()
        for colour in ("red", "green", "blue"):
            (tmp_path / "disk" / f"{colour}.jpg").write_bytes(picture(colour))
        original, adding = Database.writing, Images.add

        @contextmanager
        def interrupted(database: Database) -> Iterator[Connection]:
            with original(database) as connection:
                os.kill(os.getpid(), signal.SIGINT)
                yield connection

        def add(*arguments: Any) -> Any:
            with monkeypatch.context() as patching:
                patching.setattr(Database, "writing", interrupted)
                return adding(*arguments)

        with monkeypatch.context() as patching:
            patching.setattr(Images, "add", add)
            told = invoke(*data, "import", str(tmp_path / "disk"), code=1)
        assert "1 added. Interrupted. The same command goes on from here." in told
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert "2 added, 1 imported before." in invoke(*data, "import", str(tmp_path / "disk"))

    def test_a_disk_that_is_full_ends_it_with_the_report_of_what_came_in(
        self, ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = ("--data", str(tmp_path / "data"))
        (tmp_path / "disk").mkdir()
        for colour in ("red", "green"):
            (tmp_path / "disk" / f"{colour}.jpg").write_bytes(picture(colour))
        write = Incoming.write

        def until_full(incoming: Incoming, data: bytes) -> None:
            if list((tmp_path / "data" / "images").glob("??/*.jpeg")):
                raise OSError(errno.ENOSPC, "No space left on device")
            write(incoming, data)

        with monkeypatch.context() as patching:
            patching.setattr(Incoming, "write", until_full)
            told = invoke(*data, "import", str(tmp_path / "disk"), code=1)
        assert "1 added. The library's disk is full" in told
        assert "green.jpg" in (tmp_path / "data" / "index" / "last-import.tsv").read_text()
        assert "1 added, 1 imported before." in invoke(*data, "import", str(tmp_path / "disk"))

    def test_a_second_interruption_is_not_waited_for(self) -> None:
        with until_interrupted() as interrupted:
            assert not interrupted.is_set()
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupted.is_set()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # a second one: the system ends the process
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_name_for_the_gallery_lets_others_in_as_an_address_does(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy on this machine passes on what comes from everywhere."""
    monkeypatch.setenv("GLIMPSE_HOSTS", "photos.example.org")
    assert "Being reached as photos.example.org lets other machines in, and no password is set" in invoke(code=2)
    assert "app" not in ran.options
    invoke("--open")
    assert ran.options["app"]


class TestALibraryThatIsNotThere:
    @pytest.mark.parametrize(
        "command",
        [
            ("doctor", "--fix"), ("backup", "elsewhere"), ("export",), ("search", "red"), ("status",), ("prune",),
            ("keys", "list"), ("keys", "revoke", "a"), ("password", "--remove"),
            ("models",), ("models", "compare", "red"), ("models", "rollback"), ("reindex",),
        ],
    )  # fmt: skip
    def test_is_not_made_to_find_that_all_is_well(self, ran: Ran, tmp_path: Path, command: tuple[str, ...]) -> None:
        told = invoke("--data", str(tmp_path / "wrong"), *command, code=1)
        assert "There is no library in" in told
        assert not (tmp_path / "wrong" / "index").exists()

    def test_is_named_where_a_password_is_set_before_the_first_start(self, ran: Ran, tmp_path: Path) -> None:
        told = CliRunner().invoke(cli, ["--data", str(tmp_path / "new"), "password"], input="correct horse\n")
        assert f"The gallery in {tmp_path / 'new'} asks for this password" in told.output

    def test_whose_pictures_are_all_gone_is_not_served(self, ran: Ran, tmp_path: Path) -> None:
        """Their disk is not mounted: what came in now would vanish behind it."""
        data = ("--data", str(tmp_path / "data"))
        (tmp_path / "red.jpg").write_bytes(picture("red"))
        invoke(*data, "import", str(tmp_path / "red.jpg"))
        invoke(*data)
        assert ran.options.pop("app")
        (tmp_path / "data" / "images").rename(tmp_path / "unmounted")
        for command in ((), ("worker",)):
            assert "not one file of them lies in" in invoke(*data, *command, code=1)
        assert "app" not in ran.options
        invoke(*data, "import", str(tmp_path / "unmounted"))
        invoke(*data)
        assert ran.options["app"]


class TestCare:
    def test_the_doctor_ends_with_1_until_what_is_wrong_is_put_right(self, ran: Ran, tmp_path: Path) -> None:
        data = ("--data", str(tmp_path))
        begin_library(tmp_path)
        assert "All is well." in invoke(*data, "doctor")
        Folder(tmp_path / "images").save_thumbnail("0" * 32, 256, b"webp")
        assert "Put right with --fix." in (words := invoke(*data, "doctor", code=1))
        assert "1 thing to see to." in words
        assert "Put right." in invoke(*data, "doctor", "--fix")
        assert "All is well." in invoke(*data, "doctor", "--deep")

    def test_a_backup_is_made_and_brought_back(self, ran: Ran, tmp_path: Path) -> None:
        here, there = ("--data", str(tmp_path / "here")), ("--data", str(tmp_path / "there"))
        (tmp_path / "here" / "images").mkdir(parents=True)
        (tmp_path / "here" / "images" / "red.jpg").write_bytes(picture("red"))
        os.utime(tmp_path / "here" / "images" / "red.jpg", (0, 0))
        invoke(*here, "doctor", "--fix")
        assert "1 picture in the backup, 1 new." in invoke(*here, "backup", str(tmp_path / "backup"))
        assert "0 new" in invoke(*here, "backup", str(tmp_path / "backup"))
        assert "1 picture back" in invoke(*there, "restore", str(tmp_path / "backup"))
        assert "already" in invoke(*there, "restore", str(tmp_path / "backup"), code=1)
        invoke(*here, "backup", str(tmp_path / "here"), code=2)
        assert "is no backup" in invoke(*there, "restore", str(tmp_path), code=1)

    def test_what_a_killed_server_left_beside_a_backup_is_cleared_up_as_told(self, ran: Ran, tmp_path: Path) -> None:
        here, backup = ("--data", str(tmp_path / "here")), tmp_path / "backup"
        there = ("--data", str(tmp_path / "there"))
        begin_library(tmp_path / "here")
        invoke(*here, "backup", str(backup))
        for folder in ("backup", "there"):
            (tmp_path / folder / "index").mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / "index" / "catalog.sqlite3-wal").touch()
            refused = invoke(*there, "restore", str(backup), code=1)
            assert f"`python run.py --data {tmp_path / folder} doctor`" in " ".join(refused.split())
            invoke("--data", str(tmp_path / folder), "doctor")
        assert "0 pictures back" in invoke(*there, "restore", str(backup))

    def test_pictures_are_not_moved_to_where_they_are(self, ran: Ran, tmp_path: Path) -> None:
        here = ("--data", str(tmp_path / "here"))
        begin_library(tmp_path / "here")
        invoke(*here, "doctor")
        (tmp_path / "link").symlink_to(tmp_path / "here" / "images")
        told = invoke(*here, "migrate", "--storage", str(tmp_path / "link"), code=1)
        assert "The pictures are there already" in told


def run_with_input(text: str, *arguments: str, code: int = 0) -> str:
    """What the command says when ``text`` comes through a pipe."""
    result = CliRunner().invoke(cli, arguments, input=text, env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())
