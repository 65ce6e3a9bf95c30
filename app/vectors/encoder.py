"""Models that turn pictures and texts into vectors of one space. The only room that knows torch.

torch and sentence-transformers take seconds to import, so that happens in `load_encoder`, not at import.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from app.errors import ModelNotReady, ModelUnavailable
from app.models import Choice, EmbeddingSpace, FloatArray, ModelState, ModelStatus
from app.vectors.compiled import BATCH, LONGEST_TEXT, load, read

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

AUTO = "auto"
BF16 = "torch bf16"
PREFERRED = (
    "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    "sentence-transformers/clip-ViT-B-32",
    "openai/clip-vit-base-patch32",
    "sentence-transformers/clip-ViT-B-16",
    "sentence-transformers/clip-ViT-L-14",
)
"""What `auto` takes if it lies in the local cache. LAION-2B ViT-B/32 first: the cost of OpenAI's ViT-B/32, and COCO
text → image R@1 of 39 instead of 30 (arXiv 2212.07143, table 2). Larger ones only if nothing else is there."""
HUB_SECONDS = 10.0
"""A hub that does not answer within this is taken for out of reach."""
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


class SentenceTransformerEncoder:
    """An `Encoder` over any model that `SentenceTransformer` loads for both text and images."""

    def __init__(self, model: SentenceTransformer, name: str, fingerprint: str) -> None:
        self.model = model
        self._lock = threading.Lock()  # a fast tokenizer must not be used twice at once ("Already borrowed")
        dimension = self.encode_texts(["a photo"]).shape[1]
        self.space = EmbeddingSpace(name, fingerprint, dimension)
        self.side = self._input_side()
        self.batch = BATCH if model.device.type == "cpu" else self._fitting_batch()

    def encode_images(self, images: Sequence[Image.Image]) -> FloatArray:
        return self._encode(list(images))

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
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _load_folder(folder, str(folder.name), compiled)
    if folder.is_absolute() or name.startswith((".", "~")):
        raise ModelUnavailable(f"There is no model folder {name}. Check GLIMPSE_MODEL.")
    return _load_named(name, compiled)


def _load_auto(starter: Path, compiled: Compiled | None) -> Encoder:
    for name in PREFERRED:
        folder = _cached(name)
        if folder is None:
            continue
        try:
            return _load_folder(folder, _short(name), compiled)
        except ModelUnavailable as error:  # an interrupted download, say
            log.warning("model skipped name=%s reason=%s", name, error)
    return _load_folder(starter, starter.name, compiled)


def _load_named(name: str, compiled: Compiled | None) -> Encoder:
    from huggingface_hub import HfApi

    repository = name if "/" in name else f"sentence-transformers/{name}"
    folder = _cached(repository)
    if folder is not None:
        try:
            return _load_folder(folder, _short(name), compiled)
        except ModelUnavailable:
            log.info("model incomplete in the local cache, fetching it name=%s", name)
    log.info("model fetched from the hub name=%s", name)
    try:
        # Asked once: without a network, fetching would try each of a dozen files again and again for minutes.
        HfApi().model_info(repository, timeout=HUB_SECONDS)
        _construct(repository, local_only=False)
    except Exception as error:
        raise ModelUnavailable(
            f"The model {name} is not in the local cache and could not be fetched ({_first_line(error)}). "
            "Check the name and the connection, or unset GLIMPSE_MODEL to use the bundled model."
        ) from error
    folder = _cached(repository)
    if folder is None:
        raise ModelUnavailable(f"The model {name} was fetched but is not in the local cache. Is the disk full?")
    return _load_folder(folder, _short(name), compiled)


def _short(name: str) -> str:
    """One name for one model: its space must not depend on how it was asked for."""
    return name.removeprefix("sentence-transformers/")


def _load_folder(folder: Path, name: str, compiled: Compiled | None) -> Encoder:
    digest = fingerprint(folder)
    record = read(compiled.folder, digest, compiled.precision) if compiled else None
    if compiled and record and record.space.model == name and (encoder := load(compiled.folder, record)):
        return encoder
    try:
        model = _construct(str(folder), local_only=True)
    except Exception as error:
        raise ModelUnavailable(f"The model in {folder} can't be loaded: {_first_line(error)}") from error
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


def _construct(name: str, local_only: bool) -> SentenceTransformer:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.is_available()
    # Half precision is what GPUs are fast in, and many times slower than float32 on most CPUs.
    dtype = torch.float16 if cuda else torch.float32
    model = SentenceTransformer(
        name, device="cuda" if cuda else "cpu", local_files_only=local_only, model_kwargs={"dtype": dtype}
    )
    model.eval()
    return model


def _cached(repository: str) -> Path | None:
    """The folder of a model in the local cache of the hub's client, if it is there. Asks no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError):
        return None


def fingerprint(folder: Path) -> str:
    """Digest over every file that decides about vectors: weights, configuration, tokenizer, preprocessing."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.suffix.lower() == ".md" or any(part.startswith(".") for part in name.split("/")):
            continue
        with path.open("rb") as file:
            digest.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


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
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("transformers", "sentence_transformers", "huggingface_hub", "httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


class BackgroundEncoder:
    """Loads an encoder in a thread of its own, so that everything else is there long before the model is."""

    def __init__(
        self,
        name: str,
        load: Callable[[], Encoder],
        improve: Callable[[Encoder], tuple[Encoder, Choice] | None] = lambda _encoder: None,
    ) -> None:
        self._load = load
        self._improve = improve
        self._encoder: Encoder | None = None
        self._status = ModelStatus(name, ModelState.LOADING)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load-model", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            encoder = self._load()
            self._encoder = encoder
            self._status = ModelStatus(encoder.space.model, ModelState.READY, encoder.space)
            log.info("model ready name=%s dimension=%d", encoder.space.model, encoder.space.dimension)
        except ModelUnavailable as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("model failed")
            self._fail(f"The model {self._status.name} can't be loaded: {_first_line(error)}")
        finally:
            self._done.set()

    def improve(self) -> bool:
        """Take the way to run the model that was chosen meanwhile. Whether one is chosen (`ModelStatus.choice`)."""
        if self._encoder is None or self._status.choice is not None:
            return self._status.choice is not None
        improved = self._improve(self._encoder)
        if improved is None:
            return False
        self._encoder, choice = improved
        self._status = replace(self._status, choice=choice)
        log.info("model runs images=%s texts=%s", choice.images, choice.texts)
        return True

    def _fail(self, message: str) -> None:
        log.error("model unavailable name=%s reason=%s", self._status.name, message)
        self._status = ModelStatus(self._status.name, ModelState.UNAVAILABLE, message=message)

    @property
    def status(self) -> ModelStatus:
        return self._status

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until loading has ended, well or not. ``False`` if it has not by then."""
        return self._done.wait(seconds)

    def get(self) -> Encoder:
        """The encoder. Raises `ModelNotReady` while it loads, `ModelUnavailable` when it can't be had."""
        if self._encoder is not None:
            return self._encoder
        if self._status.state is ModelState.UNAVAILABLE:
            raise ModelUnavailable(self._status.message or "")
        raise ModelNotReady("The model is warming up. Browsing works; searching will in a moment.")
