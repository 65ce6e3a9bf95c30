"""Exact conditions on pictures, as the query language knows them: fields, and what their values mean.

A `Condition` keeps its value as text, so that it can be printed again; the functions here say what the text means.
They raise ``ValueError`` with a sentence for the person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from app.models import ImageState


class Field(StrEnum):
    """What conditions are about."""

    NAME = "name"
    TYPE = "type"
    CAMERA = "camera"
    ORIENTATION = "orientation"
    LARGER = "larger"
    SMALLER = "smaller"
    TAKEN = "taken"
    ADDED = "added"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Condition:
    """``field:value``, or with ``negated`` everything else."""

    field: Field
    value: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start`` up to, not including, ``end``; ``None`` is open."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Size:
    """A bound in bytes or, with ``pixels``, in pixels."""

    amount: int
    pixels: bool


LARGEST = 1e18
"""Bytes or pixels: beyond any picture, within what a database can compare."""
TYPES = {"jpg": "jpeg", "jpe": "jpeg", "tif": "tiff", "heif": "heic"}
"""Other names of formats."""
ORIENTATIONS = ("landscape", "portrait", "square")
_FORMATS = ("jpeg", "png", "gif", "webp", "avif", "bmp", "tiff", "heic")
ENDINGS = frozenset((*TYPES, *_FORMATS))
"""What file names of pictures end with."""
_UNITS = {"mp": 1_000_000, "kb": 1000, "mb": 1_000_000, "gb": 1_000_000_000, "b": 1}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(mp|kb|mb|gb|b)", re.IGNORECASE)
_DAY = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


def parse_period(value: str, today: date) -> Period:
    """``2023``, ``2023-05``, ``2023-05-17``, ``A..B``, ``A..``, ``..B``, ``today``, ``yesterday``, ``week``, ``month``.

    Without a zone: days of the person's clock, of which ``today`` is one.
    """
    if ".." in value:
        first, _, last = value.partition("..")
        if ".." in last or (not first and not last):
            raise ValueError("Say from when to when, as in 2023-05..2024-02.")
        start = parse_period(first, today).start if first else None
        end = parse_period(last, today).end if last else None
        if start and end and start >= end:
            raise ValueError(f"{first} comes after {last}.")
        return Period(start, end)
    words = {"today": (0, 1), "yesterday": (1, 1), "week": (6, 7), "month": (29, 30)}
    if value.lower() in words:
        back, days = words[value.lower()]
        start = datetime.combine(today - timedelta(days=back), datetime.min.time())
        return Period(start, start + timedelta(days=days))
    return _day(value)


def period_of(value: str, utc: bool) -> Period:
    """What ``value`` means now: by the clock of the person, or with ``utc`` the same time in UTC."""
    period = parse_period(value, datetime.now().astimezone().date())
    if not utc:
        return period
    return Period(*(moment and _to_utc(moment) for moment in (period.start, period.end)))


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):  # years that clocks don't reach, where a few hours decide nothing
        return moment


def _day(value: str) -> Period:
    parts = _DAY.fullmatch(value)
    year, month, day = (int(part) if part else None for part in parts.groups()) if parts else (None, None, None)
    try:
        start = datetime(year or 0, month or 1, day or 1)
    except ValueError:
        raise ValueError(f"{value} is no date. Write 2023, 2023-05, 2023-05-17 or a range like 2023..2024.") from None
    try:
        if day:
            return Period(start, start + timedelta(days=1))
        if month:
            return Period(start, datetime(start.year + month // 12, month % 12 + 1, 1))
        return Period(start, datetime(start.year + 1, 1, 1))
    except (ValueError, OverflowError):  # the end of the calendar
        return Period(start, None)


def parse_size(value: str) -> Size:
    """``2mp`` (megapixels), ``200kb``, ``3mb``."""
    parts = _SIZE.fullmatch(value)
    if parts is None:
        raise ValueError(f"{value} is no size. Write 2mp for megapixels, or 200kb, 3mb for the file.")
    unit = parts[2].lower()
    amount = min(float(parts[1]) * _UNITS[unit], LARGEST)
    return Size(round(amount), pixels=unit == "mp")


def parse_types(value: str) -> tuple[str, ...]:
    """``png`` or ``png,jpg``: keys of `app.media.pictures.FORMATS`."""
    types = tuple(TYPES.get(part.lower(), part.lower()) for part in value.split(",") if part)
    unknown = [part for part in types if part not in _FORMATS]
    if unknown or not types:
        raise ValueError(f"{', '.join(unknown) or 'Nothing'} is no type of picture here: {', '.join(_FORMATS)} are.")
    return types


def check(condition: Condition) -> None:
    """Raises ``ValueError`` if the value means nothing for its field."""
    value = condition.value
    match condition.field:
        case Field.TAKEN | Field.ADDED:
            parse_period(value, date.today())
        case Field.LARGER | Field.SMALLER:
            parse_size(value)
        case Field.TYPE:
            parse_types(value)
        case Field.ORIENTATION:
            _one_of(value, ORIENTATIONS)
        case Field.STATE:
            _one_of(value, tuple(ImageState))
        case Field.NAME | Field.CAMERA:
            if not value:
                raise ValueError("Say what it contains.")


def _one_of(value: str, known: tuple[str, ...]) -> None:
    if value.lower() not in known:
        raise ValueError(f"{value} is none of {', '.join(known)}.")
