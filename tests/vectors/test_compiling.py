"""A compiled model says what the model itself says, or does not take its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.config import PROJECT, STARTER_MODEL
from app.models import Choice, FloatArray, Trial
from app.vectors import compiled as compiled_module
from app.vectors import compiling
from app.vectors.background import BackgroundEncoder
from app.vectors.compiled import CompiledEncoder, folder_of, read
from app.vectors.compiling import ITSELF, Reference, choose, compile_model, computes_in_bf16, same_top, try_all
from app.vectors.encoder import (
    Compiled,
    Encoder,
    SentenceTransformerEncoder,
    improved,
    load_encoder,
)
from tests.conftest import wait_for
from tests.pictures import noise
from tests.vectors.models import save_tiny_clip

PICTURES = [noise((60 + seed, 40 + seed % 7), seed=seed) for seed in range(24)]
TEXTS = ["a dog on grass", "", "  Something RED ", "x" * 200, "a b c", "1 2 3"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("models") / "tiny-clip")


def itself(clip: Path) -> SentenceTransformerEncoder:
    encoder = load_encoder(str(clip), clip)
    assert isinstance(encoder, SentenceTransformerEncoder)
    return encoder


@pytest.fixture(scope="module")
def chosen(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """The model compiled in float32, which is faithful whatever the weights."""
    place = Compiled(tmp_path_factory.mktemp("index") / "compiled", "fp32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "TORCH_AHEAD", 1e9)  # however the clock runs: ONNX
        choice = compile_model(itself(clip), place, PICTURES, TEXTS)
    assert (choice.images, choice.texts, choice.note) == ("onnx fp32", "onnx fp32", None)
    return place


def lowest(first: FloatArray, second: FloatArray) -> float:
    return float((first * second).sum(axis=1).min())


def test_compiled_it_says_what_the_model_says(clip: Path, chosen: Compiled) -> None:
    model, compiled = itself(clip), load_encoder(str(clip), clip, chosen)
    assert isinstance(compiled, CompiledEncoder)
    assert (compiled.space, compiled.side) == (model.space, model.side)
    odd = [*PICTURES, Image.new("RGB", (500, 20), "red"), noise((31, 33)).convert("RGBA"), noise((640, 427))]
    assert lowest(compiled.encode_images(odd), model.encode_images([each.convert("RGB") for each in odd])) > 0.9999
    for texts in (TEXTS, ["one"], ["http://127.0.0.1/rose.jpg", "/etc/hostname", "<|endoftext|>", "😀 ÄÖÜ 写真"]):
        assert lowest(compiled.encode_texts(texts), model.encode_texts(texts)) > 0.9999


def test_the_bundled_model_can_be_compiled(tmp_path: Path) -> None:
    """Its towers are no CLIP: a convolutional network and a BERT, with a processor that squeezes."""
    model = itself(STARTER_MODEL)
    candidates = compiling.Towers(tmp_path, model).export()
    assert set(candidates) == {"onnx fp32", "onnx int8"}
    pictures = [noise((320, 200), seed=seed) for seed in range(4)]
    assert lowest(candidates["onnx fp32"].encode_images(pictures), model.encode_images(pictures)) > 0.9999
    assert lowest(candidates["onnx fp32"].encode_texts(TEXTS), model.encode_texts(TEXTS)) > 0.9999
    assert lowest(candidates["onnx int8"].encode_images(pictures), model.encode_images(pictures)) > 0.99


def test_a_process_with_a_compiled_model_imports_no_torch(clip: Path, chosen: Compiled) -> None:
    script = f"""
import sys
from pathlib import Path
from PIL import Image
from app.vectors.encoder import Compiled, load_encoder
encoder = load_encoder({str(clip)!r}, Path(), Compiled(Path({str(chosen.folder)!r}), "fp32"))
encoder.encode_texts(["a dog"])
encoder.encode_images([Image.new("RGB", (50, 40))])
assert not {{"torch", "transformers", "sentence_transformers"}} & set(sys.modules), "imported"
"""
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True, timeout=120)


def test_in_half_precision_it_is_nearly_the_same(clip: Path) -> None:
    model = itself(clip)
    half = model.in_bf16()
    assert half.space == model.space
    assert lowest(half.encode_images(PICTURES), model.encode_images(PICTURES)) > 0.99
    assert lowest(half.encode_texts(TEXTS), model.encode_texts(TEXTS)) > 0.99


@pytest.mark.parametrize("missing", [True, False])
def test_bfloat16_is_only_tried_where_the_processor_has_it(missing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        if missing:
            monkeypatch.delattr(f"torch.cpu.{name}")
        else:
            monkeypatch.setattr(f"torch.cpu.{name}", lambda: False)
    assert not computes_in_bf16()
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: True, raising=False)
    assert computes_in_bf16()


# -- the proof


class Turned:
    """An encoder that is off by an angle: every vector is mixed with a direction."""

    def __init__(self, encoder: Encoder, pictures: float, texts: float) -> None:
        self.space, self.side, self.batch = encoder.space, encoder.side, encoder.batch
        self._encoder, self._pictures, self._texts = encoder, pictures, texts

    def encode_images(self, images: Sequence[Image.Image]) -> FloatArray:
        return self._turn(self._encoder.encode_images(images), self._pictures)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        return self._turn(self._encoder.encode_texts(texts), self._texts)

    def _turn(self, vectors: FloatArray, strength: float) -> FloatArray:
        turned = vectors + strength * np.roll(vectors, 1, axis=1)
        return np.asarray(turned / np.linalg.norm(turned, axis=1, keepdims=True), np.float32)


def test_what_says_something_else_is_told_apart(clip: Path) -> None:
    model = itself(clip)
    reference = Reference.of(model, PICTURES, TEXTS)
    trials = try_all({ITSELF: model, "onnx int8": Turned(model, 0.0, 1.0)}, reference)
    figures = {(trial.tower, trial.name): trial for trial in trials}
    assert figures["images", ITSELF].cosine > 0.9999
    assert figures["texts", ITSELF].same_top == 1.0
    assert figures["images", "onnx int8"].cosine > 0.9999
    assert figures["texts", "onnx int8"].cosine < 0.9
    assert all(trial.per_second > 0 for trial in trials)


def test_the_same_best_pictures_up_to_ties() -> None:
    vectors = np.eye(20, dtype=np.float32)
    texts = np.linspace(1.0, 0.05, 20, dtype=np.float32)[None, :]
    reference = Reference([], [], vectors, texts)
    scores = texts @ vectors.T
    assert same_top(reference, scores) == 1.0
    swapped = scores.copy()
    swapped[0, [9, 15]] = swapped[0, [15, 9]]
    assert same_top(reference, swapped) == 0.0
    tied = Reference([], [], vectors, np.where(np.arange(20) > 8, np.float32(0.5), texts))
    assert same_top(tied, swapped) == 1.0, "all behind the ninth score the same"


def trial(tower: str, name: str, per_second: float, cosine: float = 1.0, top: float = 1.0) -> Trial:
    return Trial(tower, name, per_second, cosine, top)


TRIALS = (
    trial("images", ITSELF, 10),
    trial("texts", ITSELF, 20),
    trial("images", "torch bf16", 25, 0.9999),
    trial("texts", "torch bf16", 30, 0.9999),
    trial("images", "onnx fp32", 15),
    trial("texts", "onnx fp32", 60),
    trial("images", "onnx int8", 40, 0.999),
    trial("texts", "onnx int8", 90, 0.999),
)


def changed(tower: str, name: str, **figures: float) -> tuple[Trial, ...]:
    return tuple(
        replace(one, **figures) if (one.tower, one.name) == (tower, name) else one  # type: ignore[arg-type]
        for one in TRIALS
    )


@pytest.mark.parametrize(
    ("trials", "images", "texts"),
    [
        (TRIALS, "onnx int8", "onnx int8"),
        (changed("texts", "onnx int8", cosine=0.99), "onnx int8", "onnx fp32"),
        (changed("images", "onnx int8", cosine=0.99), "torch bf16", "torch bf16"),
        (changed("images", "onnx int8", same_top=0.9), "torch bf16", "torch bf16"),
        (changed("images", "onnx int8", per_second=24), "onnx int8", "onnx int8"),  # torch has to be clearly ahead
        (changed("images", "onnx int8", cosine=-1.0)[:2] + changed("images", "onnx int8", cosine=-1.0)[4:],
         "onnx fp32", "onnx int8"),
        (TRIALS[:2], ITSELF, ITSELF),
    ],
)  # fmt: skip
def test_the_fastest_that_is_faithful_is_taken(trials: tuple[Trial, ...], images: str, texts: str) -> None:
    choice = choose(trials, "auto")
    assert (choice.images, choice.texts, choice.note) == (images, texts, None)


@pytest.mark.parametrize(
    ("precision", "images"), [("fp32", "onnx fp32"), ("bf16", "torch bf16"), ("int8", "onnx int8")]
)
def test_a_precision_that_is_asked_for_is_taken(precision: str, images: str) -> None:
    choice = choose(TRIALS, precision)
    assert (choice.images, choice.note) == (images, None)


def test_a_precision_that_is_impossible_is_refused_with_the_reason() -> None:
    without = tuple(one for one in TRIALS if one.name != "torch bf16")
    refused = choose(without, "bf16")
    assert (refused.images, refused.texts) == (ITSELF, ITSELF)
    assert refused.note is not None
    assert "GLIMPSE_PRECISION is bf16, which this processor can't compute in" in refused.note
    unfaithful = choose(changed("images", "onnx int8", cosine=0.98), "int8")
    assert unfaithful.images == ITSELF
    assert "cosine 0.980" in (unfaithful.note or "")


# -- what is kept


def test_a_choice_holds_under_the_circumstances_it_was_made_under(
    clip: Path, chosen: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = itself(clip).space.fingerprint
    kept = read(chosen.folder, fingerprint, "fp32")
    assert kept is not None
    assert len(kept.choice.trials) >= 6
    assert kept.circumstances["versions"].keys() >= {"torch", "onnxruntime"}
    assert read(chosen.folder, fingerprint, "int8") is None, "asked for something else"
    assert read(chosen.folder, "0" * 64, "fp32") is None, "another model"
    monkeypatch.setattr(compiled_module, "processor", lambda: "another processor")
    assert read(chosen.folder, fingerprint, "fp32") is None
    monkeypatch.undo()
    monkeypatch.setattr(compiled_module, "version", lambda _name: "0.0")
    assert read(chosen.folder, fingerprint, "fp32") is None, "another version"


@pytest.mark.parametrize("name", ["choice.json", "image.onnx", "text.onnx", "tokenizer.json"])
def test_where_it_is_damaged_the_model_itself_serves(
    name: str, clip: Path, chosen: Compiled, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fingerprint = itself(clip).space.fingerprint
    copy = folder_of(tmp_path, fingerprint)
    copy.mkdir()
    for path in folder_of(chosen.folder, fingerprint).iterdir():
        data = path.read_bytes()
        (copy / path.name).write_bytes(data[: len(data) // 2] if path.name == name else data)
    assert isinstance(load_encoder(str(clip), clip, Compiled(tmp_path, "fp32")), SentenceTransformerEncoder)
    assert "can't be" in caplog.text


def test_compiling_again_replaces_what_was_there_and_leaves_nothing_else(clip: Path, tmp_path: Path) -> None:
    model, place = itself(clip), Compiled(tmp_path / "compiled", "fp32")
    killed = place.folder / ".new-killed-in-the-middle"
    killed.mkdir(parents=True)
    os.utime(killed, (0, 0))
    for _ in range(2):
        compile_model(model, place, PICTURES, TEXTS)
    (folder,) = place.folder.iterdir()
    assert folder == folder_of(place.folder, model.space.fingerprint)
    assert json.loads((folder / "choice.json").read_text())["space"]["model"] == "tiny-clip"


def test_a_disk_without_links_is_good_enough(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(compiling, "TORCH_AHEAD", 1e9)
    choice = compile_model(itself(clip), Compiled(tmp_path / "compiled", "fp32"), PICTURES, TEXTS)
    assert choice.images == "onnx fp32"
    (folder,) = (tmp_path / "compiled").iterdir()
    assert (folder / "image.onnx").stat().st_size > 1000


def test_a_model_that_cannot_be_compiled_runs_in_torch(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compiling, "PIXELS_APART", -1.0)
    with caplog.at_level("INFO"):
        choice = compile_model(itself(clip), Compiled(tmp_path), PICTURES, TEXTS)
    assert choice.images.startswith("torch")
    assert "pixels are prepared in a way of its own" in caplog.text
    assert {one.name for one in choice.trials} <= {ITSELF, "torch bf16"}


# -- taking it over


def test_a_running_encoder_takes_over_what_was_compiled_meanwhile(clip: Path, chosen: Compiled) -> None:
    place = [Compiled(chosen.folder / "nowhere", "fp32")]
    background = BackgroundEncoder(
        "tiny-clip", lambda: load_encoder(str(clip), clip), lambda encoder: improved(encoder, place[0])
    )
    assert not background.improve(), "not loaded yet"
    background.start()
    wait_for(lambda: background.wait(0))
    before = background.get()
    assert not background.improve()
    undecided = background.status
    assert undecided.choice is None
    place[0] = chosen
    assert background.improve()
    after = background.get()
    assert isinstance(after, CompiledEncoder)
    decided = background.status
    assert decided.choice is not None
    assert decided.choice.images == "onnx fp32"
    assert after.space == before.space
    assert background.improve()
    assert background.get() is after


def test_where_bfloat16_was_chosen_the_model_runs_in_it(clip: Path, tmp_path: Path) -> None:
    model = itself(clip)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "computes_in_bf16", lambda: True)
        patch.setattr(compiling, "FAITHFUL", 0.9)
        patch.setattr(compiling, "SAME_TOP", 0.0)
        choice = compile_model(model, Compiled(tmp_path, "bf16"), PICTURES, TEXTS)
    assert choice == Choice("torch bf16", "torch bf16", choice.trials)
    better = improved(model, Compiled(tmp_path, "bf16"))
    assert better is not None
    assert isinstance(better[0], SentenceTransformerEncoder)
    assert str(next(better[0].model.parameters()).dtype) == "torch.bfloat16"
