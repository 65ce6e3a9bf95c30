"""A crash behind each step of taking in and removing, with pictures in a bucket. What was answered holds."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.main import create_doctor, open_store
from app.media.decoding import Decoder
from tests.conftest import running
from tests.engines.objects import ObjectServer, environment
from tests.engines.storage_crashes import STEPS, settings_for
from tests.flows.crashes import KEPT, REMOVED, decode_here
from tests.flows.processes import PROJECT, clean_environment
from tests.library.conftest import md5

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


@dataclass(frozen=True)
class Crashed:
    """A data folder, and a prefix of the bucket, for each step, as the crash left it."""

    root: Path
    bucket: str
    endpoint: str


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory, objects: ObjectServer) -> Crashed:
    left = Crashed(tmp_path_factory.mktemp("crashed"), f"s3://{objects.new_bucket()}", objects.endpoint)
    subprocess.run(
        [sys.executable, "-m", "tests.engines.storage_crashes", str(left.root), left.bucket, left.endpoint],
        cwd=PROJECT,
        env=clean_environment(left.root) | environment(),
        check=True,
        timeout=170,
    )
    return left


@pytest.mark.parametrize("step", STEPS)
def test_what_was_answered_holds_and_the_doctor_finds_the_rest(
    crashed: Crashed, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "prepare", decode_here)
    data = crashed.root / str(list(STEPS).index(step))
    acknowledged = data.with_suffix(".acknowledged").read_text().splitlines()
    settings = settings_for(data, crashed.bucket, crashed.endpoint)
    with running(settings) as glimpse:
        with create_doctor(settings) as doctor:
            for finding in doctor.examine():
                if finding.repair:
                    finding.repair()
        glimpse.work()
        found = {image["md5"] for image in glimpse.client.get("/api/v1/images").json()["images"]}
        if "added blue" in acknowledged:
            assert md5(KEPT) in found
        if "removed red" in acknowledged or "removing red" in acknowledged:
            assert md5(REMOVED) not in found
        elif "added red" in acknowledged:
            assert md5(REMOVED) in found
        assert {original for original, _ in open_store(settings).found_originals()} == found
        for colour, file in (("blue", KEPT), ("red", REMOVED)):
            glimpse.upload((f"{colour}.jpg", file))
        glimpse.work()
        assert len(glimpse.search("red")) == 2
    with create_doctor(settings) as doctor:
        assert [finding.what for finding in doctor.examine(deep=True) if "snapshot" not in finding.what] == []
