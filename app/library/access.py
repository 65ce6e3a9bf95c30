"""Who may come in: people by one password, programs by keys. Where no password is set, everybody who gets here."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from itsdangerous import BadSignature, TimestampSigner

from app.catalog.access import AccessRecords
from app.errors import InvalidInput
from app.models import AccessRecord, ApiKey, Scope

SHORTEST_PASSWORD = 8
"""Characters; NIST SP 800-63B, section 3.1.1.2."""
SESSION_SECONDS = 30 * 24 * 3600
ERRAND_SECONDS = 60
"""Of a token that the command line sends to whatever listens where the server should be."""
FRESH_SECONDS = 1.0
"""For so long a change made by another process may go unseen."""
KEY_PREFIX = "glimpse_"
"""So that a key that leaks into a log or a repository is recognised."""


class Access:
    """One for the whole process; safe to share between threads. ``clock``: seconds."""

    def __init__(self, records: AccessRecords, clock: Callable[[], float] = time.monotonic) -> None:
        self._records = records
        self._clock = clock
        self._known: tuple[float, AccessRecord] | None = None
        self._hasher = PasswordHasher()  # the library's defaults are RFC 9106's second recommendation
        self._hashing = threading.Lock()  # a check takes 64 MB and a core: one at a time is what a stranger may spend

    # For every request

    @property
    def is_fresh(self) -> bool:
        """Whether the next question is answered without a look into the catalog."""
        return self._known is not None and self._clock() < self._known[0]

    @property
    def is_locked(self) -> bool:
        """Whether a password or a key is asked for."""
        return self._record().password is not None

    def session_holds(self, token: str) -> bool:
        """Whether `begin_session` or `begin_errand` gave this token lately, and the password has not changed since."""
        return self._holds(token, "session", SESSION_SECONDS) or self._holds(token, "errand", ERRAND_SECONDS)

    def scope_of(self, key: str) -> Scope | None:
        """What a key opens; ``None`` for one that is not known (any more)."""
        digest = _digest(key)
        return next(
            (known.scope for known in self._record().keys if secrets.compare_digest(known.digest, digest)), None
        )

    # Signing in

    def password_fits(self, password: str) -> bool:
        """Takes some tens of milliseconds on purpose."""
        hashed = self._record().password
        if hashed is None:
            return True
        try:
            with self._hashing:
                return self._hasher.verify(hashed, password)
        except VerificationError:
            return False

    def begin_session(self) -> str:
        """A token for `session_holds`."""
        return self._signer("session").sign(secrets.token_urlsafe(9)).decode()

    def begin_errand(self) -> str:
        """The same, for `ERRAND_SECONDS`: for who can't know yet that it is this library's server that is told."""
        return self._signer("errand").sign(secrets.token_urlsafe(9)).decode()

    # Changing it

    def set_password(self, password: str) -> None:
        """Ends all sessions. Raises `InvalidInput` where it is too short."""
        if len(password) < SHORTEST_PASSWORD:
            raise InvalidInput(f"A password has at least {SHORTEST_PASSWORD} characters. A few words are easy to keep.")
        self._records.write_password(self._hasher.hash(password))
        self._known = None

    def remove_password(self) -> None:
        """Everybody who can reach the gallery may use it from now on."""
        self._records.write_password(None)
        self._known = None

    @property
    def keys(self) -> tuple[ApiKey, ...]:
        """By name."""
        return self._records.read().keys

    def add_key(self, name: str, scope: Scope) -> str:
        """The key, which can't be read again later. Raises `InvalidInput` for a name that is taken or no name."""
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise InvalidInput("A key needs a name of at most 100 characters, such as the program that uses it.")
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        self._records.add_key(name, _digest(key), scope)
        self._known = None
        return key

    def revoke_key(self, name: str) -> None:
        """Raises `InvalidInput` where there is none."""
        if not self._records.remove_key(name):
            raise InvalidInput(f"There is no key {name}.")
        self._known = None

    def _record(self) -> AccessRecord:
        known = self._known
        if known is None or self._clock() >= known[0]:
            known = self._clock() + FRESH_SECONDS, self._records.read()
            self._known = known
        return known[1]

    def _holds(self, token: str, kind: str, seconds: int) -> bool:
        try:
            self._signer(kind).unsign(token, max_age=seconds)
        except BadSignature:
            return False
        return True

    def _signer(self, kind: str) -> TimestampSigner:
        return TimestampSigner(self._record().secret, salt=kind, digest_method=hashlib.sha256)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
