"""Models small enough to be built by a test, in the formats of real ones: random weights, real everything else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789:/.-_,;=+"
START, END = "<|startoftext|>", "<|endoftext|>"
DIMENSION = 16


def save_tiny_clip(folder: Path, seed: int = 0, spread: float = 1.0) -> Path:
    """A CLIP of a few kB as a transformers folder: letters as tokens, 32 × 32 pixels, `DIMENSION` dimensions.

    With a ``spread`` of 10 the vectors of pictures lie apart as those of a trained model do.
    """
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**layers, "vocab_size": 2 * len(LETTERS) + 2, "max_position_embeddings": 77}
    vision = {**layers, "image_size": 32, "patch_size": 8, "initializer_factor": spread}
    return _save_clip(folder, seed, text, vision, DIMENSION)


def save_slow_clip(folder: Path, seed: int = 0) -> Path:
    """A CLIP of some 10 MB that takes a good part of a second for each batch of pictures."""
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**layers, "vocab_size": 2 * len(LETTERS) + 2, "max_position_embeddings": 77}
    vision = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 3, "num_attention_heads": 4}
    return _save_clip(folder, seed, text, {**vision, "image_size": 224, "patch_size": 16}, DIMENSION)


def save_vit_b_32(folder: Path, seed: int = 0) -> Path:
    """A CLIP with the architecture of ViT-B/32 (arXiv 2103.00020), 600 MB: random weights cost what trained ones do."""
    return _save_clip(folder, seed, {"vocab_size": 49408}, {"image_size": 224, "patch_size": 32}, 512)


def _save_clip(folder: Path, seed: int, text: dict[str, Any], vision: dict[str, Any], dimension: int) -> Path:
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder.mkdir(parents=True)
    tokens = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), START, END]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
    special = {"bos_token_id": vocabulary[START], "eos_token_id": vocabulary[END], "pad_token_id": vocabulary[END]}
    config = CLIPConfig(text_config={**text, **special}, vision_config=vision, projection_dim=dimension)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIPModel(config)
    model.save_pretrained(folder)
    side = vision["image_size"]
    images = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    CLIPProcessor(images, tokenizer).save_pretrained(folder)  # type: ignore[no-untyped-call]
    return folder


def save_tiny_siglip(folder: Path) -> Path:
    """A SigLIP of a few kB: letters as tokens, 32 × 32 pixels, texts of 64 tokens."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        PreTrainedTokenizerFast,
        SiglipConfig,
        SiglipImageProcessor,
        SiglipModel,
        SiglipProcessor,
    )

    tokens = ["<pad>", END, "<unk>", " ", *LETTERS]
    split = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))  # noqa: S106
    split.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    split.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    special = {"pad_token": END, "eos_token": END, "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=split, model_max_length=64, model_input_names=["input_ids"], **special
    )
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    numbers = {"pad_token_id": 1, "eos_token_id": 1, "bos_token_id": 1}
    text = {**layers, **numbers, "vocab_size": len(tokens), "max_position_embeddings": 64, "projection_size": 32}
    config = SiglipConfig(text_config=text, vision_config={**layers, "image_size": 32, "patch_size": 8})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        SiglipModel(config).save_pretrained(folder)
    images = SiglipImageProcessor(size={"height": 32, "width": 32})
    SiglipProcessor(images, tokenizer).save_pretrained(folder)  # type: ignore[no-untyped-call]
    return folder


def save_as_sentence_transformers(source: Path, folder: Path) -> Path:
    """The same model in the other format: with `modules.json`, as models on the hub have it."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(str(source), device="cpu", local_files_only=True).save(str(folder))
    assert (folder / "modules.json").exists()
    return folder


def save_digits_tower(clip: Path, folder: Path) -> Path:
    """A tiny CLIP's twin that knows a second language: it reads ``0 1 2`` as its twin reads ``a b c``."""
    import torch
    from transformers import CLIPModel

    shutil.copytree(clip, folder)
    model = CLIPModel.from_pretrained(folder)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    with torch.no_grad():
        tokens = model.text_model.embeddings.token_embedding.weight
        for letter, digit in zip("abcdefghij", "0123456789", strict=True):
            for end in ("", "</w>"):
                tokens[vocabulary[digit + end]] = tokens[vocabulary[letter + end]]
    model.save_pretrained(folder)
    return folder


def save_sentence_model(folder: Path, dimension: int) -> Path:
    """A tiny BERT with pooling and a dense layer, built as `clip-ViT-B-32-multilingual-v1` is: texts alone."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    bert = Transformer(str(save_text_only_model(folder.with_name(f"{folder.name}-bert"))))
    width = bert.get_embedding_dimension()
    SentenceTransformer(modules=[bert, Pooling(width), Dense(width, dimension)], device="cpu").save(str(folder))
    return folder


def save_text_only_model(folder: Path) -> Path:
    """A tiny BERT: it reads texts and no pictures."""
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir(parents=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]))
    BertTokenizer(str(vocabulary)).save_pretrained(folder)
    config = BertConfig(vocab_size=31, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertModel(config).save_pretrained(folder)
    return folder


def put_into_cache(model: Path, cache: Path, repository: str) -> Path:
    """Lay a model folder where the hub's client keeps what it fetched. Returns the snapshot's folder."""
    root = cache / f"models--{repository.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    snapshot = root / "snapshots" / commit
    for path in model.rglob("*"):
        if path.is_file():
            kept = snapshot / path.relative_to(model)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(path.read_bytes())
    return snapshot
