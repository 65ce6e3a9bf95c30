"""One call to the operating system fails: the first, the second, … until a whole life passes without a fault.

The method is SQLite's for its own I/O errors: https://sqlite.org/testing.html#i_o_error_testing
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.catalog.health import Health
from app.library.doctor import Doctor
from app.media.decoding import Decoder
from app.models import Outcome
from app.vectors.snapshots import IndexCache
from tests.catalogs import empty_catalog
from tests.library.conftest import Rooms, md5
from tests.pictures import picture

CALLS = [(os, "fsync"), (os, "replace"), (os, "mkdir"), (os, "unlink"), (os, "fdopen"), (tempfile, "mkstemp")]
"""What writing to the picture folder comes down to. The catalog's own are SQLite's business."""


class Fault:
    """The ``number``-th of `CALLS` fails, once."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.calls = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module, name in CALLS:
            monkeypatch.setattr(module, name, self._failing(getattr(module, name)))

    def _failing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def calling(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self._number:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return call(*args, **kwargs)

        return calling

    @property
    def happened(self) -> bool:
        return self.calls >= self._number


def test_nothing_is_lost_whichever_call_fails(
    tmp_path: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, happened = 0, True
    while happened:
        number += 1
        folder = tmp_path / str(number)
        rooms = Rooms(folder, empty_catalog(folder / "index"), decoder)
        with monkeypatch.context() as faulty:
            fault = Fault(number)
            fault.install(faulty)
            there, gone = live(rooms)
        happened = fault.happened
        assert_kept(rooms, there, gone)
        rooms.database.close()
    assert number > 20, "some calls of each kind"
    assert there == {"green", "blue"}
    assert gone == {"red", "black"}


def live(rooms: Rooms) -> tuple[set[str], set[str]]:
    """Take in, index, delete and bring back. Colours of pictures that surely are there, and that surely are gone."""
    there, gone, ids = set[str](), set[str](), dict[str, int]()
    for colour in ("red", "green", "blue", "black"):
        with suppress(OSError):
            result = rooms.intake.add_bytes(picture(colour), f"{colour}.jpg")
            assert result.outcome is Outcome.ADDED
            assert result.image_id
            ids[colour] = result.image_id
            there.add(colour)
    index(rooms)
    for colour, deeds in (
        ("red", (rooms.intake.remove,)),
        ("green", (rooms.intake.throw_away, rooms.intake.restore)),
        ("black", (rooms.intake.throw_away, rooms.intake.discard)),
    ):
        if colour in ids:
            there.discard(colour)
            with suppress(OSError):
                for deed in deeds:
                    deed(ids[colour])
                (there if colour == "green" else gone).add(colour)
    index(rooms)
    return there, gone


def index(rooms: Rooms) -> None:
    """As the worker does it: what fails is tried again."""
    for _ in range(2):
        with suppress(OSError):
            rooms.images.release("worker")
            rooms.index()


def assert_kept(rooms: Rooms, there: set[str], gone: set[str]) -> None:
    """At the next start, and for the doctor."""
    rooms.intake.recover()
    rooms.images.release("worker")
    rooms.index()
    found = {image.md5 for image in rooms.images.newest(9)}
    assert {md5(picture(colour)) for colour in there} <= found
    assert not {md5(picture(colour)) for colour in gone} & found
    indexes = IndexCache(rooms.folder, 60, rooms.database.identity)
    doctor = Doctor(
        Health(rooms.database), rooms.images, rooms.trash, rooms.vectors, rooms.store, rooms.intake, indexes
    )
    assert [finding.what for finding in doctor.examine(deep=True)] == []
    assert rooms.images.counts().total == rooms.images.counts().indexed
