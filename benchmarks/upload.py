"""Uploads of 3 MB files over the API, beside `cp` and `md5sum` of the same files.

Both end on disk: each upload is answered when file and row are, and `cp` is followed by `sync` of what it wrote.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import Table
from benchmarks.server import Server, cpu_seconds
from benchmarks.start import photo, upload

SIZE = 3_000_000
AT_ONCE = 10
"""Files in one request."""


def run(arguments: argparse.Namespace) -> Iterator[Table]:
    count = 60 if arguments.quick else 1000
    with tempfile.TemporaryDirectory(prefix="glimpse-benchmark-") as name:
        folder = Path(name)
        files = _files(folder / "files", count)
        copying, uploading = [], []
        with Server(folder / "data", model="/no/model", worker=False) as server:
            server.wait_for("/")
            time.sleep(1)
            idle, children = cpu_seconds(server.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
            before = children.ru_utime + children.ru_stime
            parts = [files[start : start + AT_ONCE] for start in range(0, count, AT_ONCE)]
            for number, part in enumerate(parts):  # taking turns, as everywhere here
                copying.append(_copy(part, folder / f"copy-{number}"))
                uploading.append(_upload(server, part))
            computed = cpu_seconds(server.pid) - idle
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
        megabytes = count * SIZE / 1e6
        copied, uploaded = sum(copying), sum(uploading)
        rows = (
            ("cp, sync and md5sum", copied, children.ru_utime + children.ru_stime - before, megabytes / copied, 1.0),
            ("upload", uploaded, computed, megabytes / uploaded, copied / uploaded),
        )
        columns = ("how", "seconds", "computed", "MB a second", "of cp and md5sum")
        yield Table(f"{count:,} files of 3 MB, {AT_ONCE} in a request", columns, rows)


def _files(folder: Path, count: int) -> list[Path]:
    """Pictures that differ in the bytes behind their end, which decoders don't read."""
    folder.mkdir()
    picture, rng = photo(0)[: SIZE - 1000], np.random.default_rng(0)
    files = [folder / f"{number}.jpg" for number in range(count)]
    for file in files:
        file.write_bytes(picture + rng.bytes(SIZE - len(picture)))
    return files


def _copy(files: list[Path], to: Path) -> float:
    to.mkdir()
    began = time.perf_counter()
    copies = [str(to / file.name) for file in files]
    subprocess.run([_tool("cp"), *map(str, files), str(to)], check=True)  # noqa: S603
    subprocess.run([_tool("sync"), *copies], check=True)  # noqa: S603
    subprocess.run([_tool("md5sum"), *copies], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    seconds = time.perf_counter() - began
    shutil.rmtree(to)
    return seconds


def _upload(server: Server, files: list[Path]) -> float:
    began = time.perf_counter()
    upload(server, *((file.name, file.read_bytes()) for file in files))
    return time.perf_counter() - began


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not on this machine")
    return found
