"""Columns that grow, shrink and change places together."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.vectors.rows import Rows


def rows_of(ids: list[int]) -> Rows:
    """Each row tells its id in every column."""
    rows = Rows(2)
    place = rows.extend(len(ids))
    rows.ids[place] = ids
    rows.vectors[place] = np.array(ids)[:, None] if ids else 0
    rows.stances[place] = np.array(ids)[:, None] if ids else 0
    rows.cells[place] = ids
    return rows


def ids_of(rows: Rows) -> list[int]:
    for column in (rows.vectors[:, 0], rows.stances[:, 1], rows.cells):
        assert column.tolist() == rows.ids.tolist(), "the columns of a row belong together"
    assert rows.numbers.tolist() == list(range(len(rows)))
    return [int(number) for number in rows.ids]


def test_there_is_room_for_more_than_at_first() -> None:
    rows = rows_of(list(range(900)))
    for start in range(900, 3000, 300):
        place = rows.extend(300)
        for column in (rows.ids, rows.cells):
            column[place] = np.arange(start, start + 300)
        rows.vectors[place] = np.arange(start, start + 300)[:, None]
        rows.stances[place, 1] = np.arange(start, start + 300)
    assert rows.ids.tolist() == list(range(3000))
    np.testing.assert_array_equal(rows.stances[:, 1], np.arange(3000))
    assert len(rows.numbers) == 3000


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, 2000), unique=True, max_size=60), data=st.data())
def test_what_is_removed_is_gone_and_the_others_keep_their_order(ids: list[int], data: st.DataObject) -> None:
    if not ids:
        return
    gone = data.draw(st.sets(st.sampled_from(range(len(ids))), min_size=1))
    rows = rows_of(ids)
    rows.remove(np.array(sorted(gone)))
    assert ids_of(rows) == [number for place, number in enumerate(ids) if place not in gone]


def test_removing_moves_large_columns_part_by_part(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("app.vectors.rows.SHIFTED", 7)
    rows = rows_of(list(range(100)))
    rows.remove(np.array([3, 50, 51, 99]))
    assert ids_of(rows) == [number for number in range(100) if number not in (3, 50, 51, 99)]


@settings(deadline=None)
@given(count=st.integers(1, 40), data=st.data())
def test_what_is_brought_stands_where_it_should_and_nothing_is_lost(count: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, count - 1))
    chosen = data.draw(st.lists(st.integers(start, count - 1), unique=True, min_size=1))
    rows = rows_of(list(range(count)))
    rows.bring(np.array(chosen), start)
    after = ids_of(rows)
    assert after[start : start + len(chosen)] == chosen
    assert after[:start] == list(range(start))
    assert sorted(after) == list(range(count))
