"""A real Chromium over a real server: uvicorn in a thread, a worker in another, the colour encoder as the model.

Chromium is the machine's own. Without one these tests are skipped; ``GLIMPSE_TEST_BROWSER=required`` makes that fail.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from app.catalog.database import Database
from app.catalog.images import Images
from app.config import Settings
from app.main import create_app, create_worker
from app.vectors.encoder import Encoder
from tests.conftest import Upload, wait_for
from tests.encoders import ColourEncoder

AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright keeps an event loop running in the main thread once it has started."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser."""
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        reason = "no Chromium or Chrome on this machine"
        if os.environ.get("GLIMPSE_TEST_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield launched
        launched.close()


@dataclass(frozen=True)
class Site:
    """A served gallery."""

    url: str
    settings: Settings

    def fill(self, *files: Upload) -> None:
        """Hand in pictures past the browser, and wait until all is searchable."""
        sent = [("files", file) for file in files]
        httpx2.post(f"{self.url}/api/v1/images", files=sent, timeout=60, trust_env=False).raise_for_status()
        self.settle()

    def settle(self) -> None:
        """Wait until the worker is through with everything, and words are understood."""
        database = Database(self.settings.catalog_url)
        wait_for(lambda: Images(database).counts().to_do == 0)
        database.close()
        wait_for(lambda: httpx2.get(f"{self.url}/readyz", timeout=60, trust_env=False).status_code == 200)


@pytest.fixture
def encoder() -> Callable[[], Encoder]:
    """What loads the model; a test may override it."""
    return ColourEncoder


@pytest.fixture
def site(settings: Settings, encoder: Callable[[], Encoder]) -> Iterator[Site]:
    """An empty gallery at an address of its own, with a worker at work."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(settings, encoder), log_config=None, timeout_graceful_shutdown=1))
    serving = threading.Thread(target=server.run, args=([listening],))
    serving.start()
    wait_for(lambda: server.started)
    with create_worker(settings, encoder) as worker:
        working = threading.Thread(target=worker.run)
        working.start()
        try:
            yield Site(f"http://127.0.0.1:{listening.getsockname()[1]}", settings)
        finally:
            worker.stop()
            working.join()
            server.should_exit = True
            serving.join()
            listening.close()


class Visit:
    """A page, and everything the browser complained about on it."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location['url']})")


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Opens a page of the site ; a complaint of the browser fails the test."""
    visits: list[Visit] = []
    contexts: list[BrowserContext] = []

    def open_page(
        path: str = "/", width: int = 1280, height: int = 800, dark: bool = False, scripts: bool = True
    ) -> Page:
        context = browser.new_context(
            base_url=site.url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        contexts.append(context)
        visits.append(Visit(context))
        visits[-1].page.goto(path)
        return visits[-1].page

    yield open_page
    complaints = [complaint for visit in visits for complaint in visit.complaints]
    for context in contexts:
        context.close()
    assert complaints == []


def accessibility_faults(page: Page) -> list[str]:
    """What axe-core finds serious or critical on the page as it stands."""
    page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{fault['id']}: {fault['help']} ({fault['nodes'][0]['html'][:120]})"
        for fault in result["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
