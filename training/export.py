"""Writes the bundled model: python training/export.py --work WORK --to models/starter

The folder is made of sentence-transformers' own parts only (a router with a route for texts and one for pictures), so
that `SentenceTransformer("models/starter")` reads it without any code of this project. Weights are stored in half
precision and computed in float32.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from corpus import LONGEST
from network import DEPTHS, DIMENSION, FEATURES, MEAN, STD, WIDTHS, PictureNetwork
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from texts import TEACHER_DIMENSION, TextMap
from torch import Tensor, nn
from tower import load_student, make_tokenizer
from trained import read_trained
from transformers import BertModel, ResNetConfig, ResNetModel, ViTImageProcessor

SIDE = 256
"""Pictures enter at four times the 64 pixels that the network was trained at: the stem below scales them down
itself."""
OFFSET = 3.0
"""Added to every channel of the stem, so that its ReLU never cuts (normalised pixels lie between −1.8 and 2.3)."""


def as_resnet(network: PictureNetwork) -> ResNetModel:
    """The trained network as a transformers ResNet. The same function, but that it scales pictures down itself.

    ResNet's own stem (7 × 7 stride 2, ReLU, max pooling stride 2) is made to do nothing but scale a 256 × 256 picture
    down to 64 × 64: it carries each colour's box mean twice, as c + x and c − x, and half the difference of their
    maxima is the middle of x around each pixel. The first block reads these six channels.
    The boxes lie so that no edge has more than a quarter of nothing in it: half of it at two edges costs two points.
    """
    trunk = ResNetModel(ResNetConfig(
        embedding_size=6, hidden_sizes=list(WIDTHS), depths=list(DEPTHS), layer_type="basic",
        hidden_act="relu", downsample_in_first_stage=True,
    )).eval()  # fmt: skip
    stem = trunk.embedder.embedder
    kernel = torch.zeros(6, 3, 7, 7)
    for colour in range(3):
        kernel[colour, colour, 2:6, 2:6] = 1 / 16
        kernel[3 + colour, colour, 2:6, 2:6] = -1 / 16
    _set(stem, kernel, torch.full((6,), OFFSET))
    for name, pair in pairs(network):
        kernel, bias = _folded(pair)
        if reads_colours(name):
            kernel = torch.cat([kernel / 2, -kernel / 2], 1)
        _set(trunk.get_submodule(name), kernel, bias)
    return trunk


def pairs(network: PictureNetwork) -> Iterator[tuple[str, nn.Module]]:
    """Every convolution with its batch norm, in the order in which they are computed, and its name in a transformers
    ResNet."""
    for s, stage in enumerate(network.stages):
        for k, block in enumerate(stage):  # type: ignore[arg-type]
            name = f"encoder.stages.{s}.layers.{k}"
            yield from ((f"{name}.layer.0", block.a), (f"{name}.layer.1", block.b))
            if not isinstance(block.shortcut, nn.Identity):
                yield f"{name}.shortcut", block.shortcut


def reads_colours(name: str) -> bool:
    """Whether this convolution comes right after the stem, where there are six channels instead of three."""
    return name.removeprefix("encoder.stages.0.layers.0.") in ("layer.0", "shortcut")


def _folded(pair: nn.Module) -> tuple[Tensor, Tensor]:
    """A convolution with its batch norm folded in: (kernel, bias)."""
    convolution, norm = pair[0], pair[1]  # type: ignore[index]
    scale = norm.weight.data / (norm.running_var + norm.eps).sqrt()
    return convolution.weight.data * scale[:, None, None, None], norm.bias.data - norm.running_mean * scale


def _set(layer: nn.Module, kernel: Tensor, bias: Tensor) -> None:
    """Writes kernel and bias into a convolution whose batch norm then only adds the bias."""
    layer.convolution.weight.data.copy_(kernel)  # type: ignore[union-attr, operator]
    norm = layer.normalization
    norm.weight.data.fill_((1 + norm.eps) ** 0.5)  # type: ignore[union-attr, operator]
    norm.bias.data.copy_(bias)  # type: ignore[union-attr, operator]


def picture_route(network: PictureNetwork, scratch: Path) -> list[nn.Module]:
    """Trunk → mean over its 4 × 4 maps → projection."""
    folder = scratch / "picture"
    as_resnet(network).save_pretrained(folder)
    ViTImageProcessor(
        size={"height": SIDE, "width": SIDE},
        resample=2,
        image_mean=list(MEAN),
        image_std=[STD] * 3,
        do_convert_rgb=True,
    ).save_pretrained(folder)
    projection = Dense(FEATURES, DIMENSION, activation_function=nn.Identity())
    projection.linear.load_state_dict(network.h.state_dict())
    trunk = Transformer(
        str(folder),
        modality_config={"image": {"method": "forward", "method_output_name": "last_hidden_state"}},
        module_output_name="token_embeddings",
    )
    return [trunk, Pooling(FEATURES, pooling_mode="mean"), projection]


def text_route(work: Path, text_map: TextMap, scratch: Path) -> list[nn.Module]:
    """Student of the teacher → mean, unit length → the map into picture space as two dense layers."""
    folder = scratch / "text"
    student, vocabulary = load_student(work)
    whole = BertModel(student.config)
    whole.load_state_dict(student.state_dict(), strict=False)
    for weight in whole.pooler.parameters():  # never used, but transformers complains about a BERT without it
        nn.init.zeros_(weight)
    whole.save_pretrained(folder)
    make_tokenizer(vocabulary, folder).save_pretrained(folder)
    bend, join = dense_layers(text_map)
    return [
        Transformer(str(folder), max_seq_length=LONGEST),
        Pooling(TEACHER_DIMENSION, pooling_mode="mean"),
        Normalize(),
        bend,
        join,
    ]


def dense_layers(text_map: TextMap) -> tuple[Dense, Dense]:
    """The text map as two dense layers, exactly: its linear part l passes a GELU as gelu(l) − gelu(−l) = l."""
    inner, outer, linear = text_map.bend[0], text_map.bend[3], text_map.linear.weight.data
    kernel = torch.cat([8 * inner.weight.data, linear, -linear])  # type: ignore[operator]
    bias = torch.cat([inner.bias.data, torch.zeros(2 * DIMENSION)])  # type: ignore[list-item]
    eye = torch.eye(DIMENSION)
    bend = Dense(TEACHER_DIMENSION, len(kernel), activation_function=nn.GELU())
    join = Dense(len(kernel), DIMENSION, bias=False, activation_function=nn.Identity())
    bend.linear.weight.data.copy_(kernel)
    bend.linear.bias.data.copy_(bias - kernel @ text_map.centre)
    join.linear.weight.data.copy_(torch.cat([outer.weight.data, eye, -eye], 1))  # type: ignore[list-item]
    return bend, join


def halve(folder: Path) -> None:
    """Stores every weight file in half precision; the configurations go on saying float32, so that loading widens it
    again."""
    for path in folder.rglob("*.safetensors"):
        weights: dict[str, Tensor] = load_file(path)
        save_file(
            {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}, path, metadata={"format": "pt"}
        )
    for path in folder.rglob("config.json"):
        settings: dict[str, Any] = json.loads(path.read_text())
        if "dtype" in settings or "model_type" in settings:
            path.write_text(json.dumps(settings | {"dtype": "float32"}, indent=2) + "\n")


def average(folder: Path, other: Path) -> None:
    """Halfway between two models, of which one was trained on from the other: surer of pictures unlike those it was
    trained on than either end, https://arxiv.org/abs/2109.01903
    """
    for path in folder.rglob("*.safetensors"):
        ours, theirs = load_file(path), load_file(other / path.relative_to(folder))
        mean = {k: v.float().lerp(theirs[k].float(), 0.5).to(v.dtype) for k, v in ours.items()}
        save_file(mean, path, metadata={"format": "pt"})


def name_processor(folder: Path) -> None:
    """Asks for the Pillow processor by name: it needs no torchvision, and transformers does not have to say so."""
    path = folder / "image_0_Transformer" / "preprocessor_config.json"
    settings = json.loads(path.read_text()) | {"image_processor_type": "ViTImageProcessorPil"}
    path.write_text(json.dumps(settings, indent=2) + "\n")


def export(work: Path, to: Path, average_with: Path | None = None) -> None:
    """Gathers the averaged picture network, its text map and the text tower from `work` into the folder `to`.

    `average_with`: an exported model; the mean of both is written (see `average`).
    """
    network, text_map = read_trained(work / "picture.pt")
    with tempfile.TemporaryDirectory() as scratch:
        routes = {
            "text": text_route(work, text_map, Path(scratch)),
            "image": picture_route(network, Path(scratch)),
        }
        model = SentenceTransformer(modules=[Router(routes, default_route="text"), Normalize()], device="cpu")  # type: ignore[arg-type]
        model.save_pretrained(str(Path(scratch) / "whole"), create_model_card=False)
        halve(Path(scratch) / "whole")
        if average_with:
            average(Path(scratch) / "whole", average_with)
        name_processor(Path(scratch) / "whole")
        card = (to / "README.md").read_text() if (to / "README.md").exists() else None
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(Path(scratch) / "whole", to)
        if card:
            (to / "README.md").write_text(card)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder that holds picture.pt and tower.pt")
    parser.add_argument("--to", type=Path, required=True, help="folder of the bundled model")
    parser.add_argument("--average-with", type=Path, help="model that training began with: halfway from it is written")
    arguments = parser.parse_args()
    export(arguments.work, arguments.to, arguments.average_with)
    size = sum(path.stat().st_size for path in arguments.to.rglob("*") if path.is_file())
    print(f"{arguments.to}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
