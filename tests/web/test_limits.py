"""What one address may spend: every limit is met once, says what to do, and leaves others alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from starlette.types import Message

from app.config import Settings
from app.web import limits
from app.web.limits import Limits, Places, Rates, address_of
from app.web.uploads import MOST_REFUSED
from tests.conftest import Glimpse, running
from tests.pictures import picture
from tests.web.forms import CONTENT_TYPE, closing, file_part, form
from tests.web.html import page

PART = 64 * 1024


def problem(answer: httpx2.Response, status: int) -> str:
    """The detail of a problem of this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    return str(body["detail"])


class TestRates:
    @pytest.fixture
    def hurried(self, settings: Settings) -> Iterator[Glimpse]:
        rates = {"search_rate": "3/hour", "picture_rate": "1/hour", "request_rate": "40/hour"}
        with running(settings.model_copy(update=rates)) as glimpse:
            yield glimpse

    def test_searches_are_counted_whatever_way_they_come(self, hurried: Glimpse) -> None:
        client = hurried.client
        assert client.get("/search?q=red").status_code == 200
        assert client.get("/api/v1/search?q=red").status_code == 200
        assert client.post("/api/v1/search", json={"query": "red"}).status_code == 200
        for answer in (client.get("/api/v1/search?q=red"), client.get("/api/v1/images/1/similar")):
            assert "Too many searches" in problem(answer, 429)
            assert 0 < int(answer.headers["retry-after"]) <= 7200
        for place in ("/images/1?q=red&rank=0", "/images/1?q=red&%72ank=0"):  # its neighbours are searched for
            page(client.get(place), 429)
        assert client.get("/images/1").status_code == 404
        refused = client.get("/search?q=red")
        assert "Too many searches at once came from your address. Try again in" in page(refused, 429).words
        assert client.get("/").status_code == 200
        assert client.get("/healthz").status_code == 200

    def test_searches_by_a_picture_have_a_rate_of_their_own(self, hurried: Glimpse) -> None:
        files = {"file": ("red.jpg", picture("red"))}
        assert hurried.client.post("/api/v1/search/image", files=files).status_code == 200
        assert "Too many pictures" in problem(hurried.client.post("/api/v1/search/image", files=files), 429)
        page(hurried.client.post("/search/picture", files=files), 429)
        assert hurried.client.get("/search?q=red").status_code in (200, 429)

    def test_requests_are_counted_but_not_previews(self, hurried: Glimpse) -> None:
        hurried.upload(("red.jpg", picture("red")))
        codes = [hurried.client.get("/api/v1/status").status_code for _ in range(60)]
        assert 0 < codes.count(429) < 60
        for path in ("/static/icon.svg", "/images/1/original"):
            assert hurried.client.get(path).status_code == 200

    def test_of_one_address_do_not_hold_up_another(self) -> None:
        async def ask() -> list[int | None]:
            rates = Rates(some_limits(searches="1/hour"))
            return [await rates.refused("searches", address) for address in ("a", "a", "b")]

        first, second, other = asyncio.run(ask())
        assert (first, other) == (None, None)
        assert second is not None
        assert 0 < second <= 3600

    def test_are_still_counted_where_the_shared_storage_does_not_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        async def ask() -> list[int | None]:
            rates = Rates(some_limits(searches="1/hour"))
            rates._shared.hit = broken  # type: ignore[method-assign]
            return [await rates.refused("searches", "a") for _ in range(2)]

        first, second = asyncio.run(ask())
        assert first is None
        assert second is not None
        assert "nobody there" in caplog.text

    def test_the_right_password_opens_while_the_shared_storage_does_not_answer(self) -> None:
        async def ask() -> list[int | None]:
            rates = Rates(some_limits(sign_ins="1/hour"))
            rates._shared.hit = rates._shared.clear = broken  # type: ignore[method-assign, assignment]
            counted = [await rates.refused("sign_ins", "a")]
            await rates.forget("sign_ins", "a")
            return [*counted, await rates.refused("sign_ins", "a")]

        assert asyncio.run(ask()) == [None, None]

    def test_a_shared_storage_that_hangs_is_waited_for_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[object] = []

        async def hanging(*arguments: object, **_options: object) -> bool:
            asked.append(arguments)
            await asyncio.sleep(3600)
            return True

        async def ask() -> list[int | None]:
            rates = Rates(some_limits(searches="2/hour"))
            rates._shared.hit = hanging  # type: ignore[method-assign]
            counted = [await rates.refused("searches", "a") for _ in range(3)]
            monkeypatch.setattr(rates, "_alone_until", 0.0)  # the pause is over
            await rates.refused("searches", "b")
            return counted

        monkeypatch.setattr(limits, "SHARED_WITHIN", 0.05)
        first, second, third = asyncio.run(ask())
        assert (first, second) == (None, None)
        assert third is not None
        assert len(asked) == 2


async def broken(*_args: object, **_options: object) -> bool:
    raise ConnectionError("nobody there")


def some_limits(**changed: str) -> Limits:
    rates = {"requests": "", "searches": "", "pictures": "", "sign_ins": ""} | changed
    return Limits(**rates, storage="memory://", uploads=1, upload_bytes=1000, idle_seconds=1)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_is_who_has_it(host: str, address: str) -> None:
    assert address_of({"type": "http", "client": (host, 1)}) == address
    assert address_of({"type": "http", "client": None}) == ""


class TestSizes:
    @pytest.mark.parametrize("path", ["/api/v1/search", "/login", "/images/1/delete", "/problems/retry", "/nowhere"])
    def test_a_body_that_is_too_large_is_not_even_read(self, glimpse: Glimpse, path: str) -> None:
        sent: list[int] = []

        def endless() -> Iterator[bytes]:
            for number in range(1000):
                sent.append(number)
                yield bytes(PART)

        length = {"Content-Length": str(1000 * PART)}
        answer = glimpse.client.post(path, content=endless(), headers=length | {"Content-Type": "application/json"})
        assert answer.status_code == 413
        assert "100 kB at most" in answer.text

    def test_nor_one_that_does_not_say_how_large_it_is(self, glimpse: Glimpse) -> None:
        body = b'{"query": "' + b"x" * 200_000 + b'"}'
        answer = asyncio.run(send(glimpse, "/api/v1/search", arriving(body[:PART], body[PART:]), b"application/json"))
        assert answer == 413

    def test_an_upload_may_be_as_large_as_the_setting_says(self, settings: Settings) -> None:
        with running(settings.model_copy(update={"max_upload_mb": 1})) as glimpse:
            whole = form(("red.jpg", picture("red")))
            kind = {"Content-Type": CONTENT_TYPE}
            assert glimpse.client.post("/api/v1/images", content=whole, headers=kind).status_code == 200
            large = glimpse.client.post("/api/v1/images", content=bytes(1_000_001), headers=kind)
            assert "1 MB at most" in problem(large, 413)
            assert (
                "1 MB at most"
                in page(glimpse.client.post("/upload", content=bytes(1_000_001), headers=kind), 413).words
            )

    def test_an_upload_of_very_many_files_ends(self, settings: Settings) -> None:
        with running(settings.model_copy(update={"max_files": 1})) as glimpse:
            files = [(f"{number}.jpg", b"x") for number in range(MOST_REFUSED + 2)]
            answer = glimpse.client.post("/api/v1/images", content=form(*files), headers={"Content-Type": CONTENT_TYPE})
            assert "GLIMPSE_MAX_FILES" in problem(answer, 413)

    @pytest.mark.parametrize("path", ["/search?q=", "/api/v1/search?q="])
    def test_an_endless_address_is_told(self, glimpse: Glimpse, path: str) -> None:
        answer = glimpse.client.get(path + "x" * limits.LONGEST_TARGET)
        assert answer.status_code == 414
        assert "fewer words" in answer.text

    def test_the_longest_query_fits_in_every_script(self, glimpse: Glimpse) -> None:
        assert glimpse.client.get("/api/v1/search", params={"q": "🏖" * 1999}).status_code == 200

    def test_endless_headers_are_told(self, glimpse: Glimpse) -> None:
        answer = glimpse.client.get("/api/v1/status", headers={"cookie": "a=" + "x" * limits.MOST_HEADERS})
        assert "cookies" in problem(answer, 431)


async def arriving(*parts: bytes | float) -> AsyncIterator[bytes]:
    """Parts of a body; a number is a pause in seconds."""
    for part in parts:
        if isinstance(part, bytes):
            yield part
        else:
            await asyncio.sleep(part)


async def send(
    glimpse: Glimpse,
    path: str,
    parts: AsyncIterator[bytes],
    kind: bytes = CONTENT_TYPE.encode(),
    method: str = "POST",
    address: str = "127.0.0.1",
) -> int:
    """The status that a body is answered with while it comes in."""
    headers = [(b"host", b"127.0.0.1"), (b"content-type", kind)]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": headers,
        "client": (address, 50000), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    answered: list[int] = []

    async def receive() -> Message:
        part = await anext(parts, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    async def note(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    await glimpse.app(scope, receive, note)
    return answered[0]


class TestSlowSenders:
    @pytest.fixture
    def impatient(self, settings: Settings) -> Iterator[Glimpse]:
        with running(settings.model_copy(update={"idle_seconds": 1.0, "max_uploads": 1})) as glimpse:
            yield glimpse

    @pytest.mark.parametrize("path", ["/upload", "/api/v1/images", "/api/v1/search/image", "/api/v1/search"])
    def test_who_stops_in_the_middle_is_given_up(self, impatient: Glimpse, path: str) -> None:
        kind = b"application/json" if path == "/api/v1/search" else CONTENT_TYPE.encode()
        beginning = b"{" if path == "/api/v1/search" else file_part("red.jpg", picture("red"))[:300]
        assert asyncio.run(send(impatient, path, arriving(beginning, 60.0), kind)) == 408

    def test_what_was_whole_by_then_is_kept(self, impatient: Glimpse) -> None:
        whole, begun = file_part("red.jpg", picture("red")), file_part("blue.jpg", picture("blue"))[:300]
        assert asyncio.run(send(impatient, "/api/v1/images", arriving(whole + begun, 60.0))) == 408
        assert impatient.counts()["total"] == 1
        assert list((impatient.settings.images / ".incoming").iterdir()) == []

    def test_a_drip_is_given_up_as_well(self, impatient: Glimpse) -> None:
        began = time.monotonic()
        drops: list[bytes | float] = [b"-", 0.2] * 500
        assert asyncio.run(send(impatient, "/api/v1/images", arriving(*drops))) == 408
        assert time.monotonic() - began < 60, "a hundred seconds of drops were not waited for"

    def test_a_slow_line_that_keeps_sending_is_waited_for(self, impatient: Glimpse) -> None:
        body = form(("large.png", picture("red", (400, 300), "BMP")))
        parts: list[bytes | float] = []
        for start in range(0, len(body), 20_000):
            parts += [body[start : start + 20_000], 0.05]
        assert asyncio.run(send(impatient, "/api/v1/images", arriving(*parts))) == 200

    def test_has_a_place_to_itself_only_while_it_sends(self, impatient: Glimpse) -> None:
        async def together() -> tuple[int, int, int]:
            begun = asyncio.Event()

            async def slowly() -> AsyncIterator[bytes]:
                yield b"--"
                begun.set()
                await asyncio.sleep(60)

            slow = asyncio.create_task(send(impatient, "/api/v1/images", slowly()))
            await begun.wait()
            quick = await send(impatient, "/api/v1/images", arriving(closing()))
            gone = await slow
            return quick, gone, await send(impatient, "/api/v1/images", arriving(form(("red.jpg", picture("red")))))

        assert asyncio.run(together()) == (429, 408, 200)


def test_pages_and_searches_come_while_many_send_slowly(settings: Settings) -> None:
    """More of them than there are threads for requests: none waits in one."""
    beginning = file_part("red.jpg", picture("red"))[:300]

    async def together(glimpse: Glimpse) -> tuple[list[int], list[bool], list[int]]:
        slow = [
            asyncio.create_task(send(glimpse, "/api/v1/images", arriving(beginning, 60.0), address=f"10.0.0.{number}"))
            for number in range(60)
        ]
        await asyncio.sleep(0.5)
        paths = ("/", "/api/v1/search", "/api/v1/status", "/healthz")
        answers = [await send(glimpse, path, arriving(), method="GET", address="10.0.1.1") for path in paths]
        waiting = [not task.done() for task in slow]
        return answers, waiting, await asyncio.gather(*slow)

    with running(settings.model_copy(update={"idle_seconds": 10, "max_uploads": 15})) as glimpse:
        answers, waiting, given_up = asyncio.run(together(glimpse))
    assert answers == [200, 400, 200, 200]
    assert waiting == [True] * 60
    assert given_up == [408] * 60


def test_places_are_shared_fairly() -> None:
    places = Places(each=2, all=3)
    with places.take("a") as first, places.take("a") as second, places.take("a") as third:
        assert (first, second, third) == (True, True, False)
        with places.take("b") as other, places.take("c") as beyond:
            assert (other, beyond) == (True, False)
    with places.take("a") as again:
        assert again
    assert not places._taken, "who has no place is forgotten"


def test_the_refusal_of_another_sites_request_is_a_problem_for_the_api(glimpse: Glimpse) -> None:
    answer = glimpse.client.delete("/api/v1/images/1", headers={"Sec-Fetch-Site": "cross-site"})
    assert "another site" in problem(answer, 403)
    assert "another site" in page(glimpse.client.post("/problems/retry", headers={"Origin": "null"}), 403).words
    assert "GLIMPSE_HOSTS" in problem(glimpse.client.get("/api/v1/status", headers={"host": "evil.example"}), 421)


def test_a_family_never_meets_them(settings: Settings) -> None:
    """Several at once behind one address: pages with all their previews, flicking through pictures, searches."""
    rates = {name: Settings.model_fields[name].default for name in ("request_rate", "search_rate", "picture_rate")}
    with running(settings.model_copy(update=rates)) as glimpse:
        glimpse.upload(("red.jpg", picture("red")))
        glimpse.work()
        md5 = glimpse.client.get("/api/v1/images/1").json()["md5"]
        paths = [
            "/",
            "/images/1?q=red&rank=0",
            "/search?q=red",
            *[f"/thumbs/256/{md5}.webp"] * 60,
            "/images/1/original",
        ]
        answers = [glimpse.client.get(path).status_code for path in paths * 8]
        assert set(answers) == {200}
