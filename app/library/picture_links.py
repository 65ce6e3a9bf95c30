"""Pictures to search by, in an address: the picture itself is not kept, its vector travels in a signed token."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import numpy as np
from itsdangerous import BadSignature, SignatureExpired, TimestampSigner

from app.errors import InvalidInput
from app.models import EmbeddingSpace, FloatArray

HOLDS_SECONDS = 3600
LONGEST = 4000
"""Characters of a token; one of 512 dimensions has some 750."""
_DIGEST_BYTES = 8


class PictureLinks:
    """Writes and reads tokens; ``secret`` is what all processes of this library sign with."""

    def __init__(self, secret: Callable[[], bytes]) -> None:
        self._secret = secret

    def write(self, vector: FloatArray, space: EmbeddingSpace) -> str:
        """A token for a unit vector [dimension] of ``space``, as one byte per dimension.

        Rounding turns the vector by less than half a degree, which ranks pictures practically the same.
        """
        rounded = np.round(vector * (127 / np.abs(vector).max())).astype(np.int8)
        content = base64.urlsafe_b64encode(_digest(space) + rounded.tobytes()).rstrip(b"=")
        return self._signer().sign(content).decode()

    def read(self, token: str, space: EmbeddingSpace) -> FloatArray:
        """The unit vector, [dimension]. Raises `InvalidInput` with what to do instead."""
        if len(token) > LONGEST:
            raise InvalidInput("This is no link to a search by a picture. Choose the picture again.")
        try:
            content = self._signer().unsign(token, max_age=HOLDS_SECONDS)
        except SignatureExpired as error:
            raise InvalidInput(
                "Links to a search by a picture hold for an hour, since the picture itself is not kept. "
                "Choose the picture again."
            ) from error
        except BadSignature as error:
            raise InvalidInput("This link to a search by a picture is not whole. Choose the picture again.") from error
        data = base64.urlsafe_b64decode(content + b"=" * (-len(content) % 4))
        if data[:_DIGEST_BYTES] != _digest(space):
            raise InvalidInput("This link belongs to another model than the one that serves. Choose the picture again.")
        vector = np.frombuffer(data[_DIGEST_BYTES:], np.int8).astype(np.float32)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    def _signer(self) -> TimestampSigner:
        return TimestampSigner(self._secret(), salt="picture", digest_method=hashlib.sha256)


def _digest(space: EmbeddingSpace) -> bytes:
    return hashlib.sha256(f"{space.model} {space.fingerprint} {space.dimension}".encode()).digest()[:_DIGEST_BYTES]
