"""Training and the shipped model are two views of one network: what one computes, the other does."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from app.config import PROJECT, STARTER_MODEL
from app.models import FloatArray
from app.vectors.encoder import Encoder, load_encoder

ROOMS = ("drawings", "export", "resume", "train")
QUERIES = ["dog", "a red bicycle", "receipts from the hotel", "снег", "🙂", "https://example.org/dog.jpg", "a " * 90]


@pytest.fixture(scope="module")
def training() -> Iterator[SimpleNamespace]:
    """The files of the folder `training`, which are scripts and no package; forgotten again afterwards."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROJECT / "training")
        yield SimpleNamespace(**{name: import_module(name) for name in ROOMS})
    for path in (PROJECT / "training").glob("*.py"):
        if path.stem not in before:
            sys.modules.pop(path.stem, None)


@pytest.fixture(scope="module")
def pictures(training: SimpleNamespace) -> list[Image.Image]:
    """As small as training stores them."""
    dice, drawings = random.Random(3), training.drawings  # noqa: S311 - pictures, no secrets
    kinds = [drawings.document, drawings.bar_chart, drawings.street_map, drawings.gradient, drawings.screenshot]
    drawn = [kind(dice).image for kind in kinds for _ in range(6)]
    drawn += [drawings.coloured_thing(colour, "car", dice, least=0.45).image for colour in ("red", "green", "blue")]
    return [image.convert("RGB").resize((72, 72), Image.Resampling.BICUBIC) for image in drawn]


@pytest.fixture(scope="module")
def shipped() -> Encoder:
    return load_encoder(str(STARTER_MODEL), STARTER_MODEL)


def cosines(one: FloatArray, other: FloatArray) -> FloatArray:
    """Of rows of unit length."""
    found: FloatArray = (one * other).sum(1)
    return found


def test_training_sees_a_picture_as_the_shipped_model_does(
    training: SimpleNamespace, pictures: list[Image.Image], shipped: Encoder
) -> None:
    """Other edges, or a window a quarter of a pixel aside, cost dishes and breeds points: cosines of 0.98 and 0.994."""
    seen = training.train.whole_frames(np.stack([np.asarray(picture) for picture in pictures]), 64)
    network = training.resume.read_network(STARTER_MODEL, seen)
    with torch.inference_mode():
        vectors = torch.nn.functional.normalize(network(seen), dim=1).numpy()
    assert cosines(vectors, shipped.encode_images(pictures)).min() > 0.999


def test_what_is_taken_up_and_exported_again_is_the_same_model(
    training: SimpleNamespace, pictures: list[Image.Image], shipped: Encoder, tmp_path: Path
) -> None:
    seen = training.train.whole_frames(np.stack([np.asarray(picture) for picture in pictures]), 64)
    parts = {"picture": training.resume.read_network(STARTER_MODEL, seen)}
    parts["text"] = training.resume.read_text_map(STARTER_MODEL)
    training.resume.read_tower(STARTER_MODEL, tmp_path)
    mean = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    torch.save({"mean": mean}, tmp_path / "picture.pt")
    training.export.export(tmp_path, tmp_path / "again")

    again = load_encoder(str(tmp_path / "again"), tmp_path / "again")
    assert cosines(again.encode_texts(QUERIES), shipped.encode_texts(QUERIES)).min() > 0.999
    assert cosines(again.encode_images(pictures), shipped.encode_images(pictures)).min() > 0.999
