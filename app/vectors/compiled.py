"""A model compiled for this machine: both towers as ONNX graphs, its preprocessing, and how that was chosen.

::

    index/compiled/<digest of the model>/
        choice.json       what was tried, with figures, and what serves
        tokenizer.json    and image.onnx, text.onnx: only where a compiled encoder serves

Neither torch nor transformers is imported to run it. Whether it may take a model's place is proved when it is made
(`app.vectors.compiling`); here it is only asked whether that proof was made with these libraries on this processor.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from app.models import Choice, EmbeddingSpace, FloatArray, Trial

log = logging.getLogger(__name__)

FORMAT = 1
"""Another number makes every choice be made anew."""
LIBRARIES = ("torch", "sentence-transformers", "transformers", "tokenizers", "onnxruntime", "pillow", "numpy")
BATCH = 16
THREADS = 2
"""That prepare pixels: Pillow and numpy do most of it without the interpreter's lock."""
LONGEST_TEXT = 1000
"""Characters of a text that are looked at; models read 64 to 128 tokens of it."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """Picture → input of the image tower, as the processors of CLIP and ViT do it.

    ``size``: [height, width], or [shorter side]. ``crop``: [height, width] cut from the middle, or nothing.
    """

    size: tuple[int, ...]
    crop: tuple[int, ...]
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def prepare(self, picture: Image.Image) -> FloatArray:
        """float32 [3, height, width]."""
        picture = picture.convert("RGB")
        if len(self.size) == 2:
            width, height = self.size[1], self.size[0]
        else:  # as transformers.image_transforms.get_resize_output_image_size: the longer side is cut off, not rounded
            short, long = min(picture.size), max(picture.size)
            longer = int(self.size[0] * long / short)
            width, height = (self.size[0], longer) if picture.width <= picture.height else (longer, self.size[0])
        picture = picture.resize((width, height), Image.Resampling(self.resample))
        if self.crop:
            top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
            picture = picture.crop((left, top, left + self.crop[1], top + self.crop[0]))
        factor = np.float32(self.scale) / np.asarray(self.std, np.float32)
        offset = np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray((np.asarray(picture, np.float32) * factor - offset).transpose(2, 0, 1))


@dataclass(frozen=True, slots=True)
class Tokens:
    """How the tokenizer is used: the inputs the text tower has, the longest text, and what fills up shorter ones."""

    inputs: tuple[str, ...]
    length: int
    pad_id: int
    pad_token: str
    pad_to_length: bool


class CompiledEncoder:
    """An `Encoder` that runs compiled towers from a folder."""

    batch = BATCH

    def __init__(self, folder: Path, space: EmbeddingSpace, pixels: Pixels, tokens: Tokens) -> None:
        from tokenizers import Tokenizer

        self.space = space
        self.side = max(pixels.crop or pixels.size)
        self._pixels = pixels
        self._tokens = tokens
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(tokens.length)
        length = tokens.length if tokens.pad_to_length else None
        self._tokenizer.enable_padding(pad_id=tokens.pad_id, pad_token=tokens.pad_token, length=length)
        self._image_tower = _session(folder / "image.onnx")
        self._text_tower = _session(folder / "text.onnx")
        self._threads = ThreadPoolExecutor(THREADS, "pixels")

    def encode_images(self, images: Sequence[Image.Image]) -> FloatArray:
        pixels = np.stack(list(self._threads.map(self._pixels.prepare, images)))
        return _unit(self._image_tower.run(None, {"pixel_values": pixels})[0])

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        return _unit(self._text_tower.run(None, self.tokenize(texts))[0])

    def tokenize(self, texts: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
        """Inputs of the text tower by name, int64 [n, tokens]."""
        encoded = self._tokenizer.encode_batch([text[:LONGEST_TEXT] for text in texts])
        columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
        return {
            name: np.array([getattr(each, columns[name]) for each in encoded], np.int64) for name in self._tokens.inputs
        }

    def prepare(self, images: Sequence[Image.Image]) -> FloatArray:
        """Input of the image tower, float32 [n, 3, height, width]."""
        return np.stack([self._pixels.prepare(image) for image in images])


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as `share_cores`
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


# -- what was chosen


@dataclass(frozen=True, slots=True)
class Record:
    """``choice.json``."""

    choice: Choice
    circumstances: dict[str, Any]
    space: EmbeddingSpace
    pixels: Pixels | None = None
    tokens: Tokens | None = None

    def write(self, folder: Path) -> None:
        (folder / "choice.json").write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")


def folder_of(compiled: Path, fingerprint: str) -> Path:
    """Where what is compiled of the model with this digest lies."""
    return compiled / fingerprint[:16]


def read(compiled: Path, fingerprint: str, precision: str) -> Record | None:
    """What was chosen for a model; ``None`` if nothing was yet, or under other circumstances."""
    try:
        content = json.loads((folder_of(compiled, fingerprint) / "choice.json").read_text("utf-8"))
        record = Record(
            choice=Choice(
                **{**content["choice"], "trials": tuple(Trial(**one) for one in content["choice"]["trials"])}
            ),
            circumstances=content["circumstances"],
            space=EmbeddingSpace(**content["space"]),
            pixels=Pixels(**{key: _tuple(value) for key, value in content["pixels"].items()})
            if content["pixels"]
            else None,
            tokens=Tokens(**{key: _tuple(value) for key, value in content["tokens"].items()})
            if content["tokens"]
            else None,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("what was compiled can't be read, it is made again reason=%s", error)
        return None
    same = record.circumstances == circumstances(precision) and record.space.fingerprint == fingerprint
    return record if same else None


def measured(compiled: Path) -> dict[str, float]:
    """Pictures per second by model, as they were measured here when models were compiled, under whatever libraries."""
    found: dict[str, float] = {}
    for path in sorted(compiled.glob("*/choice.json"), key=lambda path: path.stat().st_mtime):
        try:
            content = json.loads(path.read_text("utf-8"))
            for trial in content["choice"]["trials"]:
                if (trial["tower"], trial["name"]) == ("images", content["choice"]["images"]):
                    found[content["space"]["model"]] = float(trial["per_second"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.debug("figures can't be read path=%s reason=%s", path, error)
    return found


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def load(compiled: Path, record: Record) -> CompiledEncoder | None:
    """The compiled encoder; ``None`` if the model itself was chosen, or what was compiled is damaged."""
    if record.pixels is None or record.tokens is None:
        return None
    try:
        return CompiledEncoder(
            folder_of(compiled, record.space.fingerprint), record.space, record.pixels, record.tokens
        )
    except Exception as error:  # onnxruntime's own exceptions have no common base
        log.warning("what was compiled can't be loaded, the model itself serves reason=%s", error)
        return None


def circumstances(precision: str) -> dict[str, Any]:
    """What a choice depends on."""
    versions = {name: version(name) for name in LIBRARIES}
    return {"format": FORMAT, "precision": precision, "processor": processor(), "versions": versions}


def processor() -> str:
    """The processor's name and a digest of what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{name} {hashlib.sha256(flags.encode()).hexdigest()[:8]}"
