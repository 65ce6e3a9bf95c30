"""What the status line, the status page and the API tell about the library."""

from __future__ import annotations

import threading

from cachetools import TTLCache, cached

from app.catalog.images import Images
from app.catalog.switching import Switches, Switching
from app.catalog.workers import Workers
from app.library.serving import ServedModels
from app.media.store import Store
from app.models import LibraryStatus, Switch

PROGRESS_SECONDS = 2.0
"""How far a filling is costs a look-up per picture, so it is asked this often at most."""


class StatusReader:
    """Look-ups whose cost does not depend on the size of the library, but while a space is filled."""

    def __init__(
        self,
        images: Images,
        workers: Workers,
        switches: Switches,
        models: ServedModels,
        store: Store,
    ) -> None:
        self._images = images
        self._workers = workers
        self._switches = switches
        self._models = models
        self._store = store
        self._progress = cached(TTLCache(1, PROGRESS_SECONDS), lock=threading.Lock())(switches.progress)

    def read(self) -> LibraryStatus:
        return LibraryStatus(
            self._images.counts(),
            self._models.status,
            self._workers.status(),
            self._store.trouble,
            self._switch(self._switches.read()),
        )

    def _switch(self, told: Switching) -> Switch:
        serving, filling = told.serving, told.filling
        done, total = self._progress(filling, told.after) if filling else (0, 0)
        return Switch(
            serving=serving.space.model if serving else None,
            wanted=filling.space.model if filling else told.wanted,
            filling=filling is not None,
            again=filling is not None and serving is not None and filling.id == serving.id,
            done=done,
            total=total,
            previous=told.previous.space.model if told.previous else None,
            failure=told.failure,
        )
