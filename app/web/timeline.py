"""The gallery by date, as addresses: places to go on from, and months to jump to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from urllib.parse import urlencode

from app.catalog.images import Place
from app.conditions import parse_period
from app.errors import InvalidInput
from app.models import Image

FEWEST = 20
"""Up to so many pictures can be looked through; months to jump to would be one more thing to look at."""


@dataclass(frozen=True, slots=True)
class Month:
    """A month that has pictures. ``month``: ``2023-05``."""

    month: str
    pictures: int
    is_current: bool

    @property
    def first_day(self) -> date:
        return date.fromisoformat(f"{self.month}-01")

    @property
    def url(self) -> str:
        return f"/?month={self.month}"


@dataclass(frozen=True, slots=True)
class Year:
    """Its months that have pictures, newest first."""

    year: str
    months: tuple[Month, ...]

    @property
    def pictures(self) -> int:
        return sum(month.pictures for month in self.months)

    @property
    def is_current(self) -> bool:
        return any(month.is_current for month in self.months)


def years_of(months: Mapping[str, int], current: str) -> tuple[Year, ...]:
    """The rail, of pictures per month, newest first; none where there is nowhere to jump to."""
    if len(months) < 2 or sum(months.values()) <= FEWEST:
        return ()
    found = (Month(month, pictures, month == current) for month, pictures in months.items())
    return tuple(Year(year, tuple(each)) for year, each in groupby(found, key=lambda month: month.month[:4]))


def older_url(image: Image) -> str:
    """Where the gallery goes on behind a picture."""
    return f"/?{urlencode({'date': image.date.isoformat(), 'before': image.id})}"


def newer_url(image: Image) -> str:
    """Where the page above a picture is."""
    return f"/?{urlencode({'date': image.date.isoformat(), 'after': image.id})}"


def end_of_month(month: str) -> Place:
    """The place before the newest picture that a month can have. Raises `InvalidInput`."""
    try:
        end = parse_period(month, date.today()).end
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    return Place(end or datetime.max, 0)
