"""Follow: what the vector log says goes into the engine that several processes share."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from app.catalog.images import Images
from app.catalog.leases import Leases
from app.catalog.vectors import KeptSpace, SpaceLog, Vectors
from app.errors import EngineUnavailable
from app.models import FloatArray, LogEntry, image_of
from app.vectors.engine import Engine, Points, Reached, facts_of
from app.vectors.relevance import stances
from app.vectors.shared import SharedIndexes

log = logging.getLogger(__name__)

LEASE_SECONDS = 600.0
"""Whoever follows says so with each step; after this long without a word somebody else goes on. Far above what a step
can take (engines give up after 120 seconds, a step may ask them thrice): should two write at once, an older entry could
come to lie over a newer one. A process that died on this machine is not waited for (`Follower.give_way`)."""
LOOK_SECONDS = 60.0
"""How often an engine that has everything is asked whether it still has: somebody may have emptied it."""
STEP = 2000
"""Entries written at once."""
MUCH = 10_000
"""Entries after which the engine puts itself in order."""


class Follower:
    """One of those that may follow: which one does is settled by a lease in the catalog.

    Entries are written before it is written how far they go, and writing them twice changes nothing: whoever stops
    anywhere, the next one goes on from there.
    """

    def __init__(self, name: str, vectors: Vectors, images: Images, leases: Leases, indexes: SharedIndexes) -> None:
        self._name = name
        self._vectors = vectors
        self._images = images
        self._leases = leases
        self._indexes = indexes
        self._all_there: dict[int, tuple[int, int]] = {}  # by space: seq and bank that the engine was seen to have
        self._look_at: dict[int, float] = {}
        self._tidied: set[int] = set()  # spaces
        self.away = False
        """Whether the engine did not answer just now."""
        self.message: str | None = None
        """What keeps it from following, or how far it is, in words for the person."""

    def follow(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Bring the engine as far as the log goes, unless somebody else does so at the moment."""
        self.away = False
        for kept in self._vectors.searched():
            bank = self._vectors.bank(kept.id)
            if bank is not None:
                self._look(kept, bank, stopping)

    def _look(self, kept: KeptSpace, bank: FloatArray, stopping: Callable[[], bool]) -> None:
        space_log = self._vectors.log(kept.id)
        wanted = space_log.newest(), zlib.crc32(np.ascontiguousarray(bank, "<f4").tobytes())
        if wanted == self._all_there.get(kept.id) and time.monotonic() < self._look_at[kept.id]:
            return
        try:
            engine = self._indexes.engine(kept.id, kept.space)
            reached = engine.last_seq()
            other = _is_of_another_history(reached, space_log)
            behind = other or _start(reached, other, wanted[1]) < wanted[0]
            if behind or kept.id not in self._tidied:  # whoever was here before may have died before that
                self._follow(engine, kept, bank, wanted[1], stopping)
            else:
                self._all_there[kept.id], self.message = wanted, None
                self._look_at[kept.id] = time.monotonic() + LOOK_SECONDS
        except EngineUnavailable as error:
            if self._all_there or self.message is None:
                log.warning("%s reason=%s", error, error.__cause__)
            self._all_there.clear()
            self.away = True
            self.message = f"{error} Browsing and searching by names go on; the rest follows when it is back."

    def has_all(self, space_id: int) -> bool:
        """Whether the engine had everything of a space when it was last looked at."""
        return space_id in self._all_there

    def followers(self) -> list[str]:
        """Who follows an engine now, or did when they died."""
        return self._leases.holders()

    def give_way(self, dead: str) -> None:
        """Somebody who may have followed has died: others need not wait for the end of that lease."""
        self._leases.give_back(dead)

    def _follow(
        self, engine: Engine, kept: KeptSpace, bank: FloatArray, checksum: int, stopping: Callable[[], bool]
    ) -> None:
        lease = f"vectors {kept.id} in {self._indexes.place}"
        if not self._leases.take(lease, self._name, LEASE_SECONDS):
            self.message = None  # that one tells
            return
        space_log, written = self._vectors.log(kept.id), 0
        try:
            reached = engine.last_seq()  # asked again: nobody else writes from here on
            other = _is_of_another_history(reached, space_log)
            if other:
                log.warning("the engine has read another history of the catalog, it is filled anew")
                engine.empty()
            for entries in space_log.entries(_start(reached, other, checksum)):
                for part in (entries[start : start + STEP] for start in range(0, len(entries), STEP)):
                    if stopping() or not self._leases.take(lease, self._name, LEASE_SECONDS):
                        return
                    self._write(engine, part, bank)
                    engine.reached(Reached(part[-1].seq, part[-1].mark, checksum))
                    written += len(part)
                    self._tell(part[-1].seq, space_log)
            if written >= MUCH or kept.id not in self._tidied:
                engine.tidy()
                self._tidied.add(kept.id)
            self.message = None
        finally:
            self._leases.give_back(self._name)

    def _tell(self, seq: int, space_log: SpaceLog) -> None:
        newest = space_log.newest()
        behind = newest - seq > STEP
        self.message = f"The vector engine is being filled: {seq / newest:.0%} done." if behind else None

    def _write(self, engine: Engine, entries: Sequence[LogEntry], bank: FloatArray) -> None:
        images = self._images.get_many([entry.image_id for entry in entries if entry.vector is not None])
        # Of a picture that is gone already, the log tells so in a moment.
        alive = {entry.image_id: entry.vector for entry in entries if entry.vector is not None}
        alive = {image_id: vector for image_id, vector in alive.items() if image_id in images}
        gone = [entry.image_id for entry in entries if entry.image_id not in alive]
        if gone:
            engine.delete(gone)
        if alive:
            # As an index in memory keeps them, so that both say the same.
            kept = np.stack(list(alive.values())).astype(np.float16).astype(np.float32)
            facts = [facts_of(images[image_id]) for image_id in alive]
            engine.upsert(Points(np.fromiter(alive, np.int64, len(alive)), kept, stances(kept, bank), facts))


def _is_of_another_history(reached: Reached, space_log: SpaceLog) -> bool:
    """Whether the engine has followed a log that this one has never been: the catalog was set back to a backup.

    The entry that was read last is still there; or a newer one of the same picture took its place.
    """
    if reached.seq == 0:
        return False
    if (last := space_log.entry(reached.seq)) is not None:
        return last.mark != reached.mark
    return space_log.last_seq_of(image_of(reached.mark)) < reached.seq


def _start(reached: Reached, other: bool, bank: int) -> int:
    """The entry to go on behind: none, if the engine is of another history or was compared with other neutral texts."""
    return 0 if other or reached.bank != bank else reached.seq
