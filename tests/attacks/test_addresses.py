"""Queries that look like paths and addresses: nothing is opened, nobody is asked.

The whole interpreter is watched, so no other gallery may be at work in this process meanwhile: a worker looks around
now and then. Hence a file of its own, without `besieged`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.config import STARTER_MODEL, Settings
from app.vectors.encoder import load_encoder
from tests.conftest import Glimpse, running
from tests.pictures import picture

SEEN: list[tuple[str, str]] = []
WATCHING = [False]


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if WATCHING[0] and event in ("open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"):
        SEEN.append((event, str(arguments[1] if event == "socket.connect" else arguments[0])))


sys.addaudithook(_watch)  # https://docs.python.org/3/library/audit_events.html: can't be taken away, so it has a switch


@contextmanager
def watched() -> Iterator[list[tuple[str, str]]]:
    """What the interpreter opens and connects to meanwhile, in whatever library."""
    SEEN.clear()
    WATCHING[0] = True
    try:
        yield SEEN
    finally:
        WATCHING[0] = False


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glimpse]:
    """A gallery with the bundled model: sentence-transformers is what would open such texts."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "sentinel.png").write_bytes(picture("red", format="PNG"))
    settings = Settings(_env_file=None, data=folder, worker=False, model=str(STARTER_MODEL))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.main.TEND_SECONDS", 3600.0)  # saves the index now and then, and would be heard opening files
        with running(settings, lambda: load_encoder(str(STARTER_MODEL), STARTER_MODEL)) as glimpse:
            glimpse.upload(("red.jpg", picture("red")))
            glimpse.work()
            yield glimpse


ADDRESSES = (
    "{sentinel}", "file://{sentinel}", "FILE:///{sentinel}", "{sentinel} ", "./sentinel.png", "~/.ssh/id_rsa",
    "/etc/passwd", "/proc/self/environ", "\\\\server\\share\\a.png", "http://127.0.0.1:9/a.png",
    "https://evil.example/a.jpg",
    "http://169.254.169.254/latest/meta-data/", "http://[::1]:9/a.png", "ftp://evil.example/a.png",
    "//evil.example/a.png",
    "gopher://127.0.0.1:6379/_FLUSHALL", "data:image/png;base64,iVBORw0KGgo=", "s3://bucket/a.png", "hf://models/a.png",
    "-{sentinel}", '+2:"{sentinel}"', '"{sentinel}"', "red {sentinel}", "name:{sentinel}", "like:{sentinel}",
)  # fmt: skip
"""``{sentinel}``: the path of a picture that is there and may be read."""


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_text(real: Glimpse, address: str) -> None:
    query = address.format(sentinel=real.settings.data / "sentinel.png")
    real.client.get("/api/v1/search", params={"q": "something else"})  # what is opened once only, is open
    with watched() as seen:
        answers = [
            real.client.get("/api/v1/search", params={"q": query}),
            real.client.post("/api/v1/search", json={"query": query}),
            real.client.get("/search", params={"q": query}),
            real.client.get("/search", params={"picture": query}),
            real.client.post("/api/v1/images", json={"image": query, "filename": query}),
        ]
    for answer in answers:
        assert answer.status_code in (200, 400, 422), answer.text
    assert [what for event, what in seen if event != "open"] == []
    ours = ("/images/", "catalog.sqlite3", "/templates/", "/static/", "/locale", "zoneinfo")
    opened = [what for event, what in seen if event == "open" and not any(part in what for part in ours)]
    assert [what for what in opened if not what.endswith((".py", ".pyc", ".so")) and not what.isdigit()] == []


def test_the_test_above_would_see_it_too(real: Glimpse) -> None:
    with watched() as seen:
        (real.settings.data / "sentinel.png").read_bytes()
    assert [what for event, what in seen if event == "open" and "sentinel" in what]
