"""50 browse, 10 search and 4 upload 2,000 pictures for five minutes: errors, memory, and an audit at the end.

Every client has an address of its own (127.0.x.y), so that the limits of one address (README.md, *Settings*) are as
they are for people; what they refuse is counted apart from errors. Clients pause as people do: a page every second or
two. They run in processes of their own and share the machine with the server.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import random
import re
import struct
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from app.config import STARTER_MODEL, Settings
from app.main import create_doctor
from benchmarks.measure import Table, percentiles
from benchmarks.server import Server, command_line, peak_memory
from benchmarks.start import photo
from benchmarks.synthetic import WORDS

CLIENTS = {"browse": 50, "search": 10, "upload": 4}
PAUSE = 1.5
"""Seconds between two pages of one client, on average."""
PREVIEWS = 8
"""Asked for with each page: the others of it are in a browser's cache."""
WARM = 0.4
"""Share of the time after which memory is to be flat."""
EVERY = 0.5
"""Seconds between two looks at the memory."""
REFUSALS = (408, 413, 429)
BORDER = "glimpse-siege"


@dataclass
class Tally:
    """What became of the requests of one kind of client."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    """0: no answer."""
    added: int = 0

    def row(self, title: str, clients: int, lasted: float) -> tuple[str | float, ...]:
        refused = sum(self.statuses[status] for status in REFUSALS)
        errors = sum(self.statuses.values()) - self.statuses[200] - refused
        rate = len(self.seconds) / lasted
        return (title, clients, len(self.seconds), rate, *percentiles(self.seconds), refused, errors)


class Client:
    """One person: an address, a connection that is kept, and a stop-watch."""

    def __init__(self, port: int, number: int, tally: Tally) -> None:
        self._port = port
        self._address = (f"127.0.{1 + number // 200}.{1 + number % 200}", 0)
        self._tally = tally
        self._connection: http.client.HTTPConnection | None = None
        self.random = random.Random(number)

    def ask(self, path: str, body: bytes | None = None) -> str:
        """The text of a good answer; nothing where it was refused or did not come."""
        began = time.perf_counter()
        status, content, wait = self._ask(path, body)
        self._tally.seconds.append(time.perf_counter() - began)
        self._tally.statuses[status] += 1
        if status in REFUSALS:
            time.sleep(wait)
        return content.decode("utf-8", "replace") if status == 200 else ""

    def _ask(self, path: str, body: bytes | None) -> tuple[int, bytes, float]:
        headers = {"Content-Type": f"multipart/form-data; boundary={BORDER}"} if body else {}
        for fresh in (self._connection is None, True):  # one that was kept may just have been closed
            if fresh:
                self._connection = http.client.HTTPConnection(
                    "127.0.0.1", self._port, timeout=60, source_address=self._address
                )
            connection = self._connection
            assert connection is not None  # noqa: S101
            try:
                connection.request("POST" if body else "GET", path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read(), float(answer.getheader("Retry-After") or 0)
            except (OSError, http.client.HTTPException):
                connection.close()
                self._connection = None
                if fresh:
                    break
        return 0, b"", 0.0

    def look(self, page: str) -> None:
        """Some of a page's previews."""
        for path in re.findall(r'src="(/thumbs/[^"]+)"', page)[:PREVIEWS]:
            self.ask(path)

    def pause(self) -> None:
        time.sleep(min(self.random.expovariate(1 / PAUSE), 4))


def run(arguments: argparse.Namespace) -> Iterator[Table]:
    pictures, lasting = (60, 15.0) if arguments.quick else (2000, 300.0)
    with tempfile.TemporaryDirectory(prefix="glimpse-benchmark-") as name:
        data = Path(name)
        with Server(data, limited=True, model=STARTER_MODEL) as server:
            server.wait_until_ready()
            with ProcessPoolExecutor(len(CLIENTS), multiprocessing.get_context("spawn")) as processes:
                futures = {kind: processes.submit(besiege, kind, server.port, lasting, pictures) for kind in CLIENTS}
                memory = _watch_memory(server, list(futures.values()))
                tallies = {kind: future.result() for kind, future in futures.items()}
            rows = [tally.row(kind, CLIENTS[kind], lasting) for kind, tally in tallies.items()]
            columns = ("who", "clients", "requests", "a second", "p50 ms", "p95 ms", "p99 ms", "refused", "errors")
            statuses = sum((tally.statuses for tally in tallies.values()), Counter())
            told = ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))
            yield Table(f"A siege of {lasting:g} seconds", columns, tuple(rows), f"answers by status: {told}")
            yield _memory_table(memory)
            _wait_for_worker(server, 60 if arguments.quick else 900)
            counts = server.images()
        yield _audit(data, tallies["upload"].added, counts)


def besiege(kind: str, port: int, lasting: float, pictures: int) -> Tally:
    """All clients of one kind, in threads of this process."""
    clients, first = CLIENTS[kind], 100 * list(CLIENTS).index(kind)
    end, parts = time.monotonic() + lasting, [Tally() for _ in range(clients)]
    works: dict[str, Callable[[Client, int], None]] = {
        "browse": lambda client, _number: _browse(client, end),
        "search": lambda client, _number: _search(client, end),
        "upload": lambda client, number: _upload(client, range(number, pictures, clients), end),
    }
    threads = [
        threading.Thread(target=works[kind], args=(Client(port, first + number, part), number))
        for number, part in enumerate(parts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = Tally(added=sum(part.added for part in parts))
    for part in parts:
        whole.seconds += part.seconds
        whole.statuses += part.statuses
    return whole


def _browse(client: Client, end: float) -> None:
    """The gallery, a picture of it, the next pages."""
    path = "/"
    while time.monotonic() < end:
        page = client.ask(path)
        client.look(page)
        client.pause()
        shown = re.findall(r'href="(/images/\d+[^"]*)"', page)
        if shown and time.monotonic() < end:
            client.ask(client.random.choice(shown).replace("&amp;", "&"))
            client.pause()
        older = re.search(r'rel="next"[^>]*href="([^"]+)"|href="([^"]+)"[^>]*rel="next"', page)
        path = (older[1] or older[2]).replace("&amp;", "&") if older and client.random.random() < 0.7 else "/"


def _search(client: Client, end: float) -> None:
    while time.monotonic() < end:
        words = "+".join(client.random.sample(WORDS, 2))
        client.look(client.ask(f"/search?q={words}+{client.random.randrange(50)}"))
        client.pause()


def _upload(client: Client, numbers: range, end: float) -> None:
    """Its share of the pictures, one after the other; what was refused is sent again."""
    files = [photo(number) for number in range(3)]
    for number in numbers:
        while time.monotonic() < end:
            answer = client.ask("/api/v1/images", _form(files[number % 3], number))
            if answer:
                client._tally.added += answer.count('"added"')
                break


def _form(photo: bytes, number: int) -> bytes:
    """The same picture with another comment is another file; its pixels cost the worker the same."""
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 8) + struct.pack(">Q", number)
    head = f'--{BORDER}\r\nContent-Disposition: form-data; name="files"; filename="{number:05}.jpg"\r\n\r\n'
    return head.encode() + photo[:2] + comment + photo[2:] + f"\r\n--{BORDER}--\r\n".encode()


def _watch_memory(server: Server, clients: list[Future[Tally]]) -> dict[str, list[float]]:
    """Resident MB of each process of the server, until the clients are done."""
    seen: dict[str, list[float]] = {}
    while not all(client.done() for client in clients):
        now = defaultdict(float, web=peak_memory(server.pid)[0])
        for child in server.children():
            try:
                line, megabytes = command_line(child), peak_memory(child)[0]
            except (FileNotFoundError, ProcessLookupError, KeyError):
                continue
            if "resource_tracker" not in line:
                now["worker" if "run.py worker" in line else "decoding"] += megabytes
        for name, megabytes in now.items():
            seen.setdefault(name, []).append(megabytes)
        time.sleep(EVERY)
    return seen


def _memory_table(seen: dict[str, list[float]]) -> Table:
    rows = []
    for name, megabytes in seen.items():
        warm = megabytes[int(WARM * len(megabytes)) :]
        quarter = max(1, len(warm) // 4)
        first, last = float(np.median(warm[:quarter])), float(np.median(warm[-quarter:]))
        rows.append((name, first, last, 100 * (last / first - 1), max(megabytes)))
    columns = ("process", "MB, warm", "MB, at the end", "grown by %", "MB, highest")
    note = f"warm: after {WARM:.0%} of the time; medians of the first and last quarter from then on; decoders together"
    return Table("Resident memory", columns, tuple(rows), note)


def _wait_for_worker(server: Server, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        counts = server.images()
        if not counts["pending"] + counts["prepared"]:
            return
        time.sleep(0.5)


def _audit(data: Path, added: int, counts: dict[str, int]) -> Table:
    """Is what was acknowledged there, and does the doctor find nothing?"""
    with create_doctor(Settings(_env_file=None, data=data, worker=False, model=str(STARTER_MODEL))) as doctor:
        findings = [finding.what for finding in doctor.examine(deep=True)]
    row = (added, *(counts[name] for name in ("total", "indexed", "failed")), len(findings))
    columns = ("acknowledged", "there", "searchable", "failed", "findings of doctor --deep")
    return Table("Afterwards", columns, (row,), "; ".join(findings[:5]))
