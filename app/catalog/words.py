"""Words that stand in file names and captions, and the full-text index over them (FTS5, or PostgreSQL's `tsvector`).

The index, the table ``words``, holds for each picture the words of its name and of its captions. It is written in the
transactions that write the rows of `images`, so the two can't come apart. Words are folded here, for what is kept and
for what is asked alike: without case and accents, parted where letters meet digits and where camelCase rises, so that
``IMG_2041.jpg``, ``img-2041`` and ``IMG2041`` are the same two words.

Sources: https://sqlite.org/fts5.html, https://www.postgresql.org/docs/18/datatype-textsearch.html
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, column, delete, insert, select, table, text, update

from app.catalog.conditions import where
from app.catalog.database import Database
from app.catalog.postgresql import look_up_words
from app.catalog.tables import images
from app.conditions import ENDINGS, Condition
from app.models import NO_CAPTIONS, Captions

MOST_HITS = 500
"""Pictures found by their words: the newest (or first by date, as asked), where a word stands in every other name."""
MOST_WORDS = 32
"""A query of more words is a description, and in nobody's file name."""
LONGEST_WORD = 500
"""Letters of a word that PostgreSQL compares; a lexeme has at most 2,046 bytes there."""
SHORTEST_BEGINNING = 3
"""Letters from which on a word of a query may be the beginning of a longer one."""
COMMON = frozenset("a an and at by for from in is it my of on or some something the to with".split())  # noqa: SIM905
"""Words of a query that need not be there, beside others."""

words = table("words", column("rowid"), column("name"), column("caption"))

_FOUND = (
    select(words.c.rowid, images.c.filename, words.c.name, words.c.caption)
    .join_from(words, images, images.c.id == words.c.rowid)
    .order_by(words.c.rowid.desc())
    .limit(MOST_HITS)
)
_FOUND_BY = {
    "sqlite": _FOUND.where(text("words MATCH :expression")),
    "postgresql": _FOUND.where(text("words.places @@ CAST(:expression AS tsquery)")),
}
"""Asked before each search, so made once: building a statement takes as long as running it."""

_RISE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"\d+|[^\W\d_]+")


class _Texts(NamedTuple):
    """A file name, and the indexed words of it and of the captions."""

    filename: str
    name: str
    caption: str

    def have(self, phrase: str) -> bool:
        """Whether its words stand there, whole and one behind the other."""
        return f" {phrase} " in f" {self.name} " or f" {phrase} " in f" {self.caption} "


@dataclass(frozen=True, slots=True)
class WordHit:
    """A picture that has all words of a query, at least as beginnings of its own words."""

    image_id: int
    in_name: bool
    in_caption: bool
    whole: bool
    """Not only as beginnings."""
    named: bool
    """The query names this very file: it holds a number that no look could tell, or is the whole name."""


def folded(text: str) -> list[str]:
    """The words of a text, without case and accents."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return _WORD.findall(plain.casefold())


def indexed(text: str) -> str:
    """What the index holds of a text. camelCase is there in parts and as a whole: *WhatsApp*, *iPhone*."""
    whole, parts = folded(text), folded(_RISE.sub(" ", text))
    return " ".join(parts if parts == whole else parts + whole)


def without_ending(filename: str) -> str:
    """``beach.jpg`` → ``beach``: every name has an ending, so it tells none from the others."""
    stem, dot, ending = filename.rpartition(".")
    return stem if dot and ending.lower() in ENDINGS else filename


def add_words(connection: Connection, image_id: int, filename: str) -> None:
    """Index a new picture by its name."""
    connection.execute(insert(words).values(rowid=image_id, name=indexed(without_ending(filename)), caption=""))


def set_caption(connection: Connection, image_id: int, captions: Captions) -> None:
    """Index what stands in the file of a picture."""
    caption = indexed("\n".join([captions.title, captions.description, *captions.keywords]))
    connection.execute(update(words).where(words.c.rowid == image_id).values(caption=caption))


def captions_of(kept: dict[str, Any] | None) -> Captions:
    """Of the column `captions`."""
    return Captions(kept["title"], kept["description"], tuple(kept["keywords"])) if kept else NO_CAPTIONS


def remove_words(connection: Connection, image_id: int) -> None:
    connection.execute(delete(words).where(words.c.rowid == image_id))


class Words:
    """Finds pictures by the words in their names and captions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(
        self, query: str, conditions: Sequence[Condition] = (), oldest_first: bool | None = None
    ) -> list[WordHit]:
        """Pictures that have all words of ``query`` and meet the conditions, best first.

        First those it names, then those with whole words, then those where it says more of the text; newer ones first.
        Where there are more than `MOST_HITS`, the newest ones are taken; with ``oldest_first``, the first ones in that
        order of dates, as many whole words and as many beginnings.
        """
        phrases = phrases_of(query)
        if not phrases or len(phrases) > MOST_WORDS:
            return []
        found = self._matching(phrases, True, conditions, oldest_first)
        whole = {image_id for image_id, texts in found.items() if all(map(texts.have, phrases))}
        if len(found) == MOST_HITS:  # older ones with whole words are as good
            others = self._matching(phrases, False, conditions, oldest_first)
            found, whole = found | others, whole | others.keys()
        hits = [_hit(image_id, texts, query, phrases, image_id in whole) for image_id, texts in found.items()]
        hits.sort(key=lambda hit: (not hit.named, not hit.whole, _length(hit, found[hit.image_id]), -hit.image_id))
        return hits[:MOST_HITS] if oldest_first is None else hits

    def _matching(
        self, phrases: Iterable[str], beginnings: bool, conditions: Sequence[Condition], oldest_first: bool | None
    ) -> dict[int, _Texts]:
        """By id, the newest ones: that is FTS5's own order, so that it stops at `MOST_HITS`. By date it can't."""
        with self._database.reading() as connection:
            wanted = _FOUND_BY[connection.dialect.name]
            if conditions:
                wanted = wanted.where(*where(conditions))
            if oldest_first is not None:
                order = (images.c.date, images.c.id) if oldest_first else (images.c.date.desc(), images.c.id.desc())
                wanted = wanted.order_by(None).order_by(*order)
            if connection.dialect.name == "postgresql":
                expression = _tsquery(phrases, beginnings)
                look_up_words(connection, expression)
            else:
                expression = _fts5(phrases, beginnings)
            rows = connection.execute(wanted, {"expression": expression})
            return {image_id: _Texts(*texts) for image_id, *texts in rows}


def phrases_of(query: str) -> list[str]:
    """What has to be found: for each word as typed its parts, one behind the other, as ``img 2041`` for IMG_2041."""
    typed = (" ".join(folded(without_ending(word))) for word in query.split())
    phrases = list(dict.fromkeys(phrase for phrase in typed if phrase))
    return [phrase for phrase in phrases if phrase not in COMMON] or phrases


def _fts5(phrases: Iterable[str], beginnings: bool) -> str:
    """An FTS5 expression. Folded words hold letters and digits alone, so in quotes nothing in them is grammar."""
    return " AND ".join(f'"{phrase}"{"*" if beginnings and _may_begin(phrase) else ""}' for phrase in phrases)


def _tsquery(phrases: Iterable[str], beginnings: bool) -> str:
    """The same for PostgreSQL: ``'img' <-> '20':*``."""
    return " & ".join(
        " <-> ".join(f"'{word[:LONGEST_WORD]}'" for word in phrase.split())
        + (":*" if beginnings and _may_begin(phrase) else "")
        for phrase in phrases
    )


def _may_begin(phrase: str) -> bool:
    return len(phrase.rpartition(" ")[2]) >= SHORTEST_BEGINNING


def _hit(image_id: int, texts: _Texts, query: str, phrases: list[str], whole: bool) -> WordHit:
    sought = [f" {phrase}" if not whole and _may_begin(phrase) else f" {phrase} " for phrase in phrases]
    name, caption = f" {texts.name} ", f" {texts.caption} "
    in_name = any(phrase in name for phrase in sought)
    in_caption = any(phrase in caption for phrase in sought)
    number = any(word.isdigit() and len(word) > 1 for phrase in phrases for word in phrase.split())
    named = number and all(f" {phrase} " in name for phrase in phrases)
    named = named or _composed(query) == _composed(texts.filename)
    return WordHit(image_id, in_name or not in_caption, in_caption, whole, named)


def _composed(text: str) -> str:
    """For comparing whole names: disks and archives of a Mac keep accents as characters of their own."""
    return unicodedata.normalize("NFC", " ".join(text.split())).casefold()


def _length(hit: WordHit, texts: _Texts) -> int:
    """Letters of the texts it was found in: the fewer there are, the more a query says of them."""
    return len(texts.name) * hit.in_name + len(texts.caption) * hit.in_caption
