"""A running server of the same library, asked over its own API: its model is loaded already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode

from app.errors import GlimpseError, InvalidInput

ANSWERS_WITHIN = 60.0
CONNECTS_WITHIN = 1.0
"""Seconds to wait for a server that may not be there."""
SAYS_WITHIN = 10.0
"""… and for one that is, and may be busy with a model that is being loaded."""
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to find a server that listens everywhere
PREFIX = "/api/v1"
BOUNDARY = "glimpse-picture"


class ServerUnreadable(GlimpseError):
    """What answers there is no Glimpse, or in trouble."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"What answers at {host}:{port} says nothing that Glimpse would say. Try again in a moment; if that does\n"
            "not help, look into the server's log, or stop it: without a server this command loads the model itself."
        )


class Remote:
    """``session``: a cookie that opens the door where a password is set. Searches raise `GlimpseError`."""

    def __init__(self, host: str, port: int, session: str) -> None:
        self._host, self._port = ANYWHERE.get(host, host), port
        self._headers = {"Cookie": session} if session else {}

    def status(self) -> Mapping[str, Any] | None:
        """What it says of itself; ``None`` where nobody answers."""
        try:
            return self._ask("GET", "/status", within=SAYS_WITHIN)
        except (OSError, GlimpseError):
            return None

    def search(self, query: str, top: int) -> list[Mapping[str, Any]]:
        """Matches as the API gives them, best first. Raises `InvalidInput` with what is wrong with the query."""
        return list(self._ask("GET", f"/search?{urlencode({'q': query, 'limit': top})}")["results"])

    def search_image(self, data: bytes, top: int) -> list[Mapping[str, Any]]:
        """The same for a picture."""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="picture"\r\n\r\n'
        body = head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return list(self._ask("POST", f"/search/image?limit={top}", body, headers)["results"])

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        within: float = ANSWERS_WITHIN,
    ) -> Mapping[str, Any]:
        connection = HTTPConnection(self._host, self._port, timeout=CONNECTS_WITHIN)
        try:
            connection.connect()
            connection.sock.settimeout(within)
            connection.request(method, PREFIX + path, body, {**self._headers, **(headers or {})})
            answer = connection.getresponse()
            content = json.loads(answer.read())
        except (HTTPException, ValueError) as error:
            raise ServerUnreadable(self._host, self._port) from error
        finally:
            connection.close()
        if not isinstance(content, dict):
            raise ServerUnreadable(self._host, self._port)
        if answer.status != 200:
            raise InvalidInput(str(content.get("detail", answer.reason)))
        return content
