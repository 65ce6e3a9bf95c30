"""Receipts: what became of each file of an upload by the plain form, kept for a week."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import delete, insert, select

from app.catalog.database import Database
from app.catalog.tables import receipts
from app.models import Outcome, UploadResult

KEEP_SECONDS = 7 * 24 * 3600.0


class Receipts:
    """Reads and writes `receipts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, results: Sequence[UploadResult]) -> str:
        """Keep the results and return the token to read them by: not to be guessed, since names stand in it."""
        token = secrets.token_hex(16)
        with self._database.writing() as connection:
            connection.execute(delete(receipts).where(receipts.c.created_at < time.time() - KEEP_SECONDS))
            kept = [asdict(result) for result in results]
            connection.execute(insert(receipts).values(token=token, created_at=time.time(), results=kept))
        return token

    def read(self, token: str) -> list[UploadResult] | None:
        """The results, or ``None`` if there is no such receipt (any more)."""
        with self._database.reading() as connection:
            kept = connection.scalar(select(receipts.c.results).where(receipts.c.token == token))
        if kept is None:
            return None
        return [UploadResult(**{**result, "outcome": Outcome(result["outcome"])}) for result in kept]
