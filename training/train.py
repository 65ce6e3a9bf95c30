"""Trains the picture network: python training/train.py --data DATA --work WORK --warm-start models/starter --minutes 90

Several losses on one small residual network: a plain classifier over the concepts (learns fast), the same concepts as
cosine to their text vectors, picture ↔ caption contrast, drawings against their own vocabulary, and the colours of
photographs. The learning rate follows the clock (`--minutes`) or the number of pictures (`--passes`), whichever is
given, and ends
at zero. Interrupt at any moment: the same command goes on from the last checkpoint in WORK.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import data
import drawings
import numpy as np
import resume
import torch
import torch.nn.functional as F
from augment import augment, colour_shares, colour_table, refocus, relight
from network import DIMENSION, FEATURES, PictureNetwork, normalise, shrink
from texts import TEACHER_DIMENSION, Bank, Teacher, TextMap, concept_wordings
from torch import Tensor, nn

BATCH = 256
DRAWN = 22
"""Drawings in each batch of 256."""
POOL = 22_000
SIZES = ((0.25, 40), (0.55, 48), (1.0, 64))
"""(until this share of the schedule, side in pixels): small pictures first, the side that is searched at for the
rest."""
LEAST_CROPS = ((0.75, 0.36), (1.0, 0.64))
"""(until this share of the schedule, least share of a picture that is cut out): at the end nearly whole frames, which
is how pictures are searched. Crops make things larger than they will be: https://arxiv.org/abs/1906.06423
The few pictures with captions keep the first one's variety."""
PEAK, WARM = 0.04, 0.04
EVEN = {"imagenet": 0.33, "places": 0.25, "food": 0.07, "sports": 0.08, "flickr8k": 0.13, "coco": 0.01, "corel": 0.04}
CAPTIONED = EVEN | {"imagenet": 0.21, "places": 0.17, "food": 0.08, "flickr8k": 0.31, "coco": 0.02}
SHARES = ((0.5, EVEN), (1.0, CAPTIONED))
"""(until this share of the schedule, how much of every batch comes from the large sources); all others share the rest
by their size. At the end a hundred pictures with captions lie in a batch: from many of its kind each has to be told."""
WHOLE_SCENES = frozenset({"places", "aerial", "flickr8k", "coco", "corel", "receipts", "memes"})
NEGATIVE_CAPTIONS = 400
BLENDED = 0.7
"""Share of the captioned pictures that another one is laid over. They are few, and a network that sees each of them
dozens of times learns them by heart: 0.96 of them were found by their captions among 491, and 0.53 of new ones."""
REMEMBERED = 600
"""Captioned pictures of the batches before that a caption is told from, too: as hard a choice as in a large batch, and
free (https://arxiv.org/abs/1911.05722, without a second network: in so few steps this one hardly moves)."""
ALIKE, ALIKE_SHARE = 8.0, 0.4
"""How much a caption that means nearly the same counts as right too, and how sharply that falls with the meaning."""
CHECKPOINT_EVERY = 120.0
JUDGE_EVERY = 900.0
log = logging.getLogger("train")


@dataclass
class Material:
    """Everything the loop reads: stored pixels, labels (−1 where none) and teacher vectors."""

    pixels: data.Pixels
    pictures: list[data.Picture]
    label: Tensor
    broader: list[list[int]]
    captions: dict[int, Tensor]
    all_captions: Tensor
    concepts: Bank
    broad: Bank
    tags: Bank
    colours: Bank
    distinct: Tensor
    screens: Tensor
    drawn: data.Pixels
    drawn_tags: list[list[int]]
    train: Tensor
    weights: list[Tensor]


def gather(folder: Path, work: Path, teacher: Teacher) -> Material:
    pictures = data.read_pictures(folder, work)
    pixels = data.read_pixels(folder, work, pictures)
    concepts, broad = data.concepts_of(pictures), data.broader_words(pictures)
    captions = [t for p in pictures if p.captioned and p.split == "train" for t in p.texts]
    vectors, at, where = teacher.encode(captions, "picture_captions"), 0, {}
    for i, picture in enumerate(pictures):
        if picture.captioned and picture.split == "train":
            where[i] = vectors[at : at + len(picture.texts)]
            at += len(picture.texts)
    words = drawings.vocabulary()
    number = {tag: i for i, tag in enumerate(words)}
    drawn, drawn_tags = pool_of_drawings(work, pixels, pictures, number)
    train = torch.tensor([i for i, p in enumerate(pictures) if p.split == "train"])
    sources = [pictures[i].source for i in train.tolist()]
    broad_number = {b: i for i, b in enumerate(broad)}
    return Material(
        pixels=pixels,
        pictures=pictures,
        label=torch.tensor([-1 if p.captioned else concepts.number[p.texts[0]] for p in pictures]),
        broader=[[broad_number[b] for b in p.broader if b in broad_number] for p in pictures],
        captions=where,
        all_captions=vectors,
        concepts=Bank(
            [concept_wordings(names) for names in concepts.synonyms], teacher, "bank_concepts", per_meaning=24
        ),
        broad=Bank([concept_wordings((name,)) for name in broad], teacher, "bank_broad"),
        tags=Bank([list(wordings) for wordings in words.values()], teacher, "bank_tags"),
        colours=Bank([list(words[f"something {c}"]) for c in drawings.COLOURS], teacher, "bank_colours"),
        distinct=torch.tensor([not _overlaps(names, words) for names in concepts.synonyms]),
        screens=torch.tensor([number[tag] for tag in words if "chart" in tag or "screenshot" in tag or "code" in tag]),
        drawn=drawn,
        drawn_tags=drawn_tags,
        train=train,
        weights=[weights_of(sources, shares) for _, shares in SHARES],
    )


def weights_of(sources: list[str], shares: dict[str, float]) -> Tensor:
    """How likely each picture is drawn, so that its source has its share of a batch."""
    counted = Counter(source if source in shares else "" for source in sources)
    share = shares | {"": 1 - sum(shares.values())}
    return torch.tensor([share[key] / counted[key] for key in (s if s in shares else "" for s in sources)])


def _overlaps(names: tuple[str, ...], words: dict[str, tuple[str, ...]]) -> bool:
    """Whether a concept's name shares a word with the drawings' vocabulary: then neither is a wrong answer to the
    other."""
    vocabulary = {word.rstrip("s") for wordings in words.values() for text in wordings for word in text.lower().split()}
    small = {"a", "of", "the", "on", "in", "with", "and"}
    return any(word.rstrip("s") in vocabulary - small for name in names for word in name.lower().split())


def reader_of_texts(model: Path | None, work: Path) -> Teacher:
    """The text tower of an exported model reads the texts of its own training; else the teacher does."""
    if not model:
        return Teacher(work)
    tower = resume.read_tower(model, work)  # at once, since export.py needs what it lays into `work`
    return Teacher(work, lambda: tower)


def pool_of_drawings(
    work: Path, pixels: data.Pixels, pictures: list[data.Picture], number: dict[str, int]
) -> tuple[data.Pixels, list[list[int]]]:
    """uint8 [POOL, 72, 72, 3] and the tags of each, drawn once."""
    from PIL import Image

    cache, tags_file = work / "drawings.npy", work / "drawings.json"
    if not (cache.exists() and tags_file.exists()):
        dice = random.Random(20)
        photos = [
            i for i, p in enumerate(pictures) if p.split == "train" and p.source in ("places", "flickr8k", "imagenet")
        ]
        stored = np.empty((POOL, data.SIDE, data.SIDE, 3), np.uint8)
        tags = []
        for k in range(POOL):
            drawing = drawings.draw(dice, lambda: Image.fromarray(pixels[dice.choice(photos)]))
            box = dice.choice([Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
            stored[k] = np.asarray(drawing.image.resize((data.SIDE, data.SIDE), box))
            tags.append([number[tag] for tag in drawing.tags])
        np.save(cache, stored)
        tags_file.write_text(json.dumps(tags))
    return np.load(cache), json.loads(tags_file.read_text())


class Student(nn.Module):
    """The picture network with its classifier heads, and the map of the texts."""

    def __init__(self, picture: PictureNetwork, text: TextMap, concepts: int, broad: int) -> None:
        super().__init__()
        self.picture, self.text = picture, text
        self.head, self.broad_head = nn.Linear(FEATURES, concepts), nn.Linear(FEATURES, broad)
        self.log_scale = nn.Parameter(torch.tensor(math.log(24.0)))

    @property
    def scale(self) -> Tensor:
        return self.log_scale.exp().clamp(max=60.0)


@dataclass
class Batch:
    """`x`: [n, 3, s, s] normalised; photographs first, then drawings. `index`: numbers of the photographs.

    The pictures with captions lie in the rows `captioned`; of the k-th, `own[k]` is what is left beside the picture of
    row `captioned[(k + 1) % n]`, which is laid over it.
    """

    x: Tensor
    index: list[int]
    drawn: list[int]
    shares: Tensor
    captioned: list[int]
    own: Tensor


def next_batch(
    material: Material, weight: Tensor, side: int, least: float, rng: np.random.Generator, table: Tensor
) -> Batch:
    index = material.train[torch.multinomial(weight, BATCH - DRAWN)].tolist()
    drawn = rng.integers(0, len(material.drawn), DRAWN).tolist()
    stored = np.concatenate([material.pixels[index], material.drawn[drawn]])
    may_shrink = torch.tensor([material.pictures[i].source not in WHOLE_SCENES for i in index] + [False] * DRAWN)
    captioned = [k for k, i in enumerate(index) if i in material.captions]
    leasts = np.full(len(stored), least)
    leasts[captioned] = LEAST_CROPS[0][1]
    pixels = shrink(augment(torch.from_numpy(stored), 2 * side + 1, may_shrink, rng, leasts))
    shares = colour_shares(pixels[: len(index)], table)
    x = normalise(relight(refocus(pixels, rng), rng))
    own = shares_of_own(len(captioned))
    for values in (x, shares):
        values[captioned] = blended(values[captioned], own)
    return Batch(x.contiguous(memory_format=torch.channels_last), index, drawn, shares, captioned, own)


def shares_of_own(n: int) -> Tensor:
    """[n], 0.5 to 1: how much of a picture is left beside the next one."""
    return torch.where(torch.rand(n) < BLENDED, 0.5 + torch.rand(n) / 2, 1.0)


def blended(values: Tensor, own: Tensor) -> Tensor:
    """[n, …]: over each row the next one is laid, https://arxiv.org/abs/1710.09412"""
    own = own.view(-1, *[1] * (values.dim() - 1))
    return own * values + (1 - own) * values.roll(-1, 0)


def several(logits: Tensor, lists: list[list[int]]) -> Tensor:
    """Cross entropy where each row has several right answers (rows without any do not count)."""
    pairs = [(i, j) for i, answers in enumerate(lists) for j in answers]
    if not pairs:
        return logits.sum() * 0
    rows, columns = (torch.tensor(v, device=logits.device) for v in zip(*pairs, strict=True))
    count = torch.bincount(rows, minlength=len(logits)).float()
    return -(F.log_softmax(logits, 1)[rows, columns] / count[rows]).sum() / (count > 0).sum()


class Memory:
    """The vectors [up to REMEMBERED, 256] of the captioned pictures seen last, newest first."""

    def __init__(self, device: torch.device) -> None:
        self.vectors = torch.empty(0, DIMENSION, device=device)

    def add(self, vectors: Tensor) -> None:
        self.vectors = torch.cat([vectors.detach(), self.vectors])[:REMEMBERED]


def loss_of(
    student: Student, material: Material, batch: Batch, device: torch.device, memory: Memory
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum, and its parts for the log. Adds the captioned pictures to `memory`."""
    x = batch.x.to(device)
    with torch.autocast(device.type, torch.bfloat16):
        features = student.picture.features(x)
        projected = student.picture.h(features)
    features, z = features.float(), F.normalize(projected.float(), dim=1)
    photos, scale = len(batch.index), student.scale
    y = material.label[batch.index].to(device)
    known = (y >= 0).nonzero().squeeze(1)
    y = y[known]
    broader, captioned = [material.broader[i] for i in batch.index], [batch.index[k] for k in batch.captioned]
    concept_text = student.text(material.concepts.sample().to(device))
    tag_text = student.text(material.tags.sample().to(device))

    answers = torch.cat([concept_text, tag_text[material.screens.to(device)]])
    parts = {
        "head": F.cross_entropy(student.head(features[known]), y, label_smoothing=0.1),
        "broad": 0.3 * several(student.broad_head(features[:photos]), broader),
        "concept": 0.8 * F.cross_entropy(scale * z[known] @ answers.T, y, label_smoothing=0.05),
        "parent": 0.2 * several(scale * z[:photos] @ student.text(material.broad.sample().to(device)).T, broader),
        "caption": 0.5 * caption_loss(student.text, scale, material, captioned, batch.own, z, batch.captioned, memory),
        "drawing": 0.4 * drawing_loss(material, batch, z[photos:], scale, concept_text, tag_text),
    }
    colour_text = student.text(material.colours.sample().to(device))
    logits = scale * z[:photos] @ colour_text.T
    parts["colour"] = 0.1 * F.cross_entropy(logits, batch.shares.to(device))
    memory.add(z[batch.captioned])
    total = torch.stack(list(parts.values())).sum()
    return total, {name: part.item() for name, part in parts.items()}


def caption_loss(
    text: TextMap,
    scale: Tensor | float,
    material: Material,
    pictures: list[int],
    own: Tensor,
    z: Tensor,
    rows: list[int],
    memory: Memory,
) -> Tensor:
    """Caption → picture among all of `z` and those remembered, picture → caption among theirs and some hundred others.

    `pictures`, which lie in these `rows` of `z`, are blended as `own` says (see `Batch`). Right is a picture's own
    caption, that of the picture laid over it by its share, and a little whatever means nearly the same.
    """
    if not pictures:
        return z.sum() * 0
    n = len(pictures)
    captions = torch.stack([one_of(material.captions[number]) for number in pictures])
    others = material.all_captions[torch.randint(len(material.all_captions), (NEGATIVE_CAPTIONS,))]
    meant = torch.cat([captions, others])
    # [pictures, captions]: how much of each caption is in each picture
    shown = torch.cat([torch.diag(own) + torch.diag(1 - own).roll(1, 1), torch.zeros(n, len(others))], 1)
    alike = F.softmax(ALIKE * captions @ meant.T, 1)
    wanted = (1 - ALIKE_SHARE) * shown + ALIKE_SHARE * (shown[:, :n] @ alike)
    among = torch.cat([z, memory.vectors])
    right = torch.zeros(n, len(among)).index_copy(1, torch.tensor(rows), wanted[:, :n].T)
    right = right / right.sum(1, keepdim=True)
    t = text(meant.to(z.device))
    to_picture, to_caption = scale * t[:n] @ among.T, scale * z[rows] @ t.T
    return F.cross_entropy(to_picture, right.to(z.device)) + 0.5 * F.cross_entropy(to_caption, wanted.to(z.device))


def one_of(captions: Tensor) -> Tensor:
    """[n, 384] → [384]: one of the captions of a picture, or something between two of them."""
    one, two = captions[torch.randint(len(captions), (2,))]
    between = max(0.0, random.uniform(-1, 1))
    return F.normalize((1 - between) * one + between * two, dim=0)


def drawing_loss(
    material: Material, batch: Batch, z: Tensor, scale: Tensor, concept_text: Tensor, tag_text: Tensor
) -> Tensor:
    """A drawing's own tags against all other tags and against the concepts it cannot be."""
    answers = torch.cat([tag_text, concept_text[material.distinct.to(z.device)]])
    return several(scale * z @ answers.T, [material.drawn_tags[k] for k in batch.drawn])


# ── before the first step ──────────────────────────────────────────────────────────────────────────────────────────


def fit_heads(student: Student, material: Material, work: Path, rng: np.random.Generator, count: int = 40_000) -> None:
    """Fits heads and text map to the warm-started network, so that its features are not torn up by random heads."""
    cache = work / "warm_features.pt"
    if not cache.exists():
        named = material.train[material.label[material.train] >= 0].numpy()
        index = np.sort(rng.choice(named, count, replace=False))
        found = [embed(student.picture, material.pixels[index[k : k + BATCH]], 64) for k in range(0, len(index), BATCH)]
        torch.save({"index": index, "features": torch.cat(found)}, cache)
    stored = torch.load(cache, weights_only=False)
    index, features = stored["index"], stored["features"]
    labels, broader = material.label[index], [material.broader[i] for i in index]
    parts = [student.head, student.broad_head, student.text, student.picture.h]
    optimiser = torch.optim.AdamW([p for part in parts for p in part.parameters()], lr=1e-3, weight_decay=1e-3)
    steps = 6 * (len(index) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    student.train()
    for step in range(steps):
        some = torch.from_numpy(rng.choice(len(index), BATCH, replace=False))
        f, y = features[some], labels[some]
        z = F.normalize(student.picture.h(f), dim=1)
        loss = F.cross_entropy(student.head(f), y) + F.cross_entropy(
            24 * z @ student.text(material.concepts.sample()).T, y
        )
        loss = loss + several(student.broad_head(f), [broader[i] for i in some.tolist()])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            log.info("heads %d %.3f", step, loss.item())


def embed(
    network: PictureNetwork, stored: data.Pixels, side: int, device: str = "cpu", *, project: bool = False
) -> Tensor:
    """uint8 [n, 72, 72, 3], whole frames → features [n, 384], or vectors [n, 256] of unit length."""
    x = whole_frames(stored, side).to(device)
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16):
        features = network.features(x)
        out = F.normalize(network.h(features).float(), dim=1) if project else features.float()
    return out.cpu().clone()


def whole_frames(stored: data.Pixels, side: int) -> Tensor:
    """uint8 [n, 72, 72, 3] → normalised [n, 3, side, side]."""
    x = torch.from_numpy(stored).permute(0, 3, 1, 2).float()
    edge_to_edge = F.affine_grid(
        torch.eye(2, 3).expand(len(x), 2, 3), [len(x), 3, 2 * side + 1, 2 * side + 1], align_corners=True
    )
    x = normalise(shrink(F.grid_sample(x, edge_to_edge, padding_mode="border", align_corners=False)))
    return x.contiguous(memory_format=torch.channels_last)


def judge(network: PictureNetwork, text: TextMap, material: Material, side: int, device: str) -> dict[str, float]:
    """Top-1 among all concepts per source on the validation pictures (text vectors: the mean of all wordings)."""
    network.eval()
    text.eval()
    with torch.inference_mode():
        answers = text(material.concepts.mean.to(device)).cpu()
    found = {}
    for source in ("imagenet", "places", "food", "sports", "caltech101"):
        index = [i for i, p in enumerate(material.pictures) if p.source == source and p.split == "val"][:1000]
        z = torch.cat(
            [
                embed(network, material.pixels[index[k : k + BATCH]], side, device, project=True)
                for k in range(0, len(index), BATCH)
            ]
        )
        found[source] = round((z @ answers.T).argmax(1).eq(material.label[index]).float().mean().item(), 3)
    return found


# ── the loop ───────────────────────────────────────────────────────────────────────────────────────────────────────


def rate_at(progress: float) -> float:
    """Learning rate at a share of the schedule: up to the peak, then a cosine to zero."""
    if progress < WARM:
        return PEAK * (0.1 + 0.9 * progress / WARM)
    return PEAK * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - WARM) / (1 - WARM))))


def average_into(mean: nn.Module, now: nn.Module, step: int) -> None:
    """Moves the averaged weights (and batch statistics) a little towards the present ones."""
    keep = min(0.998, (step + 1) / (step + 10))
    for kept, value in zip(mean.state_dict().values(), now.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(value, 1 - keep)


def begin_with(model: Path | None, material: Material) -> tuple[PictureNetwork, TextMap]:
    """Takes up an exported model, or begins anew."""
    if model:
        some = material.train[:: len(material.train) // 1024].numpy()
        return resume.read_network(model, whole_frames(material.pixels[some], 64)), resume.read_text_map(model)
    linear = torch.randn(DIMENSION, TEACHER_DIMENSION) / math.sqrt(TEACHER_DIMENSION)
    return PictureNetwork(), TextMap(linear, material.concepts.mean.mean(0))


class Run:
    """One training: student, averaged weights, optimiser and how far it has come."""

    def __init__(self, arguments: argparse.Namespace, material: Material) -> None:
        self.material, self.minutes, self.passes = material, arguments.minutes, arguments.passes
        self.begin_at = arguments.begin_at
        self.device, self.checkpoint = torch.device(arguments.device), arguments.work / "picture.pt"
        self.step, self.seen, self.spent = 0, 0, 0.0
        self.rng, self.table, self.memory = np.random.default_rng(0), colour_table(), Memory(self.device)
        network, text_map = begin_with(arguments.warm_start, material)
        network = network.to(memory_format=torch.channels_last)
        student = Student(network, text_map, len(material.concepts), len(material.broad))
        if arguments.warm_start and not self.checkpoint.exists():
            network.eval()
            fit_heads(student, material, arguments.work, self.rng)
        self.student = student.to(self.device)
        self.mean = copy.deepcopy(self.student)
        self.optimiser = optimiser_of(self.student)
        if self.checkpoint.exists():
            self._restore()
        else:
            self.save()

    def _restore(self) -> None:
        stored: dict[str, Any] = torch.load(self.checkpoint, map_location=self.device, weights_only=False)
        self.student.load_state_dict(stored["student"])
        self.mean.load_state_dict(stored["mean"])
        self.optimiser.load_state_dict(stored["optimiser"])
        self.step, self.spent, self.seen = stored["step"], stored["spent"], stored["seen"]
        seed_everything(self.step)
        self.rng = np.random.default_rng(self.step)

    def save(self) -> None:
        """Everything that going on needs, written aside first."""
        parts: dict[str, Any] = {"student": self.student, "mean": self.mean, "optimiser": self.optimiser}
        state = {name: part.state_dict() for name, part in parts.items()}
        unfinished = self.checkpoint.with_suffix(".part")
        torch.save(state | {"step": self.step, "spent": self.spent, "seen": self.seen}, unfinished)
        unfinished.rename(self.checkpoint)

    @property
    def progress(self) -> float:
        """Share of the schedule that is done, by the clock or by the number of pictures."""
        if self.minutes:
            done = self.spent / (60 * self.minutes)
        else:
            done = self.seen / (self.passes * len(self.material.train))
        return float(self.begin_at + (1 - self.begin_at) * done)

    @property
    def side(self) -> int:
        return next((size for until, size in SIZES if self.progress < until), SIZES[-1][1])

    @property
    def least_crop(self) -> float:
        return next((least for until, least in LEAST_CROPS if self.progress < until), LEAST_CROPS[-1][1])

    @property
    def weight(self) -> Tensor:
        stages = zip(SHARES, self.material.weights, strict=True)
        return next((weight for (until, _), weight in stages if self.progress < until), self.material.weights[-1])

    def take_step(self) -> dict[str, float]:
        """One batch; returns the parts of its loss."""
        began = time.time()
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.progress)
        self.student.train()
        batch = next_batch(self.material, self.weight, self.side, self.least_crop, self.rng, self.table)
        loss, parts = loss_of(self.student, self.material, batch, self.device, self.memory)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimiser.step()
        average_into(self.mean, self.student, self.step)
        self.step, self.seen, self.spent = self.step + 1, self.seen + BATCH, self.spent + time.time() - began
        return parts

    def judge(self) -> dict[str, float]:
        """The averaged weights on the validation pictures."""
        return judge(self.mean.picture, self.mean.text, self.material, 64, self.device.type)


def optimiser_of(student: Student) -> torch.optim.SGD:
    """Nesterov; the text map and the scale decay less than the network."""
    network = [*student.picture.parameters(), *student.head.parameters(), *student.broad_head.parameters()]
    texts = [*student.text.parameters(), student.log_scale]
    groups = [{"params": network, "weight_decay": 3e-4}, {"params": texts, "weight_decay": 3e-5}]
    return torch.optim.SGD(groups, lr=1e-3, momentum=0.9, nesterov=True)


def train(run: Run) -> None:
    """Steps until the schedule ends; checkpoints, figures and lines in the log on the way."""
    log.info("%d training pictures, %d drawings, step %d", len(run.material.train), len(run.material.drawn), run.step)
    saved = judged = shown = time.time()
    while run.progress < 1:
        parts = run.take_step()
        now = time.time()
        if run.step % 25 == 0:
            each = " ".join(f"{name} {value:.2f}" for name, value in parts.items())
            rate, scale = 25 * BATCH / (now - shown), run.student.scale.item()
            log.info("%d %.3f px%d %.0f/s | %s | scale %.1f", run.step, run.progress, run.side, rate, each, scale)
            shown = now
        if now - saved > CHECKPOINT_EVERY:
            run.save()
            saved = now
        if now - judged > JUDGE_EVERY:
            log.info("judged %s", run.judge())
            judged = now
    run.save()
    log.info("done after %d steps, %d pictures: %s", run.step, run.seen, run.judge())


def seed_everything(seed: int) -> None:
    random.seed(seed)
    torch.manual_seed(seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pictures")
    parser.add_argument("--work", type=Path, required=True, help="folder for caches, checkpoints and the log")
    parser.add_argument("--warm-start", type=Path, help="exported model to begin with")
    parser.add_argument("--minutes", type=float, default=0, help="length of the schedule in minutes of training")
    parser.add_argument(
        "--passes", type=float, default=8, help="length of the schedule in passes (when no minutes are given)"
    )
    parser.add_argument(
        "--begin-at",
        type=float,
        default=0,
        help="where in the schedule to begin, from 0 up to 1, with --warm-start: the time goes to the rest of it",
    )
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if not 0 <= arguments.begin_at < 1 or (arguments.begin_at and not arguments.warm_start):
        parser.error("--begin-at takes a share from 0 up to 1, and needs --warm-start")
    arguments.work.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(arguments.work / "train.log")]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers)
    seed_everything(0)
    train(Run(arguments, gather(arguments.data, arguments.work, reader_of_texts(arguments.warm_start, arguments.work))))


if __name__ == "__main__":
    main()
