"""16 clients searching at once for a minute, beside an empty FastAPI page under the same load; search while indexing.

Every client asks over a connection of its own, one request after the other, without a pause. Texts come from a list
that is asked round and round, as people's do: most vectors are known after the first round. The clients run in
processes of their own and share the machine with the server, which a baseline under the same clients makes up for.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.config import STARTER_MODEL
from app.vectors.encoder import load_encoder
from benchmarks.measure import Table, percentiles
from benchmarks.server import BareServer, Server
from benchmarks.start import photo, upload
from benchmarks.synthetic import WORDS, fill, unit_vectors

CLIENTS = 16
PROCESSES = 4
PAGE = 24
AT_ONCE = 15
"""Photos in one upload."""
PATHS = [f"/search?q={one}+and+{other}" for one in WORDS for other in WORDS if one != other]


@dataclass(frozen=True, slots=True)
class Answers:
    """Seconds of each request that was answered well, and how many were not."""

    seconds: list[float]
    errors: int


def run(arguments: argparse.Namespace) -> Iterator[Table]:
    pictures, lasting = (20_000, 10.0) if arguments.quick else (100_000, 60.0)
    space = load_encoder(str(STARTER_MODEL), STARTER_MODEL).space
    with tempfile.TemporaryDirectory(prefix="glimpse-benchmark-") as name:
        folder = Path(name)
        fill(folder / "index", unit_vectors(pictures, space.dimension), space).close()
        rows = []
        with BareServer(folder) as bare:
            bare.wait_for("/")
            rows.append(_row("empty FastAPI page", ask_together(bare.port, ["/"], CLIENTS, lasting / 2), lasting / 2))
        with Server(folder, model=STARTER_MODEL, page_size=PAGE) as server:
            server.wait_until_ready()
            for title, paths in {"/search": PATHS, "gallery": ["/"], "API search": _api()}.items():
                part = lasting if title == "/search" else lasting / 4
                rows.append(_row(title, ask_together(server.port, paths, CLIENTS, part), part))
            columns = ("asked for", "a second", "p50 ms", "p95 ms", "p99 ms", "errors")
            yield Table(f"{CLIENTS} clients at once, {pictures:,} pictures", columns, tuple(rows))
            yield _while_indexing(server, 240 if arguments.quick else 900, lasting / 2)


def _api() -> list[str]:
    return [path.replace("/search", "/api/v1/search") + f"&limit={PAGE}" for path in PATHS]


def _row(title: str, answers: Answers, lasted: float) -> tuple[str | float, ...]:
    return (title, len(answers.seconds) / lasted, *percentiles(answers.seconds), float(answers.errors))


def _while_indexing(server: Server, imported: int, lasting: float) -> Table:
    """One client, before and during the indexing of 12-megapixel pictures, of which there are more than enough."""
    idle = ask_together(server.port, PATHS, 1, lasting / 2)
    photos = [photo(number) for number in range(AT_ONCE)]
    for start in range(0, imported, AT_ONCE):  # bytes behind its end make a picture another file
        upload(server, *((f"{start + n}.jpg", data + b"%d" % start) for n, data in enumerate(photos)))
    before = server.images()
    busy = ask_together(server.port, PATHS, 1, lasting)
    after = server.images()
    worked = after["indexed"] - before["indexed"]
    rows = (_row("idle", idle, lasting / 2), _row("while indexing", busy, lasting))
    ratio = percentiles(busy.seconds)[1] / percentiles(idle.seconds)[1]
    columns = ("worker", "a second", "p50 ms", "p95 ms", "p99 ms", "errors")
    left = after["pending"] + after["prepared"]
    note = f"p95 while indexing is {ratio:.2f} × idle; {worked} pictures were indexed meanwhile, {left} were left"
    return Table("/search by one client, known texts", columns, rows, note)


def ask_together(port: int, paths: list[str], clients: int, lasting: float) -> Answers:
    """Ask for ``paths`` in turn, from ``clients`` connections at once, for ``lasting`` seconds."""
    processes = min(PROCESSES, clients)
    work = [(port, paths[n::processes] or paths, clients // processes, lasting) for n in range(processes)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        answers = pool.starmap(_ask, work)
    return Answers([second for part in answers for second in part.seconds], sum(part.errors for part in answers))


def _ask(port: int, paths: list[str], clients: int, lasting: float) -> Answers:
    """Several connections in one thread: a request goes out on each before the first answer is read."""
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(clients)]
    began: list[float] = [0.0] * clients
    seconds: list[float] = []
    errors = asked = 0
    end = time.perf_counter() + lasting
    for n, connection in enumerate(connections):
        began[n], asked = time.perf_counter(), asked + 1
        connection.request("GET", paths[asked % len(paths)])
    while time.perf_counter() < end:
        for n, connection in enumerate(connections):
            try:
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    seconds.append(time.perf_counter() - began[n])
                else:
                    errors += 1
            except (OSError, http.client.HTTPException):
                errors += 1
                connection.close()
            began[n], asked = time.perf_counter(), asked + 1
            connection.request("GET", paths[asked % len(paths)])
    for connection in connections:
        connection.close()
    return Answers(seconds, errors)
