"""Conditions of the query language, against real rows."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from sqlalchemy import insert, select

from app.catalog.conditions import where
from app.catalog.database import Database
from app.catalog.images import Choices, Images
from app.catalog.tables import images as rows
from app.library.query import parse


@pytest.fixture
def some_images(database: Database) -> Images:
    """Five pictures that differ in everything conditions ask about."""
    long_ago = _now() - timedelta(days=40)
    values = [
        row(1, "Invoice 100%.png", "png", 900, (1000, 1000), "indexed", datetime(2023, 5, 17, 12), "Canon EOS 5D"),
        row(2, "invoice_2.jpg", "jpeg", 5_000_000, (4000, 3000), "indexed", datetime(2024, 2, 29, 23, 59), "NIKON D3"),
        row(3, "beach.jpg", "jpeg", 150_000, (600, 800), "failed", None, None),
        row(4, "Çédille.gif", "gif", 2000, (64, 48), "pending", datetime(2019, 12, 31, 23, 59), "canon powershot"),
        row(5, "old.webp", "webp", 2000, (48, 64), "indexed", datetime(2020, 1, 1), None, added=long_ago),
    ]
    with database.writing() as connection:
        connection.execute(insert(rows), values)
    return Images(database)


def row(
    number: int,
    name: str,
    format: str,
    size: int,
    dimensions: tuple[int, int],
    state: str,
    taken: datetime | None,
    camera: str | None,
    added: datetime | None = None,
) -> dict[str, object]:
    """Added now, unless told."""
    added = added or _now()
    return {
        "id": number,
        "md5": f"{number:032}",
        "filename": name,
        "format": format,
        "bytes": size,
        "width": dimensions[0],
        "height": dimensions[1],
        "state": state,
        "taken_at": taken,
        "camera": camera,
        "added_at": added,
        "date": taken or added,
    }


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name:invoice", {1, 2}),
        ("name:100%", {1}),
        ("name:e_2", {2}),
        ('name:"invoice png"', {1}),
        ("type:jpg", {2, 3}),
        ("type:gif,webp", {4, 5}),
        ("-type:gif,webp", {1, 2, 3}),
        ("camera:canon", {1, 4}),
        ("-camera:canon", {2, 3, 5}),
        ("orientation:landscape", {2, 4}),
        ("orientation:portrait", {3, 5}),
        ("orientation:square", {1}),
        ("larger:2mp", {2}),
        ("larger:100kb", {2, 3}),
        ("smaller:2kb", {1}),
        ("smaller:2001b", {1, 4, 5}),
        ("taken:2023", {1}),
        ("taken:2023-05", {1}),
        ("taken:2023-05-17", {1}),
        ("taken:2023-05..2024-02", {1, 2}),
        ("taken:..2019", {4}),
        ("taken:2020..", {1, 2, 5}),
        ("-taken:2020..", {3, 4}),
        ("added:today", {1, 2, 3, 4}),
        ("added:month", {1, 2, 3, 4}),
        ("state:failed", {3}),
        ("type:jpg camera:nikon", {2}),
        ("type:jpg camera:canon", set()),
    ],
)
def test_conditions_choose_pictures(some_images: Images, query: str, found: set[int]) -> None:
    conditions = parse(query).conditions
    assert conditions
    assert set(some_images.matching(conditions).tolist()) == found
    assert {image.id for image in some_images.listed(conditions, oldest_first=False, offset=0, limit=10)} == found


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_found_however_their_accents_are_kept(database: Database, form: Literal["NFC", "NFD"]) -> None:
    """As characters of their own by disks and archives of a Mac, with their letters by everybody else."""
    name = unicodedata.normalize(form, "Müller.jpg")
    with database.writing() as connection:
        connection.execute(insert(rows), [row(1, name, "jpeg", 900, (10, 10), "indexed", None, None)])
    for asked in ("NFC", "NFD"):
        conditions = parse(unicodedata.normalize(asked, "name:Müller")).conditions
        assert Images(database).matching(conditions).tolist() == [1]


def test_listed_by_date_taken_or_else_added(some_images: Images) -> None:
    newest = [image.id for image in some_images.listed((), oldest_first=False, offset=0, limit=10)]
    assert newest == [3, 2, 1, 5, 4]
    assert [image.id for image in some_images.listed((), oldest_first=True, offset=1, limit=2)] == [5, 1]


def test_choices_are_the_formats_and_cameras_that_there_are(some_images: Images) -> None:
    choices = some_images.choices()
    assert choices.formats == ("gif", "jpeg", "png", "webp")
    assert choices.cameras == ("Canon EOS 5D", "canon powershot", "NIKON D3")
    for image_id in (2, 3):
        some_images.remove(image_id)
    assert some_images.choices().formats == ("gif", "png", "webp")


def test_an_empty_catalog_offers_nothing(images: Images) -> None:
    assert images.choices() == Choices()


@pytest.mark.parametrize(
    ("query", "column"), [("taken:2023-05", "taken_at"), ("added:today", "added_at"), ("type:png", "format")]
)
def test_what_can_be_looked_up_is_not_searched_for(
    some_images: Images, database: Database, query: str, column: str
) -> None:
    asked = select(rows.c.id).where(*where(parse(query).conditions))
    with database.reading() as connection:
        sql = asked.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # five rows are read at once
        explain = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        steps = " ".join(row[-1] for row in connection.exec_driver_sql(f"{explain} {sql}"))
    assert f"ix_images_{column}" in steps
