"""Another model that reads the words: real towers, proved to belong to the space or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.errors import ModelUnavailable
from app.vectors.encoder import Encoder, TextTower, load_encoder, load_text_tower
from app.vectors.texts import complaint_about
from tests.vectors.models import DIMENSION, save_digits_tower, save_sentence_model, save_tiny_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`clip` and towers for it."""
    folder = tmp_path_factory.mktemp("towers")
    save_tiny_clip(folder / "clip")
    save_digits_tower(folder / "clip", folder / "digits")
    save_tiny_clip(folder / "stranger", seed=1)
    save_sentence_model(folder / "sentences", DIMENSION)
    save_sentence_model(folder / "wide", 2 * DIMENSION)
    return folder


@pytest.fixture(scope="module")
def clip(folder: Path) -> Encoder:
    return load_encoder(str(folder / "clip"), folder)


def tower(folder: Path, name: str) -> TextTower:
    return load_text_tower(str(folder / name))


def test_a_tower_for_the_space_speaks_another_language_there(folder: Path, clip: Encoder) -> None:
    digits = tower(folder, "digits")
    assert complaint_about(digits, clip) is None
    assert np.allclose(digits.encode_texts(["a dog"]), clip.encode_texts(["a dog"]), atol=1e-5)
    assert np.allclose(digits.encode_texts(["1 0 2"]), clip.encode_texts(["b a c"]), atol=1e-5)
    assert digits.encode_texts(["1 0 2"])[0] @ clip.encode_texts(["1 0 2"])[0] < 0.99
    assert (digits.space.model, digits.space.dimension) == ("digits", DIMENSION)
    assert digits.space.fingerprint != clip.space.fingerprint


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("stranger", "mean other things by the same words"),
        ("sentences", "mean other things by the same words"),
        ("wide", "its vectors have 32 dimensions, those of clip 16"),
    ],
)
def test_any_other_is_refused_with_the_reason(name: str, why: str, folder: Path, clip: Encoder) -> None:
    complaint = complaint_about(tower(folder, name), clip)
    assert complaint is not None
    assert f"The text model {name} does not belong to clip" in complaint
    assert why in complaint


def test_texts_stay_texts(folder: Path) -> None:
    """Also what looks like the path of a picture."""
    picture = folder / "picture.png"
    picture.write_bytes(b"")
    for name in ("digits", "sentences"):
        vectors = tower(folder, name).encode_texts([str(picture), "http://127.0.0.1:9/a.png", ""])
        assert vectors.shape == (3, DIMENSION)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_one_that_is_not_there_says_so(folder: Path) -> None:
    with pytest.raises(ModelUnavailable, match="GLIMPSE_TEXT_MODEL"):
        tower(folder, "nothing")


def test_weights_that_could_hold_code_are_not_loaded(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    other = save_tiny_clip(folder / "pickled", seed=3)
    torch.save(load_file(other / "model.safetensors"), other / "pytorch_model.bin")
    (other / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match="can't be loaded"):
        load_encoder(str(other), folder)
