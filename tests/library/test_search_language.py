"""The query language, from the text in the box to the pictures found."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from app.errors import InvalidInput
from app.library.search import Searcher
from app.models import Band
from tests.library.conftest import Rooms
from tests.library.test_search import ids, names
from tests.pictures import picture

COLOURS = ("red", "orange", "blue", "green", "white")


@pytest.fixture
def rooms_of_colours(rooms: Rooms) -> Rooms:
    """red.jpg, orange.jpg …, and blue.png, taken in years that run against the order they were added in."""
    rooms.add(*COLOURS)
    rooms.intake.add_bytes(picture("blue", format="PNG", size=(90, 60)), "blue.png")
    rooms.index()
    return rooms


@pytest.fixture
def searcher(rooms_of_colours: Rooms) -> Searcher:
    return rooms_of_colours.searcher()


def test_conditions_alone_need_no_model_and_put_the_newest_first(rooms_of_colours: Rooms) -> None:
    searcher = rooms_of_colours.searcher()
    results = searcher.by_text("type:jpeg")
    assert names(results) == ["white.jpg", "green.jpg", "blue.jpg", "orange.jpg", "red.jpg"]
    assert {match.score for match in results.matches} == {None}
    assert (results.by_date, results.relevant, results.model) == (True, None, "")
    assert names(searcher.by_text("type:jpeg sort:oldest")) == names(results)[::-1]
    assert sum(searcher.by_text("type:jpeg", limit=2).per_day.values()) == 5, "also those of other pages"


def test_conditions_choose_before_words_rank(searcher: Searcher) -> None:
    whole = searcher.by_text("something blue")
    assert sorted(names(whole)[:2]) == ["blue.jpg", "blue.png"]
    assert names(searcher.by_text("something blue type:png")) == ["blue.png"]
    assert names(searcher.by_text("something blue -type:png")) == [n for n in names(whole) if n != "blue.png"]
    assert names(searcher.by_text("something blue name:nowhere")) == []


def test_a_filtered_page_is_a_part_of_the_filtered_answer(searcher: Searcher) -> None:
    whole = searcher.by_text("orange type:jpeg")
    pages = [searcher.by_text("orange type:jpeg", offset, 2) for offset in (0, 2, 4)]
    assert [i for page in pages for i in ids(page)] == ids(whole)
    assert [page.has_more for page in pages] == [True, True, False]


def test_a_minus_pushes_away(searcher: Searcher) -> None:
    without = names(searcher.by_text("red orange"))
    pushed = names(searcher.by_text("red orange -red"))
    assert without.index("red.jpg") < pushed.index("red.jpg")
    assert names(searcher.by_text("-blue"))[-1].startswith("blue")


def test_weights_shift_what_comes_first(searcher: Searcher) -> None:
    assert names(searcher.by_text("+9:red +0.1:green"))[0] == "red.jpg"
    assert names(searcher.by_text("+0.1:red +9:green"))[0] == "green.jpg"


def test_like_finds_what_looks_like_a_picture_and_leaves_it_out(searcher: Searcher) -> None:
    [blue] = ids(searcher.by_text("name:blue.jpg"))
    results = searcher.by_text(f"like:{blue}")
    assert names(results)[0] == "blue.png"
    assert blue not in ids(results)
    assert results.relevant is None
    assert names(searcher.by_text(f"like:{blue} type:jpeg"))[0] != "blue.png"
    with pytest.raises(InvalidInput, match="no picture 999"):
        searcher.by_text("like:999")


def test_what_cancels_out_is_told(searcher: Searcher) -> None:
    searcher.by_text("a red rose -a")
    with pytest.raises(InvalidInput, match="cancel"):
        searcher.by_text('-"a photo"')


@pytest.mark.parametrize("query", ["nmae:red", "type:docx", "taken:soon", "sort:up"])
def test_what_is_not_understood_is_told(searcher: Searcher, query: str) -> None:
    with pytest.raises(InvalidInput, match=query.split(":")[0]):
        searcher.by_text(query)


def test_every_match_has_a_relevance_and_a_band(searcher: Searcher) -> None:
    results = searcher.by_text("something red")
    relevances = [match.relevance for match in results.matches]
    assert all(relevance is not None and 0 <= relevance <= 1 for relevance in relevances)
    sure = [match.band in (Band.STRONG, Band.LIKELY) for match in results.matches]
    assert sure == sorted(sure, reverse=True)
    assert sum(sure) == results.relevant


def test_matches_can_be_had_by_date(rooms: Rooms) -> None:
    dated = [("new.jpg", "2024:05:01 10:00:00"), ("old.jpg", "1999:12:31 23:59:59"), ("mid.jpg", "2010:06:15 08:30:00")]
    for name, taken in dated:
        shade = (255, len(name) + int(taken[3]), 0)
        rooms.intake.add_bytes(with_date(shade, taken), name)
    rooms.add(*(f"#{level:02x}{level:02x}ff" for level in range(0, 240, 8)))
    rooms.index()
    searcher = rooms.searcher()
    best_first = searcher.by_text("something red")
    assert best_first.relevant == 3
    assert names(searcher.by_text("something red sort:newest")) == ["new.jpg", "mid.jpg", "old.jpg"]
    oldest = searcher.by_text("something red sort:oldest", limit=2)
    assert names(oldest) == ["old.jpg", "mid.jpg"]
    assert (oldest.by_date, oldest.has_more) == (True, True)
    assert oldest.matches[0].image.date == datetime(1999, 12, 31, 23, 59, 59)
    assert oldest.per_day == {date(1999, 12, 31): 1, date(2010, 6, 15): 1, date(2024, 5, 1): 1}


def with_date(colour: tuple[int, int, int], taken: str) -> bytes:
    from PIL import ExifTags, Image

    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    return picture(f"#{colour[0]:02x}{colour[1]:02x}{colour[2]:02x}", exif=exif)


@pytest.mark.parametrize(
    "query", ["larger:99999999999999999999mp", f"smaller:{'9' * 400}mp", "added:0001", "added:9999"]
)
def test_extremes_are_answered(searcher: Searcher, query: str) -> None:
    assert len(searcher.by_text(query).matches) in (0, len(COLOURS) + 1)
