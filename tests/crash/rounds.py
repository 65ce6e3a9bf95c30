"""Rounds of traffic, a ``kill -9`` at a random moment, a start, and an audit, all on one data folder."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from app.models import Choice
from app.vectors.compiling import Towers
from app.vectors.encoder import Compiled, SentenceTransformerEncoder, load_encoder
from tests.conftest import wait_for
from tests.crash.audit import Audit
from tests.crash.ledger import Picture, State, patchwork
from tests.crash.traffic import Client, Emptier
from tests.flows.processes import Server, kill
from tests.vectors.models import save_tiny_clip

CLIENTS = 2
LONGEST_TRAFFIC = 1.0
"""Seconds until the kill."""
LONGEST_START = 2.0
"""Seconds until a server that starts is killed again."""
SETTLED_EVERY = 5
"""Rounds after which everything is to be indexed; what is indexed already is looked at after each."""
DAY = 24 * 3600.0

UNLIMITED = {"GLIMPSE_DECODE_PROCESSES": "1", "GLIMPSE_REQUEST_RATE": "", "GLIMPSE_SEARCH_RATE": ""}
"""Settings of a server for one busy client on a small machine."""

VICTIMS = {"server": 5, "server and worker": 3, "worker": 2, "server while it stops": 2}
"""Who is killed, and how often compared with the others."""


@dataclass(frozen=True, slots=True)
class Round:
    """What happened in one.

    So many requests were ``answered``; what became of so many pictures was ``open``, since a request for them was not.
    After it so many were ``kept`` and in the trash (``trashed``), and so many of them found by their own vectors. So
    many had been ``given_up``, since three workers were killed that had claimed them, and were tried again.
    """

    number: int
    killed: str
    answered: int
    open: int
    kept: int
    trashed: int
    found: int
    given_up: int
    seconds: float


class Rounds:
    """Everything random comes from ``seed``; what the machine makes of it differs from run to run."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self._chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._numbers = count(1)
        self._of_clients: list[list[Picture]] = [[] for _ in range(CLIENTS)]
        self.server = Server(folder / "data", model=str(quick_model(folder / "tiny", folder / "data")), **UNLIMITED)

    def run(self, rounds: int) -> Iterator[Round]:
        """After each, an `AssertionError` tells what is not as it was promised."""
        with closing(self.server):
            self.server.start()
            for number in range(1, rounds + 1):
                yield self.round(number, settle=number % SETTLED_EVERY == 0 or number == rounds)

    def round(self, number: int, settle: bool) -> Round:
        """One round on the server that runs. ``settle``: until everything is indexed."""
        began = time.monotonic()
        killed, answered = self._work_until_killed()
        unanswered = sum(len(picture.may_be) > 1 for picture in self.pictures)
        restarted = self.server.process.poll() is not None
        if restarted:
            killed += self._start_again()
        audit = Audit(self.server, self.pictures)
        audit.first_look()
        given_up = self._settle() if settle else 0
        found = audit.whole(restarted)
        kept, trashed = self._number_of(State.KEPT), self._number_of(State.TRASHED)
        return Round(number, killed, answered, unanswered, kept, trashed, found, given_up, time.monotonic() - began)

    def _work_until_killed(self) -> tuple[str, int]:
        """Who was killed, and how many requests were answered until then."""
        clients = self._clients()
        for client in clients:
            client.start()
        if self._chance.random() < 0.5:  # else the worker is still at its start in most rounds
            wait_for(self._is_indexing)
        time.sleep(self._chance.uniform(0, LONGEST_TRAFFIC))
        [victim] = self._chance.choices(list(VICTIMS), list(VICTIMS.values()))
        self._kill(victim)
        return victim, sum(client.end() for client in clients)

    def _clients(self) -> list[Client | Emptier]:
        url = str(self.server.client.base_url)
        if self._chance.random() < 0.1:
            return [Emptier(url, self.pictures)]
        return [
            Client(url, pictures, self._fresh, random.Random(self._chance.random()))  # noqa: S311
            for pictures in self._of_clients
        ]

    def _kill(self, victim: str) -> None:
        if victim == "worker":
            wait_for(lambda: bool(self.server.workers()))
            for worker in self.server.workers():
                kill(worker)
        elif victim == "server":
            self.server.kill()
        elif victim == "server and worker":
            self.server.kill_everything()
        else:
            self.server.process.terminate()
            time.sleep(self._chance.uniform(0, LONGEST_TRAFFIC))
            self.server.kill_everything()

    def _start_again(self) -> str:
        """As a day later, since leftovers of uploads are then cleared away. Now and then the start is cut off, too."""
        again = ""
        while self._chance.random() < 0.2:
            self.server.launch()
            time.sleep(self._chance.uniform(0, LONGEST_START))
            self.server.kill_everything()
            again += ", again at the start"
        long_ago = time.time() - DAY - 60
        for path in (*self.server.data.glob("images/.incoming/*"), *self.server.data.glob("index/*.tmp")):
            os.utime(path, (long_ago, long_ago))
        self.server.start()
        return again

    def _settle(self) -> int:
        """Wait until everything is indexed. Returns how many pictures had been given up, and were tried again."""
        given_up = 0

        def settled() -> bool:
            nonlocal given_up
            counts = self.server.counts()
            if counts["failed"]:
                given_up += counts["failed"]
                assert self.server.client.post("/problems/retry").status_code == 303
            return counts["total"] == counts["indexed"]

        wait_for(settled, 120)
        return given_up

    def _is_indexing(self) -> bool:
        counts = self.server.counts()
        return counts["pending"] + counts["prepared"] == 0 or counts["indexed"] > 0

    @property
    def pictures(self) -> list[Picture]:
        """All that were ever handed in."""
        return [picture for pictures in self._of_clients for picture in pictures]

    def _fresh(self) -> Picture:
        return patchwork(next(self._numbers), self._seed)

    def _number_of(self, state: State) -> int:
        return sum(picture.surely(state) for picture in self.pictures)


def quick_model(folder: Path, data: Path) -> Path:
    """A tiny model, compiled in the data folder already: without torch, processes start in half the time."""
    model = save_tiny_clip(folder, spread=10.0)
    compiled = Compiled(data / "index" / "compiled")
    compiled.folder.mkdir(parents=True)
    encoder = load_encoder(str(model), model)
    assert isinstance(encoder, SentenceTransformerEncoder)
    with tempfile.TemporaryDirectory(dir=compiled.folder) as scratch:
        towers = Towers(Path(scratch), encoder)
        assert towers.export()
        towers.keep(Choice("onnx fp32", "onnx fp32"), compiled)
    return model
