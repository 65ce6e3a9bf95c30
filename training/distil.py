"""Trains the small text tower: python training/distil.py --data DATA --work WORK --minutes 30

First the teacher reads every text of the corpus once (kept in WORK), then the student learns to give the same vectors.
With `--joint`, it goes on from there towards the vectors that the finished text map gives, so that the student is
exact where the pictures need it. Interrupt at any moment: the same command goes on.
"""

from __future__ import annotations

import argparse
import logging
import math
import random
import time
from pathlib import Path
from typing import Any

import corpus
import data
import drawings
import numpy as np
import torch
import torch.nn.functional as F
from texts import Teacher, TextMap, concept_wordings
from torch import Tensor
from tower import choose_vocabulary, load_student, make_tokenizer, pooled, save_student, start_from
from train import reader_of_texts
from trained import read_trained
from transformers import BertModel

BATCH = 256
PEAK = 4e-4
JOINT_PEAK = 1e-4
SAVE_EVERY = 120.0
log = logging.getLogger("distil")


def known_vectors(folder: Path, work: Path) -> dict[str, corpus.Vectors]:
    """What the teacher already said while the pictures were trained."""
    path = work / "picture_captions.npy"
    if not path.exists():
        return {}
    captions = [t for p in data.read_pictures(folder, work) if p.captioned and p.split == "train" for t in p.texts]
    return dict(zip(captions, np.load(path), strict=True))


def batches(lengths: list[int], batch: int, dice: random.Random) -> list[list[int]]:
    """One pass in batches of similar length, in random order (short batches cost little)."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] + dice.random() * 3)
    cut = [order[k : k + batch] for k in range(0, len(order) - batch + 1, batch)]
    dice.shuffle(cut)
    return cut


def loss_of(mine: Tensor, theirs: Tensor, meant: Tensor, text_map: TextMap | None) -> Tensor:
    """Cosine to the teacher, and the same neighbours inside the batch; with a text map also there, where pictures are.

    `meant`: [n, 384], what a text asks for: for the wordings of one thing their mean, else the teacher's vector.
    """
    loss = 20 * (1 - (mine * theirs).sum(1)).mean() + relation(mine, theirs)
    if text_map is not None:
        with torch.no_grad():
            wanted = text_map(meant)
        here = text_map(mine)
        loss = 0.2 * loss + 20 * (1 - (here * wanted).sum(1)).mean() + relation(here, wanted)
    return loss


def meanings(folder: Path, texts: list[str], taught: Tensor) -> tuple[Tensor, list[int]]:
    """`taught` with the wordings of each concept, parent and drawing pulled to their mean, and which rows those are."""
    pictures = data.read_pictures(folder)
    groups = [concept_wordings(names) for names in data.concepts_of(pictures).synonyms]
    groups += [concept_wordings((word,)) for word in data.broader_words(pictures)]
    groups += [list(words) for tag, words in drawings.vocabulary().items() if not tag.startswith("a plain")]
    row, meant, pulled = {text: i for i, text in enumerate(texts)}, taught.float().clone(), set[int]()
    for words in groups:
        rows = sorted({row[word] for word in words} - pulled)  # a wording that two share stays with the first
        meant[rows] = F.normalize(taught[rows].float().mean(0), dim=0)
        pulled.update(rows)
    return meant, sorted(pulled)


def relation(mine: Tensor, theirs: Tensor, sharpness: float = 20.0) -> Tensor:
    """Cross entropy between who is near whom for the teacher and for the student."""
    wanted = F.softmax(sharpness * theirs @ theirs.T, 1)
    return -(wanted * F.log_softmax(sharpness * mine @ theirs.T, 1)).sum(1).mean()


def vectors_of(texts: list[str], arguments: argparse.Namespace) -> Tensor:
    """[n, 384]: what the teacher says or, where an exported model is trained on, what its own tower said so far."""
    if arguments.warm_start:
        return reader_of_texts(arguments.warm_start, arguments.work).encode(texts, "taught")
    known = known_vectors(arguments.data, arguments.work)
    return torch.from_numpy(corpus.teach(texts, arguments.work, known, arguments.device))


def distil(arguments: argparse.Namespace) -> None:
    work, device = arguments.work, torch.device(arguments.device)
    random.seed(1)
    torch.manual_seed(1)
    dice = random.Random(arguments.seed)
    texts = corpus.collect(arguments.data)
    taught = vectors_of(texts, arguments)
    if (work / "tower.pt").exists():
        student, vocabulary = load_student(work)
    else:
        teacher = Teacher(work).model
        vocabulary = choose_vocabulary(teacher.tokenizer, texts + data.read_captions(arguments.data))
        student = start_from(teacher[0].auto_model, teacher.tokenizer.get_vocab(), vocabulary)
    tokenizer = make_tokenizer(vocabulary, work / "tokenizer")
    text_map = read_trained(work / "picture.pt")[1].requires_grad_(False).to(device) if arguments.joint else None
    student.to(device).train()
    tokens = tokenizer(texts, truncation=True, max_length=corpus.LONGEST)["input_ids"]
    meant, pulled = meanings(arguments.data, texts, taught) if arguments.joint else (taught, [])
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-6, weight_decay=0.01, betas=(0.9, 0.98))
    progress_file = work / ("joint.pt" if arguments.joint else "distil.pt")
    peak = JOINT_PEAK if arguments.joint else PEAK
    spent, step = 0.0, 0
    if progress_file.exists():
        stored: dict[str, Any] = torch.load(progress_file, weights_only=False)
        optimiser.load_state_dict(stored["optimiser"])
        spent, step = stored["spent"], stored["step"]
        dice = random.Random(step)

    def save() -> None:
        save_student(student, vocabulary, work)
        torch.save({"optimiser": optimiser.state_dict(), "spent": spent, "step": step}, progress_file)

    saved, queue = time.time(), list[list[int]]()
    while (progress := spent / (60 * arguments.minutes)) < 1:
        began = time.time()
        if not queue:
            some = pulled + dice.sample(range(len(texts)), len(pulled)) if pulled else list(range(len(texts)))
            queue = [[some[k] for k in rows] for rows in batches([len(tokens[i]) for i in some], BATCH, dice)]
        rows = queue.pop()
        for group in optimiser.param_groups:
            group["lr"] = peak * min(1.0, progress / 0.05 + 0.02) * 0.5 * (1 + math.cos(math.pi * progress))
        theirs, asked = (F.normalize(v[rows].float(), dim=1).to(device) for v in (taught, meant))
        inputs = padded([tokens[i] for i in rows], device)
        loss, cosine = learn(student, optimiser, inputs, theirs, asked, text_map)
        step, spent = step + 1, spent + time.time() - began
        if step % 25 == 0:
            log.info("%d %.3f loss %.3f cosine %.4f", step, progress, loss, cosine)
        if time.time() - saved > SAVE_EVERY:
            save()
            saved = time.time()
    save()


def learn(
    student: BertModel,
    optimiser: torch.optim.Optimizer,
    inputs: dict[str, Tensor],
    theirs: Tensor,
    asked: Tensor,
    text_map: TextMap | None,
) -> tuple[float, float]:
    """One step; returns the loss and the mean cosine to the teacher."""
    with torch.autocast(theirs.device.type, torch.bfloat16):
        mine = pooled(student, inputs)
    loss = loss_of(mine, theirs, asked, text_map)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimiser.step()
    return loss.item(), (mine.detach() * theirs).sum(1).mean().item()


def padded(rows: list[list[int]], device: torch.device) -> dict[str, Tensor]:
    """[n, longest] ids and mask; id 0 is [PAD]."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training texts")
    parser.add_argument("--work", type=Path, required=True, help="folder for caches, checkpoints and the log")
    parser.add_argument("--warm-start", type=Path, help="what train.py began with, if that was an exported model")
    parser.add_argument("--minutes", type=float, default=30, help="length of the schedule")
    parser.add_argument("--joint", action="store_true", help="go on towards the vectors of the finished text map")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    handlers: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(arguments.work / "distil.log")]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers)
    distil(arguments)


if __name__ == "__main__":
    main()
