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
        self.complaint: str | None = None
        """Why this worker takes no part in a filling that is under way, in words for the person."""

    def fill_next_batch(self) -> int:
        """Take the next step towards the model that is wanted. Returns how many pictures were worked on.

        0: nothing is wanted, its model still loads, others have claimed what is left, or there is a `complaint`.
        """
        told = self._switches.read()
        if told.wanted is None:
            self.complaint = None
            return 0
        model = self._encoders.of(told.wanted)
        if model.status.state is ModelState.UNAVAILABLE:
            self._do_without(told, told.wanted, model.status.message or "")
        elif model.status.state is ModelState.READY:
            return self._fill(model, told, told.wanted)
        return 0

    def _fill(self, model: BackgroundEncoder, told: Switching, wanted: str) -> int:
        encoder = model.get()
        filling = told.filling
        if filling is None:
            self._switches.begin(wanted, encoder.space, self._encoders.source(wanted))
            return self.fill_next_batch()
        if filling.space != encoder.space:  # whose are right is not for a worker to say: others may be filling
            self.complaint = (
                f"This worker has other files of {encoder.space.model} than what is filled: it can't help. Give it the "
                "same files and start it again; if they were replaced on purpose, choose the model again."
            )
            return 0
        self.complaint = None
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

    def _do_without(self, told: Switching, wanted: str, message: str) -> None:
        """Without a filling the wish has failed. One that is under way is for the workers that have the model."""
        if told.filling is None:
            self._switches.fail(wanted, message)
            self._encoders.forget(wanted)
        else:
            self.complaint = f"{told.filling.space.model} is filled, and this worker can't load it: {message}"
            self._encoders.retry(wanted)

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
