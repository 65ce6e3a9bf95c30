"""Who may come in: one password for people, a key for each program."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.catalog.database import Database
from app.catalog.tables import access, api_keys
from app.errors import InvalidInput
from app.models import AccessRecord, ApiKey, Scope


class AccessRecords:
    """Reads and writes `access` and `api_keys`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> AccessRecord:
        with self._database.reading() as connection:
            row = connection.execute(select(access)).one()
            keys = connection.execute(select(api_keys).order_by(api_keys.c.name)).all()
        known = (ApiKey(k.name, k.digest, Scope(k.scope), k.created_at.replace(tzinfo=UTC)) for k in keys)
        return AccessRecord(row.password, row.secret, tuple(known))

    def write_password(self, hashed: str | None) -> None:
        """Keep a new hash (``None``: ask for no password) and end all sessions."""
        with self._database.writing() as connection:
            connection.execute(update(access).values(password=hashed, secret=secrets.token_bytes(32)))

    def add_key(self, name: str, digest: str, scope: Scope) -> None:
        """Raises `InvalidInput` where the name is taken."""
        values = {"name": name, "digest": digest, "scope": scope.value, "created_at": datetime.now(UTC)}
        try:
            with self._database.writing() as connection:
                connection.execute(insert(api_keys).values(values))
        except IntegrityError as error:
            raise InvalidInput(f"There is a key {name} already. Revoke it first, or choose another name.") from error

    def remove_key(self, name: str) -> bool:
        """Whether there was such a key."""
        with self._database.writing() as connection:
            return connection.execute(delete(api_keys).where(api_keys.c.name == name)).rowcount > 0
