"""Pictures in a bucket, as a browser sees them: through Glimpse, by signed addresses, and while they are away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from app.config import Settings
from tests.browser.conftest import Site
from tests.conftest import wait_for
from tests.engines.objects import ObjectServer
from tests.pictures import picture

pytestmark = pytest.mark.engines

NOT_THERE = "[...document.images].filter(image => !image.complete || !image.naturalWidth).length"


@pytest.fixture(params=["proxy", "signed"])
def settings(request: pytest.FixtureRequest, settings: Settings, objects: ObjectServer) -> Settings:
    bucket = {"storage": f"s3://{objects.new_bucket()}/glimpse", "storage_endpoint": objects.endpoint}
    return settings.model_copy(update=bucket | {"storage_urls": request.param})


@pytest.fixture
def gallery(site: Site) -> Site:
    """Three pictures, prepared."""
    site.fill(*((f"{colour}.jpg", picture(colour)) for colour in ("red", "green", "blue")))
    return site


def test_pictures_come_under_the_policy_of_the_pages(gallery: Site, visit: Callable[..., Page]) -> None:
    page = visit("/")
    wait_for(lambda: page.evaluate(NOT_THERE) == 0)
    assert page.evaluate("document.images.length") == 3
    page.goto(f"{gallery.url}/images/1")
    wait_for(lambda: page.evaluate(NOT_THERE) == 0)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download").click()
    assert saved.value.suggested_filename == "red.jpg"
    assert saved.value.path().read_bytes() == picture("red")


def test_while_they_are_away_the_page_says_so_and_they_come_back(
    gallery: Site, browser: Browser, objects: ObjectServer
) -> None:
    with browser.new_context(base_url=gallery.url) as context:
        page = context.new_page()
        with objects.stopped():
            page.goto("/")
            line = page.locator("[data-status]")
            expect(line).to_contain_text("the object store does not answer", timeout=30_000)
            assert page.evaluate(NOT_THERE) == 3
            expect(page.get_by_role("link", name="red")).to_be_visible()
            other = context.new_page()
            other.goto("/images/1")
            expect(other.get_by_text("This picture can’t be shown just now.")).to_be_visible()
            other.close()
        expect(line).not_to_contain_text("the object store does not answer", timeout=60_000)
        wait_for(lambda: page.evaluate(NOT_THERE) == 0)
