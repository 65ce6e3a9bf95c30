"""Real servers for tests: started as a person starts them, ended as computers end them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2

from tests.conftest import wait_for
from tests.ports import free_port

PROJECT = Path(__file__).resolve().parents[2]
NO_MODEL = "/there/is/no/such/model"
"""A folder that is not there: the gallery prepares and shows pictures, and no process loads a model."""


class Server:
    """`python run.py` in a session of its own, so that whatever it leaves behind can be found."""

    def __init__(self, data: Path, *options: str, model: str = NO_MODEL, **environment: str) -> None:
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        self.port = free_port()
        self._options = ("--port", str(self.port), "--data", str(data), "--model", model, *options)
        self._environment = clean_environment(data.parent) | environment
        self._sessions: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def start(self) -> Server:
        """Start, and wait for the first answer."""
        self.launch()
        wait_for(self.answers)
        return self

    def launch(self) -> None:
        """Start without waiting for anything."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "run.py", *self._options],
                cwd=PROJECT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._sessions.append(self._process.pid)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.client.get("/healthz").status_code == 200
        except httpx2.TransportError:
            return False

    def run(self, *arguments: str, text: str | None = None) -> str:
        """What a command says on standard output, on the same library and with the same settings."""
        command = [sys.executable, "run.py", *self._options, *arguments]
        ended = subprocess.run(
            command, cwd=PROJECT, env=self._environment, capture_output=True, text=True, timeout=120, input=text
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.get("/api/v1/status")["images"]
        return counts

    def processes(self, *words: str) -> list[int]:
        """What lives of all that was ever started here and has ``words`` in its command line."""
        return [pid for pid, line in living(self._sessions) if all(word in line for word in words)]

    def workers(self) -> list[int]:
        return self.processes("run.py worker")

    def kill(self) -> None:
        """kill -9, the server alone."""
        self.process.kill()
        self.process.wait(30)

    def kill_everything(self) -> None:
        """kill -9 of all that was ever started here, as when the machine goes down."""
        while pids := self.processes():  # again: one may just have been started
            for pid in pids:
                kill(pid)
        self.process.wait(30)

    def interrupt(self) -> int:
        """Ctrl-C, which reaches every process of the terminal. The exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(40)

    def terminate(self) -> int:
        """What systemd and Docker send. The exit code."""
        self.process.terminate()
        return self.process.wait(40)

    def close(self) -> None:
        """Nothing that was started here outlives the test."""
        self.client.close()
        if self._process is not None:
            self.kill_everything()


def kill(pid: int) -> None:
    """kill -9, unless it has ended by itself."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def living(sessions: list[int]) -> list[tuple[int, str]]:
    """Process id and command line of what runs in these sessions; what has only not been waited for is dead."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _parent, _group, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(session) in sessions and state not in "ZX":
            found.append((int(folder.name), line))
    return found


def clean_environment(home: Path) -> dict[str, str]:
    """The environment without anybody's settings, cached models or network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GLIMPSE_", "COVERAGE"))}
    return kept | {"HF_HOME": str(home / "huggingface"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
