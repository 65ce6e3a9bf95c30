"""What one waits for in a browser: a gallery of 500 pictures from a cold start of Chromium, and the bytes it takes.

Largest contentful paint and layout shift as the browser itself reports them (https://web.dev/articles/lcp,
https://web.dev/articles/cls), with an empty cache and again with a warm one. Beside it the same numbers for the page of
one picture. Transfers are measured as they go over the wire, compressed, and as they are.
"""

from __future__ import annotations

import argparse
import gzip
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from app.library.demo import draw_demo_pictures
from benchmarks.measure import Table
from benchmarks.server import Server
from benchmarks.start import upload

CHROMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OBSERVE = """
  window.seen = {lcp: 0, what: "", cls: 0};
  new PerformanceObserver(list => { for (const e of list.getEntries()) {
    seen.lcp = e.startTime; seen.what = e.element ? e.element.tagName.toLowerCase() : ""; } })
    .observe({type: "largest-contentful-paint", buffered: true});
  new PerformanceObserver(list => { for (const e of list.getEntries()) if (!e.hadRecentInput) seen.cls += e.value; })
    .observe({type: "layout-shift", buffered: true});
"""
SETTLED_MS = 1500
"""How long a page is watched after it has loaded."""


def run(arguments: argparse.Namespace) -> Iterator[Table]:
    wanted, rounds = (60, 2) if arguments.quick else (500, 5)
    with tempfile.TemporaryDirectory(prefix="glimpse-benchmark-") as name:
        data = Path(name) / "data"
        with Server(data, model="/no/model", page_size=min(wanted, 500)) as server:
            server.wait_for("/")
            _fill(server, wanted)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=_chrome(), args=QUIET)
                yield _paints(browser, server, wanted, rounds)
                browser.close()
            yield _bytes(server)


def _chrome() -> str:
    found = next(filter(None, map(shutil.which, CHROMES)), None)
    if found is None:
        raise RuntimeError(f"This needs a browser: none of {', '.join(CHROMES)} is on this machine.")
    return found


def _fill(server: Server, wanted: int) -> None:
    """Drawn pictures, made different by bytes behind their end."""
    drawn = list(draw_demo_pictures())
    for number in range(wanted):
        picture = drawn[number % len(drawn)]
        upload(server, (f"{number}-{picture.filename}", picture.data + number.to_bytes(4, "big")))
    limit = time.monotonic() + 240
    while server.images()["pending"] and time.monotonic() < limit:
        time.sleep(0.5)


def _paints(browser: Browser, server: Server, wanted: int, rounds: int) -> Table:
    seen: dict[str, list[dict[str, float | str]]] = {}
    for _ in range(rounds):
        for width, height in ((1280, 900), (390, 844)):
            context = browser.new_context(viewport={"width": width, "height": height})
            page = context.new_page()
            page.add_init_script(OBSERVE)
            for how in ("cold", "warm"):
                seen.setdefault(f"gallery of {wanted}, {width} px, {how}", []).append(_watch(page, server, "/"))
            seen.setdefault(f"one picture, {width} px", []).append(_watch(page, server, "/images/1"))
            context.close()
    rows = []
    for name, watched in seen.items():
        best = min(watched, key=lambda one: float(one["lcp"]))
        shift = max(float(one["cls"]) for one in watched)
        rows.append((name, best["lcp"], best["what"], shift, best["first"], best["loaded"]))
    columns = ("page", "LCP ms", "of", "layout shift", "first byte ms", "loaded ms")
    return Table(f"In Chromium, best of {rounds}, worst shift", columns, tuple(rows))


def _watch(page: Page, server: Server, path: str) -> dict[str, float | str]:
    page.goto(f"http://127.0.0.1:{server.port}{path}", wait_until="load")
    page.wait_for_timeout(SETTLED_MS)
    page.mouse.wheel(0, 2000)
    page.wait_for_timeout(SETTLED_MS)
    seen: dict[str, float | str] = page.evaluate("seen")
    timing = page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
    return seen | {"first": timing["responseStart"], "loaded": timing["loadEventEnd"]}


def _bytes(server: Server) -> Table:
    rows = []
    html = server.get("/").decode()
    asked = re.findall(r'(?:href|src)="(/(?:static/css/(?:base|ratios)|static/js/search|thumbs)[^"]*)"', html)
    for path in ("/", *list(dict.fromkeys(asked))[:4]):
        connection = server.connect()
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        encoding = answer.getheader("Content-Encoding", "as it is")
        whole = len(gzip.decompress(body)) if encoding == "gzip" else len(body)
        shown = path if len(path) < 30 else f"{path[:26]}…"
        rows.append((shown, whole / 1000, len(body) / 1000, encoding, answer.getheader("Cache-Control", "–")))
        connection.close()
    return Table("Over the wire", ("path", "kB", "sent kB", "encoding", "cached"), tuple(rows))
