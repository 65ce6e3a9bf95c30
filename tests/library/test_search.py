"""Find: by words, by a picture of the library, by one that is not kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.errors import GlimpseError, InvalidInput, ModelNotReady, ModelUnavailable, NotFound, PictureError
from app.library.search import DEEPEST_RESULT, LONGEST_QUERY, Searcher
from app.models import Results
from app.vectors.encoder import Encoder
from tests.encoders import ColourEncoder
from tests.library.conftest import Rooms
from tests.pictures import html_page, picture, truncated, unique_pictures


def names(results: Results) -> list[str]:
    return [match.image.filename for match in results.matches]


def ids(results: Results) -> list[int]:
    return [match.image.id for match in results.matches]


@pytest.fixture
def searcher(rooms: Rooms) -> Searcher:
    """Over a red, an orange, a blue and a green picture."""
    rooms.add("red", "orange", "blue", "green")
    rooms.index()
    return rooms.searcher()


# -- by words


def test_the_best_comes_first(searcher: Searcher) -> None:
    results = searcher.by_text("something red")
    assert names(results)[0] == "red.jpg"
    scores = [match.score for match in results.matches]
    relevance = [match.relevance or 0 for match in results.matches]
    assert relevance == sorted(relevance, reverse=True)
    assert all(score is not None and -1 <= score <= 1.001 for score in scores)
    assert (results.offset, results.has_more, results.model) == (0, False, "colours")
    assert names(searcher.by_text("blue"))[0] == "blue.jpg"


def test_spaces_around_and_between_words_do_not_matter(searcher: Searcher) -> None:
    assert searcher.by_text("  something \n\t red ") == searcher.by_text("something red")


def test_the_same_words_are_encoded_once(rooms: Rooms) -> None:
    asked: list[str] = []

    class Counting(ColourEncoder):
        def encode_texts(self, texts):  # type: ignore[no-untyped-def]
            asked.extend(texts)
            return super().encode_texts(texts)

    searcher = rooms.searcher(Counting)
    for query in ("red apples", " red  apples ", "blue apples", "red apples"):
        searcher.by_text(query)
    assert [text for text in asked if "apples" in text] == ["red apples", "blue apples"]


@pytest.mark.parametrize("query", ["", "   ", "\n\t", "x" * (LONGEST_QUERY + 1), "red " * 2500])
def test_a_query_that_asks_nothing_or_never_ends_is_answered_with_what_to_do(query: str, searcher: Searcher) -> None:
    with pytest.raises(InvalidInput, match="Describe"):
        searcher.by_text(query)


@pytest.mark.parametrize(
    "query",
    [
        "http://example.org/rose.png",
        "/etc/passwd",
        "data:image/png;base64,AAAA",
        "😀",
        'it\'s "red"',
        "<b>",
        "x" * 2000,
    ],
)
def test_any_words_get_an_answer(query: str, searcher: Searcher) -> None:
    assert len(searcher.by_text(query).matches) == 4


def test_an_empty_library_finds_nothing(rooms: Rooms) -> None:
    results = rooms.searcher().by_text("red")
    assert (results.matches, results.has_more, results.model) == ((), False, "colours")


# -- pages


def test_pages_are_parts_of_one_long_answer(rooms: Rooms) -> None:
    for number, data in enumerate(unique_pictures(23)):
        rooms.intake.add_bytes(data, f"{number}.jpg")
    rooms.add("red", "blue")
    rooms.index()
    searcher = rooms.searcher()
    whole = searcher.by_text("red", limit=50)
    assert len(whole.matches) == 25
    assert not whole.has_more
    for limit in (1, 4, 10, 25):
        pages = [searcher.by_text("red", offset, limit) for offset in range(0, 25, limit)]
        assert [match for page in pages for match in page.matches] == list(whole.matches)
        assert [page.has_more for page in pages] == [True] * (len(pages) - 1) + [False]
    beyond = searcher.by_text("red", 25, 10)
    assert (beyond.matches, beyond.offset, beyond.limit, beyond.has_more) == ((), 25, 10, False)


def test_no_page_lies_deeper_than_anybody_looks(searcher: Searcher) -> None:
    assert names(searcher.by_text("red", DEEPEST_RESULT - 10, 10)) == []
    with pytest.raises(InvalidInput, match="100,000th"):
        searcher.by_text("red", DEEPEST_RESULT - 9, 10)


# -- pictures come and go


def test_new_pictures_are_found_and_deleted_ones_are_not(rooms: Rooms, searcher: Searcher) -> None:
    assert len(searcher.by_text("red").matches) == 4
    rooms.intake.remove(1)
    assert names(searcher.by_text("red"))[0] == "orange.jpg"
    assert 1 not in ids(searcher.by_text("red"))
    rooms.add("red", "black")
    rooms.index()
    assert names(searcher.by_text("red"))[0] == "red.jpg"
    assert len(searcher.by_text("red").matches) == 5


def test_a_picture_deleted_after_the_index_looked_is_not_shown(
    rooms: Rooms, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_many = rooms.images.get_many

    def remove_and_get_many(wanted):  # type: ignore[no-untyped-def]
        rooms.images.remove(1)
        return get_many(wanted)

    monkeypatch.setattr(rooms.images, "get_many", remove_and_get_many)
    assert 1 not in ids(searcher.by_text("red"))


def test_a_new_start_goes_on_from_its_snapshot(rooms: Rooms, searcher: Searcher) -> None:
    before = searcher.by_text("red")
    searcher.close()
    assert list((rooms.folder / "index").glob("*.snapshot"))
    assert rooms.searcher().by_text("red") == before


# -- by a picture


def test_similar_pictures_leave_the_picture_itself_out(rooms: Rooms, searcher: Searcher) -> None:
    results = searcher.similar_to(1)
    assert names(results)[0] == "orange.jpg"
    assert sorted(ids(results)) == [2, 3, 4]
    pages = [searcher.similar_to(1, offset, 1) for offset in range(3)]
    assert [ids(page) for page in pages] == [[image_id] for image_id in ids(results)]
    assert [page.has_more for page in pages] == [True, True, False]


def test_among_many_alike_each_leaves_out_only_itself(rooms: Rooms) -> None:
    for quality in range(60, 85):
        rooms.intake.add_bytes(picture("red", quality=quality), f"{quality}.jpg")
    rooms.index()
    searcher = rooms.searcher()
    for image_id in (1, 13, 25):
        assert sorted([image_id, *ids(searcher.similar_to(image_id))]) == list(range(1, 26))
        first = searcher.similar_to(image_id, 0, 5)
        assert (len(first.matches), first.has_more) == (5, True)


def test_similar_to_a_picture_that_is_not_embedded_yet_is_nothing(rooms: Rooms, searcher: Searcher) -> None:
    (image_id,) = rooms.add("purple")
    assert searcher.similar_to(image_id).matches == ()


def test_similar_to_a_picture_that_is_not_there(searcher: Searcher) -> None:
    with pytest.raises(NotFound):
        searcher.similar_to(99)


def test_a_picture_that_is_searched_by_is_not_kept(rooms: Rooms, searcher: Searcher) -> None:
    files, counts = rooms.files(), rooms.images.counts()
    results = searcher.by_text("", picture=searcher.look_at(picture("red", (300, 200), "PNG")))
    assert names(results)[:2] == ["red.jpg", "orange.jpg"]
    assert (rooms.files(), rooms.images.counts()) == (files, counts)
    assert ids(searcher.by_text("", 1, 2, searcher.look_at(picture("red")))) == ids(results)[1:3]


@pytest.mark.parametrize("data", [b"", html_page(), truncated("PNG"), picture("red", (2000, 2000), "PNG")])
def test_what_is_no_picture_cannot_be_searched_by(data: bytes, searcher: Searcher) -> None:
    with pytest.raises(PictureError):
        searcher.look_at(data)


# -- while no query can be answered


def test_while_the_model_loads_only_what_needs_none_is_answered(rooms: Rooms, searcher: Searcher) -> None:
    loading = rooms.searcher(start=False)
    assert not loading.ready()
    with pytest.raises(ModelNotReady):
        loading.by_text("scarlet")
    with pytest.raises(ModelNotReady):
        loading.look_at(picture("red"))
    assert loading.similar_to(1) == searcher.similar_to(1)


def test_a_model_that_cannot_be_had_says_why(rooms: Rooms) -> None:
    def load() -> Encoder:
        raise ModelUnavailable("There is no such model.")

    searcher = rooms.searcher(load)
    assert not searcher.ready()
    with pytest.raises(ModelUnavailable, match="There is no such model"):
        searcher.by_text("scarlet")


def test_while_another_model_serves_the_one_before_answers_until_that_is_here(rooms: Rooms, searcher: Searcher) -> None:
    rooms.index(ColourEncoder("others", "2"))
    for _ in range(2):
        assert names(searcher.by_text("red"))[0] == "red.jpg"
        assert searcher.by_text("red").model == "colours"
        searcher.serve()  # it loads the same as before: what serves can't be had here


def test_errors_are_sentences(rooms: Rooms, searcher: Searcher) -> None:
    asked: list[Callable[[], Results]] = [
        lambda: searcher.by_text(""),
        lambda: searcher.similar_to(99),
        lambda: rooms.searcher(start=False).by_text("scarlet"),
    ]
    for ask in asked:
        with pytest.raises(GlimpseError) as raised:
            ask()
        assert str(raised.value).endswith(".")


def test_where_the_files_of_the_model_were_replaced_a_server_goes_on_with_those(
    rooms: Rooms, searcher: Searcher
) -> None:
    replaced = ColourEncoder(fingerprint="2")
    other = rooms.searcher(lambda: replaced, start=False)
    other._models.follow()
    assert other.ready()
    assert other.by_text("scarlet").matches == (), "nothing is embedded anew so far"
    rooms.index(replaced)
    assert names(other.by_text("red"))[0] == "red.jpg"


@pytest.mark.parametrize("lacking", [ColourEncoder("others", "2"), ColourEncoder(fingerprint="2"), None])
def test_the_command_line_never_changes_what_serves(
    rooms: Rooms, searcher: Searcher, lacking: ColourEncoder | None
) -> None:
    def load() -> Encoder:
        if lacking is None:
            raise ModelUnavailable("There is no such model.")
        return lacking

    serving, counts = rooms.vectors.serving(), rooms.images.counts()
    other = rooms.searcher(load)
    with pytest.raises(ModelUnavailable, match=r"colours serves this library, .* Bring its files here, run this as"):
        other.by_text("scarlet")
    assert (rooms.vectors.serving(), rooms.images.counts()) == (serving, counts)
