"""How well relevance tells what a picture shows: python -m benchmarks relevance FOLDER [--model NAME]

FOLDER holds a folder for each concept, named as one would search for it, with pictures of it inside. Every second
concept makes up a library; the others are searched for without being there. Printed beside each other:

* F1 of the matches (relevance ≥ `LIKELY`), chosen beforehand, against F1 of the one cosine threshold that is best for
  this very library, chosen with hindsight;
* the share of queries for something absent that have any strong match;
* how well the ranking agrees with the truth (area under the ROC curve over all pictures and queries), by either.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.config import STARTER_MODEL
from app.errors import PictureError
from app.media.pictures import load
from app.models import FloatArray
from app.vectors.encoder import Encoder, load_encoder
from app.vectors.index import VectorIndex
from app.vectors.relevance import LIKELY, STRONG, neutral_texts
from benchmarks.measure import Table
from benchmarks.synthetic import Log

BATCH = 32
MAX_PIXELS = 80_000_000


@dataclass(frozen=True, slots=True)
class Figures:
    """One run."""

    pictures: int
    present: int
    absent: int
    f1: float
    f1_hindsight: float
    absent_with_strong: float
    absent_with_strong_by_cosine: float
    auc: float
    auc_cosine: float


def measure(encoder: Encoder, folder: Path, most: int) -> Figures:
    """Build the library, ask for every concept, compare with the truth."""
    concepts = sorted(path for path in folder.iterdir() if path.is_dir())
    present, absent = concepts[::2], concepts[1::2]
    vectors, owners = encode_folders(encoder, present, most)
    index = VectorIndex(encoder.space.dimension)
    index.use_bank(encode_texts(encoder, list(neutral_texts())))
    index.follow(Log(vectors))
    scores, relevance = ask(index, encode_texts(encoder, [named(path) for path in present]), len(vectors))
    absent_scores, absent_relevance = ask(index, encode_texts(encoder, [named(path) for path in absent]), len(vectors))
    truth = owners[None, :] == np.arange(len(present))[:, None]
    thresholds = np.quantile(scores, np.linspace(0.5, 0.9999, 1000))
    hindsight = max(thresholds, key=lambda threshold: f1(scores >= threshold, truth))
    return Figures(
        pictures=len(vectors),
        present=len(present),
        absent=len(absent),
        f1=f1(relevance >= LIKELY, truth),
        f1_hindsight=f1(scores >= hindsight, truth),
        absent_with_strong=float((absent_relevance.max(1) >= STRONG).mean()),
        absent_with_strong_by_cosine=float((absent_scores.max(1) >= hindsight).mean()),
        auc=auc(relevance, truth),
        auc_cosine=auc(scores, truth),
    )


def encode_folders(encoder: Encoder, folders: list[Path], most: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Vectors of the first ``most`` readable pictures of each folder, and the number of the folder they are from."""
    vectors, owners = [], []
    for number, folder in enumerate(folders):
        rasters = []
        for path in sorted(folder.iterdir())[:most]:
            try:
                rasters.append(load(path.read_bytes(), MAX_PIXELS))
            except PictureError:
                continue
        for start in range(0, len(rasters), BATCH):
            vectors.append(encoder.encode_images(rasters[start : start + BATCH]))
        owners += [number] * len(rasters)
    return np.concatenate(vectors), np.array(owners)


def encode_texts(encoder: Encoder, texts: list[str]) -> FloatArray:
    return np.concatenate([encoder.encode_texts(texts[n : n + BATCH]) for n in range(0, len(texts), BATCH)])


def named(path: Path) -> str:
    return path.name.replace("_", " ")


def ask(index: VectorIndex, queries: FloatArray, pictures: int) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Scores and relevance of every picture for every query, [queries, pictures] in the order of ids."""
    scores = np.empty((len(queries), pictures), np.float32)
    relevance = np.empty((len(queries), pictures))
    for number, query in enumerate(queries):
        ranking = index.rank(query, pictures)
        scores[number, ranking.ids - 1] = ranking.scores
        relevance[number, ranking.ids - 1] = ranking.relevance
    return scores, relevance


def f1(chosen: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    both = int((chosen & truth).sum())
    return 2 * both / (int(chosen.sum()) + int(truth.sum())) if both else 0.0


def auc(values: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> float:
    """Chance that a right pair of query and picture is above a wrong one (Mann–Whitney)."""
    ranks = np.empty(values.size)
    ranks[np.argsort(values, axis=None)] = np.arange(1, values.size + 1)
    right = int(truth.sum())
    above = ranks[truth.ravel()].sum() - right * (right + 1) / 2
    return float(above / (right * (values.size - right)))


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=str(STARTER_MODEL), help="name or folder; the bundled model by default")
    parser.add_argument("--most", type=int, default=20, help="pictures of each concept at most")


def run(arguments: argparse.Namespace) -> Iterator[Table]:
    most = min(arguments.most, 5) if arguments.quick else arguments.most
    figures = measure(load_encoder(arguments.model, STARTER_MODEL), arguments.folder, most)
    absent = f"queries for {figures.absent} absent concepts with a strong match"
    yield Table(
        f"{figures.pictures} pictures of {figures.present} concepts",
        ("figure", "relevance", "cosine"),
        (
            ("F1 (cosine: best threshold with hindsight)", figures.f1, figures.f1_hindsight),
            (absent, figures.absent_with_strong, figures.absent_with_strong_by_cosine),
            ("area under the ROC curve", figures.auc, figures.auc_cosine),
        ),
    )
