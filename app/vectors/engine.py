"""The port for vector engines that several processes share: what they promise, and what is known of each picture there.

An engine holds a reading of the catalog's vector log up to some ``seq``. One process at a time follows the log into it
(`app.library.following`); all others only ask. It may be emptied, rebuilt or exchanged at any time: the log fills it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.conditions import Condition, Field, parse_size, parse_types, period_of
from app.models import FloatArray, Image

Fact = int | str
FACTS: Mapping[str, type[int] | type[str]] = {
    "format": str,
    "camera": str,
    "shape": int,
    "bytes": int,
    "pixels": int,
    "taken": int,
    "added": int,
}
"""What lies beside each vector, so that the engine itself filters by it: facts that never change while a picture has
its vector. ``shape``: 1 landscape, 0 square, -1 portrait; ``taken``, ``added``: microseconds since 1970."""
NEVER = -(2**53)
"""``taken`` of a picture that does not say when. Within what a float64 holds exactly: some engines compare as such."""
FAR = 2**53
LONGEST_CAMERA = 200
"""Characters of a camera's name that are kept."""
_SHAPES = {"landscape": 1, "square": 0, "portrait": -1}


@dataclass(frozen=True, slots=True)
class Among:
    """``fact`` is one of ``values``, or with ``negated`` none of them."""

    fact: str
    values: tuple[Fact, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """``low`` ≤ ``fact`` ≤ ``high``, or with ``negated`` not."""

    fact: str
    low: int
    high: int
    negated: bool = False


Filter = tuple[Among | Between, ...] | npt.NDArray[np.int64]
"""Which pictures may compete: those that meet all tests, or those with these ids."""


STANCES = ("slope", "intercept")
"""What relevance needs of a picture, as engines name it."""


@dataclass(frozen=True, slots=True)
class Points:
    """Pictures as an engine holds them: ``vectors`` float32 [n, dimension], ``stances`` float32 [n, 2]."""

    ids: npt.NDArray[np.int64]
    vectors: FloatArray
    stances: FloatArray
    facts: Sequence[Mapping[str, Fact]]


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search found, in no order: ``scores`` float32 [n], ``stances`` float32 [n, 2]."""

    ids: npt.NDArray[np.int64]
    scores: FloatArray
    stances: FloatArray


@dataclass(frozen=True, slots=True)
class Reached:
    """How far an engine has followed the log. ``mark``: that of the entry read last (`app.models.LogEntry`);
    ``bank``: checksum of the neutral texts' vectors that its stances belong to."""

    seq: int = 0
    mark: int = 0
    bank: int = 0


class Engine(Protocol):
    """One space's vectors in an engine. Safe to call from several threads; connects when it is first asked.

    Every method raises `app.errors.EngineUnavailable` if the engine does not answer. What was written may be visible
    some seconds later.
    """

    deepest: int
    """Most pictures that one search can find."""

    def search(self, vector: FloatArray, k: int, allowed: Filter | None) -> Hits:
        """The ``k`` nearest by inner product among the ``allowed``; fewer only if there are not as many."""
        ...

    def count(self, allowed: Filter | None = None) -> int:
        """How many pictures there are."""
        ...

    def upsert(self, points: Points) -> None:
        """Write these pictures, whether they were there or not."""
        ...

    def delete(self, ids: Sequence[int]) -> None:
        """Take these pictures away, those that are there."""
        ...

    def last_seq(self) -> Reached:
        """How far the log was followed, by whoever did it last; `Reached()` of an engine that is empty or new."""
        ...

    def reached(self, reached: Reached) -> None:
        """Keep that the log was followed this far; everything written before must survive if this does."""
        ...

    def tidy(self) -> None:
        """Put in order what was written, after much of it."""
        ...

    def empty(self) -> None:
        """Forget everything of this space, `last_seq` included."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


def facts_of(image: Image) -> dict[str, Fact]:
    """What an engine carries of a picture: a value for each of `FACTS`."""
    return {
        "format": image.format,
        "camera": (image.camera or "")[:LONGEST_CAMERA],
        "shape": (image.width > image.height) - (image.width < image.height),
        "bytes": image.bytes,
        "pixels": image.width * image.height,
        "taken": NEVER if image.taken_at is None else _microseconds(image.taken_at),
        "added": _microseconds(image.added_at.astimezone(UTC).replace(tzinfo=None)),
    }


def as_tests(
    conditions: Iterable[Condition], cameras: Callable[[str], Iterable[str]]
) -> tuple[Among | Between, ...] | None:
    """Conditions as tests of facts; ``None`` if one of them is about something that engines don't carry.

    ``cameras``: the names of all cameras that contain a text. Cameras are few, so they are looked up by name.
    """
    tests = [_test(condition, cameras) for condition in conditions]
    return None if None in tests else tuple(test for test in tests if test is not None)


def _test(condition: Condition, cameras: Callable[[str], Iterable[str]]) -> Among | Between | None:
    value, negated = condition.value, condition.negated
    match condition.field:
        case Field.TYPE:
            return Among("format", parse_types(value), negated)
        case Field.CAMERA:
            return Among("camera", tuple(sorted({name[:LONGEST_CAMERA] for name in cameras(value)})), negated)
        case Field.ORIENTATION:
            return Among("shape", (_SHAPES[value.lower()],), negated)
        case Field.LARGER | Field.SMALLER:
            size = parse_size(value)
            larger, amount = condition.field is Field.LARGER, min(size.amount, FAR)
            low, high = (amount + 1, FAR) if larger else (NEVER, amount - 1)
            return Between("pixels" if size.pixels else "bytes", low, high, negated)
        case Field.TAKEN | Field.ADDED:
            period = period_of(value, utc=condition.field is Field.ADDED)
            low = NEVER + 1 if period.start is None else _microseconds(period.start)
            high = FAR if period.end is None else _microseconds(period.end) - 1
            return Between(condition.field.value, low, high, negated)
        case _:  # parts of words, and what changes without a new vector
            return None


def _microseconds(moment: datetime) -> int:
    return max((moment - datetime(1970, 1, 1)) // timedelta(microseconds=1), NEVER + 1)
