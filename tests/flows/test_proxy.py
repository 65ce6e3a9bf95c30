"""Behind a reverse proxy, below a path of its own: everything a browser is given leads back through the proxy."""

from __future__ import annotations

import http.client
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest

from tests.conftest import wait_for
from tests.flows.processes import Server
from tests.pictures import picture
from tests.web.html import ADDRESSES, Html

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")

PREFIX = "/my/pictures"
HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


AS_A_BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Proxy(ThreadingHTTPServer):
    """Passes on what comes below `PREFIX`, without it if ``strips``, as nginx and Caddy do; anything else is 418."""

    daemon_threads = True

    def __init__(self, port: int, strips: bool) -> None:
        super().__init__(("127.0.0.1", 0), Pass)
        self.behind, self.strips = port, strips
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Pass(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def pass_on(self) -> None:
        if self.path != PREFIX and not self.path.startswith(f"{PREFIX}/"):
            self.send_response(418)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = dict(self.headers.items()) | {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        headers["Host"] = "photos.example.org"
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        behind.request(self.command, self.path.removeprefix(PREFIX if self.server.strips else ""), body, headers)
        answer = behind.getresponse()
        content = answer.read()
        behind.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = pass_on  # noqa: N815 - names the library looks for

    def log_message(self, *_: Any) -> None:
        """The test tells what matters."""


class Browser:
    """Follows what it is given, and nothing it was not given."""

    def __init__(self, proxy: Proxy) -> None:
        self.client = httpx2.Client(base_url=proxy.url, timeout=30, trust_env=False, headers=AS_A_BROWSER)

    def get(self, path: str, status: int = 200) -> Html:
        answer = self.client.get(path)
        assert answer.status_code == status, (path, answer.status_code)
        return Html(answer.text)

    def post(self, path: str, **body: Any) -> str:
        """Where the form leads."""
        answer = self.client.post(path, **body)
        assert answer.status_code == 303, (path, answer.text)
        return str(answer.headers["location"])

    def crawl(self, start: str) -> set[str]:
        """Everything within reach by links, pictures, styles, scripts and forms, one address of each kind."""
        waiting, kinds, seen = [start], set[str](), set[str]()
        while waiting:
            path = waiting.pop()
            assert path.startswith(f"{PREFIX}/"), path
            kind = re.sub(r"=[^&]*|\d+|[0-9a-f]{32}", "", path)
            if kind in kinds:
                continue
            kinds.add(kind)
            seen.add(path)
            answer = self.client.get(path)
            # Where forms lead is no page, and without a model searches are put off.
            assert answer.status_code in (200, 303, 405, 422, 503), (path, answer.status_code)
            if answer.headers.get("content-type", "").startswith("text/html"):
                waiting += [urljoin(path, address) for address in addresses(Html(answer.text))]
        return seen


def addresses(html: Html) -> Iterator[str]:
    for _, attributes in html.tags:
        found = [attributes.get(name) for name in (*ADDRESSES, "data-tiles", "data-status", "data-api", "data-gallery")]
        found += [part.split()[0] for part in (attributes.get("srcset") or "").split(",") if part.strip()]
        for address in found:
            parts = urlsplit(address or "")
            if parts.path and not parts.scheme and not (address or "").startswith("#"):
                yield parts._replace(fragment="").geturl()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "data", GLIMPSE_ROOT_PATH=PREFIX, GLIMPSE_HOSTS="photos.example.org", GLIMPSE_OPEN="true")
    yield made.start()
    made.close()


@contextmanager
def browsing(server: Server, strips: bool) -> Iterator[Browser]:
    proxy = Proxy(server.port, strips)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    browser = Browser(proxy)
    try:
        yield browser
    finally:
        browser.client.close()
        proxy.shutdown()
        thread.join()
        proxy.server_close()


@pytest.mark.parametrize("strips", [True, False], ids=["the proxy strips the path", "the proxy leaves it"])
def test_every_address_leads_back_through_the_proxy(server: Server, strips: bool) -> None:
    with browsing(server, strips) as browser:
        files = [("files", (f"{colour}.jpg", picture(colour))) for colour in ("red", "blue")]
        uploaded = browser.post(f"{PREFIX}/upload", files=files)
        assert "red.jpg" in browser.get(uploaded).words
        wait_for(lambda: server.counts()["prepared"] == 2)
        seen = browser.crawl(f"{PREFIX}/")
        for needed in ("/static/", "/thumbs/", "/images/", "/fragments/tiles", "/api/v1/images"):
            assert any(path.startswith(PREFIX + needed) for path in seen), needed
        assert any(path.endswith("/original") for path in seen)
        assert browser.post(f"{PREFIX}/images/1/delete") == f"{PREFIX}/trash/1"
        browser.crawl(f"{PREFIX}/trash/1")
        assert browser.post(f"{PREFIX}/images/1/restore") == f"{PREFIX}/images/1"
        for lost in ("/nothing", "/static/nothing.css", "/images/77"):
            assert all(path.startswith(f"{PREFIX}/") for path in addresses(browser.get(PREFIX + lost, 404))), lost
        listed = browser.client.get(f"{PREFIX}/api/v1/images?limit=1").json()
        assert browser.client.get(listed["next"]).status_code == 200
        assert browser.client.get(listed["images"][0]["urls"]["page"]).status_code == 200
        assert browser.client.get(f"{PREFIX}/openapi.json").json()["servers"] == [{"url": PREFIX}]
        assert browser.client.get(f"{PREFIX}/healthz").status_code == 200
        assert browser.client.get(PREFIX).text == browser.client.get(f"{PREFIX}/").text


def test_signing_in_and_out_stays_below_the_path(server: Server) -> None:
    server.run("password", text="correct horse\n")
    with browsing(server, strips=True) as browser:
        wait_for(lambda: browser.client.get(f"{PREFIX}/").status_code == 303)
        assert browser.client.get(f"{PREFIX}/status").headers["location"] == f"{PREFIX}/login?next=%2Fstatus"
        form = browser.get(f"{PREFIX}/login?next=%2Fstatus")
        assert [attributes["action"] for attributes in form.all("form")] == [f"{PREFIX}/login"]
        answer = browser.client.post(f"{PREFIX}/login", data={"password": "correct horse", "next": "/status"})
        assert answer.headers["location"] == f"{PREFIX}/status"
        cookie = answer.headers["set-cookie"]
        assert f"path={PREFIX};" in cookie.lower()
        assert "; secure" in cookie.lower()  # the proxy says that it is spoken to by https
        signed_in = {"Cookie": cookie.partition(";")[0]}
        assert browser.client.get(f"{PREFIX}/status", headers=signed_in).status_code == 200
        out = browser.client.post(f"{PREFIX}/logout", headers=signed_in)
        assert out.headers["location"] == f"{PREFIX}/login"
        assert f"path={PREFIX};" in out.headers["set-cookie"].lower()
