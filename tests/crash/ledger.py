"""What a client of the gallery may believe: what became of each picture, as far as the server said so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from PIL import Image

from tests.pictures import encoded


class State(Enum):
    """Where a picture can be."""

    ABSENT = "absent"
    KEPT = "kept"
    TRASHED = "in the trash"


@dataclass(eq=False)
class Picture:
    """One file and what is known of it. While a request is under way, and for ever if it was never answered, there are
    two states that the picture ``may_be`` in.
    """

    number: int
    data: bytes
    id: int | None = None
    may_be: frozenset[State] = frozenset({State.ABSENT})
    shown_as: str = ""
    """Its name in the gallery: another than it was sent with, where a start has found the file alone."""

    @cached_property
    def md5(self) -> str:
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()

    def __str__(self) -> str:
        return f"{self.filename} (picture {self.id}, {self.md5})"

    @property
    def filename(self) -> str:
        return f"{self.number}.jpg"

    def surely(self, state: State) -> bool:
        return self.may_be == {state}


@contextmanager
def becoming(state: State, pictures: Iterable[Picture]) -> Iterator[None]:
    """A request that makes pictures ``state``: what it was told only counts when the block has ended well."""
    pictures = list(pictures)
    for picture in pictures:
        picture.may_be |= {state}
    yield
    for picture in pictures:
        picture.may_be = frozenset({state})


def patchwork(number: int, seed: int) -> Picture:
    """A small picture of random patches: no two are alike, neither in their bytes nor in their look."""
    patches = np.random.default_rng((seed, number)).integers(0, 256, (4, 4, 3), np.uint8)
    image = Image.fromarray(patches).resize((48, 36), Image.Resampling.NEAREST)
    return Picture(number, encoded(image, "JPEG", comment=f"picture {number} of {seed}"))
