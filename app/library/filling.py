"""Fill: a second space, a batch at a time, for the model that is to serve next."""

from __future__ import annotations

import logging

from app.catalog.images import Images
from app.catalog.switching import Switches, Switching
from app.catalog.vectors import KeptSpace
from app.library.indexing import Indexer
from app.models import ModelState
from app.vectors.background import BackgroundEncoder, Encoders

log = logging.getLogger(__name__)


class Filler:
    """``worker`` is the name under which pictures are claimed."""

    def __init__(self, worker: str, switches: Switches, images: Images, indexer: Indexer, encoders: Encoders) -> None:
        self._worker = worker
        self._switches = switches
        self._images = images
        self._indexer = indexer
        self._encoders = encoders
        self._beyond = 0
        self._round: tuple[int, int] | None = None

    def fill_next_batch(self) -> int:
        """Take the next step towards the model that is wanted. Returns how many pictures were worked on.

        0: nothing is wanted, its model still loads, or others have claimed what is left.
        """
        told = self._switches.read()
        if told.wanted is None:
            return 0
        model = self._encoders.of(told.wanted)
        if model.status.state is ModelState.UNAVAILABLE:
            self._switches.fail(told.wanted, model.status.message or "")
            self._encoders.forget(told.wanted)
        elif model.status.state is ModelState.READY:
            return self._fill(model, told, told.wanted)
        return 0

    def _fill(self, model: BackgroundEncoder, told: Switching, wanted: str) -> int:
        encoder = model.get()
        filling = told.filling
        if filling is not None and filling.space != encoder.space:  # its files were replaced meanwhile
            self._switches.want(wanted)
            filling = None
        if filling is None:
            self._switches.begin(wanted, encoder.space, self._encoders.source(wanted))
            return self.fill_next_batch()
        ids = self._claim(filling, told.after, encoder.batch)
        if not ids:
            if self._switches.promote(filling):
                log.info("filled, serves from now on name=%s", filling.space.model)
            return 0
        found = self._images.get_many(ids)
        embedded, unreadable = self._indexer.embed(encoder, [found[image_id] for image_id in ids if image_id in found])
        for image, error in unreadable:
            log.warning("picture left out of the filling id=%d reason=%s", image.id, error)
        self._switches.fill(self._worker, filling, embedded, [image.id for image, _ in unreadable])
        return len(ids)

    def _claim(self, filling: KeptSpace, after: int, limit: int) -> list[int]:
        """Goes through the library once, and then from its beginning for what was added or left meanwhile."""
        if self._round != (filling.id, after):
            self._round, self._beyond = (filling.id, after), 0
        ids = self._switches.claim(self._worker, filling, after, self._beyond, limit)
        if not ids and self._beyond:
            self._beyond = 0
            ids = self._switches.claim(self._worker, filling, after, 0, limit)
        self._beyond = ids[-1] if ids else 0
        return ids
