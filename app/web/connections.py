"""Connections that keep nobody waiting: what uvicorn leaves without an end, ended.

uvicorn closes a connection that has been idle for five seconds after an answer, and stops reading a request's head at
`HEAD_BYTES`. It waits without end for the first request, for the rest of a head (*slowloris*), for a body whose request
was answered already, and for a client that does not read its answer; and one address may have all its connections.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus

import h11
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 20.0
"""From the connection, or the answer before, until the head of the next request is there."""
HEAD_BYTES = 72_000
"""Of request line and headers together: what `app.web.limits` answers to has less, and is told what is too long."""
MOST_OF_ONE = 100
"""Connections of one address: a browser has six. A proxy speaks for many; `app.cli` bounds the connections of all."""
READ_SECONDS = 60.0
"""A client that reads nothing of what waits for it for so long has gone."""
LATE = "The request did not come in time. Send it again."
LONG = "The address or the headers of this request are too long."


class PatientConnection(H11Protocol):
    """A connection of HTTP/1.1; uvicorn makes one for each (``http=`` of its settings)."""

    _head: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()
        if self.client and not self._is_proxy() and self._of_this_address() > MOST_OF_ONE:
            transport.abort()

    def _is_proxy(self) -> bool:
        """Whether uvicorn believes this address who it speaks for: loopback, or what ``FORWARDED_ALLOW_IPS`` names."""
        believes = self.app
        return isinstance(believes, ProxyHeadersMiddleware) and (self.client or ("",))[0] in believes.trusted_hosts

    def _of_this_address(self) -> int:
        addresses = [other.client for other in self.connections if isinstance(other, PatientConnection)]
        return sum(address[:1] == (self.client or ())[:1] for address in addresses if address)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        self._wait_for_head()
        super().on_response_complete()
        if self.cycle is not None and not self.cycle.response_complete:  # the next request was here already
            self._stop_waiting()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()

    def send_400_response(self, msg: str) -> None:
        """Called where a request makes no sense: h11 knows which answer that deserves."""
        error = sys.exc_info()[1]
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, LONG)
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)  # resumes writing

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._head = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _give_up(self) -> None:
        """Say so where a request had begun (RFC 9110, 15.5.9), and close."""
        if self.transport.is_closing():
            return
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, LATE)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        answer = h11.Response(status_code=status, headers=headers, reason=status.phrase.encode())
        for event in (answer, h11.Data(data=f"{text}\n".encode()), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
