"""The grammar of the search box."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conditions import Condition, Field
from app.library.query import Query, Sort, Term, parse, show


def test_plain_words_are_one_text_in_the_order_typed() -> None:
    assert parse("  beach   at sunset ") == Query(words="beach at sunset")


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("-people", Term("people", -1)),
        ('-"many people"', Term("many people", -1)),
        ("+snow", Term("snow", 1)),
        ("+2:snow", Term("snow", 2)),
        ('+0.5:"wet dog"', Term("wet dog", 0.5)),
        ("+999:snow", Term("snow", 10)),
        ("+0:snow", Term("snow", 0.1)),
    ],
)
def test_terms_have_weights_and_minus_pushes_away(text: str, term: Term) -> None:
    assert parse(f"dog {text}") == Query(words="dog", terms=(term,))


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("name:invoice", Condition(Field.NAME, "invoice")),
        ('name:"hotel bill"', Condition(Field.NAME, "hotel bill")),
        ("TYPE:png", Condition(Field.TYPE, "png")),
        ("-type:gif,webp", Condition(Field.TYPE, "gif,webp", negated=True)),
        ("camera:canon", Condition(Field.CAMERA, "canon")),
        ("orientation:portrait", Condition(Field.ORIENTATION, "portrait")),
        ("larger:2mp", Condition(Field.LARGER, "2mp")),
        ("smaller:200kb", Condition(Field.SMALLER, "200kb")),
        ("taken:2023", Condition(Field.TAKEN, "2023")),
        ("taken:2023-05..2024-02", Condition(Field.TAKEN, "2023-05..2024-02")),
        ("taken:..2019", Condition(Field.TAKEN, "..2019")),
        ("added:today", Condition(Field.ADDED, "today")),
        ("state:failed", Condition(Field.STATE, "failed")),
    ],
)
def test_conditions(text: str, condition: Condition) -> None:
    assert parse(f"red {text} car") == Query(words="red car", conditions=(condition,))


def test_like_and_sort() -> None:
    assert parse("like:12 like:7 at night sort:newest") == Query(words="at night", like=(12, 7), sort=Sort.NEWEST)


@pytest.mark.parametrize("text", ['"type:png"', '"-people"', '"like:1"'])
def test_quotes_take_the_meaning_as_grammar_away(text: str) -> None:
    assert parse(text) == Query(words=text.strip('"'))


@pytest.mark.parametrize(
    "text", ["10:30", "note: milk", "https://example.org/a.png", "-", ":-)", '"open', "a - b", "C:"]
)
def test_what_only_looks_like_grammar_stays_words(text: str) -> None:
    query = parse(text)
    assert query.words.replace('"', "") == text.replace('"', "")
    assert query.complaints == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nmae:invoice", "Did you mean name:invoice?"),
        ("colour:red", "put them in quotes"),
        ("type:docx", "docx is no type of picture"),
        ("larger:huge", "huge is no size"),
        ("taken:2023-13", "2023-13 is no date"),
        ("taken:2024..2023", "2024 comes after 2023"),
        ("taken:..", "from when to when"),
        ("orientation:up", "none of landscape, portrait, square"),
        ("state:lost", "none of pending"),
        ("like:me", "me is none"),
        ("sort:random", "random is none of them"),
        ("-like:5", "like: takes no minus and no weight"),
        ("+2:like:5", "like: takes no minus and no weight"),
        ("-sort:newest", "sort: takes no minus and no weight"),
        ("like:" + "9" * 5000, "takes the number of a picture"),
        ("taken:" + "." * 1990, "from when to when"),
        (" ".join(f"-word{n}" for n in range(30)), "at most 16"),
    ],
)
def test_complaints_say_what_to_do_and_keep_the_rest(text: str, says: str) -> None:
    query = parse(f"dog {text}")
    assert query.words == "dog"
    assert says in " ".join(query.complaints)


@given(st.text())
def test_parsing_never_raises_and_no_letter_of_plain_words_is_lost(text: str) -> None:
    query = parse(text)
    if not any(character in text for character in '-+:"\\'):
        assert query == Query(words=" ".join(text.split()))


WORDS = st.lists(st.sampled_from(["dog", "type:png", "-x", "+2:y", 'say "hi"', "back\\slash", "1:2", '"', "-", "été"]))


@given(WORDS, WORDS, st.text(alphabet='ab :-+"\\1'))
def test_showing_and_parsing_again_changes_nothing(words: list[str], away: list[str], rest: str) -> None:
    quoted = " ".join([*words, *(f'-"{word}"' for word in away), rest, "type:png -camera:canon sort:oldest like:3"])
    query = parse(quoted)
    if not query.complaints:
        assert parse(show(query)) == query


@pytest.mark.parametrize("text", ['-name:""', 'camera:""'])
def test_a_condition_on_nothing_is_told(text: str) -> None:
    assert "Say what it contains" in " ".join(parse(text).complaints)
