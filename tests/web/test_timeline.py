"""The gallery by date: days with counts, pages that go on from a picture, months to jump to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from app.config import Settings
from app.web.timeline import years_of
from tests.conftest import Glimpse, running
from tests.pictures import picture, with_facts
from tests.web.html import Html, page

NEWEST = datetime(2023, 6, 30, 18)
PAGE = 10


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glimpse]:
    """45 pictures, the oldest added last: three on every 20th day from June 2023 back to September 2022."""
    folder = tmp_path_factory.mktemp("dated")
    settings = Settings(_env_file=None, data=folder, worker=False, model="colours", page_size=PAGE)
    with running(settings) as glimpse:
        moments = [NEWEST - timedelta(days=20 * (number // 3), minutes=number) for number in range(45)]
        glimpse.upload(*((f"{number}.jpg", with_facts(moment)) for number, moment in enumerate(moments)))
        glimpse.work()
        yield glimpse


def read(glimpse: Glimpse, path: str) -> Html:
    return page(glimpse.client.get(path))


def walk(glimpse: Glimpse, path: str, rel: str) -> list[list[int]]:
    pages, address = [], path
    while address:
        html = read(glimpse, address)
        pages.append(html.tiles)
        address = html.link(rel) or ""
        assert len(pages) < 20
    return pages


def months(html: Html) -> list[str]:
    return [str(link["data-month"]) for link in html.all("a") if "data-month" in link]


def current(html: Html) -> list[str]:
    return [str(link["data-month"]) for link in html.all("a") if "data-month" in link and "aria-current" in link]


def test_days_are_headings_with_counts_also_where_a_page_ends_in_a_day(gallery: Glimpse) -> None:
    html = read(gallery, "/")
    days = re.findall(r"<time datetime=\"([\d-]{10})\">.*?group-count\">(\d+)<", html.source, re.DOTALL)
    assert days == [("2023-06-30", "3"), ("2023-06-10", "3"), ("2023-05-21", "3"), ("2023-05-01", "3")]
    assert "30 June 2023 3 pictures" in html.words


def test_every_picture_is_on_one_page_downwards_and_upwards(gallery: Glimpse) -> None:
    down = walk(gallery, "/", "next")
    assert [len(tiles) for tiles in down] == [10, 10, 10, 10, 5]
    assert [tile for tiles in down for tile in tiles] == list(range(1, 46))
    last = f"/?month={NEWEST - timedelta(days=280):%Y-%m}"
    up = walk(gallery, last, "prev")
    assert up[0][-1] == 45
    assert set(range(1, 46)) == {tile for tiles in up for tile in tiles}
    assert up[-1] == down[0], "the first page is whole"


def test_a_month_is_where_its_newest_picture_is(gallery: Glimpse) -> None:
    html = read(gallery, "/?month=2023-03")
    assert html.tiles[:3] == [16, 17, 18]
    assert current(html) == ["2023-03"]
    assert read(gallery, html.link("prev") or "").tiles == list(range(6, 16))
    assert "There are no older pictures" in read(gallery, "/?month=1999-01").words
    assert read(gallery, "/?month=2035-01").tiles == read(gallery, "/").tiles
    assert read(gallery, "/?month=9999-12").tiles == read(gallery, "/").tiles


def test_the_rail_leads_to_every_month(gallery: Glimpse) -> None:
    html = read(gallery, "/")
    assert months(html) == ["2023-06", "2023-05", "2023-04", "2023-03", "2023-02", "2023-01", "2022-12", "2022-11",
                            "2022-10", "2022-09"]  # fmt: skip
    assert current(html) == ["2023-06"]
    assert [nav["aria-label"] for nav in html.all("nav")].count("Months") == 1
    for month in months(html):
        assert current(read(gallery, f"/?month={month}")) == [month]
    assert "Jun 2023 6 pictures" in html.words


def test_recently_added_is_one_link_away_and_keeps_its_order(gallery: Glimpse) -> None:
    assert "/?order=added" in read(gallery, "/").links
    pages = walk(gallery, "/?order=added", "next")
    assert [tile for tiles in pages for tile in tiles] == list(range(45, 0, -1))
    html = read(gallery, "/?order=added")
    assert months(html) == []
    opened = read(gallery, "/images/44?order=added")
    assert (opened.link("prev"), opened.link("next")) == ("/images/45?order=added", "/images/43?order=added")
    assert "/?order=added" in opened.links
    by_date = read(gallery, "/images/44")
    assert (by_date.link("prev"), by_date.link("next")) == ("/images/43", "/images/45")


def test_a_page_goes_on_where_it_ended_though_its_last_picture_is_gone(glimpse: Glimpse) -> None:
    taken = [NEWEST - timedelta(days=number) for number in range(23)]
    glimpse.upload(*((f"{number}.jpg", with_facts(moment)) for number, moment in enumerate(taken)))
    glimpse.work()
    first = read(glimpse, "/")
    glimpse.client.delete(f"/api/v1/images/{first.tiles[-1]}")
    assert read(glimpse, first.link("next") or "").tiles == [21, 22, 23]


def test_a_picture_without_a_date_stands_under_today_until_one_is_known(glimpse: Glimpse) -> None:
    glimpse.upload(("new.png", picture("blue", format="PNG")), ("old.jpg", with_facts()))
    assert "Today 2 pictures" in read(glimpse, "/").words
    glimpse.work()
    words = read(glimpse, "/").words
    assert "Today 1 picture" in words
    assert "4 May 2021 1 picture" in words


@pytest.mark.parametrize(
    "path", ["/?month=2023-13", "/?month=0000-01", "/?month=x", "/?order=size", "/?date=soon&before=3", "/?after=0"]
)
def test_nonsense_is_answered(glimpse: Glimpse, path: str) -> None:
    assert glimpse.client.get(path).status_code in (400, 422)


def test_there_is_nothing_to_jump_to_in_a_small_gallery() -> None:
    assert years_of({}, "") == ()
    assert years_of({"2023-05": 5000}, "2023-05") == ()
    assert years_of({"2023-05": 10, "2021-01": 10}, "2023-05") == ()
    (new, old) = years_of({"2023-05": 10, "2023-01": 1, "2021-01": 10}, "2021-01")
    assert ([month.pictures for month in new.months], new.pictures, new.is_current) == ([10, 1], 11, False)
    assert (old.year, old.is_current) == ("2021", True)
