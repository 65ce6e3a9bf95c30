"""Conditions of the query language as SQL."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import BigInteger, Column, ColumnElement, and_, cast, not_, or_

from app.catalog.tables import images
from app.conditions import Condition, Field, parse_size, parse_types, period_of


def where(conditions: Iterable[Condition]) -> list[ColumnElement[bool]]:
    """One expression for each condition; all must hold. Values were checked by `app.conditions.check`."""
    return [not_(_holds(c)) if c.negated else _holds(c) for c in conditions]


def _holds(condition: Condition) -> ColumnElement[bool]:  # noqa: PLR0911 - a table of fields
    value = condition.value
    match condition.field:
        case Field.NAME:
            return and_(*(_in_name(word) for word in value.split()))
        case Field.CAMERA:
            return images.c.camera.is_not(None) & images.c.camera.icontains(value, autoescape=True)
        case Field.TYPE:
            return images.c.format.in_(parse_types(value))
        case Field.STATE:
            return images.c.state == value.lower()
        case Field.ORIENTATION:
            return _orientation(value.lower())
        case Field.LARGER | Field.SMALLER:
            size = parse_size(value)
            measure = cast(images.c.width, BigInteger) * images.c.height if size.pixels else images.c.bytes
            return measure > size.amount if condition.field is Field.LARGER else measure < size.amount
        case Field.TAKEN:
            return images.c.taken_at.is_not(None) & _within(images.c.taken_at, value, utc=False)
        case Field.ADDED:
            return _within(images.c.added_at, value, utc=True)


def _in_name(word: str) -> ColumnElement[bool]:
    """In either way of writing accents: disks and archives of a Mac keep them as characters of their own."""
    forms = dict.fromkeys((word, unicodedata.normalize("NFC", word), unicodedata.normalize("NFD", word)))
    return or_(*(images.c.filename.icontains(form, autoescape=True) for form in forms))


def _orientation(value: str) -> ColumnElement[bool]:
    width, height = images.c.width, images.c.height
    return {"landscape": width > height, "portrait": width < height, "square": width == height}[value]


def _within(column: Column[datetime], value: str, utc: bool) -> ColumnElement[bool]:
    """``utc``: the column holds UTC, while people mean days of their own clock."""
    period = period_of(value, utc)
    bounds = ([column >= period.start] if period.start else []) + ([column < period.end] if period.end else [])
    return and_(*bounds)
