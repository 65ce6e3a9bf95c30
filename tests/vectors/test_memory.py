"""How much memory there is for a model, by the system's own files; and what is said where a model doesn't fit."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from app.errors import ModelTooLarge
from app.vectors import memory
from app.vectors.encoder import load_encoder, load_text_tower
from tests.vectors.models import put_into_cache, save_tiny_clip

MEMINFO = "MemFree:  100000 kB\nMemAvailable:  3000000 kB\nSwapFree:  1000000 kB\nHugePages_Free:  0\n"


def write(root: Path, **files: str) -> None:
    places = {"meminfo": "proc/meminfo", "limit": "sys/fs/cgroup/memory.max", "current": "sys/fs/cgroup/memory.current"}
    for name, text in files.items():
        path = root / places.get(name, "sys/fs/cgroup/memory.stat")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a system that tells nothing."""
    monkeypatch.setattr(memory, "ROOT", tmp_path / "root")
    return tmp_path / "root"


def test_what_caches_hold_is_free_and_so_is_swap(system: Path) -> None:
    write(system, meminfo=MEMINFO)
    assert memory.free() == 4_000_000 * 1024


def test_a_container_may_take_less_than_the_machine_has(system: Path) -> None:
    write(system, meminfo=MEMINFO, limit="2000000000\n", current="1500000000\n")
    write(system, stat="anon 900000000\ninactive_file 400000000\n")
    assert memory.free() == 900_000_000


def test_a_container_without_a_limit(system: Path) -> None:
    write(system, meminfo=MEMINFO, limit="max\n", current="1500000000\n", stat="inactive_file 0\n")
    assert memory.free() == 4_000_000 * 1024


def test_a_system_that_does_not_tell_is_not_doubted(system: Path) -> None:
    assert not system.exists()
    assert memory.free() == math.inf


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_this_machine_tells() -> None:
    assert 10_000_000 < memory.free() < 1e14


class TestModelThatDoesNotFit:
    @pytest.fixture
    def clip(self, tmp_path: Path, system: Path) -> Path:
        """A model larger than what is free."""
        write(system, meminfo="MemAvailable: 10 kB\nSwapFree: 0 kB\n")
        return save_tiny_clip(tmp_path / "tiny-clip")

    def test_is_not_begun(self, clip: Path) -> None:
        with pytest.raises(ModelTooLarge, match=r"takes at least [\d,]+ MB of memory, and 0 MB are free"):
            load_encoder(str(clip), clip)
        with pytest.raises(ModelTooLarge):
            load_text_tower(str(clip))

    def test_is_not_fetched_again(self, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("app.vectors.encoder.fetch", lambda name: pytest.fail(f"{name} is asked for"))
        put_into_cache(clip, tmp_path / "hub", "openai/clip-vit-base-patch32")
        with pytest.raises(ModelTooLarge):
            load_encoder("openai/clip-vit-base-patch32", clip)
