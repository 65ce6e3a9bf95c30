"""`/metrics`: off unless asked for, the catalog's own figures, and a bucket for each request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.config import PROJECT, Settings
from app.main import open_access
from app.models import Scope
from tests.conftest import Glimpse, running, wait_for
from tests.pictures import picture, truncated


@pytest.fixture
def measured(settings: Settings) -> Iterator[Glimpse]:
    with running(settings.model_copy(update={"metrics": True})) as glimpse:
        yield glimpse


def figures(glimpse: Glimpse, **headers: str) -> dict[tuple[str, ...], float]:
    """By name and values of labels, all that a scraper reads; buckets left out."""
    answer = glimpse.client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


def test_there_are_none_unless_they_are_asked_for(glimpse: Glimpse) -> None:
    assert glimpse.client.get("/metrics").status_code == 404


def test_they_tell_what_the_catalog_holds_at_that_moment(measured: Glimpse) -> None:
    assert figures(measured)["glimpse_pictures", "pending"] == 0
    [red, _, _] = measured.upload(("red.jpg", picture("red")), ("blue.jpg", picture("blue")), ("bad.jpg", truncated()))
    told = figures(measured)
    assert told["glimpse_pictures", "pending"] == told["glimpse_queue_pictures",] == measured.counts()["pending"]
    assert told["glimpse_worker_up",] == 0
    measured.work()
    measured.client.delete(f"/api/v1/images/{red['id']}")
    told = figures(measured)
    assert told["glimpse_pictures", "indexed"] == measured.counts()["indexed"] >= 1
    assert (told["glimpse_queue_pictures",], told["glimpse_trash_pictures",], told["glimpse_ready",]) == (0, 1, 1)
    assert told["glimpse_embedding_space", "4", "1", "colours"] == 1
    assert told["glimpse_originals_bytes",] > 0
    assert told["glimpse_disk_free_bytes",] > 0
    assert told["process_resident_memory_bytes",] > 0


def test_they_count_requests_by_route_and_steps_by_what_they_are(measured: Glimpse) -> None:
    before = figures(measured)
    measured.upload(("red.jpg", picture("red")))
    measured.work()
    for _ in range(3):
        measured.search("something red")
    for image_id in (1, 2, 3):
        measured.client.get(f"/api/v1/images/{image_id}")
    measured.client.get("/nothing")
    measured.client.get("/static/nothing")
    told = figures(measured)
    assert told["glimpse_search_seconds_count",] == 3
    # One text: the model is asked once, the others are remembered.
    assert told["glimpse_text_encoding_seconds_count",] == 1
    assert told["glimpse_intake_seconds_count",] == 1
    requests = {key[1:]: value for key, value in told.items() if key[0] == "glimpse_request_seconds_count"}
    assert requests["GET", "/api/v1/search", "200"] == 3
    assert requests["GET", "/api/v1/images/{image_id}", "200"] == 1
    assert requests["GET", "/api/v1/images/{image_id}", "404"] == 2
    assert requests["GET", "none", "404"] == 1
    assert requests["GET", "static", "404"] == 1
    assert len(told) < len(before) + 30


def test_where_a_password_is_set_a_key_that_reads_opens_them(measured: Glimpse) -> None:
    with open_access(measured.settings) as access:
        access.set_password("correct horse")
        key = access.add_key("prometheus", Scope.READ)
    wait_for(lambda: measured.client.get("/metrics", follow_redirects=False).status_code == 401)
    assert figures(measured, Authorization=f"Bearer {key}")["glimpse_ready",] == 1


def test_each_of_them_is_in_the_operations_manual(measured: Glimpse) -> None:
    text = measured.client.get("/metrics").text
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE glimpse_")}
    manual = (PROJECT / "docs" / "operations.md").read_text("utf-8")
    assert sorted(name for name in names if f"`{name}" not in manual) == []
