"""As `tests.flows.crashes`, with pictures in a bucket: one short life for each step, ended there by `os._exit`.

``python -m tests.engines.storage_crashes FOLDER s3://bucket ENDPOINT``
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app.config import Settings
from app.media import decoding
from tests.flows import crashes
from tests.flows.crashes import CRASHED, Step, decode_here, live

STEPS = {
    "an object is to be sent": Step("app.media.bucket:Bucket.send", after=False),
    "an object was sent and has no row": Step("app.media.bucket:Bucket.send", after=True, when=lambda _: True),
    "a row was written and the object not looked at again": Step("app.media.bucket:Bucket.lost", after=False),
    "a picture is here and not acknowledged": Step("app.media.bucket:Bucket.lost", after=True),
    "a preview was sent": Step("app.media.bucket:Bucket.save_thumbnail", after=True),
    "a row was removed, the objects are there": Step("app.catalog.images:Images.remove", after=True),
    "objects were removed, nobody noted it": Step("app.media.bucket:Bucket.delete", after=True),
}


def settings_for(folder: Path, bucket: str, endpoint: str) -> Settings:
    storage = f"{bucket}/{folder.name}"
    return Settings(
        _env_file=None, data=folder, worker=False, model="colours", storage=storage, storage_endpoint=endpoint
    )


def main(root: Path, bucket: str, endpoint: str) -> None:
    setattr(decoding.Decoder, "prepare", decode_here)  # noqa: B010 - a plain assignment is no method to mypy
    setattr(crashes, "settings_for", lambda folder: settings_for(folder, bucket, endpoint))  # noqa: B010
    for number, step in enumerate(STEPS.values()):
        child = os.fork()  # before anybody here has spoken to the object store, whose threads no fork survives
        if child == 0:
            try:
                crashes.crash_at(step)
                folder = root / str(number)
                folder.mkdir()
                with folder.with_suffix(".acknowledged").open("w") as notes:
                    live(folder, lambda line, notes=notes: print(line, file=notes, flush=True))  # type: ignore[misc]
            finally:
                os._exit(1)  # it should not have come this far
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == CRASHED, (step, status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
