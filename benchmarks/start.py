"""Time from the start of the process to the first page and to the first search, and peak memory, at 100,000 pictures.

Beside it: the same for the least FastAPI application there can be (`benchmarks/bare.py`). *computed* is processor time
of the web process up to that moment: what the clock would show on a machine that has nothing else to do.

Memory is that of the web process, of its worker, and of the processes that decode, at their highest: idle, and after
searches and an import of 12-megapixel pictures. `BOUNDS` are what it must stay below with the bundled model, compiled.
"""

from __future__ import annotations

import argparse
import io
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from app.config import STARTER_MODEL
from app.library.compiling import compile_in_process
from app.models import EmbeddingSpace
from app.vectors.encoder import Compiled, load_encoder
from benchmarks.measure import Table
from benchmarks.server import BareServer, Server, command_line, cpu_seconds, peak_memory
from benchmarks.synthetic import fill, unit_vectors

BOUNDS = {"web": 450.0, "worker": 450.0, "decoding": 250.0}
"""MB of resident memory, each process."""
SEARCHING = ("/readyz", "/search?q=a+dog+on+grass")
SEARCHES = ("a dog on grass", "red car", "birthday cake", "mountains -snow", "taken:2023 beach", "type:png", "like:77")


def run(arguments: argparse.Namespace) -> Iterator[Table]:
    pictures, starts, imported = (20_000, 2, 4) if arguments.quick else (100_000, 5, 24)
    with tempfile.TemporaryDirectory(prefix="glimpse-benchmark-") as name:
        folder = Path(name)
        fill(folder / "index", unit_vectors(pictures, (space := _space()).dimension), space).close()
        _start(folder, BareServer(folder), ())  # byte code and files are in the caches now
        first = _start(folder, _server(folder), SEARCHING)
        # What the worker does while that one runs, once on a machine.
        compile_in_process(str(STARTER_MODEL), STARTER_MODEL, Compiled(folder / "index" / "compiled"), logging.WARNING)
        yield _starts(folder, pictures, starts, first)
        yield _memory(folder, pictures, imported)


def _space() -> EmbeddingSpace:
    return load_encoder(str(STARTER_MODEL), STARTER_MODEL).space


def _server(folder: Path, worker: bool = False) -> Server:
    return Server(folder, model=STARTER_MODEL, worker=worker)


Moments = list[tuple[float, float]]
"""Seconds since the start, and seconds computed by then."""


def _start(folder: Path, server: Server, then: tuple[str, ...]) -> Moments:
    with server:
        moments = [(server.wait_for("/"), cpu_seconds(server.pid))]
        for path in then:
            moments.append((server.wait_for(path), cpu_seconds(server.pid)))
    return moments


def _starts(folder: Path, pictures: int, starts: int, first: Moments) -> Table:
    ours = [_start(folder, _server(folder), SEARCHING) for _ in range(starts)]
    bare = [_start(folder, BareServer(folder), ()) for _ in range(starts)]
    rows = [
        ("bare FastAPI: first page", *_best(bare, 0)),
        ("first page", *_best(ours, 0)),
        ("ready", *_best(ours, 1)),
        ("first search", *_best(ours, 2)),
        ("very first start (no snapshot, the model not compiled yet): ready", *first[1]),
        ("… first search", *first[2]),
    ]
    return Table(f"Start with {pictures:,} pictures, best of {starts}", ("until", "seconds", "computed"), tuple(rows))


def _best(starts: list[Moments], moment: int) -> tuple[float, float]:
    return min(start[moment][0] for start in starts), min(start[moment][1] for start in starts)


def _memory(folder: Path, pictures: int, imported: int) -> Table:
    rows = []
    with _server(folder, worker=True) as server:
        server.wait_until_ready()
        time.sleep(8)  # the worker loads its model
        rows += _processes(server, "idle")
        for number in range(20):
            for query in SEARCHES:
                server.get(f"/search?q={query.replace(' ', '+')}+{number + 1}".replace("like:77+", "like:"))
            server.get("/")
        before = server.images()["indexed"]
        for number in range(imported):
            upload(server, (f"{number}.jpg", photo(number)))
        limit = time.monotonic() + 120
        while server.images()["indexed"] < before + imported and time.monotonic() < limit:
            time.sleep(0.2)
        rows += _processes(server, "busy")
    note = f"Bounds with the bundled model: {', '.join(f'{name} {bound:g} MB' for name, bound in BOUNDS.items())}"
    over = sorted({name for name, _doing, _now, peak in rows if peak > BOUNDS[name]})
    if over:
        note += f"; exceeded by {', '.join(over)}"
    return Table(
        f"Resident memory with {pictures:,} pictures", ("process", "doing", "MB now", "MB peak"), tuple(rows), note
    )


def _processes(server: Server, doing: str) -> list[tuple[str, str, float, float]]:
    rows = [("web", doing, *peak_memory(server.pid))]
    for child in server.children():
        line = command_line(child)
        if "resource_tracker" not in line:
            rows.append(("worker" if "worker" in line else "decoding", doing, *peak_memory(child)))
    return rows


def photo(number: int) -> bytes:
    """12 megapixels with some detail, as a camera writes them."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 255, (300, 400, 3), np.uint8))
    file = io.BytesIO()
    coarse.resize((4000, 3000), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def upload(server: Server, *files: tuple[str, bytes]) -> None:
    """Send files, as name and content, in one request."""
    border = "glimpse-benchmark-border"
    parts = []
    for name, data in files:
        head = f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        parts += [head.encode(), data, b"\r\n"]
    body = b"".join([*parts, f"--{border}--\r\n".encode()])
    connection = server.connect()
    headers = {"Content-Type": f"multipart/form-data; boundary={border}"}
    connection.request("POST", "/api/v1/images", body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 200 or content.count(b'"added"') != len(files):
        raise RuntimeError(f"upload was answered {answer.status}: {content[:200]!r}")
