"""Find: by text, by a picture of the library, by a picture that is not kept."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from cachetools import TTLCache

from app.catalog.images import Images
from app.catalog.vectors import KeptSpace, Vectors
from app.catalog.words import MOST_HITS, WordHit, Words
from app.conditions import Condition
from app.errors import EngineUnavailable, InvalidInput, ModelNotReady, ModelUnavailable, NotFound
from app.library.fusion import UNSEEN, Found, fuse
from app.library.picture_links import PictureLinks
from app.library.query import Query, Sort, parse
from app.library.serving import Served, ServedModels
from app.library.timing import Step, Stopwatch, unmeasured
from app.media.decoding import Decoder
from app.models import Band, FloatArray, Image, Match, Reason, Results
from app.vectors.engine import Filter, as_tests
from app.vectors.relevance import confidence
from app.vectors.shared import SharedIndexes
from app.vectors.snapshots import IndexCache
from app.vectors.texts import TextReader

LONGEST_QUERY = 2000
"""Characters of a query; far more than any model reads."""
DEEPEST_RESULT = 100_000
"""No page reaches beyond this: nobody looks there, and it bounds what one request can cost."""
CACHED_QUERIES = 1000
AWAY = 0.7
"""How hard ``-word`` pushes, against 1 for what is looked for."""
NEUTRAL = "a photo"
"""The text that says nothing about a picture."""


class Searcher:
    """Answers from the serving space.

    While no query can be answered, searches raise `ModelNotReady` (try again) or `ModelUnavailable` (see to it).
    """

    def __init__(
        self,
        images: Images,
        vectors: Vectors,
        words: Words,
        indexes: IndexCache | SharedIndexes,
        models: ServedModels,
        decoder: Decoder,
        links: PictureLinks,
        cache_seconds: float,
        stopwatch: Stopwatch = unmeasured,
    ) -> None:
        self._stopwatch = stopwatch
        self._images = images
        self._vectors = vectors
        self._words = words
        self._indexes = indexes
        self._models = models
        self._decoder = decoder
        self._links = links
        self._queries: TTLCache[tuple[str, str], FloatArray] = TTLCache(CACHED_QUERIES, cache_seconds)
        self._queries_lock = threading.Lock()

    def by_text(self, text: str, offset: int = 0, limit: int = 50, picture: str = "") -> Results:
        """Pictures that a query of the search box means (`app.library.query`), best first.

        By their look, and by the words in their names and captions, which need no model and answer alone without one.
        With ``picture``, given by `look_at`, they look like that one as well; then ``text`` may be empty. Conditions
        alone need no model; then the newest come first. Raises `InvalidInput` with what to do instead.
        """
        with self._stopwatch(Step.SEARCH):
            return self._by_text(text, offset, limit, picture)

    def _by_text(self, text: str, offset: int, limit: int, picture: str) -> Results:
        query = self._understood(text, picture)
        if not query.has_meaning:
            return self._listed(query, offset, limit)
        hits = self._with_words(query)
        return replace(self._found(query, hits, offset, limit), at_least=len(hits) >= MOST_HITS)

    def _with_words(self, query: Query) -> list[WordHit]:
        if query.like or query.picture:
            return []
        oldest_first = query.sort is Sort.OLDEST if query.sort in (Sort.NEWEST, Sort.OLDEST) else None
        return self._words.search(query.sought, query.conditions, oldest_first)

    def _found(self, query: Query, hits: Sequence[WordHit], offset: int, limit: int) -> Results:
        try:
            served = self._models.active()
        except (ModelNotReady, ModelUnavailable):
            if not hits:
                raise
            return replace(self._page(fuse(UNSEEN, hits, UNSEEN), len(hits), query, offset, limit), words_alone=True)
        try:
            return self._answer(served, query, hits, offset, limit)
        except EngineUnavailable:
            if not hits:
                raise
            page = self._page(fuse(UNSEEN, hits, UNSEEN), len(hits), query, offset, limit)
            return replace(page, words_alone=True, engine_away=True)

    def compare(self, text: str, limit: int = 12, wait: bool = False) -> tuple[Results, Results]:
        """What the model that serves finds for a query, and what the one that is filled, or served before, does.

        By their look alone. Raises `InvalidInput`, `NotFound` where there is nothing to compare with, and
        `ModelNotReady` or `ModelUnavailable`.
        """
        query = self._understood(text, "")
        if not query.has_meaning:
            raise InvalidInput("Describe what you are looking for: models differ in what they see.")
        serving, other = self._models.active(), self._models.other(wait)
        return self._answer(serving, query, [], 0, limit), self._answer(other, query, [], 0, limit)

    def _answer(self, served: Served, query: Query, hits: Sequence[WordHit], offset: int, limit: int) -> Results:
        vector = self._meaning(query, served)
        allowed = self._allowed(query.conditions)
        if query.like or query.picture:  # a picture's vector scores on another scale than texts do
            return self._nearest(served.kept, vector, offset, limit, without=query.like, allowed=allowed)
        everything, total = self._fused(served, vector, hits, _end(offset, limit), allowed)
        return self._page(everything, total, query, offset, limit, served.kept.space.model)

    def look_at(self, data: bytes) -> str:
        """What `by_text` takes as a picture: a token that holds for an hour. The picture in ``data`` is not kept.

        Raises `PictureError`.
        """
        served = self._models.active()
        raster = self._decoder.load(data)
        return self._links.write(served.encoder.encode_images([raster])[0], served.kept.space)

    def similar_to(self, image_id: int, offset: int = 0, limit: int = 50) -> Results:
        """Pictures that look like one of the library, itself left out. Needs no model.

        Raises `NotFound`. A picture that is not embedded yet has no similar ones, nor has any before the first model.
        """
        searched = self._models.space()
        vector = self._vectors.get(searched.id, image_id) if searched else None
        if searched is None or vector is None:
            if self._images.get(image_id) is None:
                raise NotFound("This picture is not here (any more).")
            return Results((), offset, limit, False, searched.space.model if searched else "")
        return self._nearest(searched, vector, offset, limit, without=(image_id,))

    def serve(self) -> None:
        """Wait for the model, with the index in memory before anybody asks for it; what serves is left as it is.

        Raises whatever the catalog raises; may be called again.
        """
        self._models.follow(leads=False)

    def ready(self) -> bool:
        """Whether a query can be answered right now. Raises `CatalogUnavailable` while the catalog can't be asked."""
        try:
            self._models.active()
        except (ModelNotReady, ModelUnavailable):
            return False
        return self._vectors.serving() is not None

    def tend(self) -> None:
        """Called now and then: snapshots are written, and unused indexes let go."""
        self._indexes.tend()

    def close(self) -> None:
        """Write down what the next start can use."""
        self._indexes.close()

    def _understood(self, text: str, picture: str) -> Query:
        if len(text) > LONGEST_QUERY:
            raise InvalidInput(f"This query has {len(text):,} characters. Describe the picture in fewer than 2,000.")
        query = replace(parse(text), picture=picture)
        if query.complaints:
            raise InvalidInput(" ".join(query.complaints))
        if query == Query():
            raise InvalidInput("Describe what you are looking for.")
        if query.sort in (Sort.NEWEST, Sort.OLDEST) and (query.like or query.picture):
            raise InvalidInput(f"What looks like a picture comes best first: take sort:{query.sort} away.")
        return query

    def _listed(self, query: Query, offset: int, limit: int) -> Results:
        """Pictures that meet conditions, by date."""
        images = self._images.listed(query.conditions, query.sort is Sort.OLDEST, offset, limit + 1)
        matches = tuple(Match(image, None) for image in images[:limit])
        days = sorted(match.image.date.date() for match in matches)
        per_day = self._images.matching_days(query.conditions, days[0], days[-1]) if days else {}
        return Results(matches, offset, limit, len(images) > limit, "", by_date=True, per_day=per_day)

    def _meaning(self, query: Query, served: Served) -> FloatArray:
        """One unit vector for everything a query means, [dimension]."""
        reader, kept = served.reader, served.kept
        towards = [(query.words, 1.0)] if query.words else []
        towards += [(term.text, term.weight) for term in query.terms if term.weight > 0]
        parts = [weight * self._text_vector(reader, text) for text, weight in towards]
        parts += [self._picture_vector(kept, image_id) for image_id in query.like]
        parts += [self._links.read(query.picture, kept.space)] if query.picture else []
        # All texts of a CLIP model point roughly one way; only what makes a text special is pushed away.
        away = [term.text for term in query.terms if term.weight < 0]
        parts += [AWAY * (self._text_vector(reader, NEUTRAL) - self._text_vector(reader, text)) for text in away]
        vector = np.sum(parts, axis=0, dtype=np.float32)
        length = float(np.linalg.norm(vector))
        if length < 1e-3:
            raise InvalidInput("What this asks for and what it pushes away cancel each other out.")
        return np.asarray(vector / length, np.float32)

    def _picture_vector(self, kept: KeptSpace, image_id: int) -> FloatArray:
        vector = self._vectors.get(kept.id, image_id)
        if vector is None:
            raise InvalidInput(f"There is no picture {image_id} to compare with, or it is not searchable yet.")
        return vector

    def _text_vector(self, reader: TextReader, text: str) -> FloatArray:
        key = (reader.space.fingerprint, text)
        with self._queries_lock:
            known = self._queries.get(key)
        if known is not None:
            return known
        with self._stopwatch(Step.TEXT_ENCODING):
            vector: FloatArray = reader.encode_texts([text])[0]
        with self._queries_lock:
            self._queries[key] = vector
        return vector

    def _allowed(self, conditions: Sequence[Condition]) -> Filter | None:
        """What may compete: as tests where the index has what they are about, else the ids."""
        if not conditions:
            return None
        tests = as_tests(conditions, self._images.cameras) if self._indexes.carries_facts else None
        return self._images.matching(conditions) if tests is None else tests

    def _nearest(
        self,
        kept: KeptSpace,
        vector: FloatArray,
        offset: int,
        limit: int,
        without: tuple[int, ...] = (),
        allowed: Filter | None = None,
    ) -> Results:
        index = self._models.index(kept)
        end = _end(offset, limit, index.deepest)
        # One more tells whether there is a next page; others stand in for the pictures that are left out.
        ids, scores = index.search(vector, end + 1 + len(without), allowed)
        found = [(int(i), float(score)) for i, score in zip(ids, scores, strict=True) if i not in without]
        page = found[offset:end]
        images = self._images.get_many([image_id for image_id, _ in page])
        # A picture removed since the index looked at the log is left out: the catalog decides.
        looks = (Reason.LOOKS,)
        matches = tuple(Match(images[image_id], score, why=looks) for image_id, score in page if image_id in images)
        return Results(matches, offset, limit, len(found) > end, kept.space.model)

    def _fused(
        self,
        served: Served,
        vector: FloatArray,
        hits: Sequence[WordHit],
        end: int,
        allowed: Filter | None,
    ) -> tuple[list[Found], int]:
        """What looks like ``vector`` or has the words, in order, beyond ``end`` if there is that much; how much is."""
        index = self._models.index(served.kept)
        index.use_bank(served.bank)  # it may have been let go and read again
        _end(0, end, index.deepest)
        wanted = end + 1 + len(hits)  # hits leave their place in the ranking for one further up
        ranking = index.rank(vector, wanted, allowed)
        if ranking.matches > wanted:
            ranking = index.rank(vector, ranking.matches, allowed)
        hit_ids = np.array(sorted(hit.image_id for hit in hits), np.int64)
        seen = index.rank(vector, len(hits), hit_ids) if hits else UNSEEN
        return fuse(ranking, hits, seen), ranking.total + len(hits) - len(seen.ids)

    def _page(
        self, everything: Sequence[Found], total: int, query: Query, offset: int, limit: int, model: str = ""
    ) -> Results:
        end = _end(offset, limit)
        # What matches stands before what does not, and all of that is among `everything`.
        relevant = sum(found.band is not Band.UNCERTAIN for found in everything)
        if query.sort in (Sort.NEWEST, Sort.OLDEST):
            # The matches alone: in order of date, what is less certain would stand between them.
            matches = self._matches(everything[: min(relevant, DEEPEST_RESULT)])
            newest_first = query.sort is Sort.NEWEST
            matches.sort(key=lambda match: (match.image.date, match.image.id), reverse=newest_first)
            page, more = tuple(matches[offset:end]), len(matches) > end
            per_day = Counter(match.image.date.date() for match in matches)
            return Results(page, offset, limit, more, model, relevant, by_date=True, per_day=per_day)
        matches = self._matches(everything[offset:end])
        return Results(tuple(matches), offset, limit, len(everything) > end, model, relevant, total - relevant)

    def _matches(self, part: Sequence[Found]) -> list[Match]:
        images = self._images.get_many([found.image_id for found in part])
        # A picture removed since the index looked at the log is left out: the catalog decides.
        return [_match(images[found.image_id], found) for found in part if found.image_id in images]


def _end(offset: int, limit: int, deepest: int = DEEPEST_RESULT) -> int:
    deepest = min(deepest, DEEPEST_RESULT)
    if offset + limit > deepest:
        raise InvalidInput(f"Results are shown up to the {deepest:,}th. Narrow the query down.")
    return offset + limit


def _match(image: Image, found: Found) -> Match:
    relevance = None if found.relevance is None else confidence(found.relevance)
    return Match(image, found.score, relevance, found.band, found.why)
