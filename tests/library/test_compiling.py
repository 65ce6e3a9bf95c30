"""Compiling beside the worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.library import compiling
from app.library.compiling import TEXTS, Compiler, compile_in_process
from app.vectors.compiled import read
from app.vectors.encoder import Compiled, fingerprint
from app.vectors.relevance import neutral_texts
from tests.pictures import noise
from tests.vectors.models import save_tiny_clip


def test_the_outcome_lies_where_every_process_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "demo_pictures", lambda: [noise((50, 40), seed=seed) for seed in range(12)])
    clip = save_tiny_clip(tmp_path / "tiny-clip")
    compiled = Compiled(tmp_path / "index" / "compiled", "fp32")
    compile_in_process(str(clip), clip, compiled, 20)
    record = read(compiled.folder, fingerprint(clip), "fp32")
    assert record is not None
    assert record.choice.images.endswith("fp32")
    assert record.space.model == "tiny-clip"


def test_it_can_be_ended_in_the_middle_and_leaves_nothing_that_counts(tmp_path: Path) -> None:
    compiler = Compiler(tmp_path, Compiled(tmp_path / "compiled"))
    compiler.stop()
    compiler.start(str(tmp_path / "no model"))
    process = compiler._process
    compiler.start(str(tmp_path / "no model"))
    compiler.start(str(tmp_path / "another"))
    assert compiler._process is process, "one at a time"
    compiler.stop()
    assert process is not None
    assert not process.is_alive()
    assert not (tmp_path / "compiled").exists()


def test_there_is_enough_to_compare_with() -> None:
    pictures = compiling.demo_pictures()
    assert len(pictures) >= 50
    assert {picture.mode for picture in pictures} == {"RGB"}
    assert len(neutral_texts()) >= TEXTS
