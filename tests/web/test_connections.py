"""Connections that nobody finishes are closed, over a real socket; the others are left alone."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.web import connections
from app.web.connections import PatientConnection
from tests.conftest import wait_for

LARGE = bytes(40_000_000)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once, without a look at the body; /slow after a while, /large with more than a socket holds."""
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5 * connections.HEAD_SECONDS)
    body = LARGE if scope["path"] == "/large" else b"here"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(connections, "READ_SECONDS", 0.5)
    with serving() as port:
        yield port


@contextmanager
def serving() -> Iterator[int]:
    """The port of a server of `app`."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app,
            http=PatientConnection,
            h11_max_incomplete_event_size=connections.HEAD_BYTES,
            lifespan="off",
            log_config=None,
            timeout_keep_alive=60,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        wait_for(lambda: server.started)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as made:
        yield made


def everything(client: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    while part := client.recv(65536):
        found += part
    return found


def test_who_says_nothing_is_closed(client: socket.socket) -> None:
    assert everything(client) == b""


def test_who_never_ends_the_head_is_told_and_closed(client: socket.socket) -> None:
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
    with suppress(ConnectionResetError, BrokenPipeError):  # where this machine stalls for a second
        for _ in range(3):
            time.sleep(0.1)
            client.sendall(b"X-Drip: 1\r\n")
    answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert connections.LATE.encode() in answer


def test_who_goes_on_sending_after_the_answer_is_closed(client: socket.socket) -> None:
    client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nx")
    found = b""
    try:
        while part := client.recv(65536):
            found += part
            client.sendall(b"drip")
    except (ConnectionResetError, BrokenPipeError):
        pass
    assert found.endswith(b"here")


def test_who_does_not_read_the_answer_is_closed(port: int) -> None:
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        deaf.settimeout(60)
        deaf.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(2)
        assert len(everything(deaf)) < len(LARGE)


@pytest.mark.parametrize("path", [b"/", b"/slow"])
def test_who_asks_again_in_time_is_answered_however_long_it_takes(client: socket.socket, path: bytes) -> None:
    for _ in range(3):
        client.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        answer = b""
        while not answer.endswith(b"here"):
            part = client.recv(65536)
            assert part, answer
            answer += part


@pytest.mark.parametrize(("length", "status"), [(30_000, b"200"), (60_000, b"200"), (200_000, b"431")])
def test_a_long_head_is_read_or_told_also_when_it_comes_in_pieces(
    port: int, monkeypatch: pytest.MonkeyPatch, length: int, status: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 60.0)
    head = b"GET /?q=" + b"x" * length + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        with suppress(ConnectionResetError, BrokenPipeError):  # what comes after the refusal is not read
            for start in range(0, len(head), 10_000):
                client.sendall(head[start : start + 10_000])
                time.sleep(0.005)
        assert client.recv(12) == b"HTTP/1.1 " + status


def test_what_is_no_request_is_told(client: socket.socket) -> None:
    client.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
    assert everything(client).startswith(b"HTTP/1.1 400 ")


def connect(port: int, address: str) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(address, 0))
    made.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return made


def answered(made: socket.socket) -> bool:
    with suppress(ConnectionResetError):
        return made.recv(12) == b"HTTP/1.1 200"
    return False


def test_one_address_does_not_take_all_connections(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_OF_ONE", 3)
    monkeypatch.setattr(connections, "HEAD_SECONDS", 60.0)
    with ExitStack() as stack:
        greedy = [answered(stack.enter_context(connect(port, "127.0.0.2"))) for _ in range(5)]
        addresses = ("127.0.0.3", *["127.0.0.1"] * 5)
        others = [answered(stack.enter_context(connect(port, address))) for address in addresses]
    assert greedy == [True, True, True, False, False]
    assert all(others), "a proxy on this machine speaks for many"


@pytest.mark.parametrize(("believed", "open"), [("127.0.0.9", 3), ("127.0.0.2", 5), ("127.0.0.0/30", 5), ("*", 5)])
def test_a_proxy_elsewhere_that_is_believed_may_have_many(
    believed: str, open: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_OF_ONE", 3)
    monkeypatch.setattr(connections, "HEAD_SECONDS", 60.0)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", believed)
    with serving() as port, ExitStack() as stack:
        made = [stack.enter_context(connect(port, "127.0.0.2")) for _ in range(5)]
        assert [answered(each) for each in made].count(True) == open


def test_requests_sent_together_are_all_answered(client: socket.socket) -> None:
    client.sendall(
        b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" * 2 + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    assert everything(client).count(b"here") == 3
