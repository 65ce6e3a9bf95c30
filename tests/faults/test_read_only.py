"""A folder that can't be written to: a server says so at its start; one that runs goes on showing what there is."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from app.catalog import sqlite
from app.catalog.sqlite import _begin
from app.config import Settings
from tests.conftest import running
from tests.faults.disks import Disk
from tests.flows.processes import NO_MODEL, PROJECT, clean_environment
from tests.pictures import picture
from tests.ports import free_port
from tests.web.html import page

RED, BLUE = ("red.jpg", picture("red")), ("blue.jpg", picture("blue"))


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """While it is set nothing can be written any more: as when a kernel finds a disk to fail. (No file system with open
    files is made read-only from outside, so this is one step above: files, and SQLite's own refusal.)
    """
    failed = threading.Event()

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA query_only = {failed.is_set():d}")
        _begin(connection)

    def mkstemp(**options: Any) -> Any:
        if failed.is_set():
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return make(**options)

    make = tempfile.mkstemp
    monkeypatch.setattr(sqlite, "_begin", begin)
    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    return failed


@pytest.mark.usefixtures("impatient")
def test_a_disk_that_becomes_read_only_is_still_shown_and_searched(
    read_only: threading.Event, settings: Settings
) -> None:
    with running(settings) as glimpse:
        glimpse.upload(RED)
        glimpse.work()
        read_only.set()
        assert page(glimpse.client.get("/")).tiles == [1]
        assert glimpse.search("red") == ["red.jpg"]
        [refused] = glimpse.upload(BLUE)
        assert (refused["outcome"], "Its log says why" in str(refused["reason"])) == ("rejected", True)
        answer = glimpse.client.delete("/api/v1/images/1")
        assert (answer.status_code, "read-only" in answer.text) == (503, True)
        read_only.clear()
        assert glimpse.upload(BLUE)[0]["outcome"] == "added"
        glimpse.work()
        assert sorted(glimpse.search("red")) == ["blue.jpg", "red.jpg"]
        assert glimpse.client.delete("/api/v1/images/1").status_code == 204


def start(data: Path) -> subprocess.CompletedProcess[str]:
    """A server that ends by itself."""
    return subprocess.run(
        [sys.executable, "run.py", "--port", str(free_port()), "--data", str(data), "--model", NO_MODEL],
        cwd=PROJECT,
        env=clean_environment(Path("/nowhere")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_told(ended: subprocess.CompletedProcess[str], data: Path) -> None:
    assert ended.returncode == 2
    assert str(data) in ended.stderr
    assert "GLIMPSE_DATA" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_server_does_not_start_on_a_folder_it_can_not_make(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_told(start(tmp_path / "file" / "data"), tmp_path / "file" / "data")


@pytest.mark.parametrize("there", [True, False], ids=["a library", "nothing yet"])
def test_a_server_does_not_start_on_a_disk_that_is_read_only(disk: Disk, there: bool) -> None:
    settings = Settings(_env_file=None, data=disk.path / "data", worker=False, model="colours")
    if there:
        with running(settings) as glimpse:
            glimpse.upload(RED)
    with disk.read_only():
        assert_told(start(settings.data), settings.data)
