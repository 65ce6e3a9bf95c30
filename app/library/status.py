"""What the status line, the status page and the API tell about the library."""

from __future__ import annotations

from app.catalog.images import Images
from app.catalog.workers import Workers
from app.media.store import Store
from app.models import LibraryStatus
from app.vectors.encoder import BackgroundEncoder


class StatusReader:
    """Three look-ups whose cost does not depend on the size of the library."""

    def __init__(self, images: Images, workers: Workers, encoder: BackgroundEncoder, store: Store) -> None:
        self._images = images
        self._workers = workers
        self._encoder = encoder
        self._store = store

    def read(self) -> LibraryStatus:
        return LibraryStatus(self._images.counts(), self._encoder.status, self._workers.status(), self._store.trouble)
