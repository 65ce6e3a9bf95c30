r"""What a person types into the box: words by meaning and exact conditions, in one grammar.

::

    beach at sunset -people          words by meaning; -word and -"several words" push away
    +2:snow dog                      weights
    like:1234                        looks like picture 1234, alone or together with words
    name:invoice type:png camera:canon orientation:portrait larger:2mp smaller:200kb
    taken:2023 taken:2023-05..2024-02 taken:..2019 added:today state:failed -type:gif
    sort:newest | oldest | relevance

Quotes keep words together and take away their meaning as grammar: ``"type:png"`` is a word. Inside of them ``\"`` is a
quote and ``\\`` a backslash. A condition with ``-`` in front holds for the pictures that do not meet it.

`parse` never raises: what it can't make sense of becomes a complaint, beside everything it did understand.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum

from app.conditions import Condition, Field, check

LIGHTEST, HEAVIEST = 0.1, 10.0
"""Bounds of a weight."""
MOST_TERMS = 16
"""Weighted parts of one query: each costs a pass through the text tower."""

_TOKEN = re.compile(
    r"""
    (?P<sign> - | \+ (?: (?P<weight> \d{1,3} (?: \.\d{1,3} )? ) : )? )?
    (?: (?P<field> [A-Za-z]+ ) : (?= \S ) )?
    (?: " (?P<quoted> (?: [^"\\] | \\. )* ) " (?= \s | $ ) | (?P<bare> \S+ ) )
    """,
    re.VERBOSE | re.DOTALL,
)
_SIMPLE = re.compile(r"[\w.,-]+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Sort(StrEnum):
    """In which order results come."""

    RELEVANCE = "relevance"
    NEWEST = "newest"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True)
class Term:
    """Words with a weight; a negative one pushes away."""

    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class Query:
    """What was understood, and in ``complaints`` what was not, in words for the person.

    ``words`` is one text, in the order typed: a model reads phrases, not keywords.
    """

    words: str = ""
    terms: tuple[Term, ...] = ()
    like: tuple[int, ...] = ()
    conditions: tuple[Condition, ...] = ()
    sort: Sort | None = None
    complaints: tuple[str, ...] = ()
    picture: str = ""
    """A token of `app.library.picture_links`: stands beside the box, never in its text."""

    @property
    def has_meaning(self) -> bool:
        """Whether there is anything to compare pictures with; else conditions alone decide."""
        return bool(self.words or self.like or self.terms or self.picture)

    @property
    def sought(self) -> str:
        """All words looked for, whatever their weight, and none that is pushed away."""
        return " ".join([self.words, *(term.text for term in self.terms if term.weight > 0)]).strip()


FIELDS = (*Field, "like", "sort")


def parse(text: str) -> Query:
    """Read a query. Never raises."""
    parts = _Parts()
    for token in _TOKEN.finditer(text):
        parts.take(token)
    return parts.query()


def show(query: Query) -> str:
    """The text of a query: ``parse(show(query)) == query`` for every query that `parse` can give without complaint."""
    shown = [_bare_or_quoted(word) for word in query.words.split()]
    shown += [_show_term(term) for term in query.terms]
    shown += [f"like:{image_id}" for image_id in query.like]
    shown += [f"{'-' if c.negated else ''}{c.field}:{_quote_if_spaced(c.value)}" for c in query.conditions]
    shown += [f"sort:{query.sort}"] if query.sort else []
    return " ".join(shown)


class _Parts:
    """Collects what the tokens of one query say."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._terms: list[Term] = []
        self._like: list[int] = []
        self._conditions: list[Condition] = []
        self._sort: Sort | None = None
        self._complaints: list[str] = []

    def query(self) -> Query:
        if len(self._terms) > MOST_TERMS:
            self._complaints.append(f"One query holds at most {MOST_TERMS} words with a weight or a minus.")
        return Query(
            " ".join(self._words),
            tuple(self._terms[:MOST_TERMS]),
            tuple(dict.fromkeys(self._like)),
            tuple(dict.fromkeys(self._conditions)),
            self._sort,
            tuple(self._complaints),
        )

    def take(self, token: re.Match[str]) -> None:
        field, sign = token["field"], token["sign"]
        value = _ESCAPED.sub(r"\1", token["quoted"]) if token["quoted"] is not None else token["bare"]
        value = " ".join(value.split())
        if field is not None and not _is_field(field, value):
            self._words += f"{sign or ''}{field}:{value}".split()
        elif field is not None:
            self._take_field(field, value, sign)
        elif sign is None:
            self._words += value.split()
        else:
            self._take_term(value, sign, token["weight"])

    def _take_term(self, value: str, sign: str, weight: str | None) -> None:
        if not any(character.isalnum() for character in value):
            self._words += [sign + value]  # a dash, a smiley
            return
        amount = -1.0 if sign == "-" else min(max(float(weight or 1), LIGHTEST), HEAVIEST)
        self._terms.append(Term(value, amount))

    def _take_field(self, name: str, value: str, sign: str | None) -> None:
        known = name.lower()
        if known in ("like", "sort") and sign not in (None, "+"):
            self._complaints.append(f"{known}: takes no minus and no weight.")
        elif known == "like":
            self._take_like(value)
        elif known == "sort":
            self._take_sort(value)
        elif known in list(Field):
            self._take_condition(Condition(Field(known), value, negated=sign == "-"))
        else:
            near = difflib.get_close_matches(known, FIELDS, n=1)
            hint = f"Did you mean {near[0]}:{value}?" if near else f"There are {', '.join(FIELDS)}."
            self._complaints.append(
                f"There is no {name}: to search by. {hint} To search for the words, put them in quotes."
            )

    def _take_like(self, value: str) -> None:
        if len(value) < 20 and value.isascii() and value.isdigit() and 0 < int(value) < 2**63:
            self._like.append(int(value))
        else:
            self._complaints.append(f"like: takes the number of a picture, and {value} is none.")

    def _take_sort(self, value: str) -> None:
        if value.lower() in list(Sort):
            self._sort = Sort(value.lower())
        else:
            self._complaints.append(f"sort: takes {', '.join(Sort)}, and {value} is none of them.")

    def _take_condition(self, condition: Condition) -> None:
        try:
            check(condition)
        except ValueError as error:
            self._complaints.append(f"{condition.field}: {error}")
        else:
            self._conditions.append(condition)


def _is_field(name: str, value: str) -> bool:
    """Also what only looks like one: a typing error must be told, while an address is words."""
    return name.lower() in FIELDS or _SIMPLE.fullmatch(value) is not None


def _show_term(term: Term) -> str:
    sign = "-" if term.weight < 0 else "+" if term.weight == 1 else f"+{term.weight:g}:"
    return sign + _bare_or_quoted(term.text)


def _bare_or_quoted(text: str) -> str:
    """As it is, if that reads back as plain words; else in quotes."""
    token = _TOKEN.fullmatch(text)
    plain = token is not None and token["bare"] == text and not text.startswith('"')  # two lone quotes would pair up
    return text if plain else _quote(text)


def _quote_if_spaced(value: str) -> str:
    return _quote(value) if " " in value or value.startswith('"') else value


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
