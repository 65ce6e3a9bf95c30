"""Last touch on the picture side: python training/polish.py --data DATA --work WORK

With the trained network frozen, its projection and the text map see many more pictures and captions at once than a
training batch holds: hundreds of captions against hundreds of pictures, beside the concepts and drawings. Minutes.
A little of what they were is kept, which is good for what is rare (averaging: https://arxiv.org/abs/2203.05482).
Writes the averaged weights of `picture.pt` anew; the file as it was stays as `unpolished.pt`.
"""

from __future__ import annotations

import argparse
import copy
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import drawings
import numpy as np
import torch
import torch.nn.functional as F
from network import PictureNetwork
from texts import TextMap
from torch import Tensor
from train import BATCH, Material, embed, gather, judge, reader_of_texts, seed_everything, several
from trained import read_trained

MANY = 768
"""Captions, concept pictures in one step; a third as many drawings."""
PEAK = 5e-4
SCALE = 24.0
KEPT = 0.15
"""Share of the weights before in those after."""
log = logging.getLogger("polish")


@dataclass(frozen=True)
class Seen:
    """Features [n, 384] of the frozen network, and which picture (or drawing) each row is."""

    features: Tensor
    index: list[int]


def look(network: PictureNetwork, pixels: np.ndarray, index: list[int], device: str) -> Seen:
    """Whole frames, as they are searched."""
    parts = [index[start : start + BATCH] for start in range(0, len(index), BATCH)]
    return Seen(torch.cat([embed(network, pixels[part], 64, device) for part in parts]), index)


def polish(material: Material, network: PictureNetwork, text: TextMap, arguments: argparse.Namespace) -> None:
    """Trains `network.h` and `text` in place."""
    rng, device, steps = np.random.default_rng(7), arguments.device, arguments.steps
    train = material.train.numpy()
    is_named = material.label[train].numpy() >= 0
    named, weight = train[is_named], material.weights[0].numpy()[is_named].astype(np.float64)
    captioned = look(network, material.pixels, list(material.captions)[: arguments.captioned], device)
    concepts = look(
        network,
        material.pixels,
        sorted(rng.choice(named, arguments.named, replace=False, p=weight / weight.sum()).tolist()),
        device,
    )
    drawn = look(network, material.drawn, list(range(arguments.drawn)), device)
    log.info("%d captioned, %d named, %d drawn", len(captioned.index), len(concepts.index), len(drawn.index))
    labels = material.label[concepts.index]
    parameters = [*network.h.parameters(), *text.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=arguments.peak, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, arguments.peak, total_steps=steps, pct_start=0.1)
    words = list(drawings.vocabulary())
    colour = {words.index(f"something {name}"): k for k, name in enumerate(drawings.COLOURS)}
    text.train()
    for step in range(steps):
        rows = rng.choice(len(captioned.index), MANY, replace=False)
        own = [material.captions[captioned.index[r]] for r in rows]
        t = text(torch.stack([vectors[rng.integers(len(vectors))] for vectors in own]))
        scores = SCALE * t @ project(network, captioned.features[rows]).T
        right = torch.arange(MANY)
        loss = (F.cross_entropy(scores, right) + F.cross_entropy(scores.T, right)) / 2

        some = torch.from_numpy(rng.choice(len(concepts.index), MANY, replace=False))
        answers, tags = text(material.concepts.sample()), text(material.tags.sample())
        wanted = torch.cat([answers, tags[material.screens]])
        z = project(network, concepts.features[some])
        loss = loss + F.cross_entropy(SCALE * z @ wanted.T, labels[some], label_smoothing=0.05)
        parents = [material.broader[concepts.index[k]] for k in some.tolist()]
        loss = loss + 0.2 * several(SCALE * z @ text(material.broad.sample()).T, parents)

        few = rng.choice(len(drawn.index), MANY // 3, replace=False).tolist()
        choice = torch.cat([tags, answers[material.distinct]])
        z = project(network, drawn.features[few])
        loss = loss + 0.4 * several(SCALE * z @ choice.T, [material.drawn_tags[k] for k in few])
        named_colours = [[colour[tag] for tag in material.drawn_tags[k] if tag in colour] for k in few]
        loss = loss + arguments.colour * several(SCALE * z @ text(material.colours.sample()).T, named_colours)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            log.info("%d %.3f", step, loss.item())


def project(network: PictureNetwork, features: Tensor) -> Tensor:
    """[n, 384] → [n, 256], unit length; a tenth of the features is dropped, so that no single one is relied on."""
    z: Tensor = network.h(F.dropout(features, 0.1))
    return F.normalize(z, dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pictures")
    parser.add_argument("--work", type=Path, required=True, help="folder that holds picture.pt")
    parser.add_argument("--warm-start", type=Path, help="what train.py began with")
    parser.add_argument("--named", type=int, default=60_000, help="how many pictures of concepts to look at")
    parser.add_argument("--captioned", type=int, default=40_000, help="how many pictures with captions")
    parser.add_argument("--drawn", type=int, default=6_000, help="how many drawings")
    parser.add_argument("--colour", type=float, default=0.8, help="weight of the colour words of drawings")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--peak", type=float, default=PEAK, help="highest learning rate")
    parser.add_argument(
        "--again", action="store_true", help="go on from the polished weights, not from the trained ones"
    )
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    seed_everything(7)
    checkpoint, before = arguments.work / "picture.pt", arguments.work / "unpolished.pt"
    if not before.exists():
        shutil.copy(checkpoint, before)
    network, text = read_trained(checkpoint if arguments.again else before)
    material = gather(arguments.data, arguments.work, reader_of_texts(arguments.warm_start, arguments.work))
    parts = (network.h, text)
    unpolished = [copy.deepcopy(part.state_dict()) for part in parts]
    polish(material, network, text, arguments)
    for part, state in zip(parts, unpolished, strict=True):
        part.load_state_dict({name: torch.lerp(new, state[name], KEPT) for name, new in part.state_dict().items()})
    log.info("after %s", judge(network, text, material, 64, arguments.device))
    stored = torch.load(before, map_location="cpu", weights_only=False)
    for prefix, part in (("picture.", network), ("text.", text)):
        stored["mean"].update({prefix + name: value for name, value in part.state_dict().items()})
    torch.save(stored, checkpoint)


if __name__ == "__main__":
    main()
