"""The filter form: what it shows of a query, the query it writes, and the pages around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import date
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from app.catalog.images import Choices
from app.conditions import Condition, Field
from app.library.query import FIELDS, Query, Sort, parse, show
from app.web.filters import Filters, chips_of, filters_of, remembered, search_url, submitted_url, with_filters
from tests.conftest import Glimpse, running
from tests.pictures import picture, with_facts
from tests.web.html import Html, page
from tests.web.test_pages import data_folder

FORM = Filters()


def query_in(url: str) -> str:
    return parse_qs(urlsplit(url).query).get("q", [""])[0]


class TestShowing:
    @pytest.mark.parametrize(
        ("query", "shown"),
        [
            ("dog", replace(FORM, sort="relevance")),
            ("dog sort:newest", FORM),
            ("dog type:png", replace(FORM, type=("png",), sort="relevance")),
            ("type:webp,jpg", replace(FORM, type=("jpeg", "webp"))),
            ("orientation:Portrait", replace(FORM, orientation="portrait")),
            ('camera:"eos 5d" name:hotel', replace(FORM, camera="eos 5d", name="hotel")),
            ("larger:2mp", replace(FORM, larger="2")),
            ("larger:0.5mp larger:2mb", replace(FORM, larger="0.5")),
            ("taken:2023", replace(FORM, taken_from="2023-01-01", taken_to="2023-12-31")),
            ("taken:2023-05..2024-02", replace(FORM, taken_from="2023-05-01", taken_to="2024-02-29")),
            ("taken:2023-05-17", replace(FORM, taken_from="2023-05-17", taken_to="2023-05-17")),
            ("taken:..2019", replace(FORM, taken_to="2019-12-31")),
            ("taken:2024..", replace(FORM, taken_from="2024-01-01")),
            ("sort:oldest", replace(FORM, sort="oldest")),
        ],
    )
    def test_conditions_stand_in_their_fields(self, query: str, shown: Filters) -> None:
        assert filters_of(parse(query)) == shown

    @pytest.mark.parametrize("query", ["-type:png", "larger:2mb", "taken:week", "taken:..yesterday", "smaller:1mp"])
    def test_what_has_no_field_is_not_shown_and_not_lost(self, query: str) -> None:
        assert filters_of(parse(query)) == FORM
        assert show(with_filters(parse(query), replace(FORM, name="x"))) == f"{query} name:x"


class TestWriting:
    @pytest.mark.parametrize(
        ("query", "form", "written"),
        [
            ("dog", "type=png&orientation=portrait", "dog type:png orientation:portrait"),
            ("dog", "type=&type=png&type=gif", "dog type:gif,png"),
            ("dog type:png", "type=", "dog"),
            ("dog type:png", "name=x", "dog type:png name:x"),
            ("dog type:jpg", "type=jpeg&name=", "dog type:jpg"),
            ("type:gif,webp name:a", "type=gif&type=webp&name=b", "type:gif,webp name:b"),
            ("taken:2023", "taken_from=2023-01-01&taken_to=2023-12-31&name=", "taken:2023"),
            ("taken:2023", "taken_to=", "taken:2023-01-01.."),
            ("", "taken_from=2023-05-17&taken_to=2023-05-17", "taken:2023-05-17"),
            ("", "taken_from=&taken_to=2023-05-17", "taken:..2023-05-17"),
            ("", "camera=+Canon++EOS+5D+", 'camera:"Canon EOS 5D"'),
            ("", 'name="quoted"', 'name:"\\"quoted\\""'),
            ("", "larger=.5", "larger:0.5mp"),
            ("type:png", "sort=oldest", "type:png sort:oldest"),
            ("dog", "sort=newest", "dog sort:newest"),
            ("dog", "sort=relevance&name=x", "dog name:x"),
            ("dog sort:oldest", "sort=relevance", "dog"),
            ("type:png sort:oldest", "sort=newest", "type:png"),
            ("type:png sort:newest", "sort=newest&name=x", "type:png name:x sort:newest"),
            ("beach -people +2:snow like:3 -type:gif", "type=png", "beach -people +2:snow like:3 -type:gif type:png"),
            ("type:png type:gif", "type=gif", "type:gif"),
            ("nmae:x dog", "type=png", "nmae:x dog type:png"),
            ("", "type=docx", "type:docx"),
            ("", "taken_from=2024-01-01&taken_to=2023-01-01", "taken:2024-01-01..2023-01-01"),
        ],
    )
    def test_only_what_was_changed_is_written_anew(self, query: str, form: str, written: str) -> None:
        assert query_in(submitted_url(query, QueryParams(form)) or "") == written

    def test_an_empty_form_leads_to_the_gallery(self) -> None:
        assert submitted_url("", QueryParams("type=&name=&camera=")) == "/"

    @pytest.mark.parametrize("form", ["", "q=dog", "q=dog&page=2", "q=dog&sort=upwards"])
    def test_other_addresses_are_no_form(self, form: str) -> None:
        assert submitted_url("dog", QueryParams(form)) is None


DAYS = st.dates(date(1000, 1, 1), date(9998, 12, 31)).map(date.isoformat)
NAMES = st.text(alphabet='ab :-"\\é+', max_size=8).map(lambda text: " ".join(text.split()))
FILTERS = st.builds(
    Filters,
    type=st.sets(st.sampled_from(["jpeg", "png", "gif", "heic"])).map(lambda types: tuple(sorted(types))),
    orientation=st.sampled_from(["", "landscape", "portrait", "square"]),
    taken_from=st.one_of(st.just(""), DAYS),
    taken_to=st.one_of(st.just(""), DAYS),
    camera=NAMES,
    name=NAMES,
    larger=st.sampled_from(["", "2", "0.5", "12.25"]),
    sort=st.sampled_from(["newest", "oldest"]),
).filter(lambda filters: not filters.taken_to or filters.taken_from <= filters.taken_to)
PARTS = """dog beach -people +2:snow like:3 -type:gif taken:week smaller:2mb larger:3mb state:indexed type:jpg,png
taken:2023 -taken:2020 orientation:square camera:canon name:x larger:2mp sort:oldest sort:newest"""
QUERIES = st.lists(
    st.sampled_from(PARTS.split()),
    unique_by=lambda part: part.partition(":")[0] if ":" in part else part,
).map(" ".join)


class TestRoundTrip:
    @given(FILTERS)
    def test_the_form_shows_what_it_wrote(self, filters: Filters) -> None:
        query = with_filters(Query(), filters)
        assert parse(show(query)) == query
        assert filters_of(query) == filters

    @given(QUERIES, FILTERS)
    def test_and_keeps_everything_else(self, text: str, filters: Filters) -> None:
        before = parse(text)
        after = parse(show(with_filters(before, filters)))
        assert filters_of(after) == filters
        assert (after.words, after.terms, after.like) == (before.words, before.terms, before.like)
        assert {c for c in before.conditions if c.negated} <= set(after.conditions)

    @given(st.one_of(QUERIES, st.text()))
    def test_a_form_sent_back_as_it_came_changes_nothing(self, text: str) -> None:
        query = parse(text)
        assert with_filters(query, filters_of(query)) == query

    @given(st.text(), st.dictionaries(st.sampled_from([field.name for field in fields(Filters)]), st.text()))
    def test_nothing_a_form_may_say_is_an_error(self, text: str, form: dict[str, str]) -> None:
        url = submitted_url(text, QueryParams(form))
        assert url is None or parse(query_in(url)) is not None


class TestChips:
    def test_each_leads_to_the_query_without_it(self) -> None:
        query = parse('red car -people +2:snow like:3 type:png -camera:"eos 5d" sort:newest')
        chips = {chip.label: query_in(chip.url) for chip in chips_of(query)}
        assert list(chips) == [
            "away from people",
            "snow × 2",
            "like picture 3",
            "type: png",
            "not camera: eos 5d",
            "sort: newest",
        ]
        for part, label in zip(("-people", "+2:snow", "like:3", "type:png"), chips, strict=False):
            assert parse(chips[label]) == parse(show(query).replace(part, ""))

    def test_words_and_the_order_of_a_list_have_none(self) -> None:
        assert chips_of(parse("red car")) == ()
        assert [chip.label for chip in chips_of(parse("type:png sort:oldest"))] == ["type: png"]

    def test_the_last_one_leads_to_the_gallery(self) -> None:
        [chip] = chips_of(parse("type:png"))
        assert chip.url == "/"
        assert search_url(Query(conditions=(Condition(Field.NAME, "a&b"),))) == "/search?q=name%3Aa%26b"


def test_choices_are_looked_up_once_in_a_while() -> None:
    libraries = iter([Choices(("png",)), Choices(("gif",))])
    read = remembered(lambda: next(libraries))
    assert read() == read() == Choices(("png",))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glimpse]:
    """Five pictures: 1 rose.jpg of 2021, 2 sea.png, 3 leaf.png upright, 4 sun.gif, 5 coal.jpg of two megapixels."""
    with running(data_folder(tmp_path_factory.mktemp("filters"), page_size=2)) as glimpse:
        glimpse.upload(
            ("rose.jpg", with_facts()),
            ("sea.png", picture("blue", format="PNG")),
            ("leaf.png", picture("green", (48, 64), "PNG")),
            ("sun.gif", picture("yellow", format="GIF")),
            ("coal.jpg", picture("black", (2000, 1001))),
        )
        glimpse.work()
        yield glimpse


def found(glimpse: Glimpse, query: str, code: int = 200) -> Html:
    return page(glimpse.client.get("/search", params={"q": query}), code)


class TestThePage:
    def test_a_submitted_form_becomes_the_address_of_the_search(self, gallery: Glimpse) -> None:
        form = {"q": "dog", "type": "png", "orientation": "portrait", "camera": "", "name": ""}
        answer = gallery.client.get("/search", params=form, follow_redirects=False)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/search?{urlencode({'q': 'dog type:png orientation:portrait'})}"
        assert page(gallery.client.get("/search", params=form)).tiles == [3]

    def test_the_address_keeps_the_prefix_of_a_proxy(self, gallery: Glimpse) -> None:
        client = TestClient(gallery.app, base_url="http://127.0.0.1", root_path="/pictures", follow_redirects=False)
        for path, target in (("q=red&type=png", "/pictures/search?q=red+type%3Apng"), ("q=&type=", "/pictures/")):
            assert client.get(f"/pictures/search?{path}").headers["location"] == target

    def test_an_empty_form_leads_to_the_gallery(self, gallery: Glimpse) -> None:
        answer = gallery.client.get("/search?q=&type=&name=", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")

    def test_the_form_holds_what_the_query_says_and_offers_what_the_library_has(self, gallery: Glimpse) -> None:
        html = found(gallery, 'red type:png,webp camera:"Canon" -people taken:2021')
        inputs = {a["name"]: a["value"] for a in html.all("input") if a.get("type") != "checkbox" and a.get("value")}
        assert inputs["q"] == 'red type:png,webp camera:"Canon" -people taken:2021'
        assert (inputs["camera"], inputs["taken_from"], inputs["taken_to"]) == ("Canon", "2021-01-01", "2021-12-31")
        boxes = {str(a["value"]): "checked" in a for a in html.all("input") if a.get("type") == "checkbox"}
        assert boxes == {"gif": False, "jpeg": False, "png": True, "webp": True}
        offered = [a["value"] for a in html.all("option")]
        assert "Halden R2" in " ".join(map(str, offered))
        assert [value for value in offered if value in list(Sort)] == ["relevance", "newest", "oldest"]
        assert "among the pictures that meet the conditions" in found(gallery, "red type:png").words

    def test_conditions_alone_list_pictures_by_date_either_way(self, gallery: Glimpse) -> None:
        html = found(gallery, "type:png")
        assert html.tiles == [3, 2]
        assert "Pictures · type: png" in html.words
        assert "Newest first · oldest first" in html.words
        assert "Closest" not in html.words
        assert [a["value"] for a in html.all("option") if a["value"] in list(Sort)] == ["newest", "oldest"]
        assert found(gallery, "type:png sort:oldest").tiles == [2, 3]
        assert "/search?q=type%3Apng+sort%3Aoldest" in html.links
        assert "/search?q=type%3Apng" in found(gallery, "type:png sort:oldest").links

    def test_lists_have_pages_and_pictures_remember_them(self, gallery: Glimpse) -> None:
        first = found(gallery, "sort:oldest -type:gif")
        second = page(gallery.client.get(first.link("next") or ""))
        assert [*first.tiles, *second.tiles] == [1, 2, 3, 5]
        assert "Previous pictures" in second.words
        opened = page(gallery.client.get("/images/3?q=sort%3Aoldest+-type%3Agif&rank=2"))
        assert (opened.link("prev"), opened.link("next")) == (
            "/images/2?q=sort%3Aoldest+-type%3Agif&rank=1",
            "/images/5?q=sort%3Aoldest+-type%3Agif&rank=3",
        )

    @pytest.mark.parametrize(
        ("query", "heading"),
        [
            ("red type:png", "Nothing here looks like red"),
            ("+red -blue", "2 matches for red"),
            ("-blue", "Furthest from blue"),
            ("like:1", "Like picture 1"),
            ("sort:newest", "Pictures"),
        ],
    )
    def test_headings_tell_what_decides(self, gallery: Glimpse, query: str, heading: str) -> None:
        [text] = re.findall(r"<h1.*?</h1>", found(gallery, query).source, re.DOTALL)
        assert Html(text).words == heading

    def test_chips_take_a_condition_away(self, gallery: Glimpse) -> None:
        html = found(gallery, "red type:png orientation:portrait -blue")
        for rest in ("red orientation:portrait -blue", "red type:png -blue", "red type:png orientation:portrait"):
            url = f"/search?{urlencode({'q': show(parse(rest))})}"
            assert url in html.links
            page(gallery.client.get(url))

    def test_nothing_found_names_the_conditions_and_a_way_out(self, gallery: Glimpse) -> None:
        html = found(gallery, "type:gif orientation:portrait")
        assert "No picture meets these conditions" in html.words
        assert "type: gif, orientation: portrait" in html.words
        assert "see all pictures" in html.words
        html = found(gallery, "red type:webp")
        assert "No searchable picture meets this condition" in html.words
        assert "/search?q=red" in html.links

    @pytest.mark.parametrize("query", ["nmae:invoice dog", "type:docx", "like:999"])
    def test_a_complaint_keeps_the_box_and_links_to_help(self, gallery: Glimpse, query: str) -> None:
        html = found(gallery, query, 400)
        assert html.all("input")[0]["value"] == query
        assert "This can't be searched for as it stands" in html.words
        assert html.links.count("/help") >= 2
        assert [part["class"] for part in html.all("details")] == ["by-picture"]

    def test_the_gallery_has_the_form_too_unless_it_is_empty(self, gallery: Glimpse, glimpse: Glimpse) -> None:
        html = page(gallery.client.get("/"))
        assert [a["action"] for a in html.all("form") if a["method"] == "get"] == ["/search", "/search"]
        assert len([a for a in html.all("input") if a.get("type") == "checkbox"]) == 3
        assert "Filters" not in page(glimpse.client.get("/")).words

    def test_similar_pictures_have_neither_form_nor_chips(self, gallery: Glimpse) -> None:
        html = page(gallery.client.get("/search?like=1&type=png"))
        assert "Pictures like this one" in html.words
        assert [part["class"] for part in html.all("details")] == ["by-picture"]


class TestHelp:
    def examples(self, glimpse: Glimpse) -> list[str]:
        html = page(glimpse.client.get("/help"))
        return [str(a["href"]) for a in html.all("a") if a.get("class") == "example"]

    def test_has_every_part_of_the_grammar(self, gallery: Glimpse) -> None:
        examples = " ".join(query_in(url) for url in self.examples(gallery))
        for field in FIELDS:
            assert f"{field}:" in examples, field
        for sign in (" -", "+2:", '-"', '"type:png"', '\\"', "..", ",", "-type:"):
            assert sign in examples, sign

    def test_every_example_works(self, gallery: Glimpse) -> None:
        for url in self.examples(gallery):
            assert parse(query_in(url)).complaints == ()
            page(gallery.client.get(url))

    def test_examples_work_without_pictures_too(self, glimpse: Glimpse) -> None:
        for url in self.examples(glimpse):
            page(glimpse.client.get(url))

    def test_is_linked_from_everywhere(self, gallery: Glimpse) -> None:
        for path in ("/", "/search?q=red", "/status", "/help"):
            assert "/help" in page(gallery.client.get(path)).links
