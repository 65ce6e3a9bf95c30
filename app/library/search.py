"""Find: by text, by a picture of the library, by a picture that is not kept."""

from __future__ import annotations

import threading
from contextlib import suppress

from cachetools import TTLCache

from app.catalog.images import Images
from app.catalog.vectors import ServingSpace, Vectors
from app.errors import InvalidInput, ModelNotReady, ModelUnavailable, NotFound
from app.media.decoding import Decoder
from app.models import FloatArray, Match, Results
from app.vectors.encoder import BackgroundEncoder, Encoder
from app.vectors.index import IndexCache, VectorIndex

LONGEST_QUERY = 2000
"""Characters of a query; far more than any model reads."""
DEEPEST_RESULT = 100_000
"""No page reaches beyond this: nobody looks there, and it bounds what one request can cost."""
CACHED_QUERIES = 1000


class Searcher:
    """Answers from the serving space.

    While no query can be answered, searches raise `ModelNotReady` (try again) or `ModelUnavailable` (see to it).
    """

    def __init__(
        self,
        images: Images,
        vectors: Vectors,
        indexes: IndexCache,
        encoder: BackgroundEncoder,
        decoder: Decoder,
        cache_seconds: float,
    ) -> None:
        self._images = images
        self._vectors = vectors
        self._indexes = indexes
        self._encoder = encoder
        self._decoder = decoder
        self._queries: TTLCache[tuple[str, str], FloatArray] = TTLCache(CACHED_QUERIES, cache_seconds)
        self._queries_lock = threading.Lock()

    def by_text(self, query: str, offset: int = 0, limit: int = 50) -> Results:
        """Pictures that look like ``query`` describes. Raises `InvalidInput` for an empty or endless query."""
        query = " ".join(query.split())
        if not query:
            raise InvalidInput("Describe what you are looking for.")
        if len(query) > LONGEST_QUERY:
            raise InvalidInput(f"This query has {len(query):,} characters. Describe the picture in fewer than 2,000.")
        encoder, serving = self._ready()
        return self._nearest(serving, self._query_vector(encoder, query), offset, limit)

    def by_image(self, data: bytes, offset: int = 0, limit: int = 50) -> Results:
        """Pictures that look like the one in ``data``, which is not kept. Raises `PictureError`."""
        encoder, serving = self._ready()
        raster = self._decoder.load(data)
        return self._nearest(serving, encoder.encode_images([raster])[0], offset, limit)

    def similar_to(self, image_id: int, offset: int = 0, limit: int = 50) -> Results:
        """Pictures that look like one of the library, itself left out. Needs no model.

        Raises `NotFound`. A picture that is not embedded yet has no similar ones, nor has any before the first model.
        """
        if self._images.get(image_id) is None:
            raise NotFound("This picture is not here (any more).")
        serving = self._vectors.serving()
        vector = self._vectors.get(serving.id, image_id) if serving else None
        if serving is None or vector is None:
            return Results((), offset, limit, False, serving.space.model if serving else "")
        return self._nearest(serving, vector, offset, limit, without=image_id)

    def serve(self) -> None:
        """Wait for the model; from then on its space serves, with the index in memory before anybody asks for it."""
        self._encoder.wait()
        with suppress(ModelUnavailable):  # said in the log and on every page
            self._vectors.serve(self._encoder.get().space)
        serving = self._vectors.serving()
        if serving is not None:
            self._index(serving)

    def ready(self) -> bool:
        """Whether a query can be answered right now."""
        try:
            self._ready()
        except (ModelNotReady, ModelUnavailable):
            return False
        return True

    def tend(self) -> None:
        """Called now and then: snapshots are written, unused indexes let go."""
        self._indexes.tend()

    def close(self) -> None:
        """Write down what the next start can use."""
        self._indexes.close()

    def _ready(self) -> tuple[Encoder, ServingSpace]:
        encoder = self._encoder.get()
        serving = self._vectors.serving()
        if serving is None or serving.space != encoder.space:
            raise ModelNotReady("The model is being switched. Searching works again in a moment.")
        return encoder, serving

    def _query_vector(self, encoder: Encoder, query: str) -> FloatArray:
        key = (encoder.space.fingerprint, query)
        with self._queries_lock:
            known = self._queries.get(key)
        if known is not None:
            return known
        vector: FloatArray = encoder.encode_texts([query])[0]
        with self._queries_lock:
            self._queries[key] = vector
        return vector

    def _nearest(
        self, serving: ServingSpace, vector: FloatArray, offset: int, limit: int, without: int | None = None
    ) -> Results:
        end = offset + limit
        if end > DEEPEST_RESULT:
            raise InvalidInput(f"Results are shown up to the {DEEPEST_RESULT:,}th. Narrow the query down.")
        # One more tells whether there is a next page, another stands in for the picture itself.
        ids, scores = self._index(serving).search(vector, end + 1 + (without is not None))
        found = [(int(i), float(score)) for i, score in zip(ids, scores, strict=True) if i != without]
        page = found[offset:end]
        images = self._images.get_many([image_id for image_id, _ in page])
        # A picture removed since the index looked at the log is left out: the catalog decides.
        matches = tuple(Match(images[image_id], score) for image_id, score in page if image_id in images)
        return Results(matches, offset, limit, len(found) > end, serving.space.model)

    def _index(self, serving: ServingSpace) -> VectorIndex:
        return self._indexes.get(serving.id, serving.space, self._vectors.log(serving.id))
