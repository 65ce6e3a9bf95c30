"""The small text tower: three of the teacher's six layers, a vocabulary of common English, and the map into picture
space."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from corpus import LONGEST
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel, BertTokenizerFast

VOCABULARY = 12_000
LAYERS = (0, 2, 5)
"""Which layers of the teacher the student starts from."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def choose_vocabulary(tokenizer: Any, texts: list[str], size: int = VOCABULARY) -> list[str]:
    """The word pieces that `texts` use most, every single character of common scripts, then the teacher's most common.

    A word whose own piece is dropped falls apart into smaller ones; the teacher's vectors teach what they mean
    together.
    """
    count: Counter[str] = Counter()
    backend: Tokenizer = tokenizer.backend_tokenizer
    for start in range(0, len(texts), 4096):
        for encoding in backend.encode_batch(texts[start : start + 4096], add_special_tokens=False):
            count.update(encoding.tokens)
    pieces: dict[str, int] = tokenizer.get_vocab()
    ordered = sorted(pieces, key=lambda piece: pieces[piece])
    single = [p for p in ordered if len(p.removeprefix("##")) == 1 and ord(p[-1]) < 0x2E80]
    common = [p for p, _ in count.most_common()]
    rest = [p for p in ordered if not p.startswith("[unused")]
    kept = dict.fromkeys([*SPECIAL, *single, *common, *rest])
    kept.pop("", None)
    return list(kept)[:size]


def make_tokenizer(vocabulary: list[str], folder: Path) -> BertTokenizerFast:
    """A plain uncased BERT tokenizer over `vocabulary`, as transformers saves and loads it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return BertTokenizerFast.from_pretrained(str(folder), do_lower_case=True, model_max_length=LONGEST)


def start_from(teacher: BertModel, pieces: dict[str, int], vocabulary: list[str]) -> BertModel:
    """A student whose embeddings and layers are the teacher's own, fewer of them."""
    settings = teacher.config.to_dict() | {
        "vocab_size": len(vocabulary), "num_hidden_layers": len(LAYERS), "max_position_embeddings": 64,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    student = BertModel(BertConfig(**settings), add_pooling_layer=False)
    words = teacher.embeddings.word_embeddings.weight.data
    student.embeddings.word_embeddings.weight.data.copy_(words[[pieces[piece] for piece in vocabulary]])
    student.embeddings.position_embeddings.weight.data.copy_(teacher.embeddings.position_embeddings.weight.data[:64])
    student.embeddings.token_type_embeddings.load_state_dict(teacher.embeddings.token_type_embeddings.state_dict())
    student.embeddings.LayerNorm.load_state_dict(teacher.embeddings.LayerNorm.state_dict())
    for new, old in zip(student.encoder.layer, (teacher.encoder.layer[k] for k in LAYERS), strict=True):
        new.load_state_dict(old.state_dict())
    return student


def pooled(student: nn.Module, tokens: dict[str, Tensor]) -> Tensor:
    """Mean over the word pieces, unit length: float32 [n, 384], as the teacher does."""
    hidden: Tensor = student(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state
    return F.normalize((hidden.float() * tokens["attention_mask"][:, :, None]).sum(1), dim=1)


def save_student(student: BertModel, vocabulary: list[str], work: Path) -> None:
    torch.save(student.state_dict(), work / "tower.pt")
    (work / "vocabulary.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (work / "tower.json").write_text(json.dumps(student.config.to_dict()), encoding="utf-8")


def load_student(work: Path) -> tuple[BertModel, list[str]]:
    student = BertModel(BertConfig(**json.loads((work / "tower.json").read_text())), add_pooling_layer=False)
    student.load_state_dict(torch.load(work / "tower.pt", map_location="cpu", weights_only=True))
    return student, json.loads((work / "vocabulary.json").read_text(encoding="utf-8"))
