"""How fast pictures become searchable: python -m benchmarks indexing [--quick] [--model NAME] [--pictures N]

Beside each other, in the same run, on the same files and the same model:

* the loop everybody writes: ``model.encode(Image.open(path).convert("RGB"))`` for each picture, in float32, and one
  FAISS file at the end;
* Glimpse: the worker of `app.main` over a catalog and a store in a temporary folder, from `pending` to `indexed`, with
  the model as it is compiled for this machine. It makes three derivatives and a row of each picture more than the loop
  does;
* the bare encoders, fed with rasters in memory at their best batch.

They take turns, and medians are printed: other programs on the machine slow all of them alike, so trust the ratios.
All have `share_cores`, without which the loop would be slower still on a machine that has something else to do.
Processor time is that of this process and the decoding ones together; it depends less on what else is running.
"""

from __future__ import annotations

import argparse
import io
import logging
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from app.catalog.database import Database
from app.catalog.images import Images
from app.catalog.trash import Trash
from app.config import STARTER_MODEL, Settings
from app.library.compiling import compile_in_process
from app.library.intake import Intake
from app.main import create_worker
from app.media.folder import Folder
from app.models import ImageState
from app.vectors.encoder import Compiled, Encoder, improved, load_encoder, share_cores
from benchmarks.measure import Table
from tests.vectors.models import save_vit_b_32

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

VIT_B_32 = "vit-b-32"
BATCHES = (1, 4, 8, 16, 32)
WARM_UP = 4
"""Pictures indexed before the clock starts: processes that decode take a second to start, once."""
WORKLOADS = {"photos, 12 megapixels": (4000, 3000), "web pictures, 0.5 megapixels": (800, 600)}


@dataclass(slots=True)
class Timing:
    """Rounds of one thing: pictures per second, and milliseconds of processor time per picture."""

    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def add(self, pictures: int, seconds: float, cpu_seconds: float) -> None:
        self.per_second.append(pictures / seconds)
        self.cpu_ms.append(1000 * cpu_seconds / pictures)


@dataclass(frozen=True, slots=True)
class Figures:
    """One workload: medians over the rounds."""

    workload: str
    pictures: int
    baseline: float
    glimpse: float
    bare_fp32: float
    bare: float
    baseline_cpu_ms: float
    glimpse_cpu_ms: float


# -- pictures


def draw_photos(size: tuple[int, int], count: int, seed: int) -> Iterator[bytes]:
    """JPEGs with the spectrum of a photograph: noise on every scale over gradients, grain; 3 MB at 12 megapixels."""
    random = np.random.default_rng(seed)
    scene = _scene(size, random)
    for _ in range(count):
        shift = tuple(int(random.integers(0, side)) for side in scene.shape[:2])
        file = io.BytesIO()
        Image.fromarray(np.roll(scene, shift, (0, 1))).save(file, "JPEG", quality=90)
        yield file.getvalue()


def _scene(size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    width, height = size
    scene = np.full((height, width, 3), 128, np.float32)
    for cells, strength in ((8, 90), (32, 50), (128, 25), (512, 14)):
        shape = (max(2, height * cells // width), cells)
        for channel in range(3):
            noise = Image.fromarray(random.normal(0, strength, shape).astype(np.float32))
            scene[..., channel] += np.asarray(noise.resize(size, Image.Resampling.BICUBIC))
    scene += random.normal(0, 4, (height, width, 1)).astype(np.float32)
    return scene.clip(0, 255).astype(np.uint8)


# -- what is compared


def run_baseline(model: SentenceTransformer, paths: list[Path], folder: Path) -> None:
    """The loop everybody writes."""
    import faiss

    vectors = [model.encode(Image.open(path).convert("RGB"), show_progress_bar=False) for path in paths]
    index = faiss.IndexFlatIP(len(vectors[0]))
    index.add(np.stack(vectors))
    faiss.write_index(index, str(folder / "baseline.index"))


@contextmanager
def library_of(paths: list[Path], folder: Path, encoder: Encoder) -> Iterator[Callable[[], None]]:
    """A running worker and pictures that it has not yet been given; calling what this yields has them indexed."""
    settings = Settings(_env_file=None, data=folder, worker=False, model="benchmark")
    database = Database(settings.catalog_url)
    database.migrate()
    images = Images(database)
    intake = Intake(images, Trash(database), Folder(settings.images), settings.max_pixels, lambda: None)
    for path in paths:
        intake.add_bytes(path.read_bytes(), path.name)
    # Claimed by somebody else until the clock starts: the worker warms up with other pictures.
    images.claim(ImageState.PENDING, "benchmark", len(paths))
    for data in draw_photos((640, 480), WARM_UP, seed=99):
        intake.add_bytes(data, "warm-up.jpg")
    with create_worker(settings, lambda: encoder) as worker:
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            _wait_until_indexed(images, WARM_UP)

            def index() -> None:
                images.release("benchmark")
                worker.wake()
                _wait_until_indexed(images, WARM_UP + len(paths))

            yield index
        finally:
            worker.stop()
            thread.join()
            database.close()


def _wait_until_indexed(images: Images, count: int) -> None:
    while (counts := images.counts()).indexed < count:
        if counts.failed:
            raise RuntimeError("a picture failed")
        time.sleep(0.005)


def best_batch(encoder: Encoder, rasters: list[Image.Image]) -> float:
    """Pictures per second of a bare encoder, at the batch it is fastest with."""
    rates = []
    for batch in BATCHES:
        began = time.perf_counter()
        encoder.encode_images((rasters * batch)[:batch])
        rates.append(batch / (time.perf_counter() - began))
    return max(rates)


# -- measuring


def cpu_seconds() -> float:
    """Processor time of this process and its living children."""
    children = [process.pid for process in multiprocessing.active_children()]
    return time.process_time() + sum(_cpu_seconds_of(pid) for pid in children if pid is not None)


def _cpu_seconds_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # no Linux, or it has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(work: Callable[[], None], pictures: int, timing: Timing) -> None:
    cpu, began = cpu_seconds(), time.perf_counter()
    work()
    timing.add(pictures, time.perf_counter() - began, cpu_seconds() - cpu)


def measure(
    workload: str, count: int, rounds: int, fp32: Encoder, encoder: Encoder, model: SentenceTransformer
) -> Figures:
    """``fp32`` and ``model`` are what the loop has, ``encoder`` is what Glimpse has."""
    baseline, glimpse, bare, bare_fp32 = Timing(), Timing(), [], []
    size = WORKLOADS[workload]
    with tempfile.TemporaryDirectory(prefix="glimpse-benchmark-") as name:
        folder = Path(name)
        paths = []
        for number, data in enumerate(draw_photos(size, count, seed=1)):
            paths.append(folder / f"{number}.jpg")
            paths[-1].write_bytes(data)
        rasters = [_raster(path) for path in paths[: max(BATCHES)]]
        run_baseline(model, paths[:2], folder)
        for number in range(rounds):
            timed(lambda: run_baseline(model, paths, folder), count, baseline)
            with library_of(paths, folder / f"round {number}", encoder) as index:
                timed(index, count, glimpse)
            bare_fp32.append(best_batch(fp32, rasters))
            bare.append(best_batch(encoder, rasters))
    return Figures(
        workload=workload,
        pictures=count,
        baseline=statistics.median(baseline.per_second),
        glimpse=statistics.median(glimpse.per_second),
        bare_fp32=statistics.median(bare_fp32),
        bare=statistics.median(bare),
        baseline_cpu_ms=statistics.median(baseline.cpu_ms),
        glimpse_cpu_ms=statistics.median(glimpse.cpu_ms),
    )


def _raster(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB").resize((640, 480))


def table(model: str, figures: list[Figures]) -> Table:
    cells: dict[str, Callable[[Figures], float]] = {
        "loop in float32, pictures/s": lambda each: each.baseline,
        "Glimpse, pictures/s": lambda each: each.glimpse,
        "Glimpse / loop": lambda each: each.glimpse / each.baseline,
        "bare encoder in float32, pictures/s": lambda each: each.bare_fp32,
        "Glimpse / bare encoder in float32": lambda each: each.glimpse / each.bare_fp32,
        "bare encoder as chosen, pictures/s": lambda each: each.bare,
        "Glimpse / bare encoder as chosen": lambda each: each.glimpse / each.bare,
        "loop, ms of processor per picture": lambda each: each.baseline_cpu_ms,
        "Glimpse, ms of processor per picture": lambda each: each.glimpse_cpu_ms,
    }
    rows = tuple((name, *(cell(each) for each in figures)) for name, cell in cells.items())
    columns = ("", *(f"{each.workload} (× {each.pictures})" for each in figures))
    return Table(f"Indexing with {model}", columns, rows)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help=f"name or folder, or {VIT_B_32!r}: its architecture with random weights")
    parser.add_argument("--pictures", type=int, help="pictures in each workload")
    parser.add_argument("--rounds", type=int)


def run(arguments: argparse.Namespace) -> Iterator[Table]:
    share_cores()  # before torch is there: the loop has it, too
    from sentence_transformers import SentenceTransformer

    name = arguments.model or (str(STARTER_MODEL) if arguments.quick else VIT_B_32)
    count = arguments.pictures or (8 if arguments.quick else 32)
    rounds = arguments.rounds or (2 if arguments.quick else 3)
    with tempfile.TemporaryDirectory(prefix="glimpse-benchmark-") as folder:
        source = str(save_vit_b_32(Path(folder, VIT_B_32))) if name == VIT_B_32 else name
        fp32 = load_encoder(source, STARTER_MODEL)
        compiled = Compiled(Path(folder, "compiled"))
        compile_in_process(source, STARTER_MODEL, compiled, logging.WARNING)  # what the worker does at first use
        chosen = improved(fp32, compiled)
        if chosen is None:
            raise RuntimeError("the model was not compiled")
        encoder, choice = chosen
        model = SentenceTransformer(source, device="cpu")  # as the loop loads it
        figures = [measure(each, count, rounds, fp32, encoder, model) for each in WORKLOADS]
    yield table(f"{Path(name).name}, pictures in {choice.images}", figures)
