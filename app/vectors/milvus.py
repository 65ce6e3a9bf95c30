"""Milvus as a vector engine: `milvus://[user:password@]host[:19530][/database]`, `milvus+tls://` with TLS.

One collection for each space, HNSW over inner products, and one small collection for how far the log was followed.
Always ``upsert``: Milvus takes a second ``insert`` of the same key. Searches are "Bounded": they may see what was
written some seconds late, and need not wait for it (https://milvus.io/docs/consistency.md).
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from app.errors import EngineUnavailable
from app.models import FloatArray
from app.vectors.engine import FACTS, STANCES, Among, Between, Filter, Hits, Points, Reached

log = logging.getLogger(__name__)

DEEPEST = 16_384
"""https://milvus.io/docs/limitations.md"""
ANSWER_SECONDS = 5.0
"""A search that takes longer is given up."""
WORK_SECONDS = 120.0
"""Writing, and loading a collection, may take this long."""
LINKS, BUILD_WIDTH = 16, 200
"""M and efConstruction of HNSW (Malkov and Yashunin 2018, arXiv 1603.09320)."""
LONGEST_TEXT = 1000
"""Bytes of a text fact."""
STATE = "glimpse_state"
NOT_FOUND = 100
"""Milvus' code for a collection that is not there."""


class Milvus:
    """One collection (`app.vectors.engine.Engine`)."""

    deepest = DEEPEST

    def __init__(self, url: str, name: str, dimension: int) -> None:
        self._url = urlsplit(url)
        self._name = name
        self._dimension = dimension
        self._lock = threading.Lock()
        self._connected: Any = None
        self._made = False

    def search(self, vector: FloatArray, k: int, allowed: Filter | None) -> Hits:
        found: list[dict[str, Any]] = []
        with self._answering() as client:
            [found] = client.search(
                self._name,
                [vector],
                filter=_expression(allowed),
                limit=k,
                output_fields=list(STANCES),
                search_params={"metric_type": "IP", "params": {"ef": k}},
                consistency_level="Bounded",
                timeout=ANSWER_SECONDS,
            )
        ids = np.array([hit["id"] for hit in found], np.int64)
        scores = np.array([hit["distance"] for hit in found], np.float32)
        return Hits(ids, scores, _stances([hit["entity"] for hit in found]))

    def count(self, allowed: Filter | None = None) -> int:
        rows = [{"count(*)": 0}]
        with self._answering() as client:
            rows = client.query(
                self._name,
                filter=_expression(allowed),
                output_fields=["count(*)"],
                consistency_level="Bounded",
                timeout=ANSWER_SECONDS,
            )
        return int(rows[0]["count(*)"])

    def upsert(self, points: Points) -> None:
        rows = [
            {"id": int(image_id), "vector": vector, **dict(zip(STANCES, map(float, stance), strict=True)), **facts}
            for image_id, vector, stance, facts in zip(
                points.ids, points.vectors, points.stances, points.facts, strict=True
            )
        ]
        with self._answering() as client:
            self._make(client)
            client.upsert(self._name, rows, timeout=WORK_SECONDS)

    def delete(self, ids: Sequence[int]) -> None:
        with self._answering() as client:
            client.delete(self._name, ids=list(ids), timeout=WORK_SECONDS)

    def last_seq(self) -> Reached:
        known: list[dict[str, Any]] = []
        with self._answering() as client:
            if client.has_collection(self._name, timeout=ANSWER_SECONDS):
                if not self._made:
                    self._load(client)
                known = client.query(
                    STATE,
                    filter=f'name == "{self._name}"',
                    output_fields=["seq", "mark", "bank"],
                    consistency_level="Strong",
                    timeout=WORK_SECONDS,
                )
        return Reached(*(known[0][field] for field in ("seq", "mark", "bank"))) if known else Reached()

    def reached(self, reached: Reached) -> None:
        with self._answering() as client:
            self._make(client)
            row = {"name": self._name, "seq": reached.seq, "mark": reached.mark, "bank": reached.bank}
            client.upsert(STATE, [row | {"unused": [0.0, 0.0]}], timeout=WORK_SECONDS)

    def tidy(self) -> None:
        with self._answering() as client:  # closes what has grown, so that its index is built in the background
            client.flush(self._name, timeout=WORK_SECONDS)

    def empty(self) -> None:
        with self._answering() as client:
            self._made = False
            client.drop_collection(self._name, timeout=WORK_SECONDS)

    def close(self) -> None:
        with self._lock:
            if self._connected is not None:
                self._connected.close()
                self._connected = None

    def _make(self, client: Any) -> None:
        """The collections, if they are not there yet."""
        if self._made:
            return
        from pymilvus import DataType

        if not client.has_collection(STATE, timeout=ANSWER_SECONDS):
            schema = client.create_schema(auto_id=False)
            schema.add_field("name", DataType.VARCHAR, is_primary=True, max_length=100)
            for field in ("seq", "mark", "bank"):
                schema.add_field(field, DataType.INT64)
            schema.add_field("unused", DataType.FLOAT_VECTOR, dim=2)  # no collection goes without a vector
            self._create(client, STATE, schema, "unused", {"index_type": "FLAT", "metric_type": "IP"})
        if not client.has_collection(self._name, timeout=ANSWER_SECONDS):
            client.delete(STATE, ids=[self._name], timeout=WORK_SECONDS)  # of one that somebody has dropped
            schema = client.create_schema(auto_id=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._dimension)
            for field in STANCES:
                schema.add_field(field, DataType.FLOAT)
            for fact, kind in FACTS.items():
                text = {"datatype": DataType.VARCHAR, "max_length": LONGEST_TEXT}
                schema.add_field(fact, **(text if kind is str else {"datatype": DataType.INT64}))
            graph = {"M": LINKS, "efConstruction": BUILD_WIDTH}
            built = {"index_type": "HNSW", "metric_type": "IP", "params": graph}
            self._create(client, self._name, schema, "vector", built)
        self._load(client)
        self._made = True

    def _load(self, client: Any) -> None:
        """Into memory, if somebody has released them."""
        for collection in (STATE, self._name):
            client.load_collection(collection, timeout=WORK_SECONDS)

    @staticmethod
    def _create(client: Any, name: str, schema: Any, indexed: str, index: dict[str, Any]) -> None:
        indexes = client.prepare_index_params()
        indexes.add_index(indexed, **index)
        client.create_collection(name, schema=schema, index_params=indexes, timeout=WORK_SECONDS)
        log.info("Milvus collection made name=%s", name)

    @contextmanager
    def _answering(self) -> Iterator[Any]:
        """A client. What fails is told as `EngineUnavailable`; a collection that is not there has nothing in it."""
        try:
            from grpc import RpcError
            from pymilvus import MilvusException
        except ImportError as error:
            raise EngineUnavailable(
                "GLIMPSE_VECTORS names Milvus, and its client is not installed: pip install -r requirements-milvus.txt."
            ) from error
        try:
            yield self._client()
        except (MilvusException, RpcError, OSError) as error:
            self._made = False
            if getattr(error, "code", None) == NOT_FOUND:
                return
            where = f"{self._url.hostname}:{self._url.port or 19530}"
            raise EngineUnavailable(f"The vector engine, Milvus at {where}, does not answer.") from error

    def _client(self) -> Any:
        from pymilvus import MilvusClient

        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # tells each failure with its whole stack
        with self._lock:
            if self._connected is None:
                scheme = "https" if self._url.scheme.endswith("+tls") else "http"
                self._connected = MilvusClient(
                    uri=f"{scheme}://{self._url.hostname}:{self._url.port or 19530}",
                    user=unquote(self._url.username or ""),
                    password=unquote(self._url.password or ""),
                    db_name=self._url.path.strip("/"),
                    timeout=ANSWER_SECONDS,
                )
            return self._connected


def _stances(rows: Sequence[dict[str, Any]]) -> FloatArray:
    return np.array([[row[field] for field in STANCES] for row in rows], np.float32).reshape(-1, len(STANCES))


def _expression(allowed: Filter | None) -> str:
    """https://milvus.io/docs/boolean.md"""
    if allowed is None:
        return ""
    if isinstance(allowed, np.ndarray):
        return f"id in {allowed.tolist()}"
    return " and ".join(_tested(test) for test in allowed) or "id >= 0"


def _tested(test: Among | Between) -> str:
    if isinstance(test, Between):
        said = f"({test.fact} >= {test.low} and {test.fact} <= {test.high})"
    elif test.values:
        said = f"({test.fact} in {json.dumps(test.values, ensure_ascii=False)})"
    else:
        said = "(id < 0)"
    return f"not {said}" if test.negated else said
