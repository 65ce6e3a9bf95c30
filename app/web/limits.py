"""What one address may spend of ours: requests in a time, uploads at once, bytes, and our patience.

One place before all routes, so that none can be forgotten. What a refusal looks like is decided in
`app.web.error_pages`; how long a connection may take before there is a request, in `app.web.connections`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeAlias, TypeVar

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.prefix import path_inside

log = logging.getLogger(__name__)

LONGEST_TARGET = 32_000
"""Bytes of path and query: the longest query and the token of a picture, both percent-encoded, have some 28,000."""
MOST_HEADERS = 32_000
"""Bytes of all header lines. The server itself stops reading at 64 KB of them."""
SMALL_BODY = 100_000
"""Bytes of a body that holds no file: a form, a search as JSON."""
PICTURE_BODY = 70_000_000
"""Bytes of a body whose picture is held in memory: 50 MB, in base64 at most."""
SLOWEST = 4_000
"""Bytes a second: who sends slower than this on average is no line to be waited for."""
HELD_AT_ONCE, HELD_BY_ONE = 8, 3
"""Pictures in memory at once: of all addresses, of one."""
ALL_TO_ONE = 4
"""Uploads under way from all addresses together, as a multiple of those from one. They keep to so many threads."""

UPLOADS = ("/upload", "/api/v1/images")
PICTURE_SEARCHES = ("/search/picture", "/api/v1/search/image")
SEARCHES = ("/search", "/models/compare", "/api/v1/search")
FILES = ("/static/", "/thumbs/", "/healthz", "/readyz")
"""Read from disk as they are, or nothing: a gallery page asks for dozens, and they cost next to nothing."""

SHARED_WITHIN = 1.0
"""Seconds that the storage of rates may take: every request waits for it."""
SHARED_PAUSE = 5.0
"""Seconds for which it is not asked again after it failed."""

Answer = TypeVar("Answer")
Refuse: TypeAlias = Callable[[Scope, int, str, str], Response]
"""Makes a page, or a problem for the API: of status, title and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``requests``, ``searches``, ``pictures``, ``sign_ins``: rates of one address, such as ``30/second``; empty: none.

    ``pictures`` counts searches by a picture and copies without location, which are decoded each.
    ``storage``: where rates are counted, in the notation of the library *limits*. ``idle_seconds``: how long a body may
    stand still. ``uploads``: of one address at once. ``upload_bytes``: of one request.
    """

    requests: str
    searches: str
    pictures: str
    sign_ins: str
    storage: str
    uploads: int
    upload_bytes: int
    idle_seconds: float


class Rates:
    """Counts what addresses did lately. Where the storage does not answer, this process counts by itself."""

    def __init__(self, limits: Limits) -> None:
        named = {
            "requests": limits.requests,
            "searches": limits.searches,
            "pictures": limits.pictures,
            "sign_ins": limits.sign_ins,
        }
        self._rates: dict[str, RateLimitItem] = {name: parse(rate) for name, rate in named.items() if rate}
        self._shared = SlidingWindowCounterRateLimiter(storage_from_string(f"async+{limits.storage}"))
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._alone_until = 0.0

    async def refused(self, name: str, address: str) -> int | None:
        """Count one of ``name``. Returns seconds to wait where that is one too many, else ``None``."""
        rate = self._rates.get(name)
        if rate is None:
            return None
        return await self._ask(lambda counting: _refused(counting, rate, name, address))

    async def forget(self, name: str, address: str) -> None:
        """What was counted of ``name`` was meant well."""
        rate = self._rates.get(name)
        if rate is not None:
            await self._own.clear(rate, name, address)
            await self._ask(lambda counting: counting.clear(rate, name, address))

    async def _ask(self, question: Callable[[SlidingWindowCounterRateLimiter], Awaitable[Answer]]) -> Answer:
        """Of what is shared, or of our own counting for a while where that fails."""
        if time.monotonic() >= self._alone_until:
            try:
                async with asyncio.timeout(SHARED_WITHIN):
                    return await question(self._shared)
            except Exception as error:  # whatever the client of that storage raises
                log.warning("rates can't be counted together reason=%r", error)
                self._alone_until = time.monotonic() + SHARED_PAUSE
        return await question(self._own)


async def _refused(
    counting: SlidingWindowCounterRateLimiter, rate: RateLimitItem, name: str, address: str
) -> int | None:
    if await counting.hit(rate, name, address):
        return None
    stats = await counting.get_window_stats(rate, name, address)
    return max(1, math.ceil(stats.reset_time - time.time()))


class Places:
    """So many at once: ``each`` of one address, ``all`` together."""

    def __init__(self, each: int, all: int) -> None:
        self._each, self._all = each, all
        self._taken: Counter[str] = Counter()

    @contextmanager
    def take(self, address: str) -> Iterator[bool]:
        """Whether there was one, which is free again at the end of the block."""
        free = self._taken[address] < self._each and self._taken.total() < self._all
        self._taken[address] += free
        try:
            yield free
        finally:
            self._taken[address] -= free
            self._taken += Counter()  # forgets who has none


@dataclass(frozen=True, slots=True)
class _Rule:
    """What holds for a request: which rates count it, how many bytes it may bring, where it needs a place."""

    rates: tuple[str, ...]
    body: int
    places: Places | None = None


class WithinLimits:
    """Refuses what is over a limit before it costs anything: 408, 413, 414, 429, 431."""

    def __init__(self, app: ASGIApp, limits: Limits, rates: Rates, refuse: Refuse) -> None:
        self._app = app
        self._limits = limits
        self._rates = rates
        self._refuse = refuse
        self._uploads = Places(limits.uploads, ALL_TO_ONE * limits.uploads)
        self._held = Places(HELD_BY_ONE, HELD_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        rule = self._rule(scope, headers)
        refusal = self._too_large(scope, headers, rule) or await self._too_often(scope, rule)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        patient = self._patiently(receive, rule.body)
        if rule.places is None:
            await self._app(scope, patient, send)
            return
        with rule.places.take(address_of(scope)) as free:
            app = self._app if free else self._busy(scope)
            await app(scope, patient, send)

    def _rule(self, scope: Scope, headers: Headers) -> _Rule:
        path = path_inside(scope).rstrip("/")  # with one at the end there is nothing, and that is what is to be told
        posted = scope["method"] == "POST"
        rule = _Rule(("requests",), SMALL_BODY)
        if path.startswith(FILES) or path.endswith("/original"):
            rule = _Rule((), SMALL_BODY)
        elif path.endswith("/without-location"):
            rule = _Rule(("requests", "pictures"), SMALL_BODY)
        elif path in SEARCHES or path.endswith("/similar") or _is_place_in_results(path, scope):
            rule = _Rule(("requests", "searches"), SMALL_BODY)
        elif posted and path in PICTURE_SEARCHES:
            rule = _Rule(("requests", "searches", "pictures"), PICTURE_BODY, self._held)
        elif posted and path in UPLOADS and is_json(headers):
            rule = _Rule(("requests",), PICTURE_BODY, self._held)
        elif posted and path in UPLOADS:
            rule = _Rule(("requests",), self._limits.upload_bytes, self._uploads)
        return rule

    def _too_large(self, scope: Scope, headers: Headers, rule: _Rule) -> Response | None:
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_TARGET:
            return self._refuse(scope, 414, "This address is too long", "Describe the picture in fewer words.")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADERS:
            what_to_do = "Delete this site's cookies in your browser, and try again."
            return self._refuse(scope, 431, "The headers of this request are too long", what_to_do)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > rule.body:
            return self._refuse(scope, 413, "Too large", _too_large(rule.body))
        return None

    async def _too_often(self, scope: Scope, rule: _Rule) -> Response | None:
        for name in rule.rates:
            seconds = await self._rates.refused(name, address_of(scope))
            if seconds is not None:
                log.info("refused for now rate=%s address=%s", name, address_of(scope))
                return self._later(scope, f"Too many {name.replace('_', ' ')} at once came from your address.", seconds)
        return None

    def _busy(self, scope: Scope) -> Response:
        return self._later(scope, "Too many uploads are under way.", 5)

    def _later(self, scope: Scope, why: str, seconds: int) -> Response:
        unit = "second" if seconds == 1 else "seconds"
        refusal = self._refuse(scope, 429, "Too much at once", f"{why} Try again in {seconds} {unit}.")
        refusal.headers["Retry-After"] = str(seconds)
        return refusal

    def _patiently(self, receive: Receive, most: int) -> Receive:
        """A body of at most ``most`` bytes that keeps coming: what comes slower, or stops, is given up.

        Counted is the time waited for the sender alone, as by mod_reqtimeout's ``body=…,MinRate=…``
        (https://httpd.apache.org/docs/2.4/mod/mod_reqtimeout.html).
        """
        waited, received, whole = 0.0, 0, False

        async def receive_patiently() -> Message:
            nonlocal waited, received, whole
            if whole:  # what may come now is that the sender hangs up
                return await receive()
            idle = self._limits.idle_seconds
            began = time.monotonic()
            try:
                async with asyncio.timeout(min(idle, idle + received / SLOWEST - waited)):
                    message = await receive()
            except TimeoutError:
                detail = "The rest of this request did not come, or came too slowly. Send it again."
                raise HTTPException(408, detail, {"Connection": "close"}) from None
            waited += time.monotonic() - began
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received > most:
                raise HTTPException(413, _too_large(most), {"Connection": "close"})
            return message

        return receive_patiently


def _is_place_in_results(path: str, scope: Scope) -> bool:
    """Whether this is the page of a picture that knows its neighbours in a search: which is run for it."""
    return path.startswith("/images/") and "rank" in QueryParams(scope["query_string"])


def is_json(headers: Headers) -> bool:
    return headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"


def address_of(scope: Scope) -> str:
    """Whose request this is. Of IPv6 the network: one customer has 2⁶⁴ addresses or more (RFC 6177)."""
    host: str = scope["client"][0] if scope.get("client") else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((address, 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def _too_large(most: int) -> str:
    size = f"{most // 1_000_000:,} MB" if most >= 1_000_000 else f"{most // 1000} kB"
    return f"A request like this may have {size} at most. Send less at once."
