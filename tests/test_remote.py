"""Asking a server that may be another program, or in trouble."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from app.config import Settings
from app.errors import GlimpseError
from app.finding import read_status
from app.main import open_access
from app.remote import Remote
from app.web.access import COOKIE

PAGE = b"HTTP/1.0 503 Service Unavailable\r\n\r\nService Unavailable"
NO_OBJECT = b"HTTP/1.0 200 OK\r\n\r\n[1]"
NO_HTTP = b"220 mail.example.org ESMTP\r\n"

Listen = Callable[[bytes], "Listening"]


class Listening(HTTPServer):
    """Answers whatever it is asked with the same bytes, and keeps the cookies it is sent."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answer = answer
        self.cookies: list[str] = []
        self.seconds = 0.0


class Answering(BaseHTTPRequestHandler):
    server: Listening

    def do_GET(self) -> None:
        time.sleep(self.server.seconds)
        self.server.cookies.append(self.headers.get("Cookie", ""))
        self.wfile.write(self.server.answer)

    def log_message(self, *_: Any) -> None:
        """The test tells what matters."""


@pytest.fixture
def listen() -> Iterator[Listen]:
    started: list[tuple[Listening, threading.Thread]] = []

    def start(answer: bytes) -> Listening:
        server = Listening(answer)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("answer", [PAGE, NO_OBJECT, NO_HTTP, b""])
def test_an_answer_that_makes_no_sense_is_told(listen: Listen, answer: bytes) -> None:
    server = listen(answer)
    remote = Remote("127.0.0.1", server.server_port, "")
    with pytest.raises(GlimpseError, match=f"127.0.0.1:{server.server_port}.*Try again"):
        remote.search("red", 1)
    assert remote.status() is None


def test_a_stranger_in_the_servers_place_is_given_no_session(listen: Listen, settings: Settings) -> None:
    server = listen(NO_OBJECT)
    with open_access(settings) as access:
        access.set_password("correct horse battery")
        assert read_status(settings.model_copy(update={"port": server.server_port}))["server"] is None
        [cookie] = server.cookies
        token = SimpleCookie(cookie)[COOKIE].value
        assert access.session_holds(token)
        assert not access._holds(token, "session", 3600), "nothing that holds for longer than an errand"


def test_a_server_that_is_busy_is_one_that_is_there(listen: Listen) -> None:
    """While it loads a model, say."""
    server = listen(b'HTTP/1.0 200 OK\r\n\r\n{"version": "1"}')
    server.seconds = 1.5
    assert Remote("127.0.0.1", server.server_port, "").status() == {"version": "1"}
