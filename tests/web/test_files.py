"""How originals and previews are served: the same from a folder and, passed through, from a bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.config import Settings
from app.main import open_store
from tests.conftest import Glimpse, running
from tests.engines.objects import KEY, SECRET, ObjectServer
from tests.pictures import encoded, noise, picture

RED, BLUE = picture("red"), picture("blue")
MD5 = hashlib.md5(RED, usedforsecurity=False).hexdigest()
ORIGINAL, THUMBNAIL = "/images/1/original", f"/thumbs/256/{MD5}.webp"


def start(folder: Path, objects: ObjectServer | None, **more: Any) -> AbstractContextManager[Glimpse]:
    """A gallery whose pictures lie in a folder, or in a bucket of ``objects``."""
    settings = Settings(_env_file=None, data=folder, worker=False, model="colours", **more)
    if objects is not None:
        bucket = {"storage": f"s3://{objects.new_bucket()}/my/pictures", "storage_endpoint": objects.endpoint}
        settings = Settings(_env_file=None, **(dict(settings) | bucket))
    return running(settings)


@pytest.fixture(scope="module", params=["folder", pytest.param("bucket", marks=pytest.mark.engines)])
def gallery(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glimpse]:
    """One picture, indexed."""
    objects = request.getfixturevalue("objects") if request.param == "bucket" else None
    with start(tmp_path_factory.mktemp("gallery"), objects) as glimpse:
        glimpse.upload(("my röse.jpg", RED))
        glimpse.work()
        yield glimpse


def get(gallery: Glimpse, path: str, **headers: str) -> Any:
    return gallery.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_the_original_is_what_was_handed_in(gallery: Glimpse) -> None:
    answer = get(gallery, ORIGINAL)
    assert (answer.status_code, answer.content) == (200, RED)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-length"] == str(len(RED))
    assert answer.headers["content-disposition"] == "inline; filename*=utf-8''my%20r%C3%B6se.jpg"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["etag"] == f'"{MD5}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert parsedate_to_datetime(answer.headers["last-modified"])


def test_it_is_saved_by_its_name_where_that_is_asked_for(gallery: Glimpse) -> None:
    told = get(gallery, f"{ORIGINAL}?download=true").headers["content-disposition"]
    assert told == "attachment; filename*=utf-8''my%20r%C3%B6se.jpg"


def test_a_preview_is_kept_for_ever(gallery: Glimpse) -> None:
    answer = get(gallery, THUMBNAIL)
    assert (answer.status_code, answer.content[8:12]) == (200, b"WEBP")
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert "content-disposition" not in answer.headers


@pytest.mark.parametrize("path", [ORIGINAL, THUMBNAIL])
def test_head_tells_the_same_without_the_bytes(gallery: Glimpse, path: str) -> None:
    whole, head = get(gallery, path), gallery.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    told = ("content-length", "content-type", "etag", "last-modified", "cache-control", "accept-ranges")
    assert [head.headers[name] for name in told] == [whole.headers[name] for name in told]


@pytest.mark.parametrize("path", [ORIGINAL, THUMBNAIL])
def test_who_has_it_is_not_sent_it_again(gallery: Glimpse, path: str) -> None:
    whole = get(gallery, path)
    etag, modified = whole.headers["etag"], whole.headers["last-modified"]
    before = format_datetime(parsedate_to_datetime(modified) - timedelta(hours=1), usegmt=True)
    known = [
        {"if_none_match": etag},
        {"if_none_match": f'"other", W/{etag}'},
        {"if_none_match": "*"},
        {"if_modified_since": modified},
    ]
    unknown = [
        {"if_none_match": '"other"'},
        {"if_modified_since": before},
        {"if_modified_since": "nonsense"},
        {"if_none_match": '"other"', "if_modified_since": modified},
    ]
    for headers in known:
        answer = get(gallery, path, **headers)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag), headers
    for headers in unknown:
        assert get(gallery, path, **headers).content == whole.content, headers


@pytest.mark.parametrize("path", [ORIGINAL, THUMBNAIL])
def test_a_part_is_sent_where_a_part_is_asked_for(gallery: Glimpse, path: str) -> None:
    whole = get(gallery, path).content
    size = len(whole)
    for wanted, part, told in [
        ("bytes=0-9", whole[:10], f"bytes 0-9/{size}"),
        ("bytes=10-", whole[10:], f"bytes 10-{size - 1}/{size}"),
        ("bytes=-5", whole[-5:], f"bytes {size - 5}-{size - 1}/{size}"),
        (f"bytes=0-{size * 2}", whole, f"bytes 0-{size - 1}/{size}"),
    ]:
        answer = get(gallery, path, range=wanted)
        assert (answer.status_code, answer.content) == (206, part), wanted
        assert (answer.headers["content-range"], answer.headers["content-length"]) == (told, str(len(part)))
    beyond = get(gallery, path, range=f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert get(gallery, path, range="bytes=x").status_code == 400


def test_a_part_of_something_else_is_not_sent(gallery: Glimpse) -> None:
    etag = get(gallery, ORIGINAL).headers["etag"]
    assert get(gallery, ORIGINAL, range="bytes=0-9", if_range=etag).status_code == 206
    other = get(gallery, ORIGINAL, range="bytes=0-9", if_range='"other"')
    assert (other.status_code, other.content) == (200, RED)


def test_large_files_come_whole(gallery: Glimpse) -> None:
    large = encoded(noise((900, 900)), "PNG")
    assert len(large) > 1_000_000
    [uploaded] = gallery.upload(("large.png", large))
    assert get(gallery, f"{uploaded['url']}/original").content == large


def test_what_is_gone_is_not_found_and_a_lost_preview_is_made_again(gallery: Glimpse) -> None:
    store = open_store(gallery.settings)
    [blue] = gallery.upload(("blue.jpg", BLUE))
    gallery.work()
    md5 = hashlib.md5(BLUE, usedforsecurity=False).hexdigest()
    store.remove_thumbnails(md5, (256,))
    assert get(gallery, f"/thumbs/256/{md5}.webp").status_code == 404
    assert gallery.counts()["pending"] == 1
    gallery.work()
    assert get(gallery, f"/thumbs/256/{md5}.webp").status_code == 200
    store.remove(md5, "jpeg", ())
    lost = get(gallery, f"{blue['url']}/original")
    assert (lost.status_code, "is missing" in lost.text) == (404, True)
    assert get(gallery, f"/thumbs/256/{'0' * 32}.webp").status_code == 404


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, objects: ObjectServer) -> Iterator[Glimpse]:
    with start(tmp_path_factory.mktemp("gallery"), objects, storage_urls="signed") as glimpse:
        glimpse.upload(("my röse.jpg", RED))
        glimpse.work()
        yield glimpse


@pytest.mark.engines
class TestSignedAddresses:
    @pytest.fixture
    def outside(self) -> Iterator[httpx2.Client]:
        """A browser, which has no credentials."""
        with httpx2.Client(trust_env=False) as client:
            yield client

    def address(self, signed: Glimpse, path: str) -> str:
        answer = signed.client.get(path, follow_redirects=False)
        assert answer.status_code == 302
        return str(answer.headers["location"])

    def test_browsers_are_sent_to_the_object_store(
        self, signed: Glimpse, outside: httpx2.Client, objects: ObjectServer
    ) -> None:
        for path, kind in ((ORIGINAL, "image/jpeg"), (THUMBNAIL, "image/webp")):
            address = self.address(signed, path)
            assert address.startswith(f"{objects.endpoint}/")
            whole = outside.get(address)
            assert (whole.status_code, whole.headers["content-type"]) == (200, kind)
            assert whole.headers["content-disposition"] == "inline"
            part = outside.get(address, headers={"Range": "bytes=0-9"})
            assert (part.status_code, part.content) == (206, whole.content[:10])
            assert outside.get(address, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
        assert outside.get(self.address(signed, ORIGINAL)).content == RED
        assert KEY in address
        assert SECRET not in address

    def test_the_address_stays_the_same_for_a_while_so_that_caches_work(self, signed: Glimpse) -> None:
        assert self.address(signed, THUMBNAIL) == self.address(signed, THUMBNAIL)

    def test_pages_allow_pictures_from_there_and_nothing_else(self, signed: Glimpse, objects: ObjectServer) -> None:
        policy = signed.client.get("/").headers["content-security-policy"]
        assert f"img-src 'self' {objects.endpoint} blob:;" in policy
        assert policy.count(objects.endpoint) == 1

    def test_what_is_saved_comes_through_here_with_its_name(self, signed: Glimpse) -> None:
        answer = signed.client.get(f"{ORIGINAL}?download=true", follow_redirects=False)
        assert (answer.status_code, answer.content) == (200, RED)
        assert answer.headers["content-disposition"].startswith("attachment; filename*=utf-8''my")

    def test_head_and_what_the_browser_has_are_answered_here(self, signed: Glimpse) -> None:
        head = signed.client.head(ORIGINAL, follow_redirects=False)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(RED)))
        known = signed.client.get(ORIGINAL, headers={"If-None-Match": f'"{MD5}"'}, follow_redirects=False)
        assert known.status_code == 304

    def test_what_is_not_there_is_told_here(self, signed: Glimpse) -> None:
        assert signed.client.get(f"/thumbs/256/{'0' * 32}.webp", follow_redirects=False).status_code == 404
