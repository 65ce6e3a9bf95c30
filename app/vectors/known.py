"""Models by name: which are known, where they lie, and how they are fetched. Needs no torch.

A model's *source* is what it is loaded from, in one form: the name of a model on the hub without its usual owner, the
absolute path of a folder, or the name of the bundled model.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from app.errors import ModelUnavailable

log = logging.getLogger(__name__)

AUTO = "auto"
OWNER = "sentence-transformers/"
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
WANTED = ("*.json", "*.txt", "*.model", "*.safetensors")
UNWANTED = ("open_clip*", "onnx/*", "openvino/*", "*.index.json.bak")
"""Weights come as safetensors alone, which can't hold code. The same weights for other libraries are left there."""
SPARE_BYTES = 200_000_000
"""Room on the disk that a download leaves to others."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What is published of a model. ``cost``: arithmetic of the image tower beside that of ViT-B/32. ``recall``: COCO
    text → image R@1, in percent."""

    name: str
    megabytes: int
    dimension: int
    cost: float
    recall: float | None
    note: str = ""


KNOWN = (
    KnownModel("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", 605, 512, 1, 39.3, "recommended"),
    KnownModel("clip-ViT-B-32", 605, 512, 1, 30.4, "OpenAI"),
    KnownModel("clip-ViT-B-16", 599, 512, 2.7, 33.1, "OpenAI"),
    KnownModel("clip-ViT-L-14", 1710, 768, 11.7, 36.5, "OpenAI"),
)
"""Figures of arXiv 2103.00020 and 2212.07143 (table 2); sizes of the weights as they lie on the hub."""


def resolve(name: str, starter: Path) -> str:
    """The source that a name or folder stands for. Asks no network."""
    if name == AUTO:
        found = next((repository for repository in PREFERRED if cached(repository) is not None), starter.name)
        return short(found)
    if name == starter.name:
        return name
    folder = Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else short(name)


def short(name: str) -> str:
    """One name for one model: its space must not depend on how it was asked for."""
    return name.removeprefix(OWNER)


def is_folder_name(name: str) -> bool:
    """Whether this can only mean a folder, there or not."""
    return Path(name).expanduser().is_absolute() or name.startswith((".", "~"))


def folder_of(source: str, starter: Path) -> Path | None:
    """Where a model lies on this machine, if it does. Asks no network."""
    if source == starter.name:
        return starter
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    return None if is_folder_name(source) else cached(_repository(source))


def cached(repository: str) -> Path | None:
    """The folder of a model in the local cache of the hub's client, if it is there. Asks no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    chosen: dict[str, Any] = {"allow_patterns": list(WANTED), "ignore_patterns": list(UNWANTED)}
    try:
        return Path(snapshot_download(repository, local_files_only=True, **chosen))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError):
        return None


def is_part(name: str) -> bool:
    """Whether a file of a repository, or of a model's folder, is one that models are loaded from."""
    return any(fnmatchcase(name, wanted) for wanted in WANTED) and not any(fnmatchcase(name, left) for left in UNWANTED)


def fetch(name: str, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Path:
    """Fetch a model from the hub into the local cache, and return its folder. What is there already stays.

    ``progress`` is told how many bytes are here, and of how many. Raises `ModelUnavailable`.
    """
    from huggingface_hub import HfApi, snapshot_download

    quiet_hub()
    repository = _repository(name)
    chosen: dict[str, Any] = {"allow_patterns": list(WANTED), "ignore_patterns": list(UNWANTED)}
    log.info("model fetched from the hub name=%s", name)
    try:
        # Asked once: without a network, fetching would try each of a dozen files again and again for minutes.
        HfApi().model_info(repository, timeout=HUB_SECONDS)
        files = snapshot_download(repository, dry_run=True, tqdm_class=_counting(lambda _bytes: None), **chosen)
        if not any(file.filename.endswith(".safetensors") for file in files):
            raise ModelUnavailable(f"The model {name} has no weights in the safetensors format, the only one loaded.")
        missing = sum(file.file_size or 0 for file in files if file.will_download)
        _need_room(name, missing)
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            progress(min(done, missing), missing)

        return Path(snapshot_download(repository, tqdm_class=_counting(count), **chosen))
    except ModelUnavailable:
        raise
    except Exception as error:
        raise ModelUnavailable(
            f"The model {name} is not in the local cache and could not be fetched: {_why(error)} "
            "Check the name and the connection, or choose another model (GLIMPSE_MODEL; python run.py models)."
        ) from error


def _repository(name: str) -> str:
    return name if "/" in name else OWNER + name


def _need_room(name: str, missing: int) -> None:
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE)
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < missing + SPARE_BYTES:
        raise ModelUnavailable(
            f"The model {name} takes {missing / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free in {existing}. "
            "Make room there, or set HF_HOME to a folder on another disk."
        )


def _why(error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return "its owner asks for permission first (set HF_TOKEN once you have it)."
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no such model."
    if isinstance(error, HFValidationError):
        return "no model can have this name."
    if isinstance(error, OfflineModeIsEnabled):
        return "the hub is not to be asked (HF_HUB_OFFLINE)."
    return f"the hub did not answer ({first_line(error).rstrip('.')})."


def _counting(count: Callable[[int], None]) -> type[Any]:
    """A bar for the hub's client that shows nothing and counts bytes that are on disk."""
    from huggingface_hub.utils.tqdm import tqdm

    class Counting(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            description = str(options.get("desc") or "")
            # Of its two bars over bytes, the one that tells what came from the network has this name.
            self.counts = options.get("unit") == "B" and not description.startswith("Downloading")
            super().__init__(*arguments, **(options | {"disable": True}))  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            if self.counts:
                count(int(n or 0))

    return Counting


def quiet_hub() -> None:
    """No telemetry, no progress bars, no advice in our log."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for name in ("huggingface_hub", "httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.ERROR)


def first_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
