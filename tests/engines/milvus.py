"""A real Milvus for tests: the server that the package `milvus` carries, from a virtual environment of its own.

Its packages are too old to live beside ours: python3 -m venv .venv-milvus && .venv-milvus/bin/pip install
milvus==2.3.5 'setuptools<81'. `GLIMPSE_TEST_MILVUS` names its `milvus-server` where it lies elsewhere.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from app.config import PROJECT
from tests.ports import free_ports, is_free

PARTS = ("proxy", "rootCoord", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode")
PORTS = (
    "proxy", "etcd", "root-coord", "query-coord", "query-node", "index-node", "data-coord", "data-node",
    "proxy-internal",
)  # fmt: skip
PEER_PORT = 2380
"""Of its etcd; there is no setting for it, so that one Milvus of this kind runs on a machine at a time."""
SECONDS = 120.0
EXACT = (
    "indexCoord.segment.minSegmentNumRowsToEnableIndex=100000",
    "queryNode.segcore.interimIndex.enableIndex=false",
)
"""Settings of a server that compares each vector. Else, some seconds after the last write, a graph takes over, or where
there is none an interim index (https://milvus.io/docs/configure_querynode.md): both miss one in some hundred."""


def program() -> Path:
    """Where `milvus-server` lies, or would."""
    return Path(os.environ.get("GLIMPSE_TEST_MILVUS") or PROJECT / ".venv-milvus" / "bin" / "milvus-server")


class MilvusServer:
    """One server with a folder of its own in the temporary folder. Its parts find each other on the loopback.

    It is as the package makes it, but for ``settings`` (``name=value`` of its configuration file).
    """

    def __init__(self, program: Path, settings: Sequence[str] = ()) -> None:
        self._program = program
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="glimpse-milvus-"))
        self._ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"milvus://127.0.0.1:{self._ports['proxy']}"

    @property
    def runs(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Returns when it takes requests."""
        for port in (*self._ports.values(), PEER_PORT):
            _wait_until_free(port)
        command = [str(self._program), "--data", str(self._folder)]
        for name, port in self._ports.items():
            command += [f"--{name}-port", str(port)]
        for part in PARTS:
            command += ["--extra-config", f"{part}.ip=127.0.0.1"]
        for setting in self._settings:
            command += ["--extra-config", setting]
        with (self._folder / "said").open("ab") as said:
            # A group of its own: the program starts another one, and both are ended together.
            self._process = subprocess.Popen(
                command, stdout=said, stderr=said, env=os.environ | {"PYTHONUNBUFFERED": "1"}, start_new_session=True
            )
        end = time.monotonic() + SECONDS
        while "Process:" not in self._said():
            assert self._process.poll() is None, f"Milvus ended: {self._said()}"
            assert time.monotonic() < end, f"Milvus did not start: {self._said()}"
            time.sleep(0.1)

    def stop(self) -> None:
        """As if somebody had pulled the plug; what was acknowledged is in its folder. (Told to end, it may hang.)

        The next start waits for the ends of leases that its parts had: some 50 seconds.
        """
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            (self._folder / "said").unlink()

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self._folder)

    def _said(self) -> str:
        return (self._folder / "said").read_text("utf-8", "replace")


def _wait_until_free(port: int) -> None:
    """The program silently takes the next port where this one can't be bound, as for a minute after a kill."""
    end = time.monotonic() + SECONDS
    while not is_free(port):
        assert time.monotonic() < end, f"port {port} does not become free"
        time.sleep(0.5)
