"""The three verbs over real rooms: a catalog, a store, one decoding process, and colours for a model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.catalog.database import Database
from app.catalog.images import Images
from app.catalog.switching import Switches
from app.catalog.trash import Trash
from app.catalog.vectors import Vectors
from app.catalog.words import Words
from app.library.indexing import Indexer
from app.library.intake import Intake
from app.library.picture_links import PictureLinks
from app.library.search import Searcher
from app.library.serving import ServedModels
from app.media.decoding import Decoder
from app.media.folder import Folder
from app.models import Image
from app.vectors.background import Encoders
from app.vectors.encoder import Encoder
from app.vectors.snapshots import IndexCache
from tests.encoders import ColourEncoder
from tests.pictures import picture

MAX_PIXELS = 2_000_000


@dataclass
class Rooms:
    """A library without a face."""

    folder: Path
    database: Database
    decoder: Decoder
    images: Images = field(init=False)
    trash: Trash = field(init=False)
    vectors: Vectors = field(init=False)
    switches: Switches = field(init=False)
    store: Folder = field(init=False)
    intake: Intake = field(init=False)
    indexer: Indexer = field(init=False)
    wakes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.images = Images(self.database)
        self.vectors = Vectors(self.database)
        self.switches = Switches(self.database)
        self.store = Folder(self.folder / "images")
        self.trash = Trash(self.database)
        self.intake = Intake(self.images, self.trash, self.store, MAX_PIXELS, lambda: self.wakes.append("wake"))
        self.indexer = Indexer("worker", self.images, self.vectors, self.store, self.decoder)

    def add(self, *colours: str) -> list[int]:
        """Take in a picture of each colour; their ids."""
        results = [self.intake.add_bytes(picture(colour), f"{colour}.jpg") for colour in colours]
        return [result.image_id for result in results if result.image_id is not None]

    def prepare(self) -> None:
        while self.indexer.prepare_next_batch():
            pass

    def index(self, encoder: Encoder | None = None) -> None:
        """Prepare and embed everything; the encoder's space serves."""
        encoder = encoder or ColourEncoder()
        self.vectors.serve(encoder.space)
        self.prepare()
        while self.indexer.embed_next_batch(encoder):
            pass

    def image(self, image_id: int) -> Image:
        image = self.images.get(image_id)
        assert image is not None
        return image

    def files(self) -> set[str]:
        """Everything that lies in `images/`."""
        root = self.store.root
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}

    def searcher(self, load: Callable[[], Encoder] = ColourEncoder, start: bool = True) -> Searcher:
        """Ready, unless it is not to ``start``."""
        indexes = IndexCache(self.folder / "index", 300, self.database.identity)
        models = ServedModels("colours", Encoders(lambda _source: load()), self.vectors, self.switches, indexes)
        links, words = PictureLinks(lambda: b"secret"), Words(self.database)
        searcher = Searcher(self.images, self.vectors, words, indexes, models, self.decoder, links, 300)
        if start:
            searcher.serve()
        return searcher


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="session")
def decoder() -> Iterator[Decoder]:
    made = Decoder(1, 30, MAX_PIXELS)
    yield made
    made.close()


@pytest.fixture
def rooms(tmp_path: Path, decoder: Decoder, catalog_url: str) -> Iterator[Rooms]:
    """An empty library, its catalog on SQLite and on PostgreSQL."""
    database = Database(catalog_url)
    yield Rooms(tmp_path, database, decoder)
    database.close()
