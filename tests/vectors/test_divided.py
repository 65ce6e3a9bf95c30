"""A large index is divided into cells: as good as the whole one, and exact where exactness is promised."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from app.models import EmbeddingSpace, FloatArray
from app.vectors import index as module
from app.vectors.index import VectorIndex
from app.vectors.snapshots import SnapshotKey, load_snapshot, save_snapshot
from tests.catalogs import unit_vectors
from tests.vectors.logs import MemoryLog, brute_force

DIMENSION = 16
KINDS = 40
KEY = SnapshotKey("catalog", EmbeddingSpace("kinds", "1", DIMENSION))
CENTRES = unit_vectors(KINDS, DIMENSION, seed=1)
BANK = unit_vectors(80, DIMENSION, seed=2)


def near(centres: FloatArray, spread: float, seed: int) -> FloatArray:
    """A vector near to each of ``centres`` [n, dimension]."""
    vectors = centres + spread * unit_vectors(len(centres), DIMENSION, seed)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


QUERIES = near(CENTRES, 0.5, seed=3)


@pytest.fixture(autouse=True)
def divided_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DIVIDED_FROM", 500)
    monkeypatch.setattr(module, "STEP", 64)


@pytest.fixture(scope="module")
def pictures() -> FloatArray:
    """Of 40 kinds, as pictures are."""
    return near(CENTRES[np.arange(1200) % KINDS], 0.4, seed=4)


@pytest.fixture
def log(pictures: FloatArray) -> MemoryLog:
    log = MemoryLog(batch=500)
    log.put_all(pictures)
    return log


def following(log: MemoryLog, bank: FloatArray | None = None) -> VectorIndex:
    index = VectorIndex(DIMENSION)
    index.use_bank(CENTRES if bank is None else bank)
    index.follow(log)
    return index


def divided(log: MemoryLog) -> VectorIndex:
    index = following(log)
    assert index.tidy(rest=0)
    assert index.cells is not None
    assert 0 < index.cells.probes < len(index.cells)
    return index


def recall(index: VectorIndex, log: MemoryLog, k: int = 10) -> float:
    shares = [len({*index.search(q, k)[0].tolist()} & {*brute_force(log, q, k)[0]}) / k for q in QUERIES]
    return float(np.mean(shares))


def test_it_finds_nearly_all_that_a_search_of_everything_finds(log: MemoryLog) -> None:
    index = divided(log)
    assert recall(index, log) >= 0.97
    for query in QUERIES:
        ids, scores = index.search(query, 10)
        expected = dict(zip(*brute_force(log, query, 1200), strict=True))
        np.testing.assert_allclose(scores, [expected[int(i)] for i in ids], atol=1e-5)


def test_a_search_looks_at_a_part_only(log: MemoryLog) -> None:
    index = divided(log)
    looked_at = [sum(end - start for start, end in index._probed(query)) for query in QUERIES]
    assert max(looked_at) < len(index) / 2
    assert min(looked_at) > 0


def test_a_small_library_is_left_whole() -> None:
    log = MemoryLog()
    log.put_all(unit_vectors(100, DIMENSION))
    index = following(log)
    assert not index.tidy(rest=0)
    assert index.cells is None


def test_vectors_that_do_not_fall_into_cells_are_searched_whole() -> None:
    log = MemoryLog(batch=500)
    log.put_all(unit_vectors(600, DIMENSION))
    index = following(log, BANK)
    index.tidy(rest=0)
    for query in QUERIES:
        assert index.search(query, 20)[0].tolist() == brute_force(log, query, 20)[0]


@pytest.mark.parametrize("step", [1, 7, 400])
def test_filters_stay_exact(step: int, log: MemoryLog) -> None:
    index = divided(log)
    allowed = np.arange(1, 1201, step)
    only = MemoryLog()
    for image_id, vector in log.alive().items():
        if image_id in set(allowed.tolist()):
            only.put(image_id, vector)
    for query in QUERIES[:10]:
        ids, scores = index.search(query, 15, allowed)
        expected, expected_scores = brute_force(only, query, 15)
        assert ids.tolist() == expected
        np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


def test_the_first_k_are_the_first_k_of_any_more_to_the_very_last_picture(log: MemoryLog) -> None:
    index = divided(log)
    for query in QUERIES[:5]:
        whole = index.search(query, 5000)[0].tolist()
        assert sorted(whole) == sorted(log.alive())
        for k in (1, 10, 99, 400, 1199):
            assert index.search(query, k)[0].tolist() == whole[:k]


def test_relevance_is_that_of_the_whole_index(log: MemoryLog) -> None:
    index, whole = divided(log), following(log)
    for query in QUERIES[:10]:
        one, other = index.rank(query, 10), whole.rank(query, 10)
        assert len({*one.ids.tolist()} & {*other.ids.tolist()}) >= 9
        by_id = dict(zip(other.ids.tolist(), other.relevance, strict=True))
        shared = [i for i, image_id in enumerate(one.ids.tolist()) if image_id in by_id]
        np.testing.assert_allclose(one.relevance[shared], [by_id[int(i)] for i in one.ids[shared]], atol=1e-5)
        assert one.total == other.total
        assert abs(one.matches - other.matches) <= 0.1 * other.matches + 1


def test_what_comes_is_found_at_once_and_what_goes_is_gone(log: MemoryLog) -> None:
    index = divided(log)
    log.put_all(QUERIES, first=5001)
    gone = [int(index.search(query, 1)[0][0]) for query in QUERIES[:20]]
    for image_id in gone:
        log.put(image_id, None)
    index.follow(log)
    for number, query in enumerate(QUERIES):
        ids = index.search(query, 50)[0].tolist()
        assert ids[0] == 5001 + number
        assert not {*ids} & {*gone}
    assert recall(index, log) >= 0.97


def test_what_has_come_is_put_into_its_cells_some_time(log: MemoryLog) -> None:
    index = divided(log)
    ordered = index.ordered
    log.put_all(near(CENTRES[np.arange(100) % KINDS], 0.4, seed=5), first=5001)
    index.follow(log)
    assert index.ordered == ordered
    assert index.tidy(rest=0)
    assert index.ordered == len(index) == 1300
    assert not index.tidy(rest=0), "nothing is left to do"
    assert recall(index, log) >= 0.97


def test_a_snapshot_keeps_the_cells(log: MemoryLog, tmp_path: Path) -> None:
    index = divided(log)
    save_snapshot(index, tmp_path / "snapshot", KEY)
    loaded = load_snapshot(tmp_path / "snapshot", KEY)
    assert loaded is not None
    loaded.use_bank(CENTRES)
    assert not loaded.tidy(rest=0)
    for query in QUERIES:
        (ids, scores), (loaded_ids, loaded_scores) = index.search(query, 30), loaded.search(query, 30)
        assert (ids.tolist(), scores.tolist()) == (loaded_ids.tolist(), loaded_scores.tolist())
        assert index.rank(query, 30).relevance.tolist() == loaded.rank(query, 30).relevance.tolist()


def test_while_it_is_divided_answers_are_exact_and_changes_are_followed(log: MemoryLog) -> None:
    index = following(log)
    done = threading.Event()
    removed = iter(range(1, 1200, 9))

    def divide() -> None:
        index.tidy(rest=0.001)
        done.set()

    thread = threading.Thread(target=divide)
    thread.start()
    asked = 0
    while not done.is_set():
        log.put(next(removed), None)
        log.put(6000 + asked, QUERIES[asked % KINDS])
        index.follow(log)
        query = QUERIES[asked * 7 % KINDS]
        ids = index.search(query, 10)[0].tolist()
        expected = brute_force(log, query, 10)[0]
        assert len({*ids} & {*expected}) >= 9, "exact until the last step, nearly so behind it"
        asked += 1
        if asked > 100:
            done.wait()
    thread.join()
    assert asked > 3
    assert sorted(index.search(QUERIES[0], 5000)[0].tolist()) == sorted(log.alive())
    assert recall(index, log) >= 0.97


def test_the_end_of_the_program_is_not_held_up(log: MemoryLog) -> None:
    index = following(log)
    index.tidy(lambda: True, rest=0)
    for query in QUERIES:
        assert index.search(query, 10)[0].tolist() == brute_force(log, query, 10)[0]
