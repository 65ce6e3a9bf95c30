"""Contexts become pages: what each state says, and what no page may ever contain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse

from app.catalog.images import Choices
from app.conditions import Condition, Field
from app.library.query import Query, show
from app.models import (
    Choice,
    Counts,
    EmbeddingSpace,
    Image,
    ImageState,
    LibraryStatus,
    Match,
    ModelState,
    ModelStatus,
    Outcome,
    Results,
    Trial,
    UploadResult,
    WatchedFolder,
    WorkerStatus,
)
from app.web.rendering import (
    FRAGMENT_HEADER,
    AddPage,
    ErrorPage,
    GalleryPage,
    HelpPage,
    ImagePage,
    LoginPage,
    Page,
    ProblemsPage,
    ReceiptPage,
    Renderer,
    SearchPage,
    StatusFragment,
    StatusPage,
    TilesFragment,
    alt,
    duration,
    file_size,
    from_starter,
    local,
    picture_source,
    ratio_class,
    stage_source,
    stage_width,
)

PROJECT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 20, 12).astimezone()
"""Noon here, so that days before it are these days everywhere."""
NASTY = """<script>alert(1)</script> "quotes" 'single' &amp; {{ 7 * 7 }}\n😀.jpg"""

IMAGE = Image(
    id=7,
    md5="0123456789abcdef0123456789abcdef",
    filename="red-barn_01.jpg",
    format="jpeg",
    bytes=4_200_000,
    width=3000,
    height=2000,
    state=ImageState.INDEXED,
    reason=None,
    added_at=NOW,
    taken_at=datetime(2024, 3, 3, 14, 5),
    camera="Fujifilm X-T4",
    date=datetime(2024, 3, 3, 14, 5),
)
READY = ModelStatus("starter", ModelState.READY, EmbeddingSpace("starter", "f" * 64, 384))
IDLE = LibraryStatus(Counts(indexed=12), READY, WorkerStatus(alive=True, rate=0))


@pytest.fixture
def renderer() -> Renderer:
    return Renderer(PROJECT / "templates", PROJECT / "static", now=lambda: NOW)


def asked(root_path: str = "") -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "root_path": root_path, "headers": []})


def text(response: HTMLResponse) -> str:
    return bytes(response.body).decode()


def found(*images: Image, offset: int = 0, has_more: bool = False) -> Results:
    return Results(tuple(Match(image, 0.3) for image in images), offset, 60, has_more, "starter")


def listed(*images: Image) -> Results:
    """What conditions alone find."""
    return Results(tuple(Match(image, None) for image in images), 0, 60, False, "")


def every_page(image: Image, status: LibraryStatus = IDLE) -> Iterator[Page]:
    name = image.filename
    yield GalleryPage(status, (image,), "/", "/?before=7")
    yield GalleryPage(status, (), None, None)
    yield SearchPage(status, name, found(image, has_more=True), None, "/search?q=x", "/search?q=x&page=3")
    yield SearchPage(status, name, found(), None, None, None)
    yield SearchPage(status, name, None, None, None, None)
    yield SearchPage(status, "", found(image), image, None, None)
    choices = Choices(("jpeg", "png"), (name,))
    odd = f"{show(Query(conditions=(Condition(Field.NAME, name), Condition(Field.CAMERA, name))))} type:png"
    yield SearchPage(status, odd, listed(image), None, None, "/search?q=x&page=2", choices=choices)
    yield SearchPage(status, f"dog {odd} -cat", found(image), None, None, None, choices=choices)
    yield SearchPage(status, odd, listed(), None, None, None, choices=choices)
    yield SearchPage(status, name, None, None, None, None, complaint=f"There is no {name}.")
    yield HelpPage(status, image)
    yield HelpPage(status, None)
    yield ImagePage(status, image, (Match(image, 0.5),), "/search?q=x", "/images/6", "/images/8")
    yield AddPage(status, 200)
    yield ReceiptPage(
        status,
        (
            UploadResult(name, Outcome.ADDED, 1),
            UploadResult(name, Outcome.DUPLICATE, 2),
            UploadResult(name, Outcome.REJECTED, None, name),
        ),
    )
    yield ProblemsPage(status, (replace(image, state=ImageState.FAILED, reason=name),), "/problems?before=3")
    yield StatusPage(
        status,
        "/srv/pictures",
        1_830_000_000,
        (("python", "3.11"),),
        locked=bool(status.counts.total),
        watched=(
            WatchedFolder(f"/media/{name}", 990, 60, 1204, waiting=3, gone=1, refused=2),
            WatchedFolder("/mnt/disk", 0, 60, message=name),
        ),
        now=1000,
    )
    yield LoginPage(f"/search?q={name}", "This is not the password.")
    yield ErrorPage(status, 404, "Not here", name)
    yield ErrorPage(None, 500, "This did not work", name)


class Tags(HTMLParser):
    """Every start tag with its attributes, and every id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


class TestEveryPage:
    def test_escapes_what_people_wrote(self, renderer: Renderer) -> None:
        for page in every_page(replace(IMAGE, filename=NASTY, camera=NASTY)):
            html = text(renderer.page(asked(), page))
            assert "<script>alert" not in html
            assert "49" not in re.findall(r"{{.*?}}|\b49\b", html)
            assert not [tag for tag, attributes in Tags(html).tags if "quotes" in attributes]

    def test_obeys_a_strict_content_security_policy(self, renderer: Renderer) -> None:
        for page in every_page(IMAGE):
            for tag, attributes in Tags(text(renderer.page(asked(), page))).tags:
                assert tag != "style"
                assert "style" not in attributes
                assert not [name for name in attributes if name.startswith("on")]
                assert tag != "script" or attributes.get("src")

    def test_stays_behind_the_prefix_of_a_proxy(self, renderer: Renderer) -> None:
        for page in every_page(IMAGE):
            for _tag, attributes in Tags(text(renderer.page(asked("/pictures"), page))).tags:
                for name in ("href", "src", "action", "data-api", "data-tiles", "data-status", "data-gallery"):
                    address = attributes.get(name)
                    if address and not address.startswith("#"):
                        assert address.startswith("/pictures/"), (type(page).__name__, name, address)
                for candidate in (attributes.get("srcset") or "").split(","):
                    assert not candidate or candidate.strip().startswith("/pictures/")

    def test_has_one_heading_a_title_and_no_id_twice(self, renderer: Renderer) -> None:
        for page in every_page(IMAGE):
            html = text(renderer.page(asked(), page))
            tags = Tags(html).tags
            ids = [attributes["id"] for _tag, attributes in tags if "id" in attributes]
            assert [tag for tag, _ in tags].count("h1") == 1
            assert [tag for tag, _ in tags].count("main") == 1
            assert len(ids) == len(set(ids))
            assert re.search(r"<title>[^<]+ · Glimpse</title>", html)

    def test_pictures_have_dimensions_and_words(self, renderer: Renderer) -> None:
        for page in every_page(IMAGE):
            for tag, attributes in Tags(text(renderer.page(asked(), page))).tags:
                if tag == "img":
                    assert (attributes["width"], attributes["height"]) == ("3000", "2000")
                    assert attributes["alt"] == "red barn 01"

    def test_varies_by_the_header_that_asks_for_a_fragment(self, renderer: Renderer) -> None:
        page = GalleryPage(IDLE, (IMAGE,), None, None)
        assert renderer.page(asked(), page).headers["Vary"] == FRAGMENT_HEADER
        assert renderer.fragment(asked(), "_tiles.html", page).headers["Vary"] == FRAGMENT_HEADER

    def test_carries_the_status_code_it_is_given(self, renderer: Renderer) -> None:
        response = renderer.page(asked(), ErrorPage(None, 404, "Not here", "There is no such page."), 404)
        assert response.status_code == 404
        assert response.media_type == "text/html"


class TestGallery:
    def test_groups_by_day_with_words_for_the_last_two(self, renderer: Renderer) -> None:
        ages = (0, 0, 1, 9, 400)
        moments = [NOW - timedelta(days=age) for age in ages]
        taken = tuple(replace(IMAGE, id=9 - n, date=local(when).replace(tzinfo=None)) for n, when in enumerate(moments))
        added = tuple(replace(IMAGE, id=9 - n, added_at=when) for n, when in enumerate(moments))
        pages = GalleryPage(IDLE, taken, None, None), GalleryPage(IDLE, added, None, None, by_added=True)
        for page in pages:
            days = re.findall(r"<time[^>]*>([^<]+)</time>", text(renderer.page(asked(), page)))
            assert days == ["Today", "Yesterday", "Wednesday, 11 November", "16 October 2025"]

    def test_links_to_the_next_page(self, renderer: Renderer) -> None:
        html = text(renderer.page(asked(), GalleryPage(IDLE, (IMAGE,), None, "/?before=7")))
        assert 'rel="next" href="/?before=7"' in html

    def test_points_to_problems(self, renderer: Renderer) -> None:
        status = replace(IDLE, counts=Counts(indexed=3, failed=2))
        html = text(renderer.page(asked(), GalleryPage(status, (IMAGE,), None, None)))
        assert '<a href="/problems">2 could not be read</a>' in html

    def test_invites_when_it_is_empty(self, renderer: Renderer) -> None:
        html = text(renderer.page(asked(), GalleryPage(replace(IDLE, counts=Counts()), (), None, None)))
        assert "Your gallery is empty" in html
        assert "--demo" in html
        assert 'action="/upload" method="post" enctype="multipart/form-data"' in html

    def test_shows_a_placeholder_before_the_thumbnail(self, renderer: Renderer) -> None:
        waiting = replace(IMAGE, state=ImageState.PENDING)
        html = text(renderer.page(asked(), GalleryPage(IDLE, (waiting,), None, None)))
        assert "data-pending" in html
        assert "<img" not in html
        assert "being prepared" in html

    def test_the_fragment_is_tiles_and_the_next_link_only(self, renderer: Renderer) -> None:
        page = GalleryPage(IDLE, (IMAGE,), None, "/?before=7")
        html = text(renderer.fragment(asked(), "_tiles.html", page))
        assert 'data-tile="7"' in html
        assert 'rel="next"' in html
        assert "<html" not in html

    def test_tiles_by_id_keep_the_order_asked_for(self, renderer: Renderer) -> None:
        images = tuple(replace(IMAGE, id=number) for number in (3, 1, 2))
        html = text(renderer.fragment(asked(), "_tiles.html", TilesFragment(images)))
        assert re.findall(r'data-tile="(\d+)"', html) == ["3", "1", "2"]


class TestSearch:
    def test_tiles_remember_the_list_and_their_rank_in_it(self, renderer: Renderer) -> None:
        page = SearchPage(IDLE, "a dog & a cat", found(IMAGE, IMAGE, offset=60), None, None, None)
        html = text(renderer.page(asked(), page))
        assert 'href="/images/7?q=a+dog+%26+a+cat&amp;rank=60"' in html
        assert 'href="/images/7?q=a+dog+%26+a+cat&amp;rank=61"' in html

    def test_similar_ones_remember_what_they_are_like(self, renderer: Renderer) -> None:
        html = text(renderer.page(asked(), SearchPage(IDLE, "", found(IMAGE), replace(IMAGE, id=3), None, None)))
        assert 'href="/images/7?like=3&amp;rank=0"' in html

    def test_keeps_the_query_in_the_box(self, renderer: Renderer) -> None:
        html = text(renderer.page(asked(), SearchPage(IDLE, 'say "red"', found(IMAGE), None, None, None)))
        assert 'value="say &#34;red&#34;"' in html

    def test_looks_again_by_itself_while_the_model_loads(self, renderer: Renderer) -> None:
        loading = replace(IDLE, model=ModelStatus("auto", ModelState.LOADING))
        html = text(renderer.page(asked(), SearchPage(loading, "dog", None, None, None, None)))
        assert "The model is warming up" in html
        assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in html

    def test_says_why_no_model_serves(self, renderer: Renderer) -> None:
        missing = ModelStatus("clip-ViT-L-14", ModelState.UNAVAILABLE, message="It is not in the local cache.")
        html = text(renderer.page(asked(), SearchPage(replace(IDLE, model=missing), "dog", None, None, None, None)))
        assert "It is not in the local cache." in html
        assert "refresh" not in html

    @pytest.mark.parametrize(
        ("counts", "words"),
        [
            (Counts(), "There are no pictures to search yet"),
            (Counts(prepared=4), "No picture is searchable yet"),
            (Counts(indexed=4), "Nothing here looks like"),
        ],
    )
    def test_each_kind_of_nothing_has_its_own_words(self, renderer: Renderer, counts: Counts, words: str) -> None:
        page = SearchPage(replace(IDLE, counts=counts), "dog", found(), None, None, None)
        html = text(renderer.page(asked(), page))
        assert words in html
        assert "Closest to" not in html

    def test_says_how_many_can_be_found_so_far(self, renderer: Renderer) -> None:
        status = replace(IDLE, counts=Counts(prepared=88, indexed=412))
        html = text(renderer.page(asked(), SearchPage(status, "dog", found(IMAGE), None, None, None)))
        assert "412 of 500 pictures are searchable so far" in html
        assert "among the 412 of 500 pictures" in html

    def test_conditions_need_no_model_and_no_index(self, renderer: Renderer) -> None:
        status = replace(IDLE, counts=Counts(prepared=4))
        html = text(renderer.page(asked(), SearchPage(status, "type:png", listed(IMAGE), None, None, None)))
        assert "Newest first" in html
        assert "data-waiting" not in html
        assert "refresh" not in html

    def test_offers_the_conditions_alone_where_no_model_serves(self, renderer: Renderer) -> None:
        missing = replace(IDLE, model=ModelStatus("clip-ViT-L-14", ModelState.UNAVAILABLE, message="It is not here."))
        html = text(renderer.page(asked(), SearchPage(missing, "dog type:png", None, None, None, None)))
        assert '<a href="/search?q=type%3Apng">see those that meet the conditions</a>' in html

    def test_the_form_offers_types_of_the_query_that_the_library_lacks(self, renderer: Renderer) -> None:
        page = SearchPage(IDLE, "type:gif", listed(), None, None, None, choices=Choices(("jpeg",), ("X-T4",)))
        html = text(renderer.page(asked(), page))
        assert 'value="gif" checked' in html
        assert 'value="jpeg">' in html
        assert '<option value="X-T4">' in html


class TestPicture:
    def test_tells_the_facts(self, renderer: Renderer) -> None:
        html = text(renderer.page(asked(), ImagePage(IDLE, IMAGE, (), "/", None, None)))
        for fact in ("red-barn_01.jpg", "3,000 × 2,000", "JPEG, 4.2 MB", "3 March 2024, 14:05", "Fujifilm X-T4"):
            assert fact in html

    def test_has_the_ways_on(self, renderer: Renderer) -> None:
        page = ImagePage(IDLE, IMAGE, (Match(IMAGE, 0.5),), "/search?q=x", "/images/6?q=x&rank=1", "/images/8")
        html = text(renderer.page(asked(), page))
        assert 'rel="prev" href="/images/6?q=x&amp;rank=1"' in html
        assert 'rel="next" href="/images/8"' in html
        assert 'href="/search?q=x" data-close' in html
        assert 'href="/search?like=7"' in html
        assert 'href="/images/7/original?download=1"' in html
        assert 'action="/images/7/delete" method="post"' in html

    def test_says_why_it_failed_and_offers_to_retry(self, renderer: Renderer) -> None:
        failed = replace(IMAGE, state=ImageState.FAILED, reason="The file ends too early.")
        html = text(renderer.page(asked(), ImagePage(IDLE, failed, (), "/", None, None)))
        assert "The file ends too early." in html
        assert 'action="/images/7/retry" method="post"' in html


class TestReceipt:
    def test_gives_each_file_its_outcome(self, renderer: Renderer) -> None:
        results = (
            UploadResult("a.jpg", Outcome.ADDED, 1),
            UploadResult("b.jpg", Outcome.DUPLICATE, 2),
            UploadResult("c.txt", Outcome.REJECTED, None, "This is no picture."),
        )
        html = text(renderer.page(asked(), ReceiptPage(IDLE, results)))
        assert "1 picture added" in html
        assert "1 was already here · 1 was not taken" in html
        assert 'href="/images/2"' in html
        assert "This is no picture." in html


class TestStatusLine:
    def line(self, renderer: Renderer, status: LibraryStatus) -> str:
        return text(renderer.fragment(asked(), "_status.html", StatusFragment(status)))

    def test_asks_nothing_and_says_nothing_when_idle(self, renderer: Renderer) -> None:
        html = self.line(renderer, IDLE)
        assert "data-poll" not in html
        assert 'data-phase="idle"' in html

    def test_tells_progress_speed_and_time_left(self, renderer: Renderer) -> None:
        status = LibraryStatus(Counts(pending=8, prepared=80, indexed=1412), READY, WorkerStatus(True, 4.4))
        html = self.line(renderer, status)
        assert "1,412 of 1,500 pictures are searchable so far" in html
        assert re.sub(r"\s+", " ", html).count("88 to go · 4.4 per second · about 20 seconds left") == 1
        assert 'max="1500" value="1412"' in html
        assert "data-poll" in html

    def test_says_that_no_worker_runs(self, renderer: Renderer) -> None:
        html = self.line(renderer, LibraryStatus(Counts(pending=1), READY, WorkerStatus(False, 0)))
        assert "1 picture waits: no worker is running" in html

    def test_says_that_the_model_warms_up(self, renderer: Renderer) -> None:
        html = self.line(renderer, replace(IDLE, model=ModelStatus("auto", ModelState.LOADING)))
        assert "The model is warming up" in html
        assert "data-poll" in html


class TestFooter:
    def test_tells_which_model_serves_and_how_to_get_a_better_one(self, renderer: Renderer) -> None:
        assert "the starter model" in text(renderer.page(asked(), AddPage(IDLE, 200)))
        large = replace(IDLE, model=replace(READY, name="clip-ViT-L-14"))
        html = text(renderer.page(asked(), AddPage(large, 200)))
        assert "clip-ViT-L-14" in html
        assert "starter model" not in html


class TestAssets:
    def test_the_address_changes_with_the_content(self, tmp_path: Path) -> None:
        file = tmp_path / "app.css"
        renderer = Renderer(tmp_path, tmp_path)
        file.write_text("a {}")
        first = renderer.asset("app.css")
        assert re.fullmatch(r"/static/app\.css\?v=[0-9a-f]{12}", first)
        assert renderer.asset("app.css") == first
        file.write_text("b {}")
        assert renderer.asset("app.css") != first


class TestThumbnails:
    def test_only_those_that_exist_are_named(self) -> None:
        md5 = IMAGE.md5
        assert picture_source(IMAGE).sizes == (
            (f"/thumbs/256/{md5}.webp", 256),
            (f"/thumbs/640/{md5}.webp", 640),
            (f"/thumbs/1280/{md5}.webp", 1280),
        )
        small = replace(IMAGE, width=300, height=200)
        assert picture_source(small).sizes == ((f"/thumbs/256/{md5}.webp", 256), (f"/thumbs/640/{md5}.webp", 300))
        assert picture_source(replace(IMAGE, width=40, height=40)).sizes == ((f"/thumbs/256/{md5}.webp", 40),)

    def test_the_stage_takes_the_original_where_a_browser_can_show_it(self) -> None:
        assert stage_source(IMAGE).sizes[-1] == ("/images/7/original", 3000)
        assert stage_source(replace(IMAGE, format="heic")).sizes[-1][1] == 1280
        assert stage_source(replace(IMAGE, bytes=80_000_000)).sizes[-1][1] == 1280
        assert stage_source(replace(IMAGE, width=900, height=600)).sizes[-1][0].startswith("/thumbs/")

    @pytest.mark.parametrize(("width", "shown"), [(40, 80), (300, 600), (500, 800), (1280, 1280), (6000, 6000)])
    def test_small_pictures_are_enlarged_a_little(self, width: int, shown: int) -> None:
        assert stage_width(width) == shown

    @pytest.mark.parametrize(
        ("width", "height", "name"),
        [(3000, 2000, "r-150"), (1, 1, "r-100"), (12000, 900, "r-300"), (800, 9000, "r-050"), (0, 0, "r-100")],
    )
    def test_ratios_are_bounded(self, width: int, height: int, name: str) -> None:
        assert ratio_class(replace(IMAGE, width=width, height=height)) == name


class TestWords:
    @pytest.mark.parametrize(
        ("size", "words"),
        [(0, "0 bytes"), (999, "999 bytes"), (4_200_000, "4.2 MB"), (240_000, "240 kB"), (3.1e12, "3.1 TB")],
    )
    def test_sizes(self, size: float, words: str) -> None:
        assert file_size(size) == words

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(0.2, "1 second"), (8.4, "8 seconds"), (58, "a minute"), (720, "12 minutes"), (10_800, "3 hours")],
    )
    def test_durations(self, seconds: float, words: str) -> None:
        assert duration(seconds) == words

    def test_a_picture_is_called_by_its_name(self) -> None:
        assert alt(IMAGE) == "red barn 01"
        assert alt(replace(IMAGE, filename="__.jpg")) == "Picture without a name"

    @pytest.mark.parametrize(
        ("name", "starter"), [("starter", True), ("/srv/models/starter", True), ("clip-ViT-B-32", False)]
    )
    def test_the_starter_model_is_known_by_its_folder(self, name: str, starter: bool) -> None:
        assert from_starter(replace(READY, name=name)) is starter


def test_the_status_page_tells_how_the_model_is_run_and_what_was_tried(renderer: Renderer) -> None:
    trials = (Trial("images", "torch fp32", 6.1, 1.0, 1.0), Trial("images", "onnx int8", 38.0, 0.99986, 0.97))
    choice = Choice("onnx int8", "onnx fp32", trials, "int8 changes too much <here>.")
    status = replace(IDLE, model=replace(READY, choice=choice))
    html = text(renderer.page(asked(), StatusPage(status, "/srv/pictures", 0, (), locked=False, watched=(), now=0)))
    assert "<code>onnx int8</code> for pictures, <code>onnx fp32</code> for words" in html
    assert "38 per second, 0.9999 like float32, 97 % find the same" in html
    assert "too much &lt;here&gt;." in html
    plain = text(renderer.page(asked(), StatusPage(IDLE, "/srv/pictures", 0, (), locked=False, watched=(), now=0)))
    assert "Runs in" not in plain
