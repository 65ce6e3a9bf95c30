"""The filter form and the chips: two faces of the conditions in a query.

The grammar is the only truth. The form shows what it can of a query, and writes back only what was changed in it: what
it has no field for (weights, ``-words``, ``like:``, a second condition on the same thing) stays as it was typed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from cachetools import TTLCache, cached
from starlette.datastructures import QueryParams

from app.catalog.images import Choices
from app.conditions import Condition, Field, parse_period, parse_size, parse_types
from app.library.query import Query, Sort, parse, show

CHOICES_SECONDS = 10
"""How old the choices on offer may be: finding them looks at every row, and the fields take other values as well."""

_FIELDS = (Field.TYPE, Field.ORIENTATION, Field.TAKEN, Field.CAMERA, Field.NAME, Field.LARGER)
_TEXTS = ("taken_from", "taken_to", "orientation", "camera", "name", "larger")


@dataclass(frozen=True, slots=True)
class Filters:
    """What stands in the fields of the form, by their names; empty is *any*."""

    type: tuple[str, ...] = ()
    orientation: str = ""
    taken_from: str = ""
    """``2023-05-17``; both days belong to the range."""
    taken_to: str = ""
    camera: str = ""
    name: str = ""
    larger: str = ""
    """Megapixels."""
    sort: str = "newest"
    """A `Sort`; relevance only where there is something to compare with."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A part of a query, and where the query without it leads."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class FilterForm:
    """`_filters.html`: the form for the query ``text``; ``choices`` are what it offers."""

    text: str
    choices: Choices
    picture: str = ""

    @property
    def query(self) -> Query:
        return replace(parse(self.text), picture=self.picture)

    @property
    def filters(self) -> Filters:
        return filters_of(self.query)

    @property
    def types(self) -> tuple[str, ...]:
        """Formats to choose from: those the library has and those the query names."""
        return tuple(sorted({*self.choices.formats, *self.filters.type}))


def filters_of(query: Query) -> Filters:
    """What the form shows of a query."""
    found: dict[str, Any] = {}
    for field in _FIELDS:
        found |= _shown(query.conditions[at]) if (at := _position(query, field)) is not None else {}
    dated = query.sort if query.sort in (Sort.NEWEST, Sort.OLDEST) else None
    return Filters(**found, sort=dated or _usual_order(query))


def submitted_url(text: str, form: QueryParams, picture: str = "") -> str | None:
    """Where ``text`` with the fields of a form leads; ``None`` if no form was submitted. A missing field says nothing.

    Nothing is checked here: what makes no sense becomes a condition that makes no sense, and searching says so.
    """
    given: dict[str, Any] = {name: " ".join(form[name].split()) for name in _TEXTS if name in form}
    if "type" in form:
        given["type"] = tuple(sorted({kind for kind in form.getlist("type") if kind.strip()}))
    if form.get("sort") in list(Sort):
        given["sort"] = form["sort"]
    if not given:
        return None
    query = replace(parse(text), picture=picture)
    if query.complaints:  # then what was understood is not all of it
        return _url(" ".join([text.strip(), show(with_filters(Query(), replace(Filters(), **given)))]), picture)
    return search_url(with_filters(query, replace(filters_of(query), **given)))


def with_filters(query: Query, filters: Filters) -> Query:
    """The query that the form means. What shows the same in the form already is left as it is."""
    conditions = list(query.conditions)
    for field in _FIELDS:
        at = _position(replace(query, conditions=tuple(conditions)), field)
        before = _value(field, Filters(**_shown(conditions[at]))) if at is not None else ""
        after = _value(field, filters)
        if after != before:
            place = slice(at, at + 1) if at is not None else slice(len(conditions), None)
            conditions[place] = [Condition(field, after)] if after else []
    sort = query.sort
    if filters.sort != filters_of(query).sort:
        sort = Sort(filters.sort) if filters.sort != _usual_order(query) else None
    return replace(query, conditions=tuple(dict.fromkeys(conditions)), sort=sort)


def chips_of(query: Query) -> tuple[Chip, ...]:
    """Everything about a query but its words, each part to be taken away."""
    chips = [Chip("your picture", search_url(replace(query, picture="")))] if query.picture else []
    chips += [
        Chip(
            f"away from {term.text}" if term.weight < 0 else f"{term.text} × {term.weight:g}",
            search_url(replace(query, terms=tuple(other for other in query.terms if other != term))),
        )
        for term in query.terms
    ]
    chips += [
        Chip(f"like picture {number}", search_url(replace(query, like=tuple(n for n in query.like if n != number))))
        for number in query.like
    ]
    chips += [
        Chip(
            f"{'not ' if condition.negated else ''}{condition.field}: {condition.value}",
            search_url(replace(query, conditions=tuple(c for c in query.conditions if c != condition))),
        )
        for condition in query.conditions
    ]
    if query.sort and query.has_meaning:
        chips.append(Chip(f"sort: {query.sort}", search_url(replace(query, sort=None))))
    return tuple(chips)


def search_url(query: Query) -> str:
    """Where the pictures that a query means are."""
    return _url(show(query), query.picture)


def remembered(read: Callable[[], Choices]) -> Callable[[], Choices]:
    """``read``, asked every `CHOICES_SECONDS` at most."""
    cache: TTLCache[object, Choices] = TTLCache(1, CHOICES_SECONDS)
    return cached(cache, lock=threading.Lock())(read)


def _usual_order(query: Query) -> Sort:
    return Sort.RELEVANCE if query.has_meaning else Sort.NEWEST


def _url(text: str, picture: str = "") -> str:
    parts = ({"picture": picture} if picture else {}) | ({"q": text} if text else {})
    return f"/search?{urlencode(parts)}" if parts else "/"


def _position(query: Query, field: Field) -> int | None:
    """Which condition the form shows for ``field``: the first that it can."""
    shown = (at for at, c in enumerate(query.conditions) if c.field is field and _shown(c))
    return next(shown, None)


def _shown(condition: Condition) -> dict[str, Any]:
    """Fields of the form that say the same as ``condition``; none if it has no words for it."""
    value = condition.value
    shown: dict[str, Any] = {}
    match condition.field:
        case Field.TYPE:
            shown = {"type": tuple(sorted(set(parse_types(value))))}
        case Field.ORIENTATION:
            shown = {"orientation": value.lower()}
        case Field.CAMERA | Field.NAME:
            shown = {condition.field.value: value}
        case Field.LARGER if (size := parse_size(value)).pixels:
            shown = {"larger": f"{size.amount / 1e6:g}"}
        case Field.TAKEN:
            shown = _days(value)
    return {} if condition.negated else shown


def _days(value: str) -> dict[str, Any]:
    """The first and the last day of a period. One that moves with the calendar has none: ``taken:week``."""
    if any(character.isalpha() for character in value):
        return {}
    period = parse_period(value, date.today())
    last = period.end - timedelta(days=1) if period.end else None
    return {
        "taken_from": period.start.date().isoformat() if period.start else "",
        "taken_to": last.date().isoformat() if last else "",
    }


def _value(field: Field, filters: Filters) -> str:
    """What stands behind ``field:`` for these fields of the form."""
    match field:
        case Field.TYPE:
            return ",".join(filters.type)
        case Field.TAKEN:
            first, last = filters.taken_from, filters.taken_to
            return first if first == last else f"{first}..{last}"
        case Field.LARGER:
            number = filters.larger
            return f"{'0' if number.startswith('.') else ''}{number}mp" if number else ""
    return str(getattr(filters, field.value))
