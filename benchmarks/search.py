"""Time of a search at 100,000 pictures, beside bare FAISS: without and with relevance, filters, and the whole page.

The library is synthetic: random unit vectors with rows of a real catalog. Three tables:

* `Searcher.by_text` with the text's vector known, against the same float16 index asked by FAISS itself with one thread,
  which is its faster way (`IndexScalarQuantizer.search` divides queries among threads, never one query);
* filters that leave few, some and nearly all pictures, against the two things that must be done at least: the SQL that
  finds the ids, and a product with the vectors of exactly those pictures;
* the page `/search`, text encoding included, in a server of its own, against the encoder alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import faiss
import numpy as np

from app.catalog.images import Images
from app.catalog.switching import Switches
from app.catalog.vectors import Vectors
from app.catalog.words import Words
from app.config import STARTER_MODEL
from app.library.picture_links import PictureLinks
from app.library.query import parse
from app.library.search import Searcher
from app.library.serving import ServedModels
from app.media.decoding import Decoder
from app.models import EmbeddingSpace, FloatArray
from app.vectors.background import Encoders
from app.vectors.encoder import load_encoder
from app.vectors.index import VectorIndex
from app.vectors.snapshots import IndexCache
from benchmarks.measure import Table, compared, interleaved
from benchmarks.server import Server
from benchmarks.synthetic import Log, fill, unit_vectors

DIMENSION = 512
PAGE = 24
FILTERS = {
    "few": "taken:2023-05-17",
    "some": 'camera:"Canon EOS R6" type:png',
    "half": "orientation:landscape",
    "nearly all": "taken:2017.. -name:nothing",
}


class RandomTexts:
    """An encoder whose texts point anywhere: time is what is measured."""

    space = EmbeddingSpace("random", "1", DIMENSION)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        return np.concatenate([unit_vectors(1, DIMENSION, seed=zlib.crc32(text.encode())) for text in texts])

    def encode_images(self, images: Sequence[object]) -> FloatArray:
        raise NotImplementedError


def run(arguments: argparse.Namespace) -> Iterator[Table]:
    pictures, rounds = (20_000, 40) if arguments.quick else (100_000, 120)
    with tempfile.TemporaryDirectory(prefix="glimpse-benchmark-") as folder:
        yield from library_search(Path(folder) / "random", pictures, rounds)
        yield page(Path(folder) / "page", pictures, rounds)


def library_search(folder: Path, pictures: int, rounds: int) -> Iterator[Table]:
    embedded = unit_vectors(pictures, DIMENSION)
    encoder = RandomTexts()
    database = fill(folder, embedded, encoder.space)
    images, vectors = Images(database), Vectors(database)
    indexes = IndexCache(folder, 3600, database.identity)
    models = ServedModels("random", Encoders(lambda _source: encoder), vectors, Switches(database), indexes)
    searcher = Searcher(
        images,
        vectors,
        Words(database),
        indexes,
        models,
        Decoder(1, 30, 1_000_000),
        PictureLinks(lambda: b""),
        3600,
    )
    searcher.serve()
    index = VectorIndex(DIMENSION)
    index.follow(Log(embedded))
    texts = [f"text number {number}" for number in range(rounds)]
    asked = [encoder.encode_texts([text]) for text in texts]
    for text in texts:
        searcher.by_text(text)  # their vectors are known from here on
    yield unfiltered(searcher, embedded, index, encoder, asked, rounds)
    yield filtered(searcher, images, embedded, texts, asked, rounds)
    database.close()


def unfiltered(
    searcher: Searcher,
    embedded: FloatArray,
    index: VectorIndex,
    encoder: RandomTexts,
    asked: list[FloatArray],
    rounds: int,
) -> Table:
    bare = faiss.IndexScalarQuantizer(DIMENSION, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    bare.add(embedded)
    index.use_bank(encoder.encode_texts([f"neutral text {number}" for number in range(1400)]))

    def with_threads(threads: int, number: int) -> None:
        faiss.omp_set_num_threads(threads)
        bare.search(asked[number], PAGE + 1)

    times = interleaved(
        {
            "bare FAISS, one thread": lambda n: with_threads(1, n),
            "bare FAISS, all threads": lambda n: with_threads(os.cpu_count() or 1, n),
            "index, no relevance": lambda n: index.search(asked[n][0], PAGE + 1),
            "index, with relevance": lambda n: index.rank(asked[n][0], PAGE + 1),
        },
        rounds,
    )
    # In turns with bare FAISS alone: each scan of 100 MB leaves less of what Python needs in the processor's caches.
    times |= interleaved(
        {
            "bare FAISS again": lambda n: with_threads(1, n),
            "library, with relevance": lambda n: searcher.by_text(f"text number {n}", 0, PAGE),
        },
        rounds,
    )
    baselines = {
        "index, no relevance": "bare FAISS, one thread",
        "index, with relevance": "index, no relevance",
        "library, with relevance": "bare FAISS again",
    }
    return compared(f"One search among {len(embedded):,} × {DIMENSION}", times, baselines)


def filtered(
    searcher: Searcher,
    images: Images,
    embedded: FloatArray,
    texts: list[str],
    asked: list[FloatArray],
    rounds: int,
) -> Table:
    cases, baselines = {}, {}
    for name, conditions in FILTERS.items():
        parsed = parse(conditions).conditions
        ids = images.matching(parsed)
        rows = embedded[ids - 1]
        label = f"{name} ({len(ids):,})"
        cases[f"{label}: SQL"] = lambda n, parsed=parsed: images.matching(parsed)
        cases[f"{label}: product"] = lambda n, rows=rows: np.argsort(-(rows @ asked[n][0]))[:PAGE]
        cases[f"{label}: search"] = lambda n, c=conditions: searcher.by_text(f"{texts[n]} {c}", 0, PAGE)
        baselines[f"{label}: search"] = f"{label}: SQL"
    times = interleaved(cases, max(10, rounds // 4))
    return compared("With filters", times, baselines, "product: float32, of the filtered rows only, already in memory")


def page(folder: Path, pictures: int, rounds: int) -> Table:
    encoder = load_encoder(str(STARTER_MODEL), STARTER_MODEL)
    fill(folder / "index", unit_vectors(pictures, encoder.space.dimension), encoder.space).close()
    with Server(folder, model=str(STARTER_MODEL), worker=False, page_size=PAGE) as server:
        server.wait_until_ready()

        def ask(text: str) -> None:
            answer = server.get(f"/search?q={text}")
            if answer.count(b"data-tile=") != PAGE:
                raise RuntimeError(f"this is no page of results: {answer[:500]!r}")

        times = interleaved(
            {
                "text encoding": lambda n: encoder.encode_texts([f"a brown dog number {n}"]),
                "page, new text": lambda n: ask(f"a+white+horse+number+{n}"),
                "page, text asked before": lambda n: ask("a+white+horse+number+0"),
                "gallery page": lambda n: server.get("/"),
            },
            rounds,
        )
    beyond = 1e3 * (times["page, new text"].undisturbed - times["text encoding"].undisturbed)
    return compared(
        f"/search with {PAGE} tiles over HTTP, {pictures:,} pictures",
        times,
        {"page, new text": "text encoding"},
        f"page beyond text encoding: {beyond:.1f} ms",
    )
