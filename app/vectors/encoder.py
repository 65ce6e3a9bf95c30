"""Models that turn pictures and texts into vectors of one space. The only room that knows torch.

torch and sentence-transformers take seconds to import, so that happens in `load_encoder`, not at import.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from app.errors import ModelTooLarge, ModelUnavailable
from app.models import Choice, EmbeddingSpace, FloatArray
from app.vectors import memory
from app.vectors.compiled import BATCH, LONGEST_TEXT, load, read
from app.vectors.known import (
    AUTO,
    PREFERRED,
    cached,
    fetch,
    first_line,
    folder_of,
    is_folder_name,
    is_part,
    quiet_hub,
    short,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

BF16 = "torch bf16"
MOST_IN_BATCH = 128
"""Pictures in one forward pass on a GPU; their derivatives take up to 2.5 MB each until then."""
ANY_SIDE = 1 << 30
"""Of a model that takes pictures in whatever size: it is given the largest there is."""


class Encoder(Protocol):
    """Turns pictures and texts into unit vectors of one space. Safe to call from several threads."""

    @property
    def space(self) -> EmbeddingSpace: ...

    @property
    def side(self) -> int:
        """Pixels that the shorter side of a picture should have: what the model looks at."""
        ...

    @property
    def batch(self) -> int:
        """Pictures to be encoded at once."""
        ...

    def encode_images(self, images: Sequence[Image.Image]) -> FloatArray:
        """RGB pictures of any size → float32 [n, dimension], L2-normalised rows."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Texts → float32 [n, dimension], L2-normalised rows."""
        ...


class TextTower:
    """Reads texts with any model that `SentenceTransformer` loads for them. Safe to call from several threads."""

    def __init__(self, model: SentenceTransformer, name: str, fingerprint: str) -> None:
        self.model = model
        self._lock = threading.Lock()  # a fast tokenizer must not be used twice at once ("Already borrowed")
        self.space = EmbeddingSpace(name, fingerprint, self.encode_texts(["a photo"]).shape[1])

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        # The explicit form: a bare string that looks like a URL or a path would be fetched or opened as a picture.
        return self._encode([{"text": text[:LONGEST_TEXT]} for text in texts])

    def _encode(self, inputs: list[Image.Image] | list[dict[str, str]]) -> FloatArray:
        import torch

        with self._lock, torch.inference_mode():
            encoded = self.model(self._on_device(self.model.preprocess(inputs)))["sentence_embedding"]
            return np.ascontiguousarray(torch.nn.functional.normalize(encoded.float(), dim=1).cpu().numpy())

    def _on_device(self, features: dict[str, Any]) -> dict[str, Any]:
        """Where the model is, and in the numbers it has: not every model converts its pixels by itself."""
        weights = next(self.model.parameters())
        return {
            name: value.to(weights.device, weights.dtype if value.is_floating_point() else None)
            if hasattr(value, "is_floating_point")
            else value
            for name, value in features.items()
        }


class SentenceTransformerEncoder(TextTower):
    """An `Encoder` over any model that `SentenceTransformer` loads for both text and images."""

    def __init__(self, model: SentenceTransformer, name: str, fingerprint: str) -> None:
        super().__init__(model, name, fingerprint)
        self.side = self._input_side()
        self.batch = BATCH if model.device.type == "cpu" else self._fitting_batch()

    def encode_images(self, images: Sequence[Image.Image]) -> FloatArray:
        return self._encode(list(images))

    def in_bf16(self) -> SentenceTransformerEncoder:
        """The same in bfloat16: twice as fast, on processors that compute in it."""
        import copy

        import torch

        model = copy.deepcopy(self.model).to(torch.bfloat16).to(memory_format=torch.channels_last)
        return SentenceTransformerEncoder(model, self.space.model, self.space.fingerprint)

    def _input_side(self) -> int:
        pixels = self.model.preprocess([Image.new("RGB", (64, 64))]).get("pixel_values")
        return max(pixels.shape[-2:]) if pixels is not None and pixels.ndim == 4 else ANY_SIDE

    def _fitting_batch(self) -> int:
        """How many pictures half of the device's free memory holds, by what a few take."""
        import torch

        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        self.encode_images([Image.new("RGB", (64, 64))] * BATCH)
        each = max(1, (torch.cuda.max_memory_allocated() - before) // BATCH)
        free, _total = torch.cuda.mem_get_info()
        return int(min(MOST_IN_BATCH, max(1, free // 2 // each)))


@dataclass(frozen=True, slots=True)
class Compiled:
    """Where compiled models lie, and the precision that was asked for (`app.vectors.compiled`)."""

    folder: Path
    precision: str = "auto"


def load_encoder(name: str, starter: Path, compiled: Compiled | None = None) -> Encoder:
    """Load the model ``name``: a folder, a name on the hub, or `AUTO`; ``starter`` is the bundled model's folder.

    `AUTO` and folders never reach for the network. What was ``compiled`` of it takes its place. Raises
    `ModelUnavailable`.
    """
    _quiet_libraries()
    share_cores()
    if name == AUTO:
        return _load_auto(starter, compiled)
    if name == starter.name:
        return _load_folder(starter, name, compiled)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _load_folder(folder, str(folder.name), compiled)
    if is_folder_name(name):
        raise ModelUnavailable(f"There is no model folder {name}. Check it (GLIMPSE_MODEL, or what was chosen since).")
    return _load_named(name, compiled)


def _load_auto(starter: Path, compiled: Compiled | None) -> Encoder:
    for name in PREFERRED:
        folder = cached(name)
        if folder is None:
            continue
        try:
            return _load_folder(folder, short(name), compiled)
        except ModelUnavailable as error:  # an interrupted download, say
            log.warning("model skipped name=%s reason=%s", name, error)
    return _load_folder(starter, starter.name, compiled)


def _load_named(name: str, compiled: Compiled | None) -> Encoder:
    folder = folder_of(name, Path())
    if folder is not None:
        try:
            return _load_folder(folder, short(name), compiled)
        except ModelTooLarge:
            raise
        except ModelUnavailable:
            log.info("model incomplete in the local cache, fetching it name=%s", name)
    return _load_folder(fetch(name), short(name), compiled)


def _load_folder(folder: Path, name: str, compiled: Compiled | None) -> Encoder:
    digest = fingerprint(folder)
    record = read(compiled.folder, digest, compiled.precision) if compiled else None
    if compiled and record and record.space.model == name and (encoder := load(compiled.folder, record)):
        return encoder
    model = _construct(folder)
    if not (model.supports("image") and model.supports("text")):
        raise ModelUnavailable(f"The model {name} does not read both pictures and text. Choose a CLIP-like model.")
    return SentenceTransformerEncoder(model, name, digest)


def improved(encoder: Encoder, compiled: Compiled) -> tuple[Encoder, Choice] | None:
    """The encoder that was chosen to take the place of ``encoder``, or itself; ``None`` if nothing was chosen yet."""
    record = read(compiled.folder, encoder.space.fingerprint, compiled.precision)
    if record is None:
        return None
    if isinstance(encoder, SentenceTransformerEncoder):
        if record.choice.images == BF16:
            return encoder.in_bf16(), record.choice
        return load(compiled.folder, replace(record, space=encoder.space)) or encoder, record.choice
    return encoder, record.choice


def load_text_tower(name: str) -> TextTower:
    """Load a model that reads texts: a folder, or a name on the hub. Raises `ModelUnavailable`."""
    _quiet_libraries()
    share_cores()
    folder = folder_of(name, Path())
    if folder is None and is_folder_name(name):
        raise ModelUnavailable(f"There is no model folder {name} (GLIMPSE_TEXT_MODEL).")
    folder = folder or fetch(name)
    model = _construct(folder)
    if not model.supports("text"):
        raise ModelUnavailable(f"The model {name} reads no text (GLIMPSE_TEXT_MODEL).")
    return TextTower(model, folder.name if Path(name).expanduser().is_dir() else short(name), fingerprint(folder))


def _construct(folder: Path) -> SentenceTransformer:
    _need_memory(folder)
    try:
        return _loaded(folder)
    except Exception as error:
        raise ModelUnavailable(f"The model in {folder} can't be loaded: {first_line(error)}") from error


def _need_memory(folder: Path) -> None:
    """Raises `ModelTooLarge` where loading would only end with the system killing this process, time and again."""
    needed, free = sum(path.stat().st_size for path in _parts(folder) if path.suffix == ".safetensors"), memory.free()
    if needed > free:
        raise ModelTooLarge(
            f"The model in {folder} takes at least {needed / 1e6:,.0f} MB of memory, and {free / 1e6:,.0f} MB are "
            "free. Choose a smaller model, or end what else runs here."
        )


def _loaded(folder: Path) -> SentenceTransformer:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.is_available()
    # Half precision is what GPUs are fast in, and many times slower than float32 on most CPUs.
    options = {"dtype": torch.float16 if cuda else torch.float32, "use_safetensors": True}
    device = "cuda" if cuda else "cpu"
    model = SentenceTransformer(str(folder), device=device, local_files_only=True, model_kwargs=options)
    model.eval()
    _pad_as_trained(model)
    return model


def _pad_as_trained(model: SentenceTransformer) -> None:
    """SigLIP was trained with texts filled up to one length, and takes their vector from the last position: filled up
    to the longest of a batch, as others are, the same text would mean something else each time.

    https://huggingface.co/docs/transformers/model_doc/siglip
    """
    first: Any = model[0]
    config = getattr(first, "config", None)
    if config is not None and config.model_type.startswith("siglip"):
        length = config.text_config.max_position_embeddings
        first.processing_kwargs = {"text": {"padding": "max_length", "max_length": length, "truncation": True}}


def fingerprint(folder: Path) -> str:
    """Digest over every file that decides about vectors: weights, configuration, tokenizer, preprocessing.

    Of files that `fetch` would take: what other programs keep in the same folder of the shared cache comes and goes.
    """
    digest = hashlib.sha256()
    for path in _parts(folder):
        name = path.relative_to(folder).as_posix()
        with path.open("rb") as file:
            digest.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _parts(folder: Path) -> Iterator[Path]:
    """The files that a model is loaded from, in a fixed order."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(part.startswith(".") for part in name.split("/")) and is_part(name):
            yield path


def share_cores() -> None:
    """Have OpenMP's threads sleep while they wait for each other, unless the environment says how they shall.

    Else they spin, and take the cores from whom they wait for: with decoding processes beside it, or anything else,
    torch then becomes several times slower. Read once, when torch is imported:
    https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def _quiet_libraries() -> None:
    """No telemetry, no progress bars, no advice in our log."""
    quiet_hub()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("transformers", "sentence_transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
