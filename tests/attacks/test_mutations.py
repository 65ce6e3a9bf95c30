"""Picture files with changed bytes, by the thousand, through the whole way: each has an outcome, all stays in order.

``GLIMPSE_TEST_MUTATIONS=6000`` is the long mode (300 by default), another ``GLIMPSE_TEST_MUTATIONS_SEED`` other files.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from app.main import create_doctor
from tests.attacks import files
from tests.conftest import Glimpse, wait_for
from tests.pictures import GOOD_FILES, with_iptc, xmp

FILES = int(os.environ.get("GLIMPSE_TEST_MUTATIONS", "300"))
SEED = int(os.environ.get("GLIMPSE_TEST_MUTATIONS_SEED", "1"))
AT_ONCE = 50
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\x01", b"\xff\xff", b"\0\0")

ORIGINALS = [
    *GOOD_FILES.values(),
    with_iptc((2, 5, b"title"), (2, 120, b"description")),
    files.with_deep_xmp(xmp("title", "description", ("one", "two"))),
    files.webp_of_frames(20),
    files.gif_of_frames(20),
    files.apng_that_promises(2),
    files.exif_with_many_entries(),
    files.with_profile(files.profile_with_many_tags()),
]


def mutations(count: int, seed: int) -> Iterator[bytes]:
    """Good files with some bytes changed, taken out, put in, repeated, or taken from another file."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        data = bytearray(ORIGINALS[random.integers(len(ORIGINALS))])
        for _ in range(random.integers(1, 6)):
            at, length = int(random.integers(len(data))), int(random.integers(1, 64))
            match int(random.integers(7)):
                case 0:
                    data[at] ^= 1 << int(random.integers(8))
                case 1:
                    data[at : at + length] = random.bytes(length)
                case 2:
                    del data[at : at + length]
                case 3:
                    data[at:at] = data[at : at + length]
                case 4:
                    extreme = EXTREMES[random.integers(len(EXTREMES))]
                    data[at : at + len(extreme)] = extreme
                case 5:
                    other = ORIGINALS[random.integers(len(ORIGINALS))]
                    place = int(random.integers(len(other)))
                    data[at : at + length] = other[place : place + length]
                case _:
                    del data[max(1, at) :]
            data = data or bytearray(b"\0")
        yield bytes(data)


@pytest.mark.timeout(180 + FILES)
def test_every_changed_file_has_an_outcome_and_the_library_stays_whole(besieged: Glimpse) -> None:
    folder, began = besieged.settings.data.parent, time.monotonic()
    around = {path for path in folder.rglob("*") if not path.is_relative_to(besieged.settings.data)}
    outcomes: Counter[str] = Counter()
    ids: set[int] = set()
    changed = list(mutations(FILES, SEED))
    for start in range(0, FILES, AT_ONCE):
        batch = changed[start : start + AT_ONCE]
        results = besieged.upload(*((f"{start + number}", data) for number, data in enumerate(batch)))
        assert len(results) == len(batch)
        for result in results:
            outcomes[str(result["outcome"])] += 1
            assert (result["outcome"] == "rejected") == bool(result["reason"])
            if result["outcome"] == "added":
                ids.add(int(str(result["id"])))
        wait_for(besieged.idle, 60 + AT_ONCE * besieged.settings.decode_seconds)
    for image_id in ids:
        image = besieged.client.get(f"/api/v1/images/{image_id}").json()
        outcomes[image["state"]] += 1
        assert image["state"] in ("indexed", "failed")
        assert (image["state"] == "failed") == bool(image["reason"])
    assert sum(outcomes[name] for name in ("added", "duplicate", "rejected")) == FILES
    assert outcomes["indexed"] + outcomes["failed"] == outcomes["added"]
    with create_doctor(besieged.settings) as doctor:
        assert [finding.what for finding in doctor.examine(deep=True)] == []
    assert list((besieged.settings.images / ".incoming").iterdir()) == []
    assert {path for path in folder.rglob("*") if not path.is_relative_to(besieged.settings.data)} == around
    print(f"\n{FILES} changed files, seed {SEED}, {time.monotonic() - began:.0f} seconds: {dict(outcomes)}")  # noqa: T201


def test_copies_of_them_are_whole_or_refused(besieged: Glimpse) -> None:
    """The other way on which their bytes are parsed."""
    besieged.upload(*((f"{number}", data) for number, data in enumerate(mutations(60, SEED + 1))))
    wait_for(besieged.idle)
    newest = besieged.client.get("/api/v1/images?limit=40&state=indexed").json()["images"]
    assert len(newest) > 10
    for image in newest:
        answer = besieged.client.get(f"/images/{image['id']}/without-location")
        assert answer.status_code in (200, 422), answer.text
        if answer.status_code == 200:
            found = besieged.client.post("/api/v1/search/image", files={"file": ("copy", answer.content)})
            assert found.status_code in (200, 422)
