"""A server as a person starts it, with its memory and answers to look at."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from app.config import PROJECT


class Server:
    """`python run.py` on ``data`` as a context manager. ``settings``: each is ``GLIMPSE_<NAME>``.

    ``limited=False``: without the rates of one address, which a benchmark asking from there would only measure.
    """

    def __init__(self, data: Path, limited: bool = False, **settings: object) -> None:
        self.data = data
        self.port = _free_port()
        if not limited:
            settings = {"request_rate": "", "search_rate": "", "picture_rate": ""} | settings
        self._command = [sys.executable, "run.py"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GLIMPSE_")}
        given = {"data": data, "port": self.port, "log_level": "warning"} | settings
        self._environment = environment | {f"GLIMPSE_{name.upper()}": str(value) for name, value in given.items()}
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Server:
        self.began = time.perf_counter()
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            self._command, cwd=PROJECT, env=self._environment, stdin=subprocess.DEVNULL
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection:
            self._connection.close()
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_for(self, path: str, seconds: float = 120.0) -> float:
        """Seconds from the start of the process until ``path`` was answered with 200."""
        while time.perf_counter() < self.began + seconds:
            if self._process.poll() is not None:
                raise RuntimeError("the server ended; its messages are above")
            try:
                if self.ask(path)[0] == 200:
                    return time.perf_counter() - self.began
            except OSError:
                pass
            time.sleep(0.01)
        raise TimeoutError(f"no answer to {path} within {seconds:g} seconds")

    def wait_until_ready(self) -> float:
        """Seconds from the start of the process until a query can be answered."""
        return self.wait_for("/readyz")

    def get(self, path: str) -> bytes:
        """The body. Raises where it is not 200."""
        status, body = self.ask(path)
        if status != 200:
            raise RuntimeError(f"{path} was answered {status}: {body[:200]!r}")
        return body

    def ask(self, path: str) -> tuple[int, bytes]:
        """Status and body, over one connection that is kept."""
        if self._connection is None or time.perf_counter() - self._asked > 4:  # the server closes idle ones after 5
            self._connection = self.connect()
        self._asked = time.perf_counter()
        try:
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._connection = None
            raise OSError(str(error)) from error

    def connect(self) -> http.client.HTTPConnection:
        """Another connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def images(self) -> dict[str, int]:
        """How many pictures are in which state."""
        counted: dict[str, int] = json.loads(self.get("/api/v1/status"))["images"]
        return counted

    @property
    def pid(self) -> int:
        return self._process.pid

    def children(self) -> list[int]:
        """The worker, and what it has started."""
        return _descendants(self.pid)


class BareServer(Server):
    """`benchmarks.bare`, as a baseline."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        options = ["--port", str(self.port), "--log-level", "warning", "--no-access-log"]
        self._command = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", *options]


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, all threads (`/proc/<pid>/stat`, man 5 proc)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(pid: int) -> tuple[float, float]:
    """Resident memory of a process now and at its highest, in MB (`/proc/<pid>/status`, man 5 proc)."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(lines[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _descendants(pid: int) -> list[int]:
    children = []
    with suppress(FileNotFoundError, ProcessLookupError):  # the process has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():  # a child belongs to the thread that started it
            with suppress(FileNotFoundError, ProcessLookupError):
                children += [int(child) for child in (task / "children").read_text().split()]
    return children + [found for child in children for found in _descendants(child)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
