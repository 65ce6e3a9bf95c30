"""A catalog that is no catalog any more is said to be damaged, with what to do, by whatever opens it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.config import Settings
from tests.conftest import running
from tests.flows.processes import NO_MODEL, PROJECT, clean_environment
from tests.pictures import picture
from tests.ports import free_port


@pytest.mark.parametrize("command", [[], ["doctor"], ["status"]], ids=["serve", "doctor", "status"])
def test_it_is_told_and_not_touched(settings: Settings, command: list[str]) -> None:
    with running(settings) as glimpse:
        glimpse.upload(("red.jpg", picture("red")))
    catalog = settings.index / "catalog.sqlite3"
    catalog.write_bytes(b"\xff" * 4096 + catalog.read_bytes()[4096:])
    before = catalog.read_bytes()
    ended = subprocess.run(
        [
            sys.executable,
            "run.py",
            "--port",
            str(free_port()),
            "--data",
            str(settings.data),
            "--model",
            NO_MODEL,
            *command,
        ],
        cwd=PROJECT,
        env=clean_environment(Path("/nowhere")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "The library's catalog is damaged. Stop the server, move the folder index" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert catalog.read_bytes() == before
