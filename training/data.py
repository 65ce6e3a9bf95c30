"""Reading the training pictures: records, a decoded cache, concepts and caption lists. The folder is always an
argument.

The layout of the folder is described in README.md beside this file; nothing of it is ever copied into the repository.
"""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

CAPTIONED = frozenset({"flickr8k", "coco", "corel"})
"""Sources whose `texts` are captions of one picture; everywhere else they are the names of one concept."""

SIDE = 72
"""Stored side in pixels. Training crops come from it, so it is a little larger than what the network sees."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """One picture of the training folder, without its pixels."""

    source: str
    split: str
    texts: tuple[str, ...]
    broader: tuple[str, ...]
    offset: int
    size: int

    @property
    def captioned(self) -> bool:
        return self.source in CAPTIONED


@dataclass(frozen=True)
class Concepts:
    """The named concepts: `names[k]` is the first name, `synonyms[k]` all names (sorted), `number` the way back."""

    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    number: dict[str, int]


def read_pictures(data: Path, work: Path | None = None) -> list[Picture]:
    """All pictures of the folder, in file order; with `work` those that extend.py added to it as well."""
    with gzip.open(data / "pictures.jsonl.gz", "rt", encoding="utf-8") as lines:
        pictures = [_picture(json.loads(line)) for line in lines]
    if work and (work / "more.jsonl").exists():
        with (work / "more.jsonl").open(encoding="utf-8") as lines:
            added = {"split": "train", "offset": 0, "bytes": 0}
            pictures += [_picture(json.loads(line) | added) for line in lines]
    return pictures


def _picture(row: dict[str, Any]) -> Picture:
    return Picture(row["source"], row["split"], tuple(row["texts"]), tuple(row["broader"]), row["offset"], row["bytes"])


def read_pixels(data: Path, work: Path, pictures: list[Picture]) -> Pixels:
    """uint8 [n, 72, 72, 3] of all pictures, decoded once into a file of `work` (16 kB each) and mapped into memory."""
    cache = work / f"pixels-{len(pictures)}.npy"
    if not cache.exists():
        blob = (data / "pictures.bin").read_bytes()
        unfinished = work / "pixels.part.npy"
        pixels = np.lib.format.open_memmap(unfinished, "w+", np.uint8, (len(pictures), SIDE, SIDE, 3))
        stored = [picture for picture in pictures if picture.size]
        for i, picture in enumerate(stored):
            pixels[i] = decode(blob, picture)
        if len(stored) < len(pictures):
            pixels[len(stored) :] = np.load(work / "more.npy", mmap_mode="r")
        pixels.flush()
        unfinished.rename(cache)
    mapped: Pixels = np.load(cache, mmap_mode="r")
    return mapped


def open_picture(blob: bytes, picture: Picture) -> Image.Image:
    """The picture as it is stored (about 72 × 72, RGB)."""
    return Image.open(io.BytesIO(blob[picture.offset : picture.offset + picture.size])).convert("RGB")


def decode(blob: bytes, picture: Picture) -> Pixels:
    """uint8 [72, 72, 3]."""
    image = open_picture(blob, picture)
    return np.asarray(image if image.size == (SIDE, SIDE) else image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def concepts_of(pictures: list[Picture]) -> Concepts:
    """The concepts of all sources together, sorted by their first name, so that numbers are stable."""
    names: dict[str, set[str]] = defaultdict(set)
    for picture in pictures:
        if not picture.captioned:
            names[picture.texts[0]].update(picture.texts)
    ordered = tuple(sorted(names))
    return Concepts(ordered, tuple(tuple(sorted(names[n])) for n in ordered), {n: i for i, n in enumerate(ordered)})


def broader_words(pictures: list[Picture], least: int = 40) -> tuple[str, ...]:
    """More general words that at least `least` pictures carry, most frequent first."""
    counted = Counter(word for picture in pictures for word in picture.broader)
    return tuple(word for word, count in counted.most_common() if count >= least)


def read_captions(data: Path) -> list[str]:
    """English captions, one a line."""
    with gzip.open(data / "captions.txt.gz", "rt", encoding="utf-8") as lines:
        return [line.strip() for line in lines if line.strip()]


def read_nouns(data: Path) -> list[tuple[list[str], str]]:
    """WordNet nouns as (synonyms, gloss)."""
    nouns = []
    with gzip.open(data / "wordnet_nouns.txt.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            words, _, gloss = line.strip().partition(": ")
            nouns.append(([word.strip() for word in words.split(",")], gloss.strip()))
    return nouns
