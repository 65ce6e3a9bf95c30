"""A real object store for tests: moto's S3 in a process of its own, behind a door that can be shut."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import httpx2

from tests.ports import free_port

START_SECONDS = 60.0
KEY, SECRET = "AKIAGLIMPSETESTS", "a-secret-that-must-not-be-seen"


def environment() -> dict[str, str]:
    """What a process that speaks to the server has to be told."""
    return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}


class ObjectServer:
    """``endpoint`` leads through a door that can be shut; the objects stay meanwhile."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._numbers = count(1)
        self._server_port = free_port()
        self._door = _Door(self._server_port)
        self.endpoint = f"http://127.0.0.1:{self._door.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx2.Client(base_url=f"http://127.0.0.1:{self._server_port}", timeout=30, trust_env=False)

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._server_port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            return self._client.get("/moto-api/").status_code == 200
        except httpx2.TransportError:
            return False

    def new_bucket(self) -> str:
        """Its name."""
        name = f"pictures-{next(self._numbers)}"
        self._client.put(f"/{name}").raise_for_status()
        return name

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Nobody gets in meanwhile, and who is in is thrown out."""
        self._door.shut()
        try:
            yield
        finally:
            self._door.open()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It takes connections meanwhile, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self._door.shut()
        self._client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)


class _Door:
    """Passes connections on to a port of this machine."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.port = free_port()
        self._listening: socket.socket | None = None
        self._inside: set[socket.socket] = set()
        self.open()

    def open(self) -> None:
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._let_in, args=(self._listening,), daemon=True).start()

    def shut(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        for inside in tuple(self._inside):
            with suppress(OSError):
                inside.shutdown(socket.SHUT_RDWR)

    def _let_in(self, listening: socket.socket) -> None:
        while True:
            try:
                visitor, _ = listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            self._inside |= {visitor, server}
            for one, other in ((visitor, server), (server, visitor)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            self._inside.discard(end)
        one.close()
