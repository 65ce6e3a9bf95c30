"""A crash between any two steps of the write order is repaired by the next start, without a special case."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from app.media.decoding import Decoder
from tests.conftest import Glimpse, running, wait_for
from tests.flows.crashes import KEPT, REMOVED, STEPS, decode_here, settings_for
from tests.flows.processes import PROJECT, clean_environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder for each step, as the crash left it."""
    root = tmp_path_factory.mktemp("crashed")
    subprocess.run(
        [sys.executable, "-m", "tests.flows.crashes", str(root)],
        cwd=PROJECT,
        env=clean_environment(root),
        check=True,
        timeout=350,
    )
    return root


@pytest.mark.parametrize("step", STEPS)
def test_the_next_start_finishes_what_was_begun_when(crashed: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decoder, "prepare", decode_here)
    data = crashed / str(list(STEPS).index(step))
    acknowledged = data.with_suffix(".acknowledged").read_text().splitlines()
    with running(settings_for(data)) as glimpse:
        wait_for(lambda: not files_without_rows(glimpse))
        glimpse.work()
        found = {image["md5"] for image in images(glimpse)}
        for colour, file in (("blue", KEPT), ("red", REMOVED)):
            md5 = hashlib.md5(file, usedforsecurity=False).hexdigest()
            if f"removed {colour}" in acknowledged:
                assert md5 not in found
            elif f"added {colour}" in acknowledged and f"removing {colour}" not in acknowledged:
                assert md5 in found
        assert_consistent(glimpse)
        for colour, file in (("blue", KEPT), ("red", REMOVED)):
            glimpse.upload((f"{colour}.jpg", file))
        glimpse.work()
        assert glimpse.client.get("/api/v1/search?q=red").json()["results"][0]["score"] > 0.9
        assert len(glimpse.search("red")) == 2
        assert_consistent(glimpse)


def images(glimpse: Glimpse) -> list[dict[str, str]]:
    found: list[dict[str, str]] = glimpse.client.get("/api/v1/images?limit=1000").json()["images"]
    return found


def files_without_rows(glimpse: Glimpse) -> set[str]:
    known = {image["md5"] for image in images(glimpse)}
    return {path.stem for path in glimpse.settings.images.glob("??/*")} - known


def assert_consistent(glimpse: Glimpse) -> None:
    """Rows, originals, previews and vectors are of the same pictures."""
    rows = images(glimpse)
    md5s = {image["md5"] for image in rows}
    originals = list(glimpse.settings.images.glob("??/*"))
    assert {path.stem for path in originals} == md5s
    for path in originals:
        assert hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == path.stem
    assert {path.stem for path in glimpse.settings.images.glob("thumbs/*/??/*")} == md5s
    assert {image["state"] for image in rows} <= {"indexed"}
    assert sorted(glimpse.search("red", limit=1000)) == sorted(image["filename"] for image in rows)
    assert glimpse.counts()["total"] == len(rows)
