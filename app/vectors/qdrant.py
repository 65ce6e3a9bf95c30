"""Qdrant as a vector engine: `qdrant://[:api-key@]host[:6333]`, `qdrant+tls://` with TLS.

One collection for each space, and one for how far the log was followed. Facts are payload with indexes, so that Qdrant
filters while it searches (https://qdrant.tech/documentation/concepts/filtering/).
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from app.errors import EngineUnavailable
from app.models import FloatArray
from app.vectors.engine import FACTS, STANCES, Among, Between, Filter, Hits, Points, Reached

log = logging.getLogger(__name__)

DEEPEST = 100_000
"""Qdrant has no limit of its own; nobody looks further (`app.library.search.DEEPEST_RESULT`)."""
ANSWER_SECONDS = 5
WORK_SECONDS = 120
STATE = "glimpse_state"


class Qdrant:
    """One collection (`app.vectors.engine.Engine`). ``given``: a client of `qdrant_client` that is somebody else's."""

    deepest = DEEPEST

    def __init__(self, url: str, name: str, dimension: int, given: Any = None) -> None:
        self._url = urlsplit(url)
        self._name = name
        self._dimension = dimension
        self._lock = threading.Lock()
        self._given = self._connected = given
        self._made = False

    def search(self, vector: FloatArray, k: int, allowed: Filter | None) -> Hits:
        from qdrant_client import models

        with self._answering() as client:
            if not client.collection_exists(self._name):
                return Hits(np.empty(0, np.int64), np.empty(0, np.float32), _stances([]))
            found = client.query_points(
                self._name,
                query=vector.tolist(),
                query_filter=_conditions(allowed),
                limit=k,
                with_payload=list(STANCES),
                search_params=models.SearchParams(hnsw_ef=k),
                timeout=ANSWER_SECONDS,
            ).points
        ids = np.array([hit.id for hit in found], np.int64)
        scores = np.array([hit.score for hit in found], np.float32)
        return Hits(ids, scores, _stances([hit.payload for hit in found]))

    def count(self, allowed: Filter | None = None) -> int:
        with self._answering() as client:
            if not client.collection_exists(self._name):
                return 0
            counted = client.count(self._name, count_filter=_conditions(allowed), exact=True, timeout=ANSWER_SECONDS)
            return int(counted.count)

    def upsert(self, points: Points) -> None:
        from qdrant_client import models

        stances = [dict(zip(STANCES, map(float, stance), strict=True)) for stance in points.stances]
        payloads = [{**stance, **facts} for stance, facts in zip(stances, points.facts, strict=True)]
        batch = models.Batch(ids=points.ids.tolist(), vectors=points.vectors.tolist(), payloads=payloads)
        with self._answering() as client:
            self._make(client)
            client.upsert(self._name, batch, wait=True)

    def delete(self, ids: Sequence[int]) -> None:
        from qdrant_client import models

        with self._answering() as client:
            if client.collection_exists(self._name):
                client.delete(self._name, models.PointIdsList(points=list(ids)), wait=True)

    def last_seq(self) -> Reached:
        with self._answering() as client:
            if not (client.collection_exists(self._name) and client.collection_exists(STATE)):
                return Reached()
            known = client.retrieve(STATE, [_number(self._name)])
            return Reached(*(known[0].payload[field] for field in ("seq", "mark", "bank"))) if known else Reached()

    def reached(self, reached: Reached) -> None:
        from qdrant_client import models

        payload = {"name": self._name, "seq": reached.seq, "mark": reached.mark, "bank": reached.bank}
        point = models.PointStruct(id=_number(self._name), vector=[0.0], payload=payload)
        with self._answering() as client:
            self._make(client)
            client.upsert(STATE, [point], wait=True)

    def tidy(self) -> None:
        """Qdrant's optimizer does so by itself."""

    def empty(self) -> None:
        with self._answering() as client:
            self._made = False
            client.delete_collection(self._name, timeout=WORK_SECONDS)

    def close(self) -> None:
        with self._lock:
            if self._connected is not None and self._given is None:
                self._connected.close()
                self._connected = None

    def _make(self, client: Any) -> None:
        """The collections, if they are not there yet."""
        if self._made:
            return
        from qdrant_client import models

        if not client.collection_exists(STATE):
            one = models.VectorParams(size=1, distance=models.Distance.DOT)
            client.create_collection(STATE, vectors_config=one, timeout=WORK_SECONDS)
        if not client.collection_exists(self._name):
            client.delete(STATE, models.PointIdsList(points=[_number(self._name)]))  # of one that somebody has dropped
            vectors = models.VectorParams(size=self._dimension, distance=models.Distance.DOT)
            client.create_collection(self._name, vectors_config=vectors, timeout=WORK_SECONDS)
            for fact, kind in FACTS.items():
                client.create_payload_index(self._name, fact, "keyword" if kind is str else "integer")
            log.info("Qdrant collection made name=%s", self._name)
        self._made = True

    @contextmanager
    def _answering(self) -> Iterator[Any]:
        """A client. What fails is told as `EngineUnavailable`."""
        try:
            from qdrant_client.http.exceptions import ApiException
        except ImportError as error:
            raise EngineUnavailable(
                "GLIMPSE_VECTORS names Qdrant, and its client is not installed: pip install -r requirements-qdrant.txt."
            ) from error
        try:
            yield self._client()
        except (ApiException, OSError) as error:
            self._made = False
            where = f"{self._url.hostname}:{self._url.port or 6333}"
            raise EngineUnavailable(f"The vector engine, Qdrant at {where}, does not answer.") from error

    def _client(self) -> Any:
        from qdrant_client import QdrantClient

        with self._lock:
            if self._connected is None:
                scheme = "https" if self._url.scheme.endswith("+tls") else "http"
                self._connected = QdrantClient(
                    url=f"{scheme}://{self._url.hostname}:{self._url.port or 6333}",
                    api_key=unquote(self._url.password) if self._url.password else None,
                    timeout=WORK_SECONDS,
                    check_compatibility=False,
                )
            return self._connected


def _number(name: str) -> str:
    """Points are known by a number or a UUID: the one of a name."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def _stances(payloads: Sequence[Any]) -> FloatArray:
    rows = [[payload[field] for field in STANCES] for payload in payloads]
    return np.array(rows, np.float32).reshape(-1, len(STANCES))


def _conditions(allowed: Filter | None) -> Any:
    from qdrant_client import models

    if allowed is None:
        return None
    if isinstance(allowed, np.ndarray):
        return models.Filter(must=[models.HasIdCondition(has_id=allowed.tolist())])
    met = [_condition(test) for test in allowed if not test.negated]
    failed = [_condition(test) for test in allowed if test.negated]
    return models.Filter(must=met or None, must_not=failed or None)


def _condition(test: Among | Between) -> Any:
    from qdrant_client import models

    if isinstance(test, Between):
        return models.FieldCondition(key=test.fact, range=models.Range(gte=test.low, lte=test.high))
    if not test.values:
        return models.HasIdCondition(has_id=[])
    return models.FieldCondition(key=test.fact, match=models.MatchAny(any=list(test.values)))
