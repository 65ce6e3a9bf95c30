"""The texts that the small text tower learns from, and what the teacher says about them."""

from __future__ import annotations

import random
from pathlib import Path

import data
import drawings
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from texts import TEMPLATES, Teacher, concept_wordings
from torch import Tensor

CAPTIONS, NAMES, GLOSSES, MIXED = 45_000, 35_000, 8_000, 15_000
"""How many of each kind: captions, WordNet names in templates, glosses, and colour-and-thing phrases."""
LONGEST = 48
"""Word pieces per text, in training and at search time."""


def collect(folder: Path, seed: int = 5) -> list[str]:
    """All texts to learn from, without repetition, in a fixed order."""
    dice = random.Random(seed)
    pictures = data.read_pictures(folder)
    texts = [t for p in pictures if p.captioned and p.split == "train" for t in p.texts]
    concepts = data.concepts_of(pictures)
    texts += [w for names in concepts.synonyms for w in concept_wordings(names)]
    texts += [w for word in data.broader_words(pictures, least=1) for w in concept_wordings((word,))]
    texts += [w for wordings in drawings.vocabulary().values() for w in wordings]
    texts += dice.sample(data.read_captions(folder), CAPTIONS)
    nouns = data.read_nouns(folder)
    for _ in range(NAMES):
        words, _gloss = nouns[int(len(nouns) * dice.random())]
        texts.append(dice.choice(TEMPLATES).format(dice.choice(words)))
    texts += [gloss for _, gloss in dice.sample(nouns, GLOSSES)]
    things = [name for names in concepts.synonyms for name in names] + [words[0] for words, _ in nouns]
    texts += [_phrase(dice, things) for _ in range(MIXED)]
    return sorted(set(texts))


def _phrase(dice: random.Random, things: list[str]) -> str:
    """Short queries as people type them: a colour, a number, a place, two things."""
    colour, thing, other = dice.choice(drawings.COLOURS), dice.choice(things[:1200]), dice.choice(things[:1200])
    return dice.choice((
        f"{colour} {thing}", f"a {colour} {thing}", f"{thing} and {other}", f"{thing} in the snow", f"{thing} at night",
        f"a {thing} on {colour} background", f"{thing} {other}", f"two {thing}s",
        f"{colour} and {dice.choice(drawings.COLOURS)}", f"a man with a {thing}", f"a woman with a {thing}",
        f"{thing} on the beach", f"drawing of a {thing}", f"old {thing}", f"{thing} at sunset",
        f"a child and a {thing}", f"{thing} close up", f"{dice.choice(things)}",
    ))  # fmt: skip


Vectors = npt.NDArray[np.float16]


def teach(texts: list[str], work: Path, known: dict[str, Vectors] | None = None, device: str = "cpu") -> Vectors:
    """The teacher's vectors, float16 [n, 384], unit length; written piece by piece, so that it can be interrupted.

    `known`: vectors that are there already from the training of the pictures.
    """
    finished, unfinished, mark = work / "taught.npy", work / "taught.part.npy", work / "taught.at"
    if finished.exists():
        stored: Vectors = np.load(finished)
        return stored
    known = known or {}
    order = sorted((i for i, text in enumerate(texts) if text not in known), key=lambda i: len(texts[i]))
    start = int(mark.read_text()) if mark.exists() else 0
    mode = "r+" if start else "w+"
    vectors = np.lib.format.open_memmap(unfinished, mode, np.float16, (len(texts), 384))
    if not start:
        for i, text in enumerate(texts):
            if text in known:
                vectors[i] = known[text]
    model = Teacher(work).model
    tokenizer, network = model.tokenizer, model[0].auto_model.to(device).eval()
    for at in range(start, len(order), 256):
        rows = order[at : at + 256]
        tokens = tokenizer(
            [texts[i] for i in rows], padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        ).to(device)
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16):
            hidden: Tensor = network(**tokens).last_hidden_state
        mask = tokens["attention_mask"][:, :, None]
        vectors[rows] = F.normalize((hidden.float() * mask).sum(1), dim=1).cpu().numpy()
        if at % 12_800 == 0:
            vectors.flush()
            mark.write_text(str(at))
    vectors.flush()
    unfinished.rename(finished)
    return np.load(finished)  # type: ignore[no-any-return]
