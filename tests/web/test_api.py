"""The API against its contract: what each endpoint answers, which problems it names, and what its schema says.

Answers may hold more than was agreed, never less.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from starlette.types import ASGIApp, Receive, Scope, Send

from app.config import Settings
from app.errors import ModelUnavailable
from app.vectors.encoder import Encoder
from tests.conftest import Glimpse, running, wait_for
from tests.encoders import ColourEncoder
from tests.pictures import FAILED_FILES, huge_png, picture, unique_pictures, with_facts
from tests.web.test_pages import starting

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its own dependencies', at import
    import schemathesis
    from schemathesis import checks

IMAGE_FIELDS = {
    "id",
    "md5",
    "filename",
    "format",
    "bytes",
    "width",
    "height",
    "state",
    "reason",
    "added_at",
    "taken_at",
    "camera",
    "title",
    "description",
    "keywords",
    "urls",
}
MATCH_FIELDS = {"id", "score", "relevance", "band", "why", "filename", "width", "height", "taken_at", "urls"}
SEARCH_FIELDS = {"query", "model", "indexed", "total", "matches", "results", "next"}
MANY = 25
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
WITHOUT_INPUT = ("/api/v1/status", "/healthz", "/readyz")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glimpse]:
    """Pictures of all hues and a red one with facts, indexed, and one that failed. For tests that only read."""
    data = tmp_path_factory.mktemp("api")
    with running(Settings(_env_file=None, data=data, worker=False, model="colours")) as glimpse:
        glimpse.upload(*((f"{number}.jpg", data) for number, data in enumerate(unique_pictures(MANY))))
        glimpse.upload(("rose.jpg", with_facts()), ("broken.jpg", FAILED_FILES["truncated.jpg"]))
        glimpse.work()
        yield glimpse


def get(glimpse: Glimpse, path: str, **parameters: Any) -> dict[str, Any]:
    answer = glimpse.client.get(f"/api/v1{path}", params=parameters or None)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    return body


def rose(glimpse: Glimpse) -> dict[str, Any]:
    [found] = [image for image in get(glimpse, "/images")["images"] if image["filename"] == "rose.jpg"]
    return dict(found)


def assert_problem(answer: httpx2.Response, status: int) -> str:
    """A problem document as RFC 9457 has it; what it says."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["status"] == status
    assert body["title"]
    detail: str = body["detail"]
    assert detail
    return detail


class TestImages:
    def test_are_listed_newest_first(self, gallery: Glimpse) -> None:
        body = get(gallery, "/images")
        assert set(body) == {"images", "next"}
        ids = [image["id"] for image in body["images"]]
        assert ids == sorted(ids, reverse=True)
        assert len(ids) == MANY + 2
        assert body["next"] is None
        for image in body["images"]:
            assert set(image) >= IMAGE_FIELDS

    def test_have_pages_that_hold_each_once(self, gallery: Glimpse) -> None:
        seen: list[int] = []
        path: str | None = "/images?limit=4"
        while path:
            body = get(gallery, path.removeprefix("/api/v1"))
            seen += [image["id"] for image in body["images"]]
            path = body["next"]
        assert seen == [image["id"] for image in get(gallery, "/images")["images"]]

    def test_can_be_listed_by_state(self, gallery: Glimpse) -> None:
        [failed] = get(gallery, "/images", state="failed")["images"]
        assert failed["filename"] == "broken.jpg"
        assert "cut short" in failed["reason"]
        assert failed["urls"]["thumbnails"] == {}
        assert len(get(gallery, "/images", state="indexed")["images"]) == MANY + 1
        following = get(gallery, "/images", state="indexed", limit=1)["next"]
        assert "state=indexed" in following

    def test_tell_their_facts(self, gallery: Glimpse) -> None:
        image = rose(gallery)
        one = get(gallery, f"/images/{image['id']}")
        assert one == image
        assert (one["format"], one["width"], one["height"], one["state"]) == ("jpeg", 64, 48, "indexed")
        assert (one["taken_at"], one["camera"], one["reason"]) == ("2021-05-04T12:30:15", "Halden R2", None)
        assert one["bytes"] == len(with_facts())
        assert one["added_at"].endswith(("Z", "+00:00"))
        assert one["urls"]["page"] == f"/images/{one['id']}"
        for path in (one["urls"]["page"], one["urls"]["original"], *one["urls"]["thumbnails"].values()):
            assert gallery.client.get(path).status_code == 200

    def test_can_be_deleted_once(self, glimpse: Glimpse) -> None:
        [result] = glimpse.upload(("rose.jpg", picture("red")))
        path = f"/api/v1/images/{result['id']}"
        answer = glimpse.client.delete(path)
        assert (answer.status_code, answer.content) == (204, b"")
        assert_problem(glimpse.client.delete(path), 404)
        assert_problem(glimpse.client.get(path), 404)
        assert_problem(glimpse.client.get(f"{path}/similar"), 404)

    def test_have_similar_ones(self, gallery: Glimpse) -> None:
        image = rose(gallery)
        body = get(gallery, f"/images/{image['id']}/similar", limit=5)
        assert set(body) >= SEARCH_FIELDS
        assert len(body["results"]) == 5
        assert image["id"] not in [match["id"] for match in body["results"]]
        scores = [match["score"] for match in body["results"]]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > 0.9
        following = get(gallery, body["next"].removeprefix("/api/v1"))
        assert not {match["id"] for match in following["results"]} & {match["id"] for match in body["results"]}


class TestSearch:
    def test_answers_as_agreed(self, gallery: Glimpse) -> None:
        body = get(gallery, "/search", q="something red", limit=3)
        assert set(body) >= SEARCH_FIELDS
        assert (body["query"], body["model"]) == ("something red", "colours")
        assert (body["indexed"], body["total"]) == (MANY + 1, MANY + 2)
        assert len(body["results"]) == 3
        assert body["results"][0]["filename"] == "rose.jpg"
        for match in body["results"]:
            assert set(match) >= MATCH_FIELDS
            assert -1.001 <= match["score"] <= 1.001
            assert gallery.client.get(match["urls"]["page"]).status_code == 200

    def test_pages_follow_one_another_to_the_end(self, gallery: Glimpse) -> None:
        seen: list[int] = []
        path: str | None = "/search?q=red&limit=4"
        while path:
            body = get(gallery, path.removeprefix("/api/v1"))
            seen += [match["id"] for match in body["results"]]
            path = body["next"]
        assert seen == [match["id"] for match in get(gallery, "/search", q="red", limit=1000)["results"]]
        assert len(seen) == len(set(seen)) == MANY + 1

    def test_by_json_is_the_same_search(self, gallery: Glimpse) -> None:
        answer = gallery.client.post("/api/v1/search", json={"query": "something red", "top_k": 3})
        assert answer.json()["results"] == get(gallery, "/search", q="something red", limit=3)["results"]
        assert set(answer.json()) >= SEARCH_FIELDS
        everything = gallery.client.post("/api/v1/search", json={"query": "something red"}).json()
        assert len(everything["results"]) == MANY + 1

    def test_by_a_picture_keeps_nothing_of_it(self, gallery: Glimpse) -> None:
        before = gallery.counts(), sorted(gallery.settings.images.rglob("*"))
        answer = gallery.client.post("/api/v1/search/image?limit=2", files={"file": ("q.png", picture("red"))})
        assert answer.status_code == 200
        body = answer.json()
        assert set(body) >= SEARCH_FIELDS
        assert body["results"][0]["filename"] == "rose.jpg"
        assert len(body["results"]) == 2
        assert (gallery.counts(), sorted(gallery.settings.images.rglob("*"))) == before

    @pytest.mark.parametrize("data", [b"no picture", huge_png(), FAILED_FILES["truncated.png"]])
    def test_by_what_is_no_picture_is_refused(self, gallery: Glimpse, data: bytes) -> None:
        assert_problem(gallery.client.post("/api/v1/search/image", files={"file": ("q.png", data)}), 422)

    def test_by_no_file_is_refused(self, gallery: Glimpse) -> None:
        for answer in (
            gallery.client.post("/api/v1/search/image"),
            gallery.client.post("/api/v1/search/image", json={}),
            gallery.client.post("/api/v1/search/image", files={"file": ("", b"")}),
            gallery.client.post("/api/v1/search/image", files={"other": ("q.png", picture())}),
        ):
            assert_problem(answer, 400)

    def test_by_a_picture_over_the_limit_is_refused(self, settings: Settings) -> None:
        with running(settings.model_copy(update={"max_file_mb": 1})) as glimpse:
            answer = glimpse.client.post("/api/v1/search/image", files={"file": ("q.png", bytes(1_000_001))})
            assert "GLIMPSE_MAX_FILE_MB" in assert_problem(answer, 413)


class TestStatus:
    def test_answers_as_agreed(self, gallery: Glimpse) -> None:
        body = get(gallery, "/status")
        assert set(body) >= {"model", "images", "worker"}
        assert body["model"] | {"name": "colours", "space": "1", "state": "ready"} == body["model"]
        assert body["model"]["choice"] is None, "nothing was tried"
        assert body["images"] == {
            "total": MANY + 2,
            "pending": 0,
            "prepared": 0,
            "indexed": MANY + 1,
            "failed": 1,
        }
        assert set(body["worker"]) >= {"alive", "rate"}

    def test_knows_whether_a_worker_lives(self, glimpse: Glimpse) -> None:
        assert get(glimpse, "/status")["worker"]["alive"] is False
        with glimpse.working():
            wait_for(lambda: get(glimpse, "/status")["worker"]["alive"] is True)
        assert get(glimpse, "/status")["worker"]["alive"] is False

    @pytest.mark.parametrize("size", [100, 200_000])
    def test_a_slash_too_many_is_told_and_not_redirected(self, glimpse: Glimpse, size: int) -> None:
        """Who uploads with `curl` would hear nothing of a redirect, and believe that the picture is here."""
        answer = glimpse.client.post(
            "/api/v1/images/", files=[("files", ("a.jpg", bytes(size)))], follow_redirects=False
        )
        assert_problem(answer, 404)

    def test_healthy_is_not_ready(self, settings: Settings) -> None:
        def load() -> Encoder:
            raise ModelUnavailable("There is none.")

        with starting(settings, load) as glimpse:
            assert glimpse.client.get("/healthz").json() == {"status": "alive"}
            assert [glimpse.client.head(path).status_code for path in ("/healthz", "/readyz", "/")] == [200, 503, 200]
            wait_for(lambda: "There is none." in glimpse.client.get("/readyz").text)
            assert glimpse.client.get("/readyz").status_code == 503
            assert_problem(glimpse.client.get("/api/v1/search?q=red"), 503)
            answer = glimpse.client.post("/api/v1/search/image", files={"file": ("a.jpg", picture())})
            assert_problem(answer, 503)
            assert get(glimpse, "/status")["model"]["message"] == "There is none."

    def test_ready_is_ready(self, gallery: Glimpse) -> None:
        answer = gallery.client.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/images/999999", 404),
        ("GET", "/images/0", 422),
        ("GET", "/images/x", 422),
        ("GET", f"/images/{2**63}", 422),
        ("GET", "/images?limit=0", 422),
        ("GET", "/images?limit=100000", 422),
        ("GET", "/images?state=happy", 422),
        ("GET", "/images?before=-1", 422),
        ("GET", "/search", 400),
        ("GET", "/search?q=", 400),
        ("GET", "/search?q=%20%20", 400),
        ("GET", f"/search?q={'x' * 10_000}", 400),
        ("GET", "/search?q=red&limit=0", 422),
        ("GET", "/search?q=red&offset=-1", 422),
        ("GET", "/search?q=red&offset=999999", 400),
        ("GET", "/search?q=red&offset=99999999999999999999", 422),
        ("POST", "/search", 422),
        ("PUT", "/images", 405),
        ("DELETE", "/images", 405),
        ("POST", "/status", 405),
        ("POST", "/images", 400),
        ("DELETE", "/images/999999", 404),
        ("GET", "/images/999999/similar", 404),
    ],
)
def test_each_error_is_a_problem_in_words(gallery: Glimpse, method: str, path: str, status: int) -> None:
    answer = gallery.client.request(method, f"/api/v1{path}")
    assert_problem(answer, status)
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"query": 5}', b'{"query": "red", "top_k": 0}', b"\xff"])
def test_a_search_that_is_no_json_is_a_problem(gallery: Glimpse, body: bytes) -> None:
    answer = gallery.client.post("/api/v1/search", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400 if body == b"\xff" else 422)


def test_half_a_character_in_a_query_is_no_fault(gallery: Glimpse) -> None:
    body = rb'{"query": "red \udce9"}'
    answer = gallery.client.post("/api/v1/search", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


class TestTheSchema:
    def test_names_every_endpoint(self, gallery: Glimpse) -> None:
        paths = gallery.client.get("/openapi.json").json()["paths"]
        named = {(method.upper(), path) for path, methods in paths.items() for method in methods}
        assert named >= {
            ("POST", "/api/v1/images"),
            ("GET", "/api/v1/images"),
            ("GET", "/api/v1/images/{image_id}"),
            ("DELETE", "/api/v1/images/{image_id}"),
            ("GET", "/api/v1/images/{image_id}/similar"),
            ("GET", "/api/v1/search"),
            ("POST", "/api/v1/search"),
            ("POST", "/api/v1/search/image"),
            ("GET", "/api/v1/status"),
            ("GET", "/healthz"),
            ("GET", "/readyz"),
        }

    def test_says_what_is_sent_and_what_can_go_wrong(self, gallery: Glimpse) -> None:
        document = gallery.client.get("/openapi.json").json()
        upload = document["paths"]["/api/v1/images"]["post"]
        assert set(upload["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
        for methods in document["paths"].values():
            for operation in methods.values():
                assert operation["description"]
                for code, answer in operation["responses"].items():
                    if code.startswith(("4", "5")) and answer.get("content"):
                        assert "application/problem+json" in answer["content"]

    def test_holds_for_whatever_is_sent(self, settings: Settings) -> None:
        """Every operation, by some dozens of made-up requests: no fault of ours, and answers as described."""
        with running(settings, ColourEncoder) as glimpse:
            glimpse.upload(*((f"{number}.jpg", data) for number, data in enumerate(unique_pictures(3))))
            glimpse.work()
            schema = schemathesis.openapi.from_asgi("/openapi.json", already_running(glimpse))

            for path, methods in schema.items():
                for method in methods:
                    conforms(schema[path][method])


def already_running(glimpse: Glimpse) -> ASGIApp:
    """The application for a client that would start it for each request."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await glimpse.app(scope, receive, send)
            return
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})

    return app


def conforms(operation: schemathesis.APIOperation[Any, Any, Any, Any]) -> None:
    """Some dozens of requests, good and bad, the same ones every time."""
    good = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
    bad = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

    @given(case=good if operation.path in WITHOUT_INPUT else good | bad)
    @hypothesis_settings(
        max_examples=25, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    def call(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS)

    call()
