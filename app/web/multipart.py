"""Streamed multipart bodies (RFC 7578): each file goes where it belongs while it comes in, none is held whole.

A thin layer over python-multipart's callbacks. Parsing, hashing and writing run in threads, so that one large upload
does not stall the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from app.errors import InvalidInput

PIECE = 256 * 1024
"""Bytes handed to a thread at once: a hop costs some 50 µs, hashing this much ten times that."""


class Part(Protocol):
    """Takes the bytes of one file."""

    def write(self, data: bytes) -> None: ...

    def end(self) -> None:
        """The file is whole."""
        ...

    def abort(self) -> None:
        """The rest of the file will not come."""
        ...


BeginPart = Callable[[str, str], Part | None]
"""Given the field's name and the file's name: what takes the file, or ``None`` if it is of no interest."""


async def read_files(request: Request, begin: BeginPart) -> None:
    """Read the body to its end. Raises `InvalidInput` if it is no well-formed multipart body."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise InvalidInput("Send files as multipart/form-data.")
    try:
        reader = _Reader(options[b"boundary"], begin)
        try:
            async for piece in _pieces(request):
                await run_in_threadpool(reader.feed, piece)
            await run_in_threadpool(reader.finish)
        finally:
            await run_in_threadpool(reader.close)
    except FormParserError as error:
        raise InvalidInput("The upload is not well-formed multipart/form-data.") from error


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    piece = bytearray()
    try:
        async for chunk in request.stream():
            piece += chunk
            if len(piece) >= PIECE:
                yield bytes(piece)
                piece.clear()
    except (ClientDisconnect, HTTPException):  # it went away, or is too slow or too large: `app.web.limits`
        yield bytes(piece)  # files that came in whole are kept
        raise
    yield bytes(piece)


class _Reader:
    """Turns the parser's callbacks into parts."""

    def __init__(self, boundary: bytes, begin: BeginPart) -> None:
        self._begin = begin
        self._part: Part | None = None
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = b"", b""
        self._whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def feed(self, data: bytes) -> None:
        self._parser.write(data)

    def finish(self) -> None:
        if not self._whole:
            raise FormParserError("the closing boundary is missing")

    def close(self) -> None:
        if self._part is not None:
            self._part.abort()
            self._part = None

    def _on_part_begin(self) -> None:
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"filename" in options:
            field = options.get(b"name", b"").decode("utf-8", "replace")
            self._part = self._begin(field, options[b"filename"].decode("utf-8", "replace"))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self._part.write(data[start:end])

    def _on_part_end(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            part.end()

    def _on_end(self) -> None:
        self._whole = True
