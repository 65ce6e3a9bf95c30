"""Which vector engine a setting names."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.vectors.engine import Engine
from app.vectors.milvus import Milvus
from app.vectors.pgvector import Pgvector
from app.vectors.qdrant import Qdrant

KNOWN = "faiss, milvus://host, qdrant://host, or pgvector"


def open_engine(url: str, name: str, dimension: int) -> Engine:
    """The engine behind ``url``, that keeps vectors [dimension] under ``name``. Nothing is asked of it yet.

    Raises ``ValueError`` if it names none.
    """
    parts = urlsplit(url)
    match parts.scheme.partition("+")[0]:
        case "milvus" if parts.hostname:
            return Milvus(url, name, dimension)
        case "qdrant" if parts.hostname:
            return Qdrant(url, name, dimension)
        case "postgresql":
            return Pgvector(f"postgresql://{url.partition('://')[2]}", name, dimension)  # libpq knows no drivers
    raise ValueError(f"This names no vector engine. Known are {KNOWN}.")


def place_of(url: str) -> str:
    """Which engine ``url`` names, without name and password: a query may hold them, too."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
