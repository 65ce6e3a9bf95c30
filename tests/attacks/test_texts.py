"""Texts made to harm: names, captions, queries, parameters. They are shown as text, found as text, and do nothing."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from rich.console import Console

from app import logs
from app.errors import InvalidInput
from app.library.intake import clean_name
from app.main import open_access
from app.models import Scope
from app.terminal import show_table
from tests.conftest import Glimpse, wait_for
from tests.pictures import picture, text_file, with_captions, with_facts
from tests.web.forms import CONTENT_TYPE, closing, raw_part

# Names


NAMES = {
    "control characters": ("a\x01b\x1b[31mc\x7f.jpg", "ab[31mc.jpg"),
    "a line end": ("two\r\nlines.jpg", "twolines.jpg"),
    "right to left": ("innocent\u202egpj.exe", "innocentgpj.exe"),
    "all that turn or hide": ("\u200b\u200e\u2066a\u2069\ufeff.jpg", "a.jpg"),
    "NUL": ("nul\0byte.jpg", "nulbyte.jpg"),
    "a Windows device": ("CON.jpg", "CON.jpg"),
    "another": ("aux", "aux"),
    "a stream": ("picture.jpg::$DATA", "picture.jpg::$DATA"),
    "a way up": ("../../../etc/passwd", "passwd"),
    "a way up on Windows": ("..\\..\\boot.ini", "boot.ini"),
    "a share": ("\\\\server\\share\\a.jpg", "a.jpg"),
    "a path": ("/etc/cron.d/evil", "evil"),
    "nothing but dots": ("..", ".."),
    "nothing": ("", "unnamed"),
    "only what is not shown": ("\u200b\x00\n", "unnamed"),
    "a very long one": ("x" * 100_000 + ".jpg", "x" * 251 + ".jpg"),
    "an option": ("--delete-all", "--delete-all"),
    "a command": ("$(touch evil);`id`|.jpg", "$(touch evil);`id`|.jpg"),
    "a template": ("{{ 7*7 }}${7*7}#{7*7}.jpg", "{{ 7*7 }}${7*7}#{7*7}.jpg"),
}
"""What it is → the name sent, the name shown."""


@pytest.mark.parametrize("what", NAMES)
def test_a_name_is_shown_and_never_a_path(besieged: Glimpse, what: str, tmp_path: Path) -> None:
    name, shown = NAMES[what]
    assert clean_name(name) == shown
    body = json.dumps({"image": _base64(picture("green", comment=what.encode())), "filename": name[:10_000]})
    around = set(besieged.settings.data.parent.iterdir())
    answer = besieged.client.post("/api/v1/images", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    [result] = answer.json()["results"]
    assert result["filename"] == clean_name(name[:10_000])
    assert all(
        re.fullmatch(r"[0-9a-f]{32}\.[a-z]{3,4}", path.name)
        for path in besieged.settings.images.glob("[0-9a-f][0-9a-f]/*")
    )
    assert set(besieged.settings.data.parent.iterdir()) == around
    download = besieged.client.get(f"/images/{result['id']}/original?download=1").headers["content-disposition"]
    assert download.startswith("attachment; filename")
    assert download.isprintable()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Markup

MARKUP = (
    "<xss>",
    '"><xss onxss="1">',
    "' onxss='1' x='",
    '" onxss="1" x="',
    "</title></textarea></script></style><xss>",
    "<!--<xss>--><xss>",
    "<svg/onxss=1><xss>",
    "<img src=x onxss=1>",
    "javascript:onxss()//",
    "\u2028<xss>",
    "&lt;xss&gt;<xss>",
    "{{ '<xss>' }}{% raw %}<xss>",
    "<xss",
)


class Hostile(HTMLParser):
    """What a page must not have: elements and attributes that came from a text, scripts, addresses that run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag == "xss" or (tag == "script" and not str(values.get("src", "")).startswith("/static/")):
            self.found.append(tag)
        for name, value in attributes:
            runs = name in ("href", "src", "action", "formaction", "srcset") and not str(value).startswith(
                ("/", "#", "?")
            )
            if name.startswith("on") or (runs and not str(value).startswith("https://github.com/")):
                self.found.append(f"{tag} {name}={value}")


@pytest.mark.parametrize("markup", MARKUP)
def test_markup_is_text_on_every_page_and_in_every_field(besieged: Glimpse, markup: str) -> None:
    client, number = besieged.client, MARKUP.index(markup)
    captioned = with_captions(f"{markup} title", f"{markup} description", (f"{markup} keyword",), color="green")
    camera = with_facts(make=f"{markup} make", model=f"{markup} {number}", color="yellow")
    broken = picture("pink", format="PNG").replace(b"IEND", b"IENX") + markup.encode()
    files = [(f"{markup} {number}.jpg", captioned), (f"{markup}.jpg", camera), (f"{markup}.txt", text_file())]
    results = besieged.upload(*files, (f"{markup}.png", broken))
    ids = [result["id"] for result in results if result["id"]]
    wait_for(besieged.idle)
    form = b"".join(raw_part(_as_browsers_do(name), data) for name, data in files) + closing()
    receipt = client.post("/upload", content=form, headers={"Content-Type": CONTENT_TYPE}, follow_redirects=False)
    pages = ["/", "/?order=added", "/problems", "/trash", "/status", "/help", receipt.headers["location"]]
    pages += [f"/images/{image_id}?{urlencode({'q': markup, 'rank': 0})}" for image_id in ids]
    for name in ("q", "picture", "like", "name", "camera", "date", "month", "order", "state", "page", "next"):
        pages += [f"/search?{urlencode({name: markup})}", f"/?{urlencode({name: markup})}"]
    pages += [f"/search?{urlencode({'q': query})}" for query in (f"name:{markup}", f"{markup}:x", f'"{markup}')]
    pages += [f"/{quote(markup)}", f"/uploads/{quote(markup, safe='')}", f"/login?{urlencode({'next': markup})}"]
    for path in pages:
        answer = client.get(path)
        assert answer.status_code < 500, path
        assert Hostile(answer.text).found == [], path
    client.post(f"/images/{ids[0]}/delete")
    for path in ("/trash", f"/trash/{ids[0]}"):
        assert Hostile(client.get(path).text).found == [], path
    api = client.get("/api/v1/search", params={"q": f"{markup}:x"})
    assert api.headers["content-type"].startswith(("application/json", "application/problem+json"))


def test_the_test_above_would_see_it() -> None:
    for hostile in (
        "<xss>",
        "<p onclick=1>",
        "<script>1</script>",
        "<a href='javascript:1'>",
        "<img src=//evil/x>" * 0,
    ):
        assert bool(Hostile(hostile).found) == bool(hostile)


def _as_browsers_do(name: str) -> bytes:
    return name.replace('"', "%22").encode()


@pytest.mark.parametrize("name", ["frame\x1b]0;evil\x07", "two\nlines", "two\tcolumns", "\u202egpj", "\0", " "])
def test_a_key_is_not_called_what_would_steer_a_terminal(besieged: Glimpse, name: str) -> None:
    with open_access(besieged.settings) as access, pytest.raises(InvalidInput, match="needs a name"):
        access.add_key(name, Scope.READ)


def test_names_are_no_markup_of_a_table_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich reads ``[red]`` as a colour, and ends with an error where one is closed that was never opened."""
    out = io.StringIO()
    monkeypatch.setattr("app.terminal.Console", lambda: _terminal(out))
    show_table(("name",), [("[/nothing] [red]x.jpg",)])
    assert "[/nothing] [red]x.jpg" in out.getvalue()


def _terminal(out: io.StringIO) -> Console:
    return Console(file=out, force_terminal=True, width=100, color_system=None)


# SQL and full-text search

QUERIES = (
    "' OR 1=1 --", "'; DROP TABLE images; --", '"; DELETE FROM images; --', "1) UNION SELECT * FROM sqlite_master --",
    "red' AND '1'='1", "* ", "red*", "red OR blue", "red AND NOT blue", "NEAR(red blue, 5)", "{filename caption}: red",
    "filename:red", "^red", '"unclosed', '""', "red\" OR \"blue", "(red", "a)b", "+-*/^~", "-", "--", "- -", "''''",
    "%", "_", "name:%", "name:_", "name:'", 'name:"\'"', "camera:'", "camera:%", "like:1 OR 1=1", "like:1;--",
    "like:-1",
    "taken:2023' OR '1'='1", "type:jpeg' --", "state:pending' OR 1=1", "larger:1mb' --", "sort:newest;", "\\", "\\\\",
    "\x00", "red\x00blue", "\ud7ff\uffff", "🏖" * 300, "a " * 900, '"' * 1999, "(" * 1999, "-a " * 600, "+9:a " * 300,
    "like:1 " * 250, "name:a " * 250, "https://[", "http://[::1", "a" * 2000,
)  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_words_and_conditions_and_nothing_else(besieged: Glimpse, query: str) -> None:
    client, before = besieged.client, besieged.counts()["total"]
    for path, name in (
        ("/search", "q"),
        ("/api/v1/search", "q"),
        ("/", "month"),
        ("/", "date"),
        ("/api/v1/images", "state"),
    ):
        answer = client.get(path, params={name: query})
        assert answer.status_code in (200, 400, 422), (path, answer.text)
    assert client.post("/api/v1/search", json={"query": query}).status_code in (200, 400, 422)
    for field in ("name", "camera", "taken_from", "larger", "words"):
        assert client.get("/search", params={"q": "red", field: query}).status_code in (200, 400, 422)
    assert client.get(f"/uploads/{quote(query, safe='')}").status_code in (404, 422)
    assert besieged.counts()["total"] == before


@pytest.mark.parametrize("wildcard", ["%", "_", "%%", "re_", "r%d"])
def test_wildcards_of_the_database_are_letters(besieged: Glimpse, wildcard: str) -> None:
    names = besieged.search(f'name:"{wildcard}"', limit=500)
    assert "red wall.jpg" not in names


# The log

FORGED = "\r\n2026-11-20 12:00:00,000 INFO    app.web forged\x1b[2J"


def test_nothing_that_strangers_send_makes_a_line_of_the_log(besieged: Glimpse) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.OneLine(logs.FORMAT))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        besieged.upload((f"evil{FORGED}.txt", text_file()), (f"evil{FORGED}.jpg", picture("brown")))
        wait_for(besieged.idle)
        for path in (f"/{quote(FORGED)}", f"/search?q={quote(FORGED)}", f"/uploads/{quote(FORGED)}"):
            besieged.client.get(path, headers={"referer": quote(FORGED), "user-agent": quote(FORGED)})
        logging.getLogger("app.test").error("request failed path=%s", FORGED, exc_info=ValueError(f"x{FORGED}"))
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    lines = written.getvalue().split("\n")
    assert any("forged" in line for line in lines), "it was logged"
    assert not any(line.startswith("2026-11-20 12:00:00,000") for line in lines)
    assert "\x1b" not in written.getvalue()
    assert "\r" not in written.getvalue()


def test_the_server_logs_that_way(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    for handler in before:
        root.removeHandler(handler)
    try:
        logs.configure("warning")
        [handler] = root.handlers
        assert isinstance(handler.formatter, logs.OneLine)
        assert root.level == logging.WARNING
    finally:
        root.handlers[:] = before
        root.setLevel(level)
