"""Words in file names and captions: what finds what, in which order, and that no text is grammar to the index."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update

from app.catalog import words as words_module
from app.catalog.database import Database
from app.catalog.images import Images, PreparedFacts
from app.catalog.tables import images as rows
from app.catalog.words import MOST_WORDS, WordHit, Words, folded, indexed
from app.library.query import parse
from app.models import Captions, ImageState
from tests.catalogs import FACTS, empty_catalog, new_image, nothing
from tests.engines.postgres import PostgresServer


def add(images: Images, *names: str) -> list[int]:
    """Ids of new pictures with these file names."""
    first = images.counts().total
    return [
        images.add(dataclasses.replace(new_image(first + number), filename=name), nothing)[0]
        for number, name in enumerate(names)
    ]


def caption(images: Images, image_id: int, captions: Captions) -> None:
    images.record_captions(image_id, captions)


def found(database: Database, query: str) -> list[int]:
    return [hit.image_id for hit in Words(database).search(query)]


def hit(database: Database, query: str) -> WordHit:
    (only,) = Words(database).search(query)
    return only


# -- words of a text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IMG_2041", "img 2041"),
        ("img-2041", "img 2041"),
        ("Hotel-Receipt_2023.PDF", "hotel receipt 2023 pdf"),
        ("WhatsApp Image", "whats app image whatsapp image"),
        ("iPhone12", "i phone 12 iphone 12"),
        ("Ærø – Çédille", "ærø cedille"),
        ("STRASSE Straße", "strasse strasse"),
        ("写真2023", "写真 2023"),
        ("", ""),
        ("!?…", ""),
    ],
)
def test_words_are_folded_and_parted(text: str, expected: str) -> None:
    assert indexed(text) == expected


@given(st.text())
def test_folded_words_hold_nothing_that_could_be_grammar(text: str) -> None:
    assert all(word and word.isalnum() for word in folded(text))
    assert folded(text) == folded(" ".join(folded(text)))


# -- what finds what


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("IMG_2041.jpg", "IMG_2041"),
        ("IMG_2041.jpg", "img-2041"),
        ("IMG_2041.jpg", "img2041"),
        ("IMG_2041.jpg", "2041"),
        ("IMG_2041.jpg", "IMG_2041.JPG"),
        ("IMG2041.jpg", "IMG_2041"),
        ("Hotel-Receipt_2023.PDF.png", "hotel receipt"),
        ("Hotel-Receipt_2023.PDF.png", "receipt 2023"),
        ("HotelReceipt.png", "hotel receipt"),
        ("HotelReceipt.png", "hotelreceipt"),
        ("WhatsApp Image 2023-05-17.jpeg", "whatsapp"),
        ("WhatsApp Image 2023-05-17.jpeg", "WhatsApp 2023-05"),
        ("cafe au lait.jpg", "Café"),
        ("Žluťoučký kůň.jpg", "zlutoucky kun"),
        ("dog.jpg", "a dog"),
        ("it.jpg", "it"),
        ("写真.jpg", "写真"),
    ],
)
def test_a_picture_is_found_by_whole_words_of_its_name(
    images: Images, database: Database, name: str, query: str
) -> None:
    (image_id, _) = add(images, name, "something else.png")
    only = hit(database, query)
    assert (only.image_id, only.in_name, only.in_caption, only.whole) == (image_id, True, False, True)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("IMG_2041.jpg", "jpg"),
        ("IMG_2041.jpg", "2042"),
        ("IMG_2041.jpg", "IMG_2041 dog"),
        ("IMG_2041.jpg", "041"),
        ("2041 other img.jpg", "IMG_2041"),
        ("dog.jpg", ""),
        ("dog.jpg", "!"),
        ("a dog.jpg", "do"),
    ],
)
def test_what_is_not_found(images: Images, database: Database, name: str, query: str) -> None:
    add(images, name)
    assert found(database, query) == []


def test_beginnings_come_after_whole_words(images: Images, database: Database) -> None:
    sunsets, sunset, _ = add(images, "sunsets.jpg", "a long name with sunset in it.jpg", "sun.jpg")
    hits = Words(database).search("sunset")
    assert [(hit.image_id, hit.whole) for hit in hits] == [(sunset, True), (sunsets, False)]


def test_captions_are_searched_too(images: Images, database: Database) -> None:
    named, told, both = add(images, "ferry.jpg", "IMG_1.jpg", "ferry to Ålesund.jpg")
    caption(images, told, Captions("A Ferry", "at dusk", ("sea", "Ålesund")))
    caption(images, both, Captions("Ferry"))
    hits = {hit.image_id: (hit.in_name, hit.in_caption) for hit in Words(database).search("ferry")}
    assert hits == {named: (True, False), told: (False, True), both: (True, True)}
    assert found(database, "alesund") == [told, both] or found(database, "alesund") == [both, told]
    assert found(database, "ferry dusk sea") == [told]
    assert found(database, "sea ferry nowhere") == []


def test_words_may_stand_in_name_and_caption_together(images: Images, database: Database) -> None:
    (image_id,) = add(images, "Hotel 1.jpg")
    caption(images, image_id, Captions(description="The receipt"))
    only = hit(database, "hotel receipt")
    assert (only.in_name, only.in_caption, only.whole) == (True, True, True)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("IMG_2041", True),
        ("2041", True),
        ("img 2041", True),
        ("img_2041.jpg", True),
        ("IMG", False),
        ("IMG_20", False),
        ("204", False),
    ],
)
def test_a_number_names_a_file(images: Images, database: Database, query: str, named: bool) -> None:
    add(images, "IMG_2041.jpg")
    assert [hit.named for hit in Words(database).search(query)] in ([named], [])


def test_a_whole_name_names_a_file_and_a_word_does_not(images: Images, database: Database) -> None:
    add(images, "sunset.jpg")
    assert hit(database, "Sunset.JPG").named
    assert not hit(database, "sunset").named


def test_a_number_in_a_caption_names_nothing(images: Images, database: Database) -> None:
    (image_id,) = add(images, "a.jpg")
    caption(images, image_id, Captions("Room 2041"))
    assert not hit(database, "2041").named


def test_the_named_come_first_then_those_it_says_more_of_then_newer_ones(images: Images, database: Database) -> None:
    long, older, newer = add(images, "beach at 2041 in the evening.jpg", "beach.jpg", "Beach.png")
    assert found(database, "beach") == [newer, older, long]
    (exact,) = add(images, "beach 2041.jpg")
    assert found(database, "beach 2041") == [exact, long]


def test_conditions_hold(images: Images, database: Database) -> None:
    old, new = add(images, "dog 1.jpg", "dog 2.jpg")
    hits = Words(database).search("dog", parse('name:"2"').conditions)
    assert [hit.image_id for hit in hits] == [new]
    assert [hit.image_id for hit in Words(database).search("dog", parse("-name:2").conditions)] == [old]
    assert Words(database).search("dog", parse("type:png").conditions) == []


def test_of_too_many_the_newest_are_found(images: Images, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = add(images, *(f"dog {number}.jpg" for number in range(9)))
    monkeypatch.setattr(words_module, "MOST_HITS", 4)
    assert found(database, "dog") == ids[:-5:-1]


def test_by_date_of_too_many_the_first_in_that_order_are_found(
    images: Images, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = add(images, *(f"dog {number}.jpg" for number in range(9)))
    days = {image_id: datetime(2020, 1, 1 + image_id * 5 % 9) for image_id in ids}
    with database.writing() as connection:
        for image_id, day in days.items():
            connection.execute(update(rows).where(rows.c.id == image_id).values(date=day))
    monkeypatch.setitem(words_module._FOUND_BY, "sqlite", words_module._FOUND_BY["sqlite"].limit(4))
    monkeypatch.setitem(words_module._FOUND_BY, "postgresql", words_module._FOUND_BY["postgresql"].limit(4))
    by_date = sorted(ids, key=days.__getitem__)
    for oldest_first, first in ((True, by_date[:4]), (False, by_date[-4:])):
        hits = Words(database).search("dog", (), oldest_first)
        assert {hit.image_id for hit in hits} == set(first)


def test_a_whole_name_is_named_however_its_accents_are_kept(images: Images, database: Database) -> None:
    composed = unicodedata.normalize("NFC", "Müller am See.jpg")
    add(images, unicodedata.normalize("NFD", composed))
    assert hit(database, composed).named
    assert hit(database, unicodedata.normalize("NFD", composed)).named


# -- in step with the pictures


def test_words_come_and_go_with_their_picture(images: Images, database: Database) -> None:
    (image_id,) = add(images, "ferry.jpg")
    images.claim(ImageState.PENDING, "w", 1)
    facts = PreparedFacts(4, 3, None, None, Captions("Dusk", "At sea", ("boat",)))
    assert images.record_prepared("w", image_id, facts)
    image = images.get(image_id)
    assert image is not None
    assert image.captions == Captions("Dusk", "At sea", ("boat",))
    assert found(database, "ferry dusk sea boat") == [image_id]
    images.start_over([image_id])
    images.claim(ImageState.PENDING, "w", 1)
    assert images.record_prepared("w", image_id, FACTS)
    assert found(database, "dusk") == []
    assert found(database, "ferry") == [image_id]
    images.remove(image_id)
    assert found(database, "ferry") == []
    with database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM words")) == 0


def test_captions_of_a_picture_that_is_gone_or_somebody_elses_are_not_kept(images: Images, database: Database) -> None:
    (image_id,) = add(images, "ferry.jpg")
    images.claim(ImageState.PENDING, "w", 1)
    assert not images.record_prepared("other", image_id, dataclasses.replace(FACTS, captions=Captions("Dusk")))
    images.remove(image_id)
    caption(images, image_id, Captions("Dusk"))
    assert found(database, "dusk") == []


def test_what_is_undone_leaves_no_words(images: Images, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    (ferry,) = add(images, "ferry.jpg")
    monkeypatch.setattr("app.catalog.images.set_caption", fail)
    monkeypatch.setattr("app.catalog.images.add_words", fail)
    with pytest.raises(OSError, match="disk full"):
        caption(images, ferry, Captions("Dusk"))
    with pytest.raises(OSError, match="disk full"):
        add(images, "boat.jpg")
    assert [image.captions for image in images.newest(9)] == [Captions()]
    assert found(database, "boat") == []
    if database.is_one_file:
        with database.writing() as connection:
            connection.execute(text("INSERT INTO words (words) VALUES ('integrity-check')"))


def test_a_library_from_before_has_its_names_indexed(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    from app.catalog.database import MIGRATIONS

    database = Database(f"sqlite:///{tmp_path / 'old.sqlite3'}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        columns = "id, md5, filename, format, bytes, width, height, state, added_at"
        row = "(:id, :id, :name, 'jpeg', 1, 1, 1, 'indexed', '2024-01-01 00:00:00.000000')"
        names = ["IMG_2041.jpg", "Café.jpg"]
        values = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
        connection.execute(text(f"INSERT INTO images ({columns}) VALUES {row}"), values)  # noqa: S608
    database.migrate()
    assert [found(database, query) for query in ("2041", "cafe", "gone")] == [[1], [2], []]
    images = Images(database)
    assert images.counts().indexed == 2, "triggers are still there"
    images.remove(1)
    assert (images.counts().indexed, found(database, "2041")) == (1, [])
    assert [image.id for image in images.without_captions(99, 9)] == [2]
    database.close()


# -- any text


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.engines)])
def some_words(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Words]:
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        database = Database(server.new_database(request.getfixturevalue("migrated")))
    else:
        database = empty_catalog(tmp_path_factory.mktemp("words"))
    add(Images(database), "IMG_2041.jpg", 'a "quoted" name*.jpg', "NEAR AND OR NOT.png", "name caption ^ rowid.gif")
    yield Words(database)
    database.close()


GRAMMAR = st.sampled_from(['"', "*", "^", "NEAR(", ")", "AND", "OR", "NOT", "{name}", ":", "name:", "-", "+", "'", ";"])


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(), st.lists(st.one_of(GRAMMAR, st.text(max_size=3))).map(" ".join)))
@example('"')
@example('a" OR "b')
@example("NEAR(img 2041, 5)")
@example("name : img*")
@example("{name caption} : img")
@example("\0")
@example("ǅ ²³ ½ \u0345 𞤀 \U0001fae0 \ud7fc")
@example(" ".join(f"w{number}" for number in range(MOST_WORDS)))
@example("x1" * 900)
def test_no_query_is_too_odd(some_words: Words, query: str) -> None:
    for hit in some_words.search(query):
        assert hit.in_name or hit.in_caption


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_every_name_is_found_by_itself(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    database = empty_catalog(tmp_path_factory.mktemp("name"))
    (image_id,) = add(Images(database), name)
    # Letters younger than SQLite's tables (Unicode 6.1) are no words to it.
    known = bool(folded(name)) and all(word.isascii() or ord(max(word)) < 0x600 for word in folded(name))
    if known and len(name.split()) <= MOST_WORDS:
        assert found(database, name) == [image_id]
    database.close()


def test_odd_queries_that_are_words_find_them(some_words: Words) -> None:
    assert [hit.image_id for hit in some_words.search("near and or not")] == [3]
    assert [hit.image_id for hit in some_words.search('"quoted" NAME*')] == [2]
