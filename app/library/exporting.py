"""Export: the catalog as CSV or JSON lines, the vectors as numpy's own files. Nothing is held in memory as a whole."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from app.catalog.listing import Listed
from app.media.store import original_name
from app.models import EmbeddingSpace, ExportFormat, FloatArray, LogEntry

COLUMNS = (
    "id", "md5", "filename", "format", "bytes", "width", "height", "state", "reason", "added_at", "taken_at", "date",
    "camera", "title", "description", "keywords", "folder", "file_time", "original",
)  # fmt: skip


def write_catalog(pictures: Iterable[Listed], format: ExportFormat, file: TextIO) -> None:
    """A line for each picture. CSV (RFC 4180) begins with the names of the columns; JSON lines have them as keys."""
    if format is ExportFormat.JSONL:
        file.writelines(json.dumps(facts, ensure_ascii=False) + "\n" for facts in map(_facts, pictures))
        return
    rows = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    rows.writeheader()
    rows.writerows(facts | {"keywords": ", ".join(facts["keywords"])} for facts in map(_facts, pictures))


def write_vectors(space: EmbeddingSpace, entries: Iterable[list[LogEntry]], folder: Path) -> int:
    """``vectors.npy``, float32 [n, dimension] with rows of length 1; ``ids.npy``, int64 [n], whose vectors those are;
    ``space.json``, which model. Returns n. Raises `OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with whole_file(folder / "vectors.npy") as vectors, whole_file(folder / "ids.npy") as ids:
        vectors.write(_header("<f4", 0, space.dimension))
        ids.write(_header("<i8", 0))
        for image_id, vector in _each_once(entries):
            vectors.write(vector.astype("<f4").tobytes())
            ids.write(image_id.to_bytes(8, "little", signed=True))
            count += 1
        vectors.seek(0)
        vectors.write(_header("<f4", count, space.dimension))
        ids.seek(0)
        ids.write(_header("<i8", count))
    facts = {"model": space.model, "fingerprint": space.fingerprint, "dimension": space.dimension, "pictures": count}
    with whole_file(folder / "space.json") as file:
        file.write(json.dumps(facts, indent=2).encode() + b"\n")
    return count


def _each_once(entries: Iterable[list[LogEntry]]) -> Iterator[tuple[int, FloatArray]]:
    """Pictures with their vectors. One that is embedded again meanwhile comes again, further on in the log."""
    written = bytearray()  # a byte for each id
    for batch in entries:
        for entry in batch:
            written.extend(bytes(max(entry.image_id + 1 - len(written), 0)))
            if entry.vector is not None and not written[entry.image_id]:
                written[entry.image_id] = True
                yield entry.image_id, entry.vector


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file in the place of ``path`` once all of it is written; until then, and if that fails, the old one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(0o666 & ~_umask())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _header(kind: str, *shape: int) -> bytes:
    """Of a ``.npy`` file. Its length does not depend on the number of rows: numpy leaves room for that to grow.

    https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": kind, "fortran_order": False, "shape": shape})
    return header.getvalue()


def _facts(listed: Listed) -> dict[str, Any]:
    image, captions = listed.image, listed.image.captions
    return {
        "id": image.id,
        "md5": image.md5,
        "filename": image.filename,
        "format": image.format,
        "bytes": image.bytes,
        "width": image.width,
        "height": image.height,
        "state": image.state.value,
        "reason": image.reason,
        "added_at": image.added_at.isoformat(),
        "taken_at": image.taken_at and image.taken_at.isoformat(),
        "date": image.date.isoformat(),
        "camera": image.camera,
        "title": captions.title,
        "description": captions.description,
        "keywords": list(captions.keywords),
        "folder": listed.folder,
        "file_time": listed.file_time and listed.file_time.isoformat(),
        "original": f"images/{original_name(image.md5, image.format)}",
    }
