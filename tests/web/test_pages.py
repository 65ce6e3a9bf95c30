"""Pages as a browser gets them: every state has an answer in words, and every answer is guarded."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx2
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.config import Settings
from app.errors import ModelUnavailable
from app.main import create_app
from app.vectors.encoder import Encoder
from app.web.security import HEADERS
from tests.conftest import Glimpse, running, wait_for
from tests.encoders import ColourEncoder
from tests.pictures import FAILED_FILES, encoded, picture, unique_pictures, with_facts
from tests.web.html import Html, page

RED, BLUE = picture("red"), picture("blue")
PAGE_SIZE = 10
MANY = 45
QUERIES = (
    "https://example.org/cat.png",
    "file:///etc/passwd",
    "data:image/png;base64,iVBORw0KGgo=",
    "../../etc/passwd",
    "🐕 on a 🏖️",
    "\"red\" 'blue' “green”",
    "<script>alert(1)</script>",
    "'; DROP TABLE images; --",
    "red OR 1=1",
    "%",
    "{{ 7 * 7 }}",
    "снимок 写真 صورة",
    "a\nb\tc",
    "nul\0byte",
    "\u202egnp.exe",
    "x" * 2000,
)


def data_folder(folder: Path, **values: object) -> Settings:
    return Settings(_env_file=None, data=folder, worker=False, model="colours", page_size=PAGE_SIZE).model_copy(
        update=values
    )


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glimpse]:
    """A gallery without pictures."""
    with running(data_folder(tmp_path_factory.mktemp("empty"))) as glimpse:
        yield glimpse


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glimpse]:
    """A gallery with one picture."""
    with running(data_folder(tmp_path_factory.mktemp("single"))) as glimpse:
        glimpse.upload(("rose.jpg", with_facts()))
        glimpse.work()
        yield glimpse


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glimpse]:
    """A gallery with `MANY` pictures, twenty of which look exactly the same. For tests that only read."""
    same = [encoded(Image.new("RGB", (48, 36), "red"), comment=f"same {number}") for number in range(20)]
    with running(data_folder(tmp_path_factory.mktemp("many"))) as glimpse:
        pictures = [*unique_pictures(MANY - 20), *same]
        glimpse.upload(*((f"picture {number}.jpg", data) for number, data in enumerate(pictures)))
        glimpse.work()
        yield glimpse


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Glimpse, str, bytes]]]:
    """For each format: the gallery, the address of an original with a misleading name, its bytes."""
    formats = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "HEIC")
    with running(data_folder(tmp_path_factory.mktemp("kinds"))) as glimpse:
        files = [("evil.html", picture("red", format=format)) for format in formats]
        urls = [f"{result['url']}/original" for result in glimpse.upload(*files)]
        yield {format: (glimpse, url, data) for format, url, (_, data) in zip(formats, urls, files, strict=True)}


@pytest.fixture(params=["empty", "single", "many"])
def any_gallery(request: pytest.FixtureRequest) -> Glimpse:
    found: Glimpse = request.getfixturevalue(request.param)
    return found


@contextmanager
def starting(settings: Settings, load: Callable[[], Encoder]) -> Iterator[Glimpse]:
    """An application that nobody waits for."""
    app = create_app(settings, load)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield Glimpse(app, client, settings, load)


def ids(glimpse: Glimpse) -> list[int]:
    """All pictures, newest first."""
    return [image["id"] for image in glimpse.client.get("/api/v1/images?limit=1000").json()["images"]]


def found_ids(glimpse: Glimpse, query: str, limit: int, offset: int = 0) -> list[int]:
    answer = glimpse.client.get("/api/v1/search", params={"q": query, "limit": limit, "offset": offset})
    return [result["id"] for result in answer.json()["results"]]


def following(glimpse: Glimpse, path: str) -> list[list[int]]:
    """The tiles of each page from ``path`` on, by the links to the next one."""
    pages, address = [], path
    while address:
        html = page(glimpse.client.get(address))
        pages.append(html.tiles)
        address = html.link("next") or ""
        assert len(pages) < 100
    return pages


def together(pages: list[list[int]]) -> list[int]:
    return list(chain.from_iterable(pages))


class TestEveryPage:
    def test_is_there_with_no_one_and_many_pictures(self, any_gallery: Glimpse) -> None:
        images = [f"/images/{image_id}" for image_id in ids(any_gallery)[:3]]
        similar = [f"/search?like={image_id}" for image_id in ids(any_gallery)[:3]]
        fixed = ["/", "/search?q=something+red", "/add", "/problems", "/status"]
        for path in [*fixed, *images, *similar]:
            html = page(any_gallery.client.get(path))
            assert [tag for tag, _ in html.tags].count("h1") == 1
            assert html.all("input")[0]["name"] == "q"
        for path in ("/fragments/status", "/fragments/tiles?ids=1,2,3,4000000000,x"):
            assert "<html" not in page(any_gallery.client.get(path)).source

    def test_links_only_to_pages_that_are_there(self, many: Glimpse) -> None:
        """Everything a page names (links, pictures, styles, scripts) answers."""
        seen: set[str] = set()
        for path in ("/", "/search?q=red", f"/images/{ids(many)[3]}?q=red&rank=2", "/add", "/status"):
            html = page(many.client.get(path))
            named = [a.get(name) for _, a in html.tags for name in ("href", "src") if a.get(name)]
            sources = [part.split()[0] for a in html.all("img") for part in (a.get("srcset") or "").split(",")]
            seen |= {str(address).partition("#")[0] for address in [*named, *sources]}
        for address in sorted(seen - {""}):
            assert many.client.get(address).status_code == 200, address

    def test_that_does_not_exist_says_so(self, empty: Glimpse) -> None:
        for path in ("/nothing", "/images/999", "/images/999/original", "/uploads/x", "/static/none.css", "/%00", "/."):
            answer = empty.client.get(path)
            if path != "/.":
                assert "Not here" in page(answer, 404).words

    @pytest.mark.parametrize("path", ["/images/0", "/images/-1", "/images/x", f"/images/{2**63}", "/?before=x"])
    def test_with_a_nonsensical_address_says_so(self, empty: Glimpse, path: str) -> None:
        assert "That does not work" in page(empty.client.get(path), 422).words

    @pytest.mark.parametrize(
        "path",
        [
            "/static/%2e%2e/app/config.py",
            "/static/..%2f..%2fetc/passwd",
            "/static/css/%2e%2e/%2e%2e/run.py",
            "/thumbs/256/..%2f..%2f..%2findex%2fcatalog.sqlite3",
            "/thumbs/256/%2e%2e.webp",
            "/thumbs/999/00000000000000000000000000000000.webp",
            "/images/..%2fcatalog.sqlite3/original",
        ],
    )
    def test_never_leads_out_of_its_folder(self, empty: Glimpse, path: str) -> None:
        answer = empty.client.get(path)
        assert answer.status_code in (404, 422)
        page(answer, answer.status_code)


class TestTheGallery:
    def test_shows_every_picture_exactly_once(self, many: Glimpse) -> None:
        pages = following(many, "/")
        assert [len(tiles) for tiles in pages] == [10, 10, 10, 10, 5]
        assert together(pages) == ids(many)

    def test_shows_each_once_while_pictures_come_and_go(self, settings: Settings) -> None:
        with running(settings.model_copy(update={"page_size": 3})) as glimpse:
            before = [r["id"] for r in glimpse.upload(*((f"{n}.jpg", d) for n, d in enumerate(unique_pictures(9))))]
            first = page(glimpse.client.get("/"))
            glimpse.upload(("new.jpg", RED))
            glimpse.client.delete(f"/api/v1/images/{first.tiles[0]}")
            rest = following(glimpse, first.link("next") or "")
            assert [*first.tiles, *together(rest)] == before[::-1]

    def test_ends_in_words(self, single: Glimpse) -> None:
        assert "There are no older pictures" in page(single.client.get("/?before=1")).words

    def test_invites_when_it_is_empty(self, empty: Glimpse) -> None:
        html = page(empty.client.get("/"))
        assert "Your gallery is empty" in html.words
        [form] = [form for form in html.all("form") if form.get("action") == "/upload"]
        assert (form["action"], form["method"]) == ("/upload", "post")

    def test_gives_only_tiles_to_a_script(self, many: Glimpse) -> None:
        whole = page(many.client.get("/"))
        part = page(many.client.get("/", headers={"HX-Request": "true"}))
        assert part.tiles == whole.tiles
        assert part.link("next") == whole.link("next")
        assert "<html" not in part.source
        assert "HX-Request" in many.client.get("/").headers["vary"]


class TestSearching:
    def test_pages_follow_one_another(self, many: Glimpse) -> None:
        pages = following(many, "/search?q=something+red")
        assert [len(tiles) for tiles in pages] == [10, 10, 10, 10, 5]
        assert sorted(together(pages)) == sorted(ids(many))
        assert together(pages) == found_ids(many, "something red", MANY)
        assert page(many.client.get("/search?q=something+red&page=3")).tiles == pages[2]
        assert following(many, "/search?q=something+red") == pages

    def test_the_first_ten_are_the_first_ten_of_fifty(self, many: Glimpse) -> None:
        fifty = found_ids(many, "red", 50)
        for limit in range(1, MANY + 1, 4):
            assert found_ids(many, "red", limit) == fifty[:limit]
            assert found_ids(many, "red", 5, offset=limit) == fifty[limit : limit + 5]

    def test_pages_beyond_the_last_say_so_and_lead_back(self, many: Glimpse) -> None:
        html = page(many.client.get("/search?q=red&page=50"))
        assert "No more results" in html.words
        assert html.link("prev") == "/search?q=red&page=49"
        assert page(many.client.get("/search?q=red&page=1000000"), 400).words

    def test_nothing_to_search_is_said(self, empty: Glimpse) -> None:
        assert "There are no pictures to search yet" in page(empty.client.get("/search?q=red")).words

    @pytest.mark.parametrize("query", QUERIES)
    def test_takes_any_words_as_words(self, many: Glimpse, query: str) -> None:
        html = page(many.client.get("/search", params={"q": query}))
        assert len(html.tiles) == PAGE_SIZE
        assert "<script>alert" not in html.source
        assert html.all("input")[0]["value"] in (query, None) or "\0" in query or "\n" in query
        answer = many.client.get("/api/v1/search", params={"q": query, "limit": PAGE_SIZE})
        assert [result["id"] for result in answer.json()["results"]] == html.tiles

    def test_a_path_of_the_server_is_words_as_well(self, many: Glimpse, tmp_path: Path) -> None:
        secret = tmp_path / "secret.png"
        queries = (str(secret), secret.as_uri())
        without = [page(many.client.get("/search", params={"q": query})).tiles for query in queries]
        secret.write_bytes(picture("blue", format="PNG"))
        for query, tiles in zip(queries, without, strict=True):
            assert page(many.client.get("/search", params={"q": query})).tiles == tiles

    def test_keeps_the_words_in_the_box(self, many: Glimpse) -> None:
        html = page(many.client.get("/search", params={"q": 'red & "blue" <b>'}))
        assert html.all("input")[0]["value"] == 'red & "blue" <b>'

    def test_an_endless_query_is_refused_in_words(self, many: Glimpse) -> None:
        html = page(many.client.get("/search", params={"q": "x" * 10_000}), 400)
        assert "This query has 10,000 characters." in html.words

    @pytest.mark.parametrize("query", ["", "   ", "\t\n"])
    def test_an_empty_query_leads_to_the_gallery(self, many: Glimpse, query: str) -> None:
        answer = many.client.get("/search", params={"q": query}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")

    def test_like_a_picture_leaves_it_out(self, many: Glimpse) -> None:
        image_id = ids(many)[0]
        tiles = together(following(many, f"/search?like={image_id}"))
        assert sorted([*tiles, image_id]) == sorted(ids(many))
        assert page(many.client.get("/search?like=999"), 404)

    def test_gives_only_tiles_to_a_script(self, many: Glimpse) -> None:
        part = page(many.client.get("/search?q=red&page=2", headers={"HX-Request": "true"}))
        assert part.tiles == found_ids(many, "red", 10, offset=10)
        assert "<html" not in part.source


class TestWhileTheModelLoads:
    @pytest.fixture
    def gate(self) -> Iterator[threading.Event]:
        event = threading.Event()
        yield event
        event.set()

    def test_browsing_works_and_searching_says_when(self, settings: Settings, gate: threading.Event) -> None:
        def load() -> Encoder:
            gate.wait(30)
            return ColourEncoder()

        with starting(settings, load) as glimpse:
            [result] = glimpse.upload(("rose.jpg", RED))
            answer = glimpse.client.get("/search?q=red")
            waiting = page(answer, 503)
            assert "The model is warming up" in waiting.words
            assert waiting.all("input")[0]["value"] == "red"
            assert [meta["content"] for meta in waiting.all("meta") if meta.get("http-equiv") == "refresh"] == ["3"]
            assert answer.headers["retry-after"]
            assert glimpse.client.get("/search?q=red", headers={"HX-Request": "true"}).status_code == 503
            for path in ("/", f"/images/{result['id']}", "/status", "/problems", "/add"):
                page(glimpse.client.get(path))
            for path in ("/api/v1/search?q=red", "/readyz"):
                assert glimpse.client.get(path).status_code == 503
            assert glimpse.client.get("/api/v1/search?q=red").headers["retry-after"]
            assert glimpse.client.get("/healthz").status_code == 200
            gate.set()
            wait_for(glimpse.ready)
            page(glimpse.client.get("/search?q=red"))

    def test_a_model_that_cannot_be_had_is_named_everywhere(self, settings: Settings) -> None:
        def load() -> Encoder:
            raise ModelUnavailable("The model <no/such> is not in the local cache.")

        with starting(settings, load) as glimpse:
            [result] = glimpse.upload(("rose.jpg", RED))
            wait_for(lambda: "not in the local cache" in glimpse.client.get("/").text)
            html = page(glimpse.client.get("/search?q=red"), 503)
            assert "The model <no/such> is not in the local cache." in html.words
            assert "refresh" not in html.source
            for path in ("/", "/status", "/problems"):
                assert "not in the local cache" in page(glimpse.client.get(path)).words
            page(glimpse.client.get(f"/images/{result['id']}"))
            assert "local cache" in glimpse.client.get("/api/v1/search?q=red").json()["detail"]
            assert glimpse.client.get("/readyz").status_code == 503
            with glimpse.working():
                wait_for(lambda: glimpse.counts()["prepared"] == 1)
            assert page(glimpse.client.get("/")).all("img")
            page(glimpse.client.get(f"/images/{result['id']}"))


class TestAPicture:
    def test_leads_to_its_neighbours(self, many: Glimpse) -> None:
        order = ids(many)
        address, seen = f"/images/{order[0]}", []
        while address:
            html = page(many.client.get(address))
            seen.append(int(address.split("/")[2]))
            address = html.link("next") or ""
        assert seen == order
        last = page(many.client.get(f"/images/{order[-1]}"))
        assert last.link("prev") == f"/images/{order[-2]}"
        assert page(many.client.get(f"/images/{order[0]}")).link("prev") is None

    @pytest.mark.parametrize("listed", ["q=something+red", "like="])
    def test_keeps_the_list_it_was_opened_from(self, many: Glimpse, listed: str) -> None:
        listed = f"like={ids(many)[0]}" if listed == "like=" else listed
        order = together(following(many, f"/search?{listed}"))
        address, seen = f"/images/{order[0]}?{listed}&rank=0", []
        while address:
            html = page(many.client.get(address))
            seen.append(int(address.split("?")[0].split("/")[2]))
            back = [a["href"] for a in html.all("a") if "data-close" in a]
            number = (len(seen) - 1) // PAGE_SIZE + 1
            assert back == [f"/search?{listed}" + (f"&page={number}" if number > 1 else "")]
            address = html.link("next") or ""
        assert seen == order

    def test_finds_its_neighbours_also_where_others_came_or_went_since(self, many: Glimpse) -> None:
        order = together(following(many, "/search?q=something+red"))
        at = 5
        for stale in (0, 3, 8):
            html = page(many.client.get(f"/images/{order[at]}?q=something+red&rank={stale}"))
            assert (html.link("prev") or "").startswith(f"/images/{order[at - 1]}?")
            assert (html.link("next") or "").startswith(f"/images/{order[at + 1]}?")

    def test_tells_its_facts(self, single: Glimpse) -> None:
        words = page(single.client.get(f"/images/{ids(single)[0]}")).words
        for fact in ("rose.jpg", "64 × 48", "JPEG", "4 May 2021, 12:30", "Halden R2"):
            assert fact in words

    def test_that_is_deleted_is_gone_in_words(self, glimpse: Glimpse) -> None:
        red, blue = (result["id"] for result in glimpse.upload(("rose.jpg", RED), ("sea.jpg", BLUE)))
        glimpse.work()
        md5 = glimpse.client.get(f"/api/v1/images/{red}").json()["md5"]
        answer = glimpse.client.post(f"/images/{red}/delete", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/trash/{red}")
        for path in (f"/images/{red}", f"/images/{red}/original", f"/search?like={red}"):
            page(glimpse.client.get(path), 404)
        assert "not here (any more)" in page(glimpse.client.get(f"/images/{red}"), 404).words
        for path in ("/", "/search?q=red"):
            assert page(glimpse.client.get(path)).tiles == [blue]
        assert page(glimpse.client.post(f"/images/{red}/delete"), 404)
        glimpse.client.post("/trash/empty")
        assert page(glimpse.client.get(f"/thumbs/256/{md5}.webp"), 404)
        assert not list(glimpse.settings.images.rglob(f"{md5}*"))

    def test_that_failed_says_why_and_can_be_tried_again_or_removed(self, glimpse: Glimpse) -> None:
        [result] = glimpse.upload(("broken.jpg", FAILED_FILES["truncated.jpg"]))
        path = f"/images/{result['id']}"
        glimpse.work()
        assert "cut short" in page(glimpse.client.get(path)).words
        problems = page(glimpse.client.get("/problems"))
        assert "cut short" in problems.words
        assert {form["action"] for form in problems.all("form")} >= {"/problems/retry", f"{path}/retry"}
        for where, referer, back in (
            (f"{path}/retry", "http://127.0.0.1/problems", "/problems"),
            (f"{path}/retry", f"http://127.0.0.1{path}", path),
            (f"{path}/retry", "", path),
            ("/problems/retry", "", "/problems"),
            (f"{path}/delete", "http://127.0.0.1/problems", "/problems"),
        ):
            answer = glimpse.client.post(where, headers={"Referer": referer}, follow_redirects=False)
            assert (answer.status_code, answer.headers["location"]) == (303, back)
        assert "None. Every picture could be read." in page(glimpse.client.get("/problems")).words
        page(glimpse.client.post(f"{path}/retry"), 404)

    def test_many_problems_have_pages(self, settings: Settings) -> None:
        with running(settings.model_copy(update={"page_size": 3})) as glimpse:
            broken = [(f"{number}.jpg", FAILED_FILES["truncated.jpg"] + bytes([number])) for number in range(7)]
            glimpse.upload(*broken)
            glimpse.work()
            address, names = "/problems", []
            while address:
                html = page(glimpse.client.get(address))
                names += [link.split("/")[-1] for link in html.links if re.fullmatch(r"/images/\d+", link)]
                address = html.link("next") or ""
            assert names == [str(image_id) for image_id in ids(glimpse)]


class TestThumbnails:
    def test_are_kept_for_ever(self, single: Glimpse) -> None:
        [image] = single.client.get("/api/v1/images").json()["images"]
        for path in image["urls"]["thumbnails"].values():
            answer = single.client.get(path)
            assert answer.headers["content-type"] == "image/webp"
            assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
            assert "content-encoding" not in answer.headers
            assert single.client.head(path).headers["content-length"] == str(len(answer.content))

    def test_that_vanished_come_back(self, glimpse: Glimpse) -> None:
        [result] = glimpse.upload(("rose.jpg", RED))
        glimpse.work()
        [path] = glimpse.client.get(f"/api/v1{result['url']}").json()["urls"]["thumbnails"].values()
        before = glimpse.client.get(path).content
        for file in (glimpse.settings.images / "thumbs").rglob("*.webp"):
            file.unlink()
        answer = glimpse.client.get(path)
        page(answer, 404)
        assert "immutable" not in answer.headers.get("cache-control", "")
        glimpse.work()
        assert glimpse.client.get(path).content == before
        assert glimpse.search("red") == ["rose.jpg"]

    def test_of_a_width_that_the_picture_never_has_are_not_made(self, glimpse: Glimpse) -> None:
        [result] = glimpse.upload(("rose.jpg", RED))
        glimpse.work()
        image = glimpse.client.get(f"/api/v1{result['url']}").json()
        page(glimpse.client.get(f"/thumbs/1280/{image['md5']}.webp"), 404)
        assert glimpse.counts()["indexed"] == 1

    def test_of_nobody_are_not_there(self, single: Glimpse) -> None:
        page(single.client.get(f"/thumbs/256/{'0' * 32}.webp"), 404)


class TestOriginals:
    @pytest.mark.parametrize(
        ("format", "media_type", "shown"),
        [
            ("JPEG", "image/jpeg", True),
            ("PNG", "image/png", True),
            ("GIF", "image/gif", True),
            ("BMP", "image/bmp", True),
            ("WEBP", "image/webp", True),
            ("AVIF", "image/avif", True),
            ("TIFF", "image/tiff", False),
            ("HEIC", "image/heic", False),
        ],
    )
    def test_come_as_what_they_are(
        self, kinds: dict[str, tuple[Glimpse, str, bytes]], format: str, media_type: str, shown: bool
    ) -> None:
        glimpse, url, data = kinds[format]
        answer = glimpse.client.get(url)
        assert answer.content == data
        assert answer.headers["content-type"] == media_type
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith("inline" if shown else "attachment")
        assert glimpse.client.get(f"{url}?download=1").headers["content-disposition"].startswith("attachment")
        assert "content-encoding" not in answer.headers

    def test_can_be_asked_for_in_parts(self, kinds: dict[str, tuple[Glimpse, str, bytes]]) -> None:
        glimpse, url, data = kinds["BMP"]
        for wanted, part in (("bytes=0-9", data[:10]), ("bytes=100-5000", data[100:5001]), ("bytes=-7", data[-7:])):
            answer = glimpse.client.get(url, headers={"Range": wanted})
            assert (answer.status_code, answer.content) == (206, part)
        assert glimpse.client.get(url, headers={"Range": f"bytes={len(data)}-"}).status_code == 416
        assert glimpse.client.get(url, headers={"Range": "nonsense"}).status_code in (200, 400)
        assert glimpse.client.head(url).headers["content-length"] == str(len(data))

    def test_are_not_sent_again_when_they_are_known(self, kinds: dict[str, tuple[Glimpse, str, bytes]]) -> None:
        glimpse, url, data = kinds["JPEG"]
        answer = glimpse.client.get(url)
        assert answer.headers["cache-control"] == "private, no-cache"
        etag = answer.headers["etag"]
        for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            again = glimpse.client.get(url, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == etag
        assert glimpse.client.get(url, headers={"If-None-Match": '"other"'}).content == data
        changed = glimpse.client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
        assert (changed.status_code, changed.content) == (200, data)

    def test_have_names_that_cannot_break_the_header(self, glimpse: Glimpse) -> None:
        names = [
            'a"; filename="evil.exe',
            "a\r\nSet-Cookie: a=b",
            "ünï 写真 🐕.jpg",
            "../../up.jpg",
            "a;b=c.jpg",
            "%41",
        ]
        for name, data in zip(names, unique_pictures(len(names)), strict=True):
            glimpse.upload((name, data))
        for image in glimpse.client.get("/api/v1/images").json()["images"]:
            headers = glimpse.client.get(image["urls"]["original"]).headers
            assert re.fullmatch(
                r"inline; filename(\*=utf-8''[\w%.~\-/]+|=\"[^\"\\]*\")", headers["content-disposition"]
            )
            assert "set-cookie" not in headers
            assert "/" not in image["filename"]

    def test_that_vanished_are_missed_in_words(self, glimpse: Glimpse) -> None:
        [result] = glimpse.upload(("rose.jpg", RED))
        for file in glimpse.settings.images.glob("??/*"):
            file.unlink()
        assert (
            "missing from where pictures are kept" in page(glimpse.client.get(f"{result['url']}/original"), 404).words
        )


class TestTheDoor:
    def answers(self, glimpse: Glimpse) -> Iterator[tuple[str, httpx2.Response]]:
        client = TestClient(
            glimpse.app, base_url="http://127.0.0.1", raise_server_exceptions=False, follow_redirects=False
        )
        image_id = ids(glimpse)[0]
        [*_, thumbnail] = client.get(f"/api/v1/images/{image_id}").json()["urls"]["thumbnails"].values()
        style = next(a["href"] for a in Html(client.get("/").text).all("link") if a["rel"] == "stylesheet")
        for path in (
            "/",
            "/search?q=red",
            "/search?q=",
            "/nothing",
            "/images/x",
            "/status/",
            "/api/v1/status",
            "/api/v1/nothing",
            "/api/v1/images/x",
            "/api/v1/search?q=",
            "/openapi.json",
            "/healthz",
            "/readyz",
            str(style),
            "/static/nothing",
            "/static",
            thumbnail,
            f"/images/{image_id}/original",
        ):
            yield path, client.get(path)
        yield "range", client.get(thumbnail, headers={"Range": "bytes=0-1"})
        yield "method", client.put("/")
        yield "api method", client.put("/api/v1/images")
        yield "cross-site", client.post("/upload", headers={"Sec-Fetch-Site": "cross-site"})

    def test_every_answer_carries_the_headers(self, single: Glimpse) -> None:
        for what, answer in self.answers(single):
            for name, value in HEADERS.items():
                assert answer.headers.get_list(name) == [value], (what, answer.status_code, name)
            assert "server" not in answer.headers

    def test_the_policy_allows_nothing_inline_and_nobody_else(self) -> None:
        policy = HEADERS["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy

    def test_a_fault_of_ours_becomes_a_page_that_tells_nothing(
        self, single: Glimpse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_reader: object) -> None:
            raise RuntimeError("secret of the house")

        monkeypatch.setattr("app.library.status.StatusReader.read", broken)
        client = TestClient(single.app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        answer = client.get("/")
        html = page(answer, 500)
        assert "Something went wrong on the server." in html.words
        problem = client.get("/api/v1/status")
        assert (problem.status_code, problem.json()["status"]) == (500, 500)
        assert problem.headers["content-type"] == "application/problem+json"
        for found in (answer, problem):
            assert "secret" not in found.text
            assert {name: found.headers[name] for name in HEADERS} == HEADERS
        assert "secret of the house" in caplog.text

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "nonsense"},
            {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
            {"Origin": "http://evil.example"},
            {"Origin": "http://127.0.0.1:8080"},
            {"Origin": "null"},
            {"Origin": ""},
        ],
    )
    def test_other_sites_change_nothing(self, single: Glimpse, headers: dict[str, str]) -> None:
        image_id = ids(single)[0]
        for method, path in (
            ("POST", "/upload"),
            ("POST", f"/images/{image_id}/delete"),
            ("POST", f"/images/{image_id}/retry"),
            ("POST", "/problems/retry"),
            ("POST", "/api/v1/images"),
            ("DELETE", f"/api/v1/images/{image_id}"),
        ):
            answer = single.client.request(method, path, headers=headers, files={"files": ("sea.jpg", BLUE)})
            assert answer.status_code == 403, (path, answer.text)
            assert "another site" in answer.text
        assert single.counts() == {"total": 1, "pending": 0, "prepared": 0, "indexed": 1, "failed": 0}

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"},
            {"Sec-Fetch-Site": "none"},
            {"Origin": "http://127.0.0.1"},
        ],
    )
    def test_own_pages_and_programs_pass(self, single: Glimpse, headers: dict[str, str]) -> None:
        answer = single.client.post("/problems/retry", headers=headers, follow_redirects=False)
        assert answer.status_code == 303

    def test_other_sites_may_link_here(self, single: Glimpse) -> None:
        assert single.client.get("/search?q=red", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


class TestBehindAProxy:
    def test_every_address_carries_the_prefix(self, glimpse: Glimpse) -> None:
        [red, _] = glimpse.upload(("rose.jpg", RED), ("sea.jpg", BLUE))
        glimpse.work()
        client = TestClient(glimpse.app, base_url="http://127.0.0.1", root_path="/pictures", follow_redirects=False)

        for path in ("/pictures/", "/pictures/search?q=red", f"/pictures/images/{red['id']}", "/pictures/nothing"):
            answer = client.get(path)
            html = page(answer, 404 if "nothing" in path else 200)
            for _, attributes in html.tags:
                for name in ("href", "src", "action"):
                    address = attributes.get(name)
                    assert not address or address.startswith(("/pictures/", "#")), (path, name, address)
            for style in html.all("link")[:3]:
                assert client.get(str(style["href"])).status_code == 200
        answer = client.post("/pictures/upload", files={"files": ("new.jpg", picture("green"))})
        assert answer.headers["location"].startswith("/pictures/uploads/")
        page(client.get(answer.headers["location"]))
        found = client.get("/pictures/api/v1/search?q=red&limit=1").json()
        assert found["next"].startswith("/pictures/api/v1/search?")
        assert found["results"][0]["urls"]["page"] == f"/pictures/images/{red['id']}"
        assert client.get("/pictures/api/v1/nothing").headers["content-type"] == "application/problem+json"


def test_long_and_odd_addresses_survive(many: Glimpse) -> None:
    """What a person pastes into the address bar comes back in the links of the page."""
    query = "a&b=c #d %20 +e/é"
    html = page(many.client.get(f"/search?{urlencode({'q': query})}"))
    following_page = html.link("next")
    assert following_page == f"/search?{urlencode({'q': query, 'page': '2'})}"
    assert page(many.client.get(following_page)).all("input")[0]["value"] == query
    page(many.client.get(f"/search?q={quote('é', encoding='latin-1')}"))
