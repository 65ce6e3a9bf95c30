"""Uploads by form and by API: each file has its own outcome, and nothing but whole pictures stays."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import os
import re
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from app.config import Settings
from app.media.store import Incoming
from tests.conftest import Glimpse, running, wait_for
from tests.pictures import (
    AWKWARD_NAMES,
    FAILED_FILES,
    GOOD_FILES,
    REJECTED_FILES,
    gif_that_is_javascript,
    huge_png,
    picture,
    unique_pictures,
)
from tests.web.forms import BOUNDARY, CONTENT_TYPE, closing, file_part, form, raw_part
from tests.web.html import Html, page

RED, BLUE = picture("red"), picture("blue")
PART = 64 * 1024


def left_over(glimpse: Glimpse) -> list[str]:
    """Files on their way in that nobody waits for any more."""
    return sorted(path.name for path in (glimpse.settings.images / ".incoming").iterdir())


def originals(glimpse: Glimpse) -> list[bytes]:
    root = glimpse.settings.images
    return sorted(path.read_bytes() for path in root.glob("[0-9a-f][0-9a-f]/*"))


def post(glimpse: Glimpse, body: bytes, path: str = "/api/v1/images", kind: str = CONTENT_TYPE) -> httpx2.Response:
    return glimpse.client.post(path, content=body, headers={"Content-Type": kind}, follow_redirects=False)


def results(answer: httpx2.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def send_slowly(glimpse: Glimpse, parts: Iterator[bytes | None], path: str = "/api/v1/images") -> int:
    """Send a body part by part, without a client that holds it; ``None`` hangs up. The status of the answer."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", CONTENT_TYPE.encode())],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }
    answered: list[int] = []

    async def receive() -> Message:
        part = next(parts, b"")
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(part)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    asyncio.run(glimpse.app(scope, receive, send))
    return answered[0]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glimpse]:
    """A gallery for requests that must leave it as it is: without a picture."""
    data = tmp_path_factory.mktemp("empty")
    with running(Settings(_env_file=None, data=data, worker=False, model="colours")) as glimpse:
        yield glimpse
        assert glimpse.counts()["total"] == 0
        assert left_over(glimpse) == []


class TestTheForm:
    def test_leads_to_a_receipt_with_each_outcome(self, glimpse: Glimpse) -> None:
        [known] = glimpse.upload(("here already.jpg", RED))
        answer = post(
            glimpse, form(("new.jpg", BLUE), ("again.jpg", RED), ("notes.txt", b"no picture")), path="/upload"
        )
        assert answer.status_code == 303
        receipt = page(glimpse.client.get(answer.headers["location"]))
        assert "1 picture added" in receipt.words
        assert "1 was already here · 1 was not taken" in receipt.words
        assert "This is not a picture that can be read." in receipt.words
        assert f"/images/{known['id']}" in receipt.links
        for name in ("new.jpg", "again.jpg", "notes.txt"):
            assert name in receipt.words

    def test_can_be_shown_again_and_not_be_guessed(self, glimpse: Glimpse) -> None:
        where = post(glimpse, form(("new.jpg", BLUE)), path="/upload").headers["location"]
        assert glimpse.client.get(where).text == glimpse.client.get(where).text
        assert re.fullmatch(r"/uploads/[0-9a-f]{32}", where)
        assert "kept for a week" in page(glimpse.client.get("/uploads/" + "0" * 32), 404).words

    def test_comes_back_when_no_file_was_chosen(self, empty: Glimpse) -> None:
        answer = post(empty, form(("", b"")), path="/upload")
        assert (answer.status_code, answer.headers["location"]) == (303, "/add")

    def test_without_any_part_comes_back_as_well(self, empty: Glimpse) -> None:
        answer = post(empty, closing(), path="/upload")
        assert answer.status_code in (303, 400)
        assert empty.counts()["total"] == 0

    @pytest.mark.parametrize("field", ["files", "file", "files[]", "anything"])
    def test_takes_files_under_any_field_name(self, glimpse: Glimpse, field: str) -> None:
        body = file_part("rose.jpg", RED, field) + closing()
        [result] = results(post(glimpse, body))
        assert result["outcome"] == "added"

    def test_fields_that_are_no_files_are_passed_over(self, glimpse: Glimpse) -> None:
        note = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'.encode()
        assert len(results(post(glimpse, note + form(("rose.jpg", RED))))) == 1


class TestOutcomes:
    def test_are_those_of_the_contract(self, glimpse: Glimpse) -> None:
        added, duplicate, rejected = results(
            post(glimpse, form(("rose.jpg", RED), ("same.jpg", RED), ("notes.jpg", b"no picture")))
        )
        assert added == {
            "filename": "rose.jpg",
            "outcome": "added",
            "id": added["id"],
            "url": f"/images/{added['id']}",
            "reason": None,
        }
        assert duplicate == {**added, "filename": "same.jpg", "outcome": "duplicate"}
        assert rejected.pop("reason").startswith("This is not a picture that can be read.")
        assert rejected == {"filename": "notes.jpg", "outcome": "rejected", "id": None, "url": None}

    def test_keep_the_order_of_the_files(self, glimpse: Glimpse) -> None:
        files = [(f"{number}.jpg", data) for number, data in enumerate(unique_pictures(30))]
        assert [result["filename"] for result in glimpse.upload(*files)] == [name for name, _ in files]

    def test_a_picture_in_json_is_one_more_way(self, glimpse: Glimpse) -> None:
        encoded = base64.b64encode(RED).decode()
        lines = base64.encodebytes(RED).decode()
        assert "\n" in lines.strip()
        for image, outcome in (
            (encoded, "added"), (f"data:image/jpeg;base64,{encoded}", "duplicate"), (lines, "duplicate"),
        ):  # fmt: skip
            answer = glimpse.client.post("/api/v1/images", json={"image": image, "filename": "rose.jpg"})
            [result] = results(answer)
            assert (result["filename"], result["outcome"]) == ("rose.jpg", outcome)
        assert originals(glimpse) == [RED]

    def test_a_picture_in_json_that_is_none_is_rejected(self, empty: Glimpse) -> None:
        image = base64.b64encode(b"no picture").decode()
        [result] = results(empty.client.post("/api/v1/images", json={"image": image}))
        assert (result["filename"], result["outcome"]) == ("unnamed", "rejected")
        assert result["reason"]

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"{", b'{"image": 5}', b'{"image": "%%%"}', b'{"filename": "a"}', b"[" * 9999, b"\xff", b"null"],
    )
    def test_other_json_is_refused_with_an_example(self, empty: Glimpse, body: bytes) -> None:
        answer = post(empty, body, kind="application/json")
        assert answer.status_code == 400
        assert '"image"' in answer.json()["detail"]


class TestEachFile:
    @pytest.mark.parametrize("name", REJECTED_FILES)
    def test_that_is_no_picture_is_rejected_with_a_reason(self, empty: Glimpse, name: str) -> None:
        [result] = empty.upload((name, REJECTED_FILES[name]))
        assert (result["outcome"], result["id"], result["url"]) == ("rejected", None, None)
        assert str(result["reason"]).endswith((".", ")"))
        assert left_over(empty) == []

    def test_that_is_no_picture_disturbs_no_other(self, glimpse: Glimpse) -> None:
        found = glimpse.upload(("red.jpg", RED), *REJECTED_FILES.items(), ("blue.jpg", BLUE))
        assert [result["outcome"] for result in found] == ["added", *["rejected"] * len(REJECTED_FILES), "added"]
        assert originals(glimpse) == sorted([RED, BLUE])

    def test_that_breaks_on_decoding_fails_alone(self, glimpse: Glimpse) -> None:
        assert {result["outcome"] for result in glimpse.upload(*FAILED_FILES.items())} == {"added"}
        glimpse.upload(("red.jpg", RED))
        glimpse.work()
        assert glimpse.counts() == {
            "total": len(FAILED_FILES) + 1,
            "pending": 0,
            "prepared": 0,
            "indexed": 1,
            "failed": len(FAILED_FILES),
        }
        problems = page(glimpse.client.get("/problems")).words
        for name in FAILED_FILES:
            assert name in problems

    def test_of_every_kind_that_is_a_picture_is_indexed(self, glimpse: Glimpse) -> None:
        assert {result["outcome"] for result in glimpse.upload(*GOOD_FILES.items())} == {"added"}
        glimpse.work()
        assert glimpse.counts()["indexed"] == len(GOOD_FILES)

    def test_that_is_too_large_is_refused_alone(self, settings: Settings) -> None:
        with running(settings.model_copy(update={"max_file_mb": 1})) as glimpse:
            large = RED + bytes(1_000_001 - len(RED))
            whole = BLUE + bytes(1_000_000 - len(BLUE))
            refused, taken = glimpse.upload(("large.jpg", large), ("largest.jpg", whole))
            assert (refused["outcome"], taken["outcome"]) == ("rejected", "added")
            assert "larger than 1 MB (GLIMPSE_MAX_FILE_MB)" in str(refused["reason"])
            assert left_over(glimpse) == []
            encoded = base64.b64encode(large).decode()
            answer = glimpse.client.post("/api/v1/images", json={"image": encoded, "filename": "large.jpg"})
            assert answer.status_code == 413
            assert "GLIMPSE_MAX_FILE_MB" in answer.json()["detail"]

    def test_beyond_the_number_of_files_is_refused(self, settings: Settings) -> None:
        with running(settings.model_copy(update={"max_files": 3})) as glimpse:
            files = [(f"{number}.jpg", data) for number, data in enumerate(unique_pictures(5))]
            found = glimpse.upload(*files)
            assert [result["outcome"] for result in found] == ["added"] * 3 + ["rejected"] * 2
            assert "at most 3 files (GLIMPSE_MAX_FILES)" in str(found[3]["reason"])
            assert glimpse.counts()["total"] == 3
            assert left_over(glimpse) == []

    def test_sent_twice_at_the_same_time_becomes_one_picture(self, glimpse: Glimpse) -> None:
        for data in unique_pictures(5):
            with ThreadPoolExecutor(4) as threads:
                sent = [threads.submit(glimpse.upload, (f"{number}.jpg", data)) for number in range(4)]
            found = [result for upload in sent for result in upload.result()]
            assert sorted(str(result["outcome"]) for result in found) == ["added"] + ["duplicate"] * 3
            assert len({result["id"] for result in found}) == 1
        assert glimpse.counts()["total"] == 5
        assert left_over(glimpse) == []

    def test_a_page_called_a_picture_is_not_stored(self, empty: Glimpse) -> None:
        [result] = empty.upload(("evil.html", b"<!DOCTYPE html><script>alert(1)</script>"))
        assert "web page" in str(result["reason"])
        assert originals(empty) == []

    def test_a_picture_that_is_a_script_is_served_as_a_picture(self, glimpse: Glimpse) -> None:
        [result] = glimpse.upload(("evil.js", gif_that_is_javascript()))
        answer = glimpse.client.get(f"{result['url']}/original")
        assert answer.headers["content-type"] == "image/gif"
        assert answer.headers["x-content-type-options"] == "nosniff"


class TestTheBody:
    def test_is_written_down_while_it_comes_in(self, glimpse: Glimpse) -> None:
        """30 MB: what was sent is on disk, but for a little, and memory does not hold it."""
        folder = glimpse.settings.images / ".incoming"
        behind: list[int] = []

        def parts() -> Iterator[bytes]:
            yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="l.jpg"\r\n\r\n'.encode()
            yield RED
            for sent in range(0, 30_000_000, PART):
                written = sum(path.stat().st_size for path in folder.iterdir())
                behind.append(sent - written)
                yield bytes(PART)
            yield f"\r\n--{BOUNDARY}--\r\n".encode()

        tracemalloc.start()
        status = send_slowly(glimpse, parts())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert status == 200
        assert max(behind) < 2_000_000
        assert peak < 10_000_000
        assert [len(data) for data in originals(glimpse)] == [len(RED) + -(-30_000_000 // PART) * PART]

    def test_that_ends_in_the_middle_keeps_what_was_whole(self, glimpse: Glimpse) -> None:
        parts = iter([file_part("red.jpg", RED), file_part("blue.jpg", BLUE), raw_part(b"x.jpg", RED)[:-200], None])
        assert send_slowly(glimpse, parts) == 400
        assert originals(glimpse) == sorted([RED, BLUE])
        assert left_over(glimpse) == []

    def test_that_is_cut_off_keeps_what_was_whole(self, glimpse: Glimpse) -> None:
        answer = post(glimpse, file_part("red.jpg", RED) + file_part("blue.jpg", BLUE)[:-100])
        assert answer.status_code == 400
        assert "not well-formed" in answer.json()["detail"]
        assert originals(glimpse) == [RED]
        assert left_over(glimpse) == []

    def test_that_makes_no_sense_further_on_keeps_what_was_whole(self, glimpse: Glimpse) -> None:
        nonsense = f"--{BOUNDARY}\r\nno header at all\r\n\r\n".encode()
        assert post(glimpse, file_part("red.jpg", RED) + nonsense + form(("b.jpg", BLUE))).status_code == 400
        assert originals(glimpse) == [RED]
        assert left_over(glimpse) == []

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("multipart/form-data", form(("a.jpg", RED))),
            ("multipart/form-data; boundary=", form(("a.jpg", RED))),
            ("multipart/form-data; boundary=other", form(("a.jpg", RED))),
            (f"multipart/form-data; boundary={'x' * 5000}", form(("a.jpg", RED))),
            ("multipart/mixed; boundary=" + BOUNDARY, form(("a.jpg", RED))),
            ("application/x-www-form-urlencoded", b"files=a.jpg"),
            ("image/jpeg", RED),
            ("text/plain", b"hello"),
            ("", RED),
            (CONTENT_TYPE, b""),
            (CONTENT_TYPE, b"\r\n" * 100),
            (CONTENT_TYPE, b"\0" * 1000),
            (CONTENT_TYPE, RED),
            (CONTENT_TYPE, closing()),
            (CONTENT_TYPE, form(("", b""))),
            (CONTENT_TYPE, b"--" + BOUNDARY.encode()),
        ],
    )
    def test_that_is_no_upload_is_refused_in_words(self, empty: Glimpse, kind: str, body: bytes) -> None:
        answer = post(empty, body, kind=kind)
        assert answer.status_code == 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
        assert post(empty, body, path="/upload", kind=kind).status_code in (303, 400)
        assert empty.counts()["total"] == 0
        assert left_over(empty) == []

    def test_with_endless_headers_is_refused(self, glimpse: Glimpse) -> None:
        part = f"--{BOUNDARY}\r\nContent-Disposition: form-data; filename=".encode() + b"x" * 3_000_000
        assert post(glimpse, part + b"\r\n\r\n" + RED + b"\r\n" + closing()).status_code in (200, 400)
        assert len(glimpse.client.get("/").text) < 100_000
        assert left_over(glimpse) == []

    def test_of_many_bad_files_costs_only_them(self, glimpse: Glimpse) -> None:
        files = [("bomb.png", huge_png()), ("text.jpg", b"text"), ("empty.jpg", b"")] * 20
        found = glimpse.upload(*files, ("red.jpg", RED))
        assert [result["outcome"] for result in found] == ["rejected"] * 60 + ["added"]


class TestAFullDisk:
    def test_costs_one_file_and_says_so(self, glimpse: Glimpse, monkeypatch: pytest.MonkeyPatch) -> None:
        write = Incoming.write

        def full(incoming: Incoming, data: bytes) -> None:
            if data == BLUE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(incoming, data)

        monkeypatch.setattr(Incoming, "write", full)
        first, second, third = glimpse.upload(("red.jpg", RED), ("blue.jpg", BLUE), ("green.jpg", picture("green")))
        assert [first["outcome"], second["outcome"], third["outcome"]] == ["added", "rejected", "added"]
        assert "disk is full" in str(second["reason"])
        assert left_over(glimpse) == []

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
    @pytest.mark.parametrize("size", [0, 3_000_000])
    def test_that_is_really_full_leaves_nothing(
        self, glimpse: Glimpse, monkeypatch: pytest.MonkeyPatch, size: int
    ) -> None:
        opened: Callable[..., Any] = os.fdopen

        def fdopen(descriptor: int, mode: str) -> Any:
            os.dup2(full, descriptor)
            return opened(descriptor, mode)

        full = os.open("/dev/full", os.O_WRONLY)
        with monkeypatch.context() as patched:
            patched.setattr("app.media.store.os.fdopen", fdopen)
            [result] = glimpse.upload(("red.jpg", RED + bytes(size)))
            encoded = base64.b64encode(RED).decode()
            [as_json] = results(glimpse.client.post("/api/v1/images", json={"image": encoded, "filename": "a.jpg"}))
        os.close(full)
        for refused in (result, as_json):
            assert refused["outcome"] == "rejected"
            assert "disk is full" in str(refused["reason"])
        assert left_over(glimpse) == []
        assert glimpse.upload(("red.jpg", RED))[0]["outcome"] == "added"

    def test_says_that_the_folder_cannot_be_written(self, glimpse: Glimpse, monkeypatch: pytest.MonkeyPatch) -> None:
        def denied(_store: object) -> Incoming:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("app.media.folder.Folder.incoming", denied)
        [result] = glimpse.upload(("red.jpg", RED))
        assert result["outcome"] == "rejected"
        assert "Its log says why" in str(result["reason"])


class TestNames:
    def test_are_data_and_never_paths_or_markup(self, settings: Settings, tmp_path: Path) -> None:
        data = tmp_path / "deep" / "data"
        with running(settings.model_copy(update={"data": data, "page_size": 100})) as glimpse:
            pictures = list(unique_pictures(len(AWKWARD_NAMES)))
            body = form(*zip(AWKWARD_NAMES, pictures, strict=True))
            receipt = post(glimpse, body, path="/upload").headers["location"]
            assert glimpse.counts()["total"] == len(AWKWARD_NAMES)
            glimpse.work()
            assert glimpse.counts()["indexed"] == len(AWKWARD_NAMES)
            images = glimpse.client.get("/api/v1/images?limit=100").json()["images"]
            pages = [receipt, "/", "/search?q=red", "/problems"]
            pages += [f"/images/{image['id']}" for image in images]
            pages += [f"/search?like={image['id']}" for image in images[:3]]
            for path in pages:
                html = page(glimpse.client.get(path))
                assert_harmless(html)
            for image in images:
                assert image["filename"].isprintable()
                assert 0 < len(image["filename"]) <= 255
                original = glimpse.client.get(f"/images/{image['id']}/original?download=1")
                assert original.status_code == 200
                assert re.fullmatch(
                    r"attachment; filename(\*=utf-8''[\w%!#$&+\-.^`|~*'()/]+|=\"[^\"\\\r\n]*\")",
                    original.headers["content-disposition"],
                )
        assert [path.name for path in tmp_path.iterdir()] == ["deep"]
        assert [path.name for path in (tmp_path / "deep").iterdir()] == ["data"]
        for file in settings.model_copy(update={"data": data}).images.rglob("*"):
            assert re.fullmatch(r"\.incoming|thumbs|\d+|[0-9a-f]{2}|[0-9a-f]{32}\.(jpeg|webp)", file.name)

    def test_in_json_are_data_as_well(self, glimpse: Glimpse) -> None:
        for name, data in zip(AWKWARD_NAMES, unique_pictures(len(AWKWARD_NAMES)), strict=True):
            encoded = base64.b64encode(data).decode()
            [result] = results(
                post(glimpse, json.dumps({"image": encoded, "filename": name}).encode(), kind="application/json")
            )
            assert result["outcome"] == "added"
            assert result["filename"].isprintable()
        assert_harmless(page(glimpse.client.get("/")))

    @pytest.mark.parametrize(
        "name",
        [b'a\\"b.jpg', b'"; name="x', b"\xff\xfe.jpg", b"\0", b"a" * 100_000 + b".jpg", b"=?utf-8?Q?a?=", b"%00.jpg"],
    )
    def test_in_odd_headers_cost_nothing_else(self, glimpse: Glimpse, name: bytes) -> None:
        answer = post(glimpse, raw_part(name, RED) + form(("blue.jpg", BLUE)))
        assert answer.status_code in (200, 400)
        if answer.status_code == 200:
            assert results(answer)[-1]["outcome"] == "added"
        assert_harmless(page(glimpse.client.get("/")))
        assert left_over(glimpse) == []

    def test_of_bad_files_are_shown_as_text(self, glimpse: Glimpse) -> None:
        names = [name for name in AWKWARD_NAMES if name.strip()]
        broken = [(name, next(iter(FAILED_FILES.values())) + bytes([number])) for number, name in enumerate(names)]
        refused = [(name, b"no picture") for name in names]
        receipt = post(glimpse, form(*broken, *refused), path="/upload").headers["location"]
        glimpse.work()
        assert glimpse.counts()["failed"] == len(names)
        for path in (receipt, "/", "/problems"):
            assert_harmless(page(glimpse.client.get(path)))


def assert_harmless(html: Html) -> None:
    """Nothing of `AWKWARD_NAMES` has become markup (`page` has looked for inline code already)."""
    for raw in ("<script>alert", "<img src=x", "<svg onload", "\u202e", "\0"):
        assert raw not in html.source
    assert all(image.get("src", "x") != "x" for image in html.all("img"))
    assert not re.search(r"\b49\.jpg", html.source)


def test_a_client_that_hangs_up_is_no_error(glimpse: Glimpse, caplog: pytest.LogCaptureFixture) -> None:
    send_slowly(glimpse, iter([file_part("red.jpg", RED)[:100], None]))
    wait_for(lambda: "client went away" in caplog.text or not caplog.records, 5)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert ClientDisconnect.__name__ not in [
        record.exc_info[0].__name__ for record in caplog.records if record.exc_info and record.exc_info[0]
    ]
