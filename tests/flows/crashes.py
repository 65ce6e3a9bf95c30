"""The same short life again and again, each in a process of its own that ends (`os._exit`) at one step of it.

``python -m tests.flows.crashes FOLDER`` leaves one data folder for each step in `STEPS`, as a crash leaves it. What was
acknowledged before stands in ``acknowledged`` beside it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from app.config import Settings
from app.errors import PictureError
from app.media import decoding, pictures
from tests.conftest import running
from tests.pictures import picture

KEPT, REMOVED = picture("blue"), picture("red")
CRASHED = 9


@dataclass(frozen=True, slots=True)
class Step:
    """A call that the process does not survive: before it begins, or after it has ended."""

    call: str
    """``module:Class.method``"""
    after: bool
    when: Callable[..., bool] = lambda *_: True
    """Whether it is this call, by what it was given (before) or what it gave (after)."""


STEPS = {
    "a file is coming in": Step("app.media.store:Incoming.write", after=True),
    "a file came in and has no name yet": Step("app.media.folder:Folder.keep", after=False),
    "a file has its name and no row": Step("app.media.folder:Folder.keep", after=True),
    "a row was written and not acknowledged": Step("app.catalog.images:Images.add", after=True),
    "a picture was claimed": Step("app.catalog.images:Images.claim", after=True, when=bool),
    "a preview is to be written": Step("app.media.folder:Folder.save_thumbnail", after=False),
    "a preview was written": Step("app.media.folder:Folder.save_thumbnail", after=True),
    "a picture is to be called prepared": Step("app.catalog.images:Images.record_prepared", after=False),
    "a picture was called prepared": Step("app.catalog.images:Images.record_prepared", after=True),
    "vectors are to be written": Step("app.catalog.vectors:Vectors.record", after=False),
    "vectors were written": Step("app.catalog.vectors:Vectors.record", after=True),
    "a row was removed, the files are there": Step("app.catalog.images:Images.remove", after=True),
    "a file was removed, nobody noted it": Step("app.media.store:Store.remove", after=True),
    "a removal was finished": Step("app.catalog.images:Images.finish_removal", after=True),
    "a snapshot is to be named": Step("os:replace", after=False, when=lambda _, to: str(to).endswith(".snapshot")),
    "a snapshot was written": Step("app.vectors.snapshots:save_snapshot", after=True),
}


def settings_for(folder: Path) -> Settings:
    return Settings(_env_file=None, data=folder, worker=False, model="colours")


def live(folder: Path, acknowledge: Callable[[str], None]) -> None:
    """Two pictures come in and are indexed; one of them is removed; the server stops."""
    with running(settings_for(folder)) as glimpse:
        glimpse.upload(("blue.jpg", KEPT))
        acknowledge("added blue")
        [red] = glimpse.upload(("red.jpg", REMOVED))
        acknowledge("added red")
        glimpse.work()
        found = glimpse.search("red")
        assert found == ["red.jpg", "blue.jpg"], found
        acknowledge("removing red")
        glimpse.client.delete(f"/api/v1{red['url']}?forever=true")
        acknowledge("removed red")


def crash_at(step: Step) -> None:
    """From now on the process ends where `step` says."""
    module, _, path = step.call.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    original = getattr(owner, name)

    def crashing(*args: Any, **kwargs: Any) -> Any:
        if not step.after and step.when(*args, **kwargs):
            os._exit(CRASHED)
        result = original(*args, **kwargs)
        if step.after and step.when(result):
            os._exit(CRASHED)
        return result

    setattr(owner, name, crashing)


def decode_here(decoder: decoding.Decoder, paths: Sequence[Path]) -> Iterator[pictures.Prepared | PictureError]:
    """`Decoder.prepare` without processes of its own, which would cost a second for each life."""
    for path in paths:
        try:
            yield pictures.prepare(path, 80_000_000)
        except PictureError as error:
            yield error


def _crash(folder: Path, step: Step) -> None:
    crash_at(step)
    folder.mkdir()
    with folder.with_suffix(".acknowledged").open("w") as notes:
        live(folder, lambda line: print(line, file=notes, flush=True))


def main(root: Path) -> None:
    setattr(decoding.Decoder, "prepare", decode_here)  # noqa: B010 - a plain assignment is no method to mypy
    for number, step in enumerate(STEPS.values()):
        child = os.fork()
        if child == 0:
            try:
                _crash(root / str(number), step)
            finally:
                os._exit(1)  # it should not have come this far
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == CRASHED, (step, status)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
