"""Compile a model for this machine, and prove it: the fastest way to run it that says what the model itself says.

Tried are torch in float32 (the model itself), torch in bfloat16 where the processor computes in it, and ONNX Runtime in
float32 and with weights in int8 (quantised per channel, activations at run time: onnxruntime.ai/docs/performance/
model-optimizations/quantization.html). Each is asked for vectors of real pictures and texts. A way is *faithful* where

* every vector has a cosine of at least `FAITHFUL` with the same in float32, and
* at least `SAME_TOP` of the texts find the same best ten pictures, up to ties.

So vectors stay in the space of the model: those made before and after may be searched together.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from app.models import Choice, FloatArray, Trial
from app.vectors.compiled import BATCH, CompiledEncoder, Pixels, Record, Tokens, circumstances, folder_of
from app.vectors.encoder import Compiled, Encoder, SentenceTransformerEncoder

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

ITSELF = "torch fp32"
FAITHFUL = 0.995
SAME_TOP = 0.95
TOP = 10
TIE = 0.1
"""Pictures whose scores differ by less than this, in standard deviations of a text's scores, are tied: half precision
and the noise of a JPEG move them as much."""
TORCH_AHEAD = 1.25
"""Torch is taken only where it embeds pictures this many times faster: without it a process starts sooner and is
smaller."""
ROUNDS = 3
SINGLE_TEXTS = 8
OPSET = 17
STALE_SECONDS = 3600.0
"""Nothing takes this long to compile."""
PIXELS_APART = 1e-3
"""Of standardised pixels: where our preprocessing and the model's own differ by more, only torch runs it."""
ODD_TEXTS = ("", "  Two  spaces ", "UPPER case, punctuation!", "ÄÖÜ 写真 😀", "word " * 300)


@dataclass(frozen=True, slots=True)
class Reference:
    """Pictures and texts, and what the model itself makes of them."""

    pictures: Sequence[Image.Image]
    texts: Sequence[str]
    image_vectors: FloatArray
    text_vectors: FloatArray

    @classmethod
    def of(cls, encoder: Encoder, pictures: Sequence[Image.Image], texts: Sequence[str]) -> Reference:
        return cls(pictures, texts, encode_images(encoder, pictures), encoder.encode_texts(texts))


def compile_model(
    encoder: SentenceTransformerEncoder, compiled: Compiled, pictures: Sequence[Image.Image], texts: Sequence[str]
) -> Choice:
    """Try everything, keep the fastest that is faithful under ``compiled``, and return it.

    ``encoder`` runs the model itself, in float32 on a CPU. ``pictures``: RGB; some 50 and more that differ.
    """
    reference = Reference.of(encoder, pictures, texts)
    compiled.folder.mkdir(parents=True, exist_ok=True)
    _sweep(compiled.folder)
    with tempfile.TemporaryDirectory(dir=compiled.folder, prefix=".new-") as name:
        towers = Towers(Path(name), encoder)
        candidates: dict[str, Encoder] = {ITSELF: encoder}
        if computes_in_bf16():
            candidates["torch bf16"] = encoder.in_bf16()
        candidates |= towers.export()
        choice = choose(try_all(candidates, reference), compiled.precision)
        towers.keep(choice, compiled)
    log.info("way to run the model chosen images=%s texts=%s", choice.images, choice.texts)
    return choice


def _sweep(folder: Path) -> None:
    """Clear away what was killed in the middle."""
    for path in folder.glob(".*"):
        if path.stat().st_mtime < time.time() - STALE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def computes_in_bf16() -> bool:
    """Whether this processor has instructions for bfloat16; others are up to 500 times slower in it than in float32."""
    import torch

    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private: a version may have them no more
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in names)


# -- proving


def try_all(candidates: dict[str, Encoder], reference: Reference) -> tuple[Trial, ...]:
    """Compare each with the model itself, and time them in turn: what slows a round down slows all of them."""
    images: dict[str, list[float]] = {name: [] for name in candidates}
    texts: dict[str, list[float]] = {name: [] for name in candidates}
    batch = [reference.pictures[number % len(reference.pictures)] for number in range(BATCH)]
    for _ in range(ROUNDS):
        for name, encoder in candidates.items():
            images[name].append(_seconds(encoder, batch, None))
            texts[name].append(_seconds(encoder, None, reference.texts[:SINGLE_TEXTS]))
    trials = []
    for name, encoder in candidates.items():
        pictures, words = encode_images(encoder, reference.pictures), encoder.encode_texts(reference.texts)
        trials += [
            Trial(
                "images",
                name,
                BATCH / min(images[name]),
                lowest_cosine(pictures, reference.image_vectors),
                same_top(reference, reference.text_vectors @ pictures.T),
            ),
            Trial(
                "texts",
                name,
                SINGLE_TEXTS / min(texts[name]),
                lowest_cosine(words, reference.text_vectors),
                same_top(reference, words @ reference.image_vectors.T),
            ),
        ]
    return tuple(trials)


def _seconds(encoder: Encoder, pictures: Sequence[Image.Image] | None, texts: Sequence[str] | None) -> float:
    began = time.perf_counter()
    if pictures is not None:
        encoder.encode_images(pictures)
    for text in texts or ():
        encoder.encode_texts([text])
    return time.perf_counter() - began


def encode_images(encoder: Encoder, pictures: Sequence[Image.Image]) -> FloatArray:
    """float32 [n, dimension], in batches."""
    return np.concatenate(
        [encoder.encode_images(pictures[start : start + BATCH]) for start in range(0, len(pictures), BATCH)]
    )


def lowest_cosine(vectors: FloatArray, reference: FloatArray) -> float:
    """Of unit rows; -1 where there are no numbers."""
    cosines = np.einsum("nd,nd->n", vectors, reference)
    return float(cosines.min()) if np.isfinite(cosines).all() else -1.0


def same_top(reference: Reference, scores: FloatArray) -> float:
    """Share of texts whose best pictures by ``scores`` [texts, pictures] are the best in float32 as well, or tied."""
    true = reference.text_vectors @ reference.image_vectors.T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    needed = np.sort(true, axis=1)[:, -TOP:][:, 0] - TIE * true.std(axis=1)
    return float((np.take_along_axis(true, best, 1).min(axis=1) >= needed).mean())


def choose(trials: Sequence[Trial], precision: str) -> Choice:
    """The fastest faithful ways for pictures and texts, in ``precision`` unless that is ``"auto"``.

    Both towers run in torch, or none does: a process then needs no torch. What pictures are fastest in decides.
    """
    ways: dict[str, tuple[Trial, Trial]] = {}
    for runtime in ("torch", "onnx"):
        images, texts = (_fastest(trials, tower, runtime, precision) for tower in ("images", "texts"))
        if images and texts:
            ways[runtime] = (images, texts)
    if not ways:
        return Choice(ITSELF, ITSELF, tuple(trials), _refusal(trials, precision))
    speed = {runtime: way[0].per_second / (TORCH_AHEAD if runtime == "torch" else 1) for runtime, way in ways.items()}
    images, texts = ways[max(speed, key=speed.__getitem__)]
    if images.name.startswith("torch"):
        texts = next(trial for trial in trials if (trial.tower, trial.name) == ("texts", images.name))
    return Choice(images.name, texts.name, tuple(trials))


def _fastest(trials: Sequence[Trial], tower: str, runtime: str, precision: str) -> Trial | None:
    if runtime == "torch":  # one model serves both
        faithful = [trial for trial in trials if trial.tower == tower and _both_faithful(trials, trial.name)]
    else:
        faithful = [trial for trial in trials if trial.tower == tower and _is_faithful(trial)]
    asked = [
        trial
        for trial in faithful
        if trial.name.startswith(runtime) and (precision == "auto" or trial.name.endswith(precision))
    ]
    return max(asked, key=lambda trial: trial.per_second, default=None)


def _is_faithful(trial: Trial) -> bool:
    return trial.cosine >= FAITHFUL and trial.same_top >= SAME_TOP


def _both_faithful(trials: Sequence[Trial], name: str) -> bool:
    return all(_is_faithful(trial) for trial in trials if trial.name == name)


def _refusal(trials: Sequence[Trial], precision: str) -> str:
    tried = [trial for trial in trials if trial.name.endswith(precision)]
    if not tried:
        return (
            f"GLIMPSE_PRECISION is {precision}, which this processor can't compute in: float32 is used. Set it to auto."
        )
    worst = min(tried, key=lambda trial: trial.cosine)
    return (
        f"GLIMPSE_PRECISION is {precision}, which changes what this model says too much (cosine {worst.cosine:.3f}, "
        f"same best pictures {worst.same_top:.0%}): float32 is used. Set it to auto."
    )


# -- compiling


class Towers:
    """Both towers of a model on their way to `CompiledEncoder`, in a folder that is thrown away unless kept."""

    def __init__(self, folder: Path, encoder: SentenceTransformerEncoder) -> None:
        self._folder = folder
        self._encoder = encoder
        self._pixels: Pixels | None = None
        self._tokens: Tokens | None = None

    def export(self) -> dict[str, Encoder]:
        """Compiled encoders by name: none if the model can't be compiled, which costs nothing but speed."""
        try:
            self._pixels = _pixels(self._encoder.model)
            self._tokens = _tokens(self._encoder.model, self._folder / "tokenizer.json")
            pixels = self._encoder.model.preprocess([Image.new("RGB", (300, 200))])
            words = self._encoder.model.preprocess([{"text": "a photo"}, {"text": "a photo of a dog"}])
            with tempfile.TemporaryDirectory(dir=self._folder) as plain:  # graphs before int8
                for tower, features in (("image", pixels), ("text", words)):
                    path = self._folder / f"fp32-{tower}.onnx"
                    _export(self._encoder.model, features, path)
                    _quantise(path, self._folder / f"int8-{tower}.onnx", Path(plain))
            candidates = {f"onnx {numbers}": self._load(numbers, numbers) for numbers in ("fp32", "int8")}
            self._check(candidates["onnx fp32"])
        except Exception as error:  # of whatever kind of model: torch runs it
            log.info("model can't be compiled, torch runs it reason=%s", str(error).strip().partition("\n")[0])
            return {}
        return dict(candidates)

    def _load(self, images: str, texts: str) -> CompiledEncoder:
        for tower, numbers in (("image", images), ("text", texts)):
            target = self._folder / f"{tower}.onnx"
            target.unlink(missing_ok=True)
            _link(self._folder / f"{numbers}-{tower}.onnx", target)
        if self._pixels is None or self._tokens is None:
            raise ValueError("nothing was exported")
        return CompiledEncoder(self._folder, self._encoder.space, self._pixels, self._tokens)

    def _check(self, compiled: CompiledEncoder) -> None:
        """Preprocessing is the model's own."""
        random = np.random.default_rng(0)
        noise = [(640, 480), (480, 640), (333, 222), (50, 40)]
        pictures = [Image.fromarray(random.integers(0, 256, (h, w, 3), np.uint8)) for w, h in noise]
        for picture in pictures:
            own = self._encoder.model.preprocess([picture])["pixel_values"].numpy()
            apart = np.abs(own - compiled.prepare([picture])).max() if own.shape[0] == 1 else np.inf
            if apart > PIXELS_APART:
                raise ValueError(f"pixels are prepared in a way of its own (differ by {apart:.3g})")
        for text in ODD_TEXTS:
            features = self._encoder.model.preprocess([{"text": text[:1000]}])
            for name, ids in compiled.tokenize([text]).items():
                if not np.array_equal(features[name].numpy(), ids):
                    raise ValueError(f"texts are split in a way of its own ({text[:20]!r})")

    def keep(self, choice: Choice, compiled: Compiled) -> None:
        """Put what was chosen in its place, whole or not at all."""
        record = Record(choice, circumstances(compiled.precision), self._encoder.space)
        if choice.images.startswith("onnx"):
            self._load(choice.images.split()[1], choice.texts.split()[1])
            record = Record(choice, record.circumstances, record.space, self._pixels, self._tokens)
            kept = {"choice.json", "tokenizer.json", "image.onnx", "text.onnx"}
        else:
            kept = {"choice.json"}
        record.write(self._folder)
        for path in self._folder.iterdir():
            if path.name not in kept:
                path.unlink()
        target = folder_of(compiled.folder, self._encoder.space.fingerprint)
        if target.exists():
            old = Path(tempfile.mkdtemp(dir=compiled.folder, prefix=".old-"))
            os.replace(target, old / "it")
            shutil.rmtree(old, ignore_errors=True)  # who runs it has it open
        shutil.copytree(self._folder, self._folder.with_suffix(".done"), copy_function=_link)
        os.replace(self._folder.with_suffix(".done"), target)


def _link(source: str | Path, target: str | Path) -> None:
    """A second name for a file; a copy on disks that know no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _export(model: Any, features: dict[str, Any], path: Path) -> None:
    import torch

    inputs = {name: value for name, value in features.items() if isinstance(value, torch.Tensor)}
    others = {name: value for name, value in features.items() if name not in inputs}

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: torch.Tensor) -> torch.Tensor:
            vectors: torch.Tensor = self.model({**others, **dict(zip(inputs, values, strict=True))})[
                "sentence_embedding"
            ]
            return vectors

    axes = {name: {0: "n", 1: "tokens"} if value.ndim == 2 else {0: "n"} for name, value in inputs.items()}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # what was traced is compared with the model itself
        torch.onnx.export(
            Tower().eval(),
            tuple(inputs.values()),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=["vectors"],
            dynamic_axes={**axes, "vectors": {0: "n"}},
        )


def _quantise(source: Path, target: Path, scratch: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = scratch / source.name
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_dynamic(
        str(prepared),
        str(target),
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul", "Gemm"],
    )


def _pixels(model: Any) -> Pixels:
    processor = next(
        part
        for module in model.modules()
        if (own := getattr(module, "processor", None)) is not None
        and hasattr(part := getattr(own, "image_processor", own), "image_mean")
    )
    size, crop = processor.size, processor.crop_size if getattr(processor, "do_center_crop", False) else None
    if not (processor.do_resize and processor.do_rescale and processor.do_normalize):
        raise ValueError("pixels are prepared in a way of its own")
    return Pixels(
        size=(size["shortest_edge"],) if "shortest_edge" in size else (size["height"], size["width"]),
        crop=(crop["height"], crop["width"]) if crop else (),
        resample=int(processor.resample),
        scale=float(processor.rescale_factor),
        mean=tuple(map(float, processor.image_mean)),
        std=tuple(map(float, processor.image_std)),
    )


def _tokens(model: Any, path: Path) -> Tokens:
    tokenizer = model.tokenizer
    path.write_text(tokenizer.backend_tokenizer.to_str(), "utf-8")
    longest = model.preprocess([{"text": ODD_TEXTS[-1]}])
    short = model.preprocess([{"text": "a"}])
    inputs = [name for name, value in longest.items() if hasattr(value, "ndim")]
    if not {"input_ids"} <= set(inputs) <= {"input_ids", "attention_mask", "token_type_ids"}:
        raise ValueError(f"the text tower has inputs of its own ({', '.join(inputs)})")
    return Tokens(
        inputs=tuple(inputs),
        length=int(longest["input_ids"].shape[1]),
        pad_id=int(tokenizer.pad_token_id),
        pad_token=str(tokenizer.pad_token),
        pad_to_length=longest["input_ids"].shape == short["input_ids"].shape,
    )
