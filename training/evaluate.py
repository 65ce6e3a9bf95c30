"""Prints how well a model finds things: python training/evaluate.py models/starter --data DATA

The folder is loaded as any user would load it, and nothing of training is used but the reading of the validation
pictures (never trained on) and the drawings (drawn here with seeds that training never used).
"""

from __future__ import annotations

import argparse
import io
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import data
import drawings
import extend
import numpy as np
import numpy.typing as npt
from PIL import Image
from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]
TEMPLATE = "a photo of a {}"
SOURCES = {"imagenet": "ImageNet", "places": "places", "food": "food", "sports": "sports", "caltech101": "Caltech"}
PROTOTYPE = {
    "ImageNet": 0.312,
    "places": 0.251,
    "food": 0.154,
    "sports": 0.471,
    "Caltech": 0.184,
    "R@1": 0.10,
    "R@10": 0.44,
}
MUST = {"ImageNet": 0.42, "places": 0.36, "food": 0.28, "sports": 0.62, "R@10": 0.55}
THINGS = ("circle", "square", "triangle", "star", "heart", "car", "house", "dress", "shirt", "balloon", "cup")
KINDS = {
    "a document": drawings.document, "handwriting": drawings.handwriting, "a screenshot": drawings.screenshot,
    "source code": drawings.code_screen, "a bar chart": drawings.bar_chart, "a line chart": drawings.line_chart,
    "a pie chart": drawings.pie_chart, "a map": drawings.street_map, "a calendar": drawings.calendar,
    "a gradient": drawings.gradient, "a grid": drawings.grid, "a rainbow": drawings.rainbow,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table. `chance`: what guessing gives."""

    name: str
    found: float
    chance: float | None = None
    prototype: float | None = None
    must: float | None = None


class Model:
    """The model as the product uses it: texts in their explicit form, pictures as PIL images."""

    def __init__(self, folder: Path) -> None:
        began = time.perf_counter()
        self._model = SentenceTransformer(str(folder), device="cpu")
        self.load_seconds = time.perf_counter() - began

    def texts(self, texts: list[str]) -> Vectors:
        """float32 [n, d], unit length."""
        found: Vectors = self._model.encode([{"text": text} for text in texts], batch_size=128, show_progress_bar=False)
        return found

    def pictures(self, pictures: list[Image.Image]) -> Vectors:
        """float32 [n, d], unit length."""
        found: Vectors = self._model.encode(pictures, batch_size=32, show_progress_bar=False)
        return found


def unit(vectors: Vectors) -> Vectors:
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


def averaged(model: Model, wordings: list[list[str]]) -> Vectors:
    """[n, d]: per row the mean of several wordings' vectors."""
    vectors, at, rows = model.texts([w for words in wordings for w in words]), 0, []
    for words in wordings:
        rows.append(vectors[at : at + len(words)].mean(0))
        at += len(words)
    return unit(np.stack(rows))


@dataclass(frozen=True)
class Validation:
    """The validation pictures of the named concepts and of Flickr8k, with their vectors."""

    pictures: list[data.Picture]
    vectors: Vectors
    concepts: data.Concepts

    def of(self, source: str) -> list[int]:
        return [i for i, p in enumerate(self.pictures) if p.source == source]

    def labels(self, index: list[int]) -> npt.NDArray[np.int64]:
        return np.array([self.concepts.number[self.pictures[i].texts[0]] for i in index])


def read_validation(model: Model, folder: Path) -> Validation:
    everything = data.read_pictures(folder)
    blob = (folder / "pictures.bin").read_bytes()
    chosen = [p for p in everything if p.split == "val" and p.source != "corel"]
    vectors = [
        model.pictures([data.open_picture(blob, p) for p in chosen[k : k + 512]]) for k in range(0, len(chosen), 512)
    ]
    return Validation(chosen, np.concatenate(vectors), data.concepts_of(everything))


def zero_shot(model: Model, held: Validation) -> list[Row]:
    """Top-1 among all concepts, asked with one template (synonyms averaged), with the bare name, and with another
    name."""
    names, synonyms = held.concepts.names, held.concepts.synonyms
    asked = averaged(model, [[TEMPLATE.format(s) for s in words] for words in synonyms])
    bare = model.texts(list(names))
    rows = []
    for source, title in SOURCES.items():
        index = held.of(source)
        right, scores = held.labels(index), held.vectors[index]
        rows.append(Row(title, top1(scores, asked, right), 1 / len(names), PROTOTYPE[title], MUST.get(title)))
        rows.append(Row(f"{title}, bare name", top1(scores, bare, right), 1 / len(names)))
    return rows


def top1(pictures: Vectors, answers: Vectors, right: npt.NDArray[np.int64]) -> float:
    return float(((pictures @ answers.T).argmax(1) == right).mean())


def other_words(model: Model, held: Validation) -> list[Row]:
    """Of the first ten pictures found by a name, by another name of the same, by a more general word: how many are
    right?"""
    index = [i for source in SOURCES for i in held.of(source)]
    vectors, labels = held.vectors[index], held.labels(index)
    have = defaultdict(set)
    for row, label in enumerate(labels.tolist()):
        have[label].add(row)
    named = [c for c in have if len(have[c]) >= 5]
    second = [c for c in named if len(held.concepts.synonyms[c]) > 1]
    other = [next(s for s in held.concepts.synonyms[c] if s != held.concepts.names[c]) for c in second]
    parents = defaultdict(set)
    for row, i in enumerate(index):
        for word in held.pictures[i].broader:
            parents[word].add(row)
    words = [w for w in parents if len(parents[w]) >= 5]

    def precision(texts: list[str], right: list[set[int]]) -> float:
        best = (-(model.texts(texts) @ vectors.T)).argsort(1)[:, :10]
        return float(np.mean([len(r & set(b.tolist())) / min(10, len(r)) for b, r in zip(best, right, strict=True)]))

    every = precision([held.concepts.names[c] for c in named], [have[c] for c in named])
    same = precision([held.concepts.names[c] for c in second], [have[c] for c in second])
    swapped = precision(other, [have[c] for c in second])
    general = precision(words, [parents[w] for w in words])
    return [
        Row(f"first ten right, by name ({len(named)} names)", every),
        Row(f"… by name, where there is a synonym ({len(second)})", same),
        Row("… the same by that synonym", swapped),
        Row(f"… by a more general word ({len(words)} words)", general),
    ]


def captions(model: Model, held: Validation) -> list[Row]:
    """Flickr8k: each caption against all validation pictures of the set."""
    index = held.of("flickr8k")
    owner = np.array([k for k, i in enumerate(index) for _ in held.pictures[i].texts])
    texts = [t for i in index for t in held.pictures[i].texts]
    rows = recall(f"Flickr8k caption → picture ({len(index)})", model, texts, owner, held.vectors[index])
    known = [(PROTOTYPE["R@1"], None), (PROTOTYPE["R@10"], MUST["R@10"])]
    return [Row(row.name, row.found, row.chance, was, must) for row, (was, must) in zip(rows, known, strict=True)]


def whole_photographs(model: Model, held: Validation, folder: Path, chosen: extend.Set) -> list[Row]:
    """Flickr8k again, with the photographs as they were taken: things are small, and not in the middle.

    `chosen`: where the larger originals lie. Which of them are validation pictures is told by their centre squares.
    """
    blob, index = (folder / "pictures.bin").read_bytes(), held.of("flickr8k")
    known = extend.signatures(np.stack([data.decode(blob, held.pictures[i]) for i in index]))
    whole, texts = [], []
    for _path, content in extend.blobs(chosen, extend.files(chosen)):
        photograph = Image.open(io.BytesIO(content)).convert("RGB")
        centre = extend.views(photograph, captioned=False)[0].resize((data.SIDE, data.SIDE), Image.Resampling.BICUBIC)
        likeness, row = extend.nearest(extend.signatures(np.asarray(centre)[None]), known)
        if likeness[0] > extend.SAME:
            whole.append(photograph)
            texts.append(held.pictures[index[row[0]]].texts)
    owner = np.array([k for k, words in enumerate(texts) for _ in words])
    return recall(f"Flickr8k, whole frames ({len(whole)})", model, [t for words in texts for t in words], owner,
                  model.pictures(whole))  # fmt: skip


def recall(title: str, model: Model, texts: list[str], owner: npt.NDArray[np.int64], pictures: Vectors) -> list[Row]:
    """`owner[k]`: which picture text k describes."""
    scores = model.texts(texts) @ pictures.T
    rank = (scores > scores[np.arange(len(owner)), owner][:, None]).sum(1)
    return [Row(f"{title} R@{k}", float((rank < k).mean()), k / len(pictures)) for k in (1, 10)]


def colours(model: Model) -> list[Row]:
    """Eleven colour words × things and plain backgrounds; which of the eleven does a picture show?"""
    dice = random.Random(987_654)
    shown = [(c, thing) for c in drawings.COLOURS for thing in ("background", *THINGS) for _ in range(3)]
    pictures = [_coloured(c, thing, dice) for c, thing in shown]
    vectors, right = model.pictures(pictures), np.array([drawings.COLOURS.index(c) for c, _ in shown])
    rows = []
    for title, template in (("“red”", "{}"), ("“something red”", "something {}")):
        answers = model.texts([template.format(c) for c in drawings.COLOURS])
        rows.append(Row(f"colours drawn by code, {title}", top1(vectors, answers, right), 1 / 11, None, 0.90))
        first = (answers @ vectors.T).argsort(1)[:, ::-1][:, :10]
        hit = float((right[first] == np.arange(11)[:, None]).mean())
        rows.append(Row(f"… first ten found by {title}", hit, 1 / 11))
    hits = []
    for thing in ("background", *THINGS):
        some = [k for k, (_, t) in enumerate(shown) if t == thing]
        answers = model.texts([f"a {c} {thing}" for c in drawings.COLOURS])
        hits.append(top1(vectors[some], answers, right[some]))
    rows.append(Row("colours drawn by code, “a red circle”", float(np.mean(hits)), 1 / 11, None, 0.90))
    return rows


def _coloured(colour: str, thing: str, dice: random.Random) -> Image.Image:
    if thing == "background":
        return drawings.plain_background(colour, dice).image
    return drawings.coloured_thing(colour, thing, dice, least=0.45).image


def kinds(model: Model) -> list[Row]:
    """Documents, screens, charts, patterns: which of the twelve is it?"""
    dice = random.Random(123_987)
    pictures = [draw(dice).image for draw in KINDS.values() for _ in range(15)]
    right = np.repeat(np.arange(len(KINDS)), 15)
    return [
        Row(
            "document, screenshot, chart … (12 kinds)",
            top1(model.pictures(pictures), model.texts(list(KINDS)), right),
            1 / 12,
        )
    ]


def speed(model: Model) -> float:
    """Pictures per second from PIL images of 512 pixels."""
    pictures = [Image.effect_noise((512, 384), 60).convert("RGB") for _ in range(192)]
    model.pictures(pictures[:32])
    began = time.perf_counter()
    model.pictures(pictures)
    return len(pictures) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of a sentence-transformers model")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the training pictures (its validation part is read)"
    )
    parser.add_argument(
        "--whole", type=extend.Set.parse, help="flickr8k=REPOSITORY@REVISION:FOLDER of the larger originals"
    )
    arguments = parser.parse_args()
    model = Model(arguments.model)
    held = read_validation(model, arguments.data)
    rows = [*zero_shot(model, held), *captions(model, held), *other_words(model, held), *colours(model), *kinds(model)]
    if arguments.whole:
        rows += whole_photographs(model, held, arguments.data, arguments.whole)
    size = sum(path.stat().st_size for path in arguments.model.rglob("*") if path.is_file())
    print("| figure | this model | chance | prototype | must |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row.name} | {row.found:.3f} | {_cell(row.chance)} | {_cell(row.prototype)} | {_cell(row.must)} |")
    print(f"\n{size / 1e6:.1f} MB, loads in {model.load_seconds:.2f} s, {speed(model):.0f} pictures/s")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
