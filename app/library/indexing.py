"""Index: one unit of work at a time. Each function does one batch and says whether there may be more.

*Prepare* decodes an original once, into derivatives and facts. *Embed* turns a derivative, the smallest that has all
the pixels the model looks at, into a vector. The two are separate so that a gallery can be browsed long before a slow
model is through, and so that a model switch never decodes originals again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image as Raster

from app.catalog.images import Images, PreparedFacts
from app.catalog.vectors import Vectors
from app.errors import PictureError
from app.media import pictures
from app.media.decoding import Decoder
from app.media.store import Store
from app.models import NO_CAPTIONS, THUMBNAIL_WIDTHS, FloatArray, Image, ImageState
from app.vectors.encoder import Encoder

log = logging.getLogger(__name__)

KNOWN_GOOD = Raster.new("RGB", (64, 64), "gray")
"""A picture that every working model can read."""

PREPARE_BATCH = 16
"""Pictures claimed at once for decoding; also how many a crash makes wait for their lease to end."""
FETCHERS = 4
"""Originals that are fetched at once, where they do not lie on this machine."""
OPENERS = 2
"""Threads that open derivatives: Pillow decodes without the interpreter's lock."""


class Indexer:
    """``worker`` is the name under which pictures are claimed."""

    def __init__(self, worker: str, images: Images, vectors: Vectors, store: Store, decoder: Decoder) -> None:
        self._worker = worker
        self._images = images
        self._vectors = vectors
        self._store = store
        self._decoder = decoder
        self._captions_before = 2**63 - 1

    def prepare_next_batch(self) -> bool:
        """Prepare some pending pictures. ``False`` if there were none."""
        batch = self._images.claim(ImageState.PENDING, self._worker, PREPARE_BATCH)
        with self._originals(batch) as originals:
            for image, prepared in zip(batch, self._decoder.prepare(originals), strict=True):
                if isinstance(prepared, PictureError):
                    self._fail(image, prepared)
                else:
                    self._keep(image, prepared)
        return bool(batch)

    @contextmanager
    def _originals(self, batch: Sequence[Image]) -> Iterator[list[Path]]:
        """Files of the originals; where they have to be fetched, several at once."""
        with ExitStack() as held, ThreadPoolExecutor(FETCHERS) as fetchers:
            files = [self._store.original_file(image.md5, image.format) for image in batch]
            yield list(fetchers.map(held.enter_context, files))

    def _keep(self, image: Image, prepared: pictures.Prepared) -> None:
        self._store.save_thumbnails(image.md5, prepared.thumbnails)
        facts = PreparedFacts(prepared.width, prepared.height, prepared.taken_at, prepared.camera, prepared.captions)
        if not self._images.record_prepared(self._worker, image.id, facts):  # deleted meanwhile, perhaps
            self._images.unless_known(image.md5, lambda: self._store.remove_thumbnails(image.md5, THUMBNAIL_WIDTHS))

    def read_next_captions(self) -> bool:
        """Read the texts of some pictures that were prepared before texts were read. ``False`` if there are none.

        Each is looked at once: what can't be read has no texts, and is shown by its previews as before.
        """
        batch = self._images.without_captions(self._captions_before, PREPARE_BATCH)
        with self._originals(batch) as originals:
            for image, captions in zip(batch, self._decoder.read_captions(originals), strict=True):
                self._images.record_captions(image.id, NO_CAPTIONS if isinstance(captions, PictureError) else captions)
        self._captions_before = batch[-1].id if batch else 0  # newer ones have theirs from being prepared
        return bool(batch)

    def embed_next_batch(self, encoder: Encoder) -> int:
        """Embed some prepared pictures into the serving space. Returns how many were worked on; 0: there were none.

        Does nothing while another space serves than the encoder's: vectors of two spaces are never mixed.
        """
        serving = self._vectors.serving()
        if serving is None or serving.space != encoder.space:
            return 0
        batch = self._images.claim(ImageState.PREPARED, self._worker, encoder.batch)
        embedded, unreadable = self.embed(encoder, batch)
        for image, error in unreadable:
            self._fail(image, error)
        if embedded:
            self._vectors.record(self._worker, serving.id, list(embedded), np.stack(list(embedded.values())))
        return len(batch)

    def embed(
        self, encoder: Encoder, batch: Sequence[Image]
    ) -> tuple[dict[int, FloatArray], list[tuple[Image, PictureError]]]:
        """Vectors by picture, and the pictures that the model can't read. Those without derivatives start over."""
        readable, rasters = self._open_thumbnails(batch, encoder.side)
        return self._embed(encoder, readable, rasters)

    def _open_thumbnails(self, batch: Sequence[Image], side: int) -> tuple[list[Image], list[Raster.Image]]:
        with ThreadPoolExecutor(OPENERS) as openers:
            opened = list(openers.map(lambda image: self._open_thumbnail(image, side), batch))
        found = [(image, raster) for image, raster in zip(batch, opened, strict=True) if raster is not None]
        return [image for image, _ in found], [raster for _, raster in found]

    def _open_thumbnail(self, image: Image, side: int) -> Raster.Image | None:
        """The derivative that is embedded. Where it is missing or damaged, the picture starts over."""
        size = pictures.smallest_of(pictures.derivative_sizes(image.width, image.height), side)
        try:
            return pictures.open_thumbnail(self._store.thumbnail_bytes(image.md5, size.name))
        except (FileNotFoundError, PictureError):
            self._store.reach()
            log.warning("thumbnail missing or damaged, made again id=%d", image.id)
            self._images.start_over([image.id])
            return None

    def _embed(
        self, encoder: Encoder, images: Sequence[Image], rasters: Sequence[Raster.Image]
    ) -> tuple[dict[int, FloatArray], list[tuple[Image, PictureError]]]:
        """What fails in a batch is tried alone; what fails alone can't be read."""
        if not images:
            return {}, []
        try:
            embedded = encoder.encode_images(rasters)
            if np.isfinite(embedded).all():
                return dict(zip((image.id for image in images), embedded, strict=True)), []
            error: Exception = ValueError("the model gave no numbers")
        except Exception as failure:
            error = failure
        if len(images) == 1:
            encoder.encode_images([KNOWN_GOOD])  # raises if it is the model that fails: no picture is to blame then
            log.error("embedding failed id=%d", images[0].id, exc_info=error)
            reason = f"The model could not read this picture ({type(error).__name__})."
            return {}, [(images[0], PictureError(reason))]
        alone = [self._embed(encoder, [image], [raster]) for image, raster in zip(images, rasters, strict=True)]
        found = {image_id: vector for vectors, _ in alone for image_id, vector in vectors.items()}
        return found, [failed for _, unreadable in alone for failed in unreadable]

    def _fail(self, image: Image, error: PictureError) -> None:
        self._store.reach()  # else no picture is to blame
        log.warning("picture failed id=%d md5=%s reason=%s", image.id, image.md5, error)
        self._images.record_failed(self._worker, image.id, str(error))
