"""The front door: what opens without a session or a key, what a session and each kind of key open, and for how long."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from app.library.access import ERRAND_SECONDS, Access
from app.main import open_access
from app.models import Scope
from app.web.access import COOKIE, LONGEST_FORM, safe_path
from tests.conftest import Glimpse
from tests.pictures import picture
from tests.web.html import page

PASSWORD = "correct horse battery"  # noqa: S105
ATTEMPTS = 10
"""Of one address in five minutes, unless a setting says otherwise."""
FROM_A_PAGE = {"sec-fetch-dest": "document", "sec-fetch-site": "same-origin"}


WINDOW = 300
"""Seconds. Counted are windows of the clock: who tries across their boundary has one attempt more."""


@pytest.fixture
def in_one_window() -> None:
    """The window has a minute to go."""
    left = WINDOW - time.time() % WINDOW
    if left < 60:
        time.sleep(left)


@pytest.fixture
def access(glimpse: Glimpse) -> Iterator[Access]:
    """Of the library that is served, as the command line has it: another object on the same catalog."""
    with open_access(glimpse.settings) as access:
        yield access


@pytest.fixture
def stranger(glimpse: Glimpse, access: Access, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Somebody without a session, before a gallery with one picture and a password that was set while it ran."""
    monkeypatch.setattr("app.library.access.FRESH_SECONDS", 0.0)
    glimpse.upload(("red.jpg", picture("red")))
    access.set_password(PASSWORD)
    return TestClient(glimpse.app, base_url="http://127.0.0.1", follow_redirects=False)


def sign_in(client: TestClient, password: str = PASSWORD, target: str = "/") -> int:
    return client.post("/login", data={"password": password, "next": target}).status_code


def every_path(glimpse: Glimpse) -> list[tuple[str, str]]:
    """(method, path) of everything that is served, with a picture's id and digest filled in."""
    md5 = glimpse.client.get("/api/v1/images/1").json()["md5"]
    known = {"image_id": "1", "md5": md5, "token": "0" * 32, "width": "256"}
    paths = [("GET", "/openapi.json")]
    included = [router.routes for part in glimpse.app.routes if (router := getattr(part, "original_router", None))]
    for route in chain(*included):
        if isinstance(route, APIRoute):
            path = re.sub(r"{(\w+)[^}]*}", lambda part: known.get(part[1], "1"), route.path)
            paths += [(method, path) for method in route.methods or ()]
    return paths


def test_nothing_of_the_library_is_given_to_a_stranger(glimpse: Glimpse, stranger: TestClient, access: Access) -> None:
    access.remove_password()
    paths = every_path(glimpse)
    access.set_password(PASSWORD)
    assert len(paths) > 25
    shut = 0
    for method, path in paths:
        answer = stranger.request(method, path)
        if path in ("/login", "/healthz", "/readyz"):
            assert answer.status_code in (200, 403, 405, 503), path
            continue
        if path == "/logout":
            continue
        assert answer.status_code in (303, 401), (method, path)
        assert "red" not in answer.text
        if answer.status_code == 303:
            assert answer.headers["location"].startswith("/login")
        shut += 1
    assert shut > 20


def test_a_form_that_is_sent_after_signing_out_leads_to_where_to_sign_in(stranger: TestClient) -> None:
    sent = stranger.post("/images/1/delete", headers={**FROM_A_PAGE, "Accept": "text/html,*/*;q=0.8"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/login")
    assert stranger.post("/images/1/delete", headers=FROM_A_PAGE | {"Accept": "*/*"}).status_code == 401


def test_without_a_password_everybody_is_let_in(glimpse: Glimpse) -> None:
    assert glimpse.client.get("/").status_code == 200
    assert glimpse.client.get("/login", follow_redirects=False).headers["location"] == "/"
    assert "whoever can reach this page" in page(glimpse.client.get("/status")).words


def test_the_password_opens_the_gallery_and_leads_back_to_what_was_asked_for(stranger: TestClient) -> None:
    sent = stranger.get("/search?q=a%20red%26%20thing", headers=FROM_A_PAGE)
    assert sent.status_code == 303
    asked = stranger.get(sent.headers["location"])
    assert "Sign in" in page(asked).words
    [target] = [field["value"] for field in page(asked).all("input") if field.get("name") == "next"]
    answer = stranger.post("/login", data={"password": PASSWORD, "next": target or ""})
    assert (answer.status_code, answer.headers["location"]) == (303, "/search?q=a%20red%26%20thing")
    assert stranger.get("/").status_code == 200
    assert stranger.get("/api/v1/images").status_code == 200
    assert "Sign out" in page(stranger.get("/status")).words


def test_a_session_is_kept_in_a_cookie_that_scripts_and_other_sites_do_not_get(stranger: TestClient) -> None:
    answer = stranger.post("/login", data={"password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    for part in ("httponly", "samesite=lax", "path=/", "max-age=2592000"):
        assert part in cookie
    assert "secure" not in cookie
    safe = TestClient(stranger.app, base_url="https://127.0.0.1", follow_redirects=False)
    assert "secure" in safe.post("/login", data={"password": PASSWORD}).headers["set-cookie"].lower()


def test_signing_out_ends_it_here_and_a_new_password_everywhere(stranger: TestClient, access: Access) -> None:
    sign_in(stranger)
    assert stranger.post("/logout").headers["location"] == "/login"
    assert stranger.get("/api/v1/images").status_code == 401
    sign_in(stranger)
    access.set_password("another horse")
    assert stranger.get("/api/v1/images").status_code == 401


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "ImFkbWluIg.abc.def", "\u00e9"])
def test_a_made_up_session_opens_nothing(stranger: TestClient, token: str) -> None:
    answer = stranger.get("/api/v1/images", headers=[(b"cookie", f"{COOKIE}={token}".encode("latin-1"))])
    assert answer.status_code == 401


def test_a_session_ends_by_itself(stranger: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(stranger)
    monkeypatch.setattr("app.library.access.SESSION_SECONDS", -1)
    assert stranger.get("/api/v1/images").status_code == 401


@pytest.mark.usefixtures("in_one_window")
def test_a_wrong_password_is_told_and_guessing_ends_soon(stranger: TestClient) -> None:
    for _ in range(ATTEMPTS):
        answer = stranger.post("/login", data={"password": "wrong"})
        assert answer.status_code == 403
        assert "This is not the password." in page(answer, 403).words
    answer = stranger.post("/login", data={"password": PASSWORD})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 600
    assert "Too many wrong passwords. Try again in" in page(answer, 429).words


@pytest.mark.usefixtures("in_one_window")
def test_attempts_that_come_all_at_once_do_not_pass_all_at_once(glimpse: Glimpse, access: Access) -> None:
    access.set_password(PASSWORD)

    def guess(_number: int) -> int:
        return glimpse.client.post("/login", data={"password": "wrong"}).status_code

    with ThreadPoolExecutor(3 * ATTEMPTS) as together:
        codes = list(together.map(guess, range(3 * ATTEMPTS)))
    assert (codes.count(403), codes.count(429)) == (ATTEMPTS, 2 * ATTEMPTS)


def test_who_knows_the_password_may_sign_in_often(stranger: TestClient) -> None:
    assert [sign_in(stranger) for _ in range(ATTEMPTS + 2)] == [303] * (ATTEMPTS + 2)


@pytest.mark.parametrize("body", [b"", b"password", b"password=%ff%fe", b"&&&=", b"password=" + b"x" * 5000])
def test_a_strange_form_is_only_a_wrong_password(stranger: TestClient, body: bytes) -> None:
    assert stranger.post("/login", content=body).status_code == 403


def test_a_form_without_end_is_cut_off(stranger: TestClient) -> None:
    assert stranger.post("/login", content=b"x" * (LONGEST_FORM + 1)).status_code == 413


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "evil",
        "/%0d\r\nset-cookie: a=b", "http:///evil.example", "///evil.example", "/\tevil", "",
        "//[", "http://[x", "/" + "x" * 2000,
    ],
)  # fmt: skip
def test_nobody_is_sent_to_another_site(stranger: TestClient, target: str) -> None:
    assert safe_path(target) == "/"
    assert stranger.get("/login", params={"next": target}).status_code == 200
    answer = stranger.post("/login", data={"password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("query", ["пляж" * 175, "海" * 2000, "a" * 1500])
def test_a_long_search_leads_to_the_sign_in_page_too(stranger: TestClient, query: str) -> None:
    asked = stranger.get("/search", params={"q": query}, headers=FROM_A_PAGE)
    assert asked.status_code == 303
    assert len(asked.headers["location"]) < 4000, "proxies hold no longer headers"
    assert stranger.get(asked.headers["location"]).status_code == 200


def test_a_script_is_not_led_to_the_sign_in_page(stranger: TestClient) -> None:
    """Over http in a home network browsers don't say what they fetch for."""
    assert stranger.get("/?page=2", headers={"accept": "*/*"}).status_code == 401
    as_a_page = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert stranger.get("/?page=2", headers=as_a_page).headers["location"] == "/login?next=%2F%3Fpage%3D2"


def test_signing_out_has_the_browser_forget_what_was_seen(stranger: TestClient) -> None:
    assert sign_in(stranger) == 303
    assert stranger.post("/logout").headers["clear-site-data"] == '"cache"'
    assert stranger.get("/", headers=FROM_A_PAGE).status_code == 303


def test_pictures_and_scripts_are_refused_without_a_detour(stranger: TestClient) -> None:
    for kind in ("image", "empty"):
        assert stranger.get("/images/1/original", headers={"sec-fetch-dest": kind}).status_code == 401
    answer = stranger.get("/api/v1/images")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["x-content-type-options"] == "nosniff"


class TestKeys:
    def test_a_reading_key_looks_and_searches_but_changes_nothing(
        self, glimpse: Glimpse, stranger: TestClient, access: Access
    ) -> None:
        glimpse.client.cookies.clear()
        headers = {"authorization": f"Bearer {access.add_key('frame', Scope.READ)}"}
        assert stranger.get("/api/v1/images", headers=headers).status_code == 200
        assert stranger.get("/images/1/original", headers=headers).status_code == 200
        found = stranger.post("/api/v1/search/image", headers=headers, files={"file": ("red.jpg", picture("red"))})
        assert found.status_code == 200, found.text
        for method, path in (("POST", "/api/v1/images"), ("DELETE", "/api/v1/images/1"), ("POST", "/images/1/delete")):
            answer = stranger.request(method, path, headers=headers)
            assert answer.status_code == 403, path
            assert "--scope write" in answer.json()["detail"]

    def test_a_writing_key_changes_things_until_it_is_revoked(self, stranger: TestClient, access: Access) -> None:
        headers = {"authorization": f"bearer {access.add_key('backup', Scope.WRITE)}"}
        assert stranger.delete("/api/v1/images/1", headers=headers).status_code in (200, 204)
        access.revoke_key("backup")
        answer = stranger.get("/api/v1/images", headers=headers)
        assert answer.status_code == 401
        assert "not known" in answer.json()["title"]

    def test_the_catalog_keeps_neither_keys_nor_the_password(
        self, stranger: TestClient, access: Access, glimpse: Glimpse
    ) -> None:
        key = access.add_key("frame", Scope.READ)
        stored = b"".join(file.read_bytes() for file in glimpse.settings.index.glob("catalog.sqlite3*"))
        assert b"frame" in stored
        assert key.removeprefix("glimpse_").encode() not in stored
        assert PASSWORD.encode() not in stored
        assert b"$argon2id$" in stored


def test_what_the_command_line_sends_opens_for_a_minute_only(
    stranger: TestClient, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    stranger.cookies[COOKIE] = access.begin_errand()
    assert stranger.get("/").status_code == 200
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + ERRAND_SECONDS + 2)
    assert stranger.get("/").status_code == 401
