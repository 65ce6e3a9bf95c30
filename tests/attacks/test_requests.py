"""Requests made to harm: other hosts' names, ways out of folders, redirects to elsewhere, methods, ranges, bodies."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Glimpse
from tests.pictures import picture
from tests.web.forms import BOUNDARY, CONTENT_TYPE, closing, file_part

HOSTS = {
    "evil.example": 421, "127.0.0.1.evil.example": 421, "evil.example:80": 421, "127.0.0.1@evil.example": 421,
    "evil.example#127.0.0.1": 421, "localhost.evil.example": 421, "[::1].evil.example": 421, "[evil.example]": 421,
    "evil.example:3000:80": 421, "evil.example.": 421, "xn--80ak6aa92e.com": 421, "127.0.0.1": 200, "[::1]:3000": 200,
}  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_only_known_names_are_answered(besieged: Glimpse, host: str) -> None:
    for path in ("/", "/api/v1/images", "/login", "/static/icon.svg", "/healthz"):
        answer = besieged.client.get(path, headers={"host": host}, follow_redirects=False)
        assert answer.status_code in ((421,) if HOSTS[host] == 421 else (200, 303)), path
        assert "evil" not in answer.headers.get("location", "")


FORWARDED = ("x-forwarded-host", "x-host", "x-original-url", "x-rewrite-url", "forwarded", "x-forwarded-prefix")


@pytest.mark.parametrize("header", FORWARDED)
def test_no_header_leads_elsewhere(besieged: Glimpse, header: str) -> None:
    for path in ("/search", "/login", "/images/1/", "/search/?q=red"):
        answer = besieged.client.get(path, headers={header: "evil.example"}, follow_redirects=False)
        assert "evil.example" not in answer.headers.get("location", "")
        assert "evil.example" not in answer.text


ADDRESSES = ("http://[", "http://[x", "//[", "null", "\x80", "://", "https://evil.example/problems")


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_of_other_pages_are_only_compared(besieged: Glimpse, address: str) -> None:
    for header, answers in (("origin", {403}), ("referer", {303, 404})):
        headers = [(header.encode(), address.encode("latin-1"))]
        answer = besieged.client.post("/images/999999/retry", headers=headers, follow_redirects=False)
        assert answer.status_code in answers, header
    assert besieged.client.get("/login", params={"next": address}).status_code == 200


REDIRECTS = (
    "//evil.example", "//evil.example/", "///evil.example/", "/\\evil.example/", "/%2f%2fevil.example/",
    "/%5cevil.example/",
    "//evil.example/%2e%2e/", "/login?next=//evil.example", "/login?next=https://evil.example",
    "/login?next=%09//evil.example",
    "/search/?q=//evil.example", "/search?q=&next=//evil.example", "/https://evil.example/", "/static//evil.example/..",
    "/uploads//evil.example/", "/.evil.example/", "/@evil.example/",
)  # fmt: skip


@pytest.mark.parametrize("path", REDIRECTS)
def test_nobody_is_sent_to_another_site(besieged: Glimpse, path: str) -> None:
    answer = besieged.client.request("GET", f"http://127.0.0.1{path}", follow_redirects=False)
    assert answer.status_code < 500
    where = urlsplit(answer.headers.get("location", "/"))
    assert where.netloc in ("", "127.0.0.1")
    assert not where.path.startswith(("//", "/\\"))


PATHS = (
    "/static/../app/main.py", "/static/%2e%2e/app/main.py", "/static/..%2fapp/main.py",
    "/static/%2e%2e%2f%2e%2e%2fetc/passwd",
    "/static/....//....//etc/passwd", "/static//etc/passwd", "/static/..%5c..%5cwindows%5cwin.ini",
    "/static/css/../../run.py",
    "/thumbs/256/../../../index/catalog.sqlite3", "/thumbs/256/..%2f..%2fcatalog.webp", "/thumbs/../256/a.webp",
    "/images/1/../../index/catalog.sqlite3", "/images/..%2f..%2findex/original", "/images/1%00/original",
    "/images/0x1/original",
    "/images/1e0/original", "/images/ 1/original", "/images/+1/original", "/images/١/original", "/uploads/..%2f..%2f",
    "/index/catalog.sqlite3", "/.env", "/.git/config", "/run.py",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_served_but_what_belongs_there(besieged: Glimpse, path: str) -> None:
    answer = besieged.client.request("GET", f"http://127.0.0.1{path}", follow_redirects=False)
    if answer.status_code == 200:  # spellings of picture 1, or the gallery itself
        assert answer.headers["content-type"].partition(";")[0] in ("image/jpeg", "text/html")
    else:
        assert answer.status_code in (404, 405, 422, 303, 307), answer.text
    for told in (b"root:x:", b"SQLite format", b"import ", b"GLIMPSE_"):
        assert told not in answer.content


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "PROPFIND", "CONNECT", "GET\tX", "X" * 5000])
def test_methods_that_do_not_exist(besieged: Glimpse, method: str) -> None:
    for path in ("/", "/api/v1/images", "/images/1/original", "/upload"):
        answer = besieged.client.request(method, path)
        assert answer.status_code in (404, 405)
        assert "x-secret" not in answer.text


RANGES = (
    "bytes=0-0",
    "bytes=-1",
    "bytes=" + "0-0," * 2000 + "0-0",
    "bytes=0-99999999999999999999",
    "bytes=5-1",
    "lines=1-2",
    "bytes=a-b",
)


@pytest.mark.parametrize("part", RANGES)
def test_parts_of_a_file_never_become_more_than_the_file(besieged: Glimpse, part: str) -> None:
    whole = besieged.client.get("/images/1/original")
    answer = besieged.client.get("/images/1/original", headers={"range": part})
    assert answer.status_code in (200, 206, 400, 416)
    assert len(answer.content) <= len(whole.content) + 1000


NUMBERS = ("0", "-1", "1.5", "NaN", "1e999", "9" * 30, "", " ", "١٢", "0x10", "1;2", "null", "[]", "true")


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_that_are_none(besieged: Glimpse, number: str) -> None:
    for path, name in (
        ("/", "before"), ("/", "after"), ("/search", "page"), ("/search", "like"), ("/images/1", "rank"), ("/trash",
        "page"),
        ("/api/v1/images", "limit"), ("/api/v1/images", "before"), ("/api/v1/search", "offset"), ("/api/v1/trash",
        "offset"),
        ("/fragments/tiles", "ids"),
    ):  # fmt: skip
        answer = besieged.client.get(
            path, params={name: number, "q": "red"} if path.endswith("search") else {name: number}
        )
        assert answer.status_code in (200, 400, 422), (path, name, answer.text)


# The multipart edge: whatever comes, an answer that is not our fault, and nothing left behind

PIECES = (
    b"--" + BOUNDARY.encode(), b"--" + BOUNDARY.encode() + b"\r\n", closing(), b"\r\n", b"\r\n\r\n", b"\n", b"--",
    b'Content-Disposition: form-data; name="files"; filename="a.jpg"\r\n', b"Content-Disposition: form-data\r\n",
    b"Content-Disposition: form-data; filename*=UTF-8''%ff%fe\r\n", b'Content-Disposition: form-data; filename="\r\n',
    b"Content-Type: image/jpeg\r\n", b"Content-Transfer-Encoding: base64\r\n", b": \r\n", b"\x00", b"\xff" * 50,
    picture("red"),
    file_part("whole.jpg", picture("red")), b"x" * 5000,
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    parts=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=40)), max_size=12),
    path=st.sampled_from(["/upload", "/api/v1/images", "/search/picture", "/api/v1/search/image"]),
    kind=st.one_of(
        st.just(CONTENT_TYPE),
        st.sampled_from(["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x", ""]),
        st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=90).map(
            "multipart/form-data; boundary=".__add__
        ),
    ),
)
def test_a_body_of_any_parts_is_answered(besieged: Glimpse, parts: list[bytes], path: str, kind: str) -> None:
    headers = {b"Content-Type": kind.encode("latin-1")}
    answer = besieged.client.post(path, content=b"".join(parts), headers=headers, follow_redirects=False)
    assert answer.status_code in (200, 303, 400, 413, 422, 503), answer.text
    assert list((besieged.settings.images / ".incoming").iterdir()) == []
