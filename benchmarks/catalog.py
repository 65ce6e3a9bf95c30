"""What a picture costs the catalog on its way to being indexed, at 1,000 pictures and at 1,000,000.

Row, two claims, facts and vector of pictures in batches as the worker has them, each commit on disk. Everything else
that indexing does knows nothing of the library's size. The vectors already there are short ones: they fill the disk and
are not read.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from app.catalog.images import Images, NewImage, PreparedFacts
from app.catalog.vectors import Vectors
from app.models import EmbeddingSpace, ImageState
from benchmarks.measure import Table, compared, interleaved
from benchmarks.synthetic import fill, unit_vectors

SPACE = EmbeddingSpace("random", "1", 16)
BATCH = 16


def run(arguments: argparse.Namespace) -> Iterator[Table]:
    sizes, rounds = ((1_000, 50_000), 10) if arguments.quick else ((1_000, 1_000_000), 30)
    with ExitStack() as stack:
        cases = {}
        for size in sizes:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="glimpse-benchmark-")))
            database = fill(folder, unit_vectors(size, SPACE.dimension), SPACE)
            stack.callback(database.close)
            cases[f"at {size:,} pictures"] = batch_of(Images(database), Vectors(database))
        times = interleaved(cases, rounds)
    small, large = times
    yield compared(f"A batch of {BATCH} pictures in the catalog, from taken in to indexed", times, {large: small})


def batch_of(images: Images, vectors: Vectors) -> Callable[[int], None]:
    """Takes in a batch and records what the worker does with it."""
    serving = vectors.serve(SPACE)
    embedded = unit_vectors(BATCH, SPACE.dimension)
    taken_in = 0

    def index(_round: int) -> None:
        nonlocal taken_in
        for _ in range(BATCH):
            taken_in += 1
            new = NewImage(f"f{taken_in:031x}", f"IMG_{taken_in}.jpg", "jpeg", 3_000_000, 4000, 3000)
            images.add(new, lambda: None)
        for image in images.claim(ImageState.PENDING, "benchmark", BATCH):
            images.record_prepared("benchmark", image.id, PreparedFacts(4000, 3000, None, None))
        claimed = images.claim(ImageState.PREPARED, "benchmark", BATCH)
        vectors.record("benchmark", serving, [image.id for image in claimed], embedded[: len(claimed)])

    return index
