"""What is logged: one line per event on standard error, whatever strangers put into names, addresses and headers."""

from __future__ import annotations

import logging

FORMAT = "%(asctime)s %(levelname)-7s %(name)s %(message)s"
QUIET = {
    "alembic": logging.WARNING,
    "faiss": logging.WARNING,
    "PIL": logging.INFO,
    "watchfiles": logging.WARNING,
    "uvicorn.access": logging.WARNING,
}
"""Loggers of others that say too much."""


class OneLine(logging.Formatter):
    """Escapes what would end a line or steer a terminal; lines of a traceback are indented, so that none looks like
    an event."""

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # what another formatter made of the traceback
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name in `logging`
        return _escaped(super().formatMessage(record))

    def formatException(self, error: object) -> str:  # noqa: N802 - its name in `logging`
        return "\n".join(f"    {_escaped(line)}" for line in super().formatException(error).split("\n"))  # type: ignore[arg-type]


def configure(level: str) -> None:
    """``level``: ``debug``, ``info``, ``warning`` or ``error``."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, loudness in QUIET.items():
        logging.getLogger(name).setLevel(loudness)


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
