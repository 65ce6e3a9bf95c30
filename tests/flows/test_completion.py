"""`glimpse` from anywhere, and its commands completed by the shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.processes import PROJECT, clean_environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it is a shell script")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """`glimpse` is found by its name, through a link, and stands beside a `.venv`."""
    here, found = tmp_path / "my glimpse", tmp_path / "bin"
    here.mkdir()
    found.mkdir()
    (here / "glimpse").write_bytes((PROJECT / "glimpse").read_bytes())
    (here / "glimpse").chmod(0o755)
    (here / "run.py").symlink_to(PROJECT / "run.py")
    (here / ".venv").symlink_to(sys.prefix)
    (found / "glimpse").symlink_to(here / "glimpse")
    return clean_environment(tmp_path) | {"PATH": f"{found}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def bash(line: str, environment: dict[str, str], folder: Path) -> str:
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("imp", {"import"}), ("keys re", {"revoke"}), ("search --im", {"--image"}), ("re", {"reindex", "restore"})],
)
def test_bash_completes_what_was_begun(
    environment: dict[str, str], tmp_path: Path, typed: str, offered: set[str]
) -> None:
    """As bash does it: by the function that the script registers, with the words typed so far."""
    words = ["glimpse", *typed.split()]
    line = f"""
        eval "$(_GLIMPSE_COMPLETE=source_bash glimpse)"
        complete -p glimpse
        COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
        _glimpse_completion glimpse
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    registered, *found = bash(line, environment, tmp_path).splitlines()
    assert registered == "complete -o default -F _glimpse_completion glimpse"
    assert set(found) == offered


def test_it_says_its_own_name_and_is_in_git_as_a_program(environment: dict[str, str], tmp_path: Path) -> None:
    assert "Usage: glimpse" in bash("glimpse --help", environment | {"NO_COLOR": "1"}, tmp_path)
    assert os.access(PROJECT / "glimpse", os.X_OK)
