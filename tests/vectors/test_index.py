"""Indexes follow a log and agree with a search by hand; snapshots are never worse than none."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cachetools import TTLCache
from hypothesis import given, settings
from hypothesis import strategies as st

from app.models import EmbeddingSpace, FloatArray, LogEntry
from app.vectors.index import VectorIndex
from app.vectors.snapshots import STALE_SECONDS, IndexCache, SnapshotKey, load_snapshot, save_snapshot
from tests.catalogs import newest, unit_vectors
from tests.vectors.logs import MemoryLog, brute_force

DIMENSION = 16
SPACE = EmbeddingSpace("colours", "1", DIMENSION)
KEY = SnapshotKey("catalog", SPACE)
QUERIES = unit_vectors(5, DIMENSION, seed=99)


def filled(count: int = 50, seed: int = 0) -> MemoryLog:
    log = MemoryLog()
    log.put_all(unit_vectors(count, DIMENSION, seed))
    return log


def following(log: MemoryLog) -> VectorIndex:
    index = VectorIndex(DIMENSION)
    index.follow(log)
    return index


def found(index: VectorIndex, query: FloatArray, k: int = 10) -> list[int]:
    ids, scores = index.search(query, k)
    assert list(scores) == sorted(scores, reverse=True)
    return [int(image_id) for image_id in ids]


def assert_right(index: VectorIndex, log: MemoryLog, k: int = 10) -> None:
    """The index answers what the log says."""
    assert (len(index), index.seq) == (len(log.alive()), newest(log))
    for query in QUERIES:
        ids, scores = index.search(query, k)
        expected, expected_scores = brute_force(log, query, k)
        assert ids.tolist() == expected
        np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


# -- following a log


def test_an_index_holds_what_the_log_says() -> None:
    log = filled()
    assert_right(following(log), log)


def test_it_follows_additions_removals_and_returns() -> None:
    log = filled(20)
    index = following(log)
    log.put_all(unit_vectors(10, DIMENSION, seed=1), first=21)
    log.put(3, None)
    log.put(21, None)
    log.put(999, None)  # never there
    index.follow(log)
    assert_right(index, log)
    log.put(3, unit_vectors(1, DIMENSION, seed=2)[0])
    log.put(4, unit_vectors(1, DIMENSION, seed=3)[0])  # embedded anew
    index.follow(log)
    assert_right(index, log, k=40)


def test_an_id_twice_in_one_batch_counts_with_its_last_entry() -> None:
    first, last = unit_vectors(2, DIMENSION)
    log = MemoryLog()
    log.put(2, last)

    class Twice(MemoryLog):
        def entries(self, after: int):  # type: ignore[no-untyped-def]
            for (entry,) in log.entries(after):
                yield [
                    replace(entry, image_id=1),
                    replace(entry, vector=first),
                    replace(entry, image_id=1, vector=None),
                    entry,
                ]

    index = VectorIndex(DIMENSION)
    index.follow(Twice())
    assert_right(index, log)


def test_with_nothing_new_nothing_changes() -> None:
    log = filled()
    index = following(log)
    index.follow(log)
    assert_right(index, log)


def test_an_empty_index_finds_nothing() -> None:
    ids, scores = VectorIndex(DIMENSION).search(QUERIES[0], 10)
    assert (ids.tolist(), scores.tolist()) == ([], [])
    assert (str(ids.dtype), str(scores.dtype)) == ("int64", "float32")


def test_when_everything_was_removed_nothing_is_found() -> None:
    log = filled(5)
    index = following(log)
    for image_id in range(1, 6):
        log.put(image_id, None)
    index.follow(log)
    assert found(index, QUERIES[0]) == []
    log.put_all(unit_vectors(3, DIMENSION), first=6)
    index.follow(log)
    assert_right(index, log)


@pytest.mark.parametrize("k", [0, 1, 49, 50, 51, 10_000])
def test_any_number_may_be_asked_for(k: int) -> None:
    log = filled(50)
    assert_right(following(log), log, k)


def test_ids_may_be_large() -> None:
    log = MemoryLog()
    log.put_all(unit_vectors(3, DIMENSION), first=2**53)
    assert_right(following(log), log)


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 12), st.one_of(st.none(), st.integers(0, 4))), max_size=40),
    looks=st.sets(st.integers(0, 40)),
)
def test_however_a_log_grows_and_whenever_one_looks(steps: list[tuple[int, int | None]], looks: set[int]) -> None:
    directions = unit_vectors(5, DIMENSION, seed=7)
    log, index = MemoryLog(batch=3), VectorIndex(DIMENSION)
    for number, (image_id, direction) in enumerate(steps):
        log.put(image_id, None if direction is None else directions[direction])
        if number in looks:
            index.follow(log)
    index.follow(log)
    assert_right(index, log, k=20)


# -- order


def test_pictures_that_are_equally_near_come_in_the_order_of_their_ids() -> None:
    log = MemoryLog()
    same = unit_vectors(1, DIMENSION)[0]
    for image_id in (5, 3, 90, 1, 44):
        log.put(image_id, same)
    assert found(following(log), QUERIES[0]) == [1, 3, 5, 44, 90]
    assert found(following(log), QUERIES[0], 3) == [1, 3, 5]


@settings(max_examples=30, deadline=None)
@given(
    copies=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    asked=st.lists(st.integers(0, 250), min_size=2, max_size=4),
    seed=st.integers(0, 99),
)
def test_the_first_k_are_the_first_k_of_any_more(copies: list[int], asked: list[int], seed: int) -> None:
    """Also where crowds of pictures share one vector, as copies of one picture do."""
    rng = np.random.default_rng(seed)
    vectors = np.repeat(unit_vectors(len(copies), DIMENSION, seed), copies, axis=0)
    log = MemoryLog(batch=50)
    for image_id, vector in zip(rng.permutation(len(vectors)) + 1, vectors, strict=True):
        log.put(int(image_id), vector)
    index = following(log)
    whole, _ = brute_force(log, QUERIES[0], 1000)
    for k in asked:
        assert found(index, QUERIES[0], k) == whole[:k]


@settings(max_examples=40, deadline=None)
@given(
    allowed=st.sets(st.integers(-1, 80)),
    kinds=st.integers(1, 50),
    asked=st.lists(st.integers(0, 90), min_size=1, max_size=3),
)
def test_among_allowed_pictures_the_answer_is_that_of_an_index_of_them_alone(
    allowed: set[int], kinds: int, asked: list[int]
) -> None:
    """Also with ids that are not in the index, and where crowds share one vector."""
    log, only = MemoryLog(batch=50), MemoryLog(batch=50)
    directions = unit_vectors(kinds, DIMENSION)
    for image_id in range(1, 61):
        log.put(image_id, directions[image_id % kinds])
        if image_id in allowed:
            only.put(image_id, directions[image_id % kinds])
    index = following(log)
    for k in asked:
        ids, scores = index.search(QUERIES[0], k, np.array(sorted(allowed), np.int64))
        expected, expected_scores = brute_force(only, QUERIES[0], k)
        assert ids.tolist() == expected
        np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


@pytest.mark.parametrize("part", ["nearest", "farthest", "every other", "nearly all"])
def test_where_many_are_allowed_the_answer_is_that_of_them_alone(part: str) -> None:
    vectors = unit_vectors(2000, DIMENSION)
    order = np.argsort(-(vectors @ QUERIES[0]))
    chosen = {"nearest": order[:1000], "farthest": order[1000:], "every other": order[::2], "nearly all": order[7:]}
    allowed = np.sort(chosen[part]) + 1
    log, only = MemoryLog(), MemoryLog()
    for image_id, vector in enumerate(vectors, start=1):
        log.put(image_id, vector)
        if image_id in set(allowed.tolist()):
            only.put(image_id, vector)
    ids, _scores = following(log).search(QUERIES[0], 40, allowed)
    assert ids.tolist() == brute_force(only, QUERIES[0], 40)[0]


# -- snapshots


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index" / "space-1.snapshot"


def test_a_snapshot_comes_back_as_it_was(path: Path) -> None:
    log = filled()
    log.put(7, None)
    save_snapshot(following(log), path, KEY)
    loaded = load_snapshot(path, KEY)
    assert loaded is not None
    assert_right(loaded, log)
    log.put(8, None)
    log.put(60, unit_vectors(1, DIMENSION, seed=5)[0])
    loaded.follow(log)
    assert_right(loaded, log)
    assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing else is left behind"


def test_a_missing_snapshot_is_none(path: Path) -> None:
    assert load_snapshot(path, KEY) is None


def with_header(data: bytes, **changes: object) -> bytes:
    header, _, body = data.partition(b"\n")
    return json.dumps(json.loads(header) | changes).encode() + b"\n" + body


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut in the header": lambda data: data[:20],
    "header only": lambda data: data.partition(b"\n")[0],
    "cut in the vectors": lambda data: data[: len(data) // 2],
    "last byte missing": lambda data: data[:-1],
    "a byte too many": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "another format": lambda data: with_header(data, format=99),
    "another catalog": lambda data: with_header(
        data, key={"catalog": "other", "space": json.loads(data.partition(b"\n")[0])["key"]["space"]}
    ),
    "another seq": lambda data: with_header(data, seq=30),
    "no key": lambda data: with_header(data, key=None),
    "a header that is a list": lambda data: b"[]\n" + data.partition(b"\n")[2],
    "no number of bytes": lambda data: with_header(data, bytes=None),
    "no text": lambda data: b"\xff\xfe" + data,
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_snapshot_is_ignored_and_said_so(how: str, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_snapshot(following(filled()), path, KEY)
    path.write_bytes(SPOILED[how](path.read_bytes()))
    assert load_snapshot(path, KEY) is None
    assert "rebuilt from the catalog" in caplog.text


@settings(max_examples=50, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_flipped_bit_or_a_missing_end_never_gives_a_wrong_answer(
    place: float, bit: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "spoiled.snapshot"
    log = filled(10)
    save_snapshot(following(log), path, KEY)
    data = bytearray(path.read_bytes())
    where = int(place * len(data))
    data[where] ^= 1 << bit
    path.write_bytes(data[:where] if cut else data)
    assert load_snapshot(path, KEY) is None


def test_a_snapshot_of_another_space_is_not_used(path: Path) -> None:
    save_snapshot(following(filled()), path, KEY)
    for other in (replace(SPACE, fingerprint="2"), replace(SPACE, model="other"), replace(SPACE, dimension=8)):
        assert load_snapshot(path, SnapshotKey("catalog", other)) is None
    assert load_snapshot(path, SnapshotKey("another", SPACE)) is None


# -- the cache


class Cache:
    """An `IndexCache` as a server has it; each one is a new start."""

    def __init__(self, folder: Path, catalog: str = "catalog", ttl: float = 300) -> None:
        self.cache = IndexCache(folder, ttl, lambda: catalog)

    def get(self, log: MemoryLog, space: EmbeddingSpace = SPACE) -> VectorIndex:
        return self.cache.get(1, space, log)


def test_a_closed_cache_starts_again_from_its_snapshot(path: Path) -> None:
    log = filled()
    first = Cache(path.parent)
    first.get(log)
    first.cache.close()
    assert path.exists()

    class OnlyNew(MemoryLog):
        def entries(self, after: int):  # type: ignore[no-untyped-def]
            assert after == newest(log), "what the snapshot holds is not read again"
            return log.entries(after)

        def entry(self, seq: int) -> LogEntry | None:
            return log.entry(seq)

    assert_right(Cache(path.parent).get(OnlyNew()), log)


@pytest.mark.parametrize("how", SPOILED)
def test_whatever_the_snapshot_the_answers_are_right(how: str, path: Path) -> None:
    log = filled()
    save_snapshot(following(log), path, KEY)
    path.write_bytes(SPOILED[how](path.read_bytes()))
    log.put(1, None)
    started = Cache(path.parent)
    assert_right(started.get(log), log)
    started.cache.close()
    loaded = load_snapshot(path, KEY)
    assert loaded is not None, "and the next snapshot is a good one"
    assert_right(loaded, log)


def test_what_a_process_was_killed_over_is_cleared_away_and_what_another_one_writes_is_not(path: Path) -> None:
    path.parent.mkdir()
    left, writing = (path.with_name(f"{path.name}.{pid}.tmp") for pid in (1, 2))
    for temporary in (left, writing):
        temporary.write_bytes(b"half a snapshot")
    long_ago = time.time() - STALE_SECONDS - 60
    os.utime(left, (long_ago, long_ago))
    Cache(path.parent).get(filled())
    assert (left.exists(), writing.exists()) == (False, True)


def test_a_snapshot_ahead_of_the_log_belongs_to_another_past(path: Path) -> None:
    """The catalog was set back to an older copy."""
    save_snapshot(following(filled(50)), path, KEY)
    log = filled(20, seed=3)
    assert_right(Cache(path.parent).get(log), log)


def test_a_snapshot_of_another_catalog_or_model_is_not_used(path: Path) -> None:
    save_snapshot(following(filled(10)), path, KEY)
    log = filled(30, seed=3)
    assert_right(Cache(path.parent, catalog="another").get(log), log)
    assert_right(Cache(path.parent).get(log, replace(SPACE, fingerprint="2")), log)


def test_spaces_have_indexes_of_their_own(path: Path) -> None:
    logs = {1: filled(10), 2: filled(10, seed=3)}
    cache = IndexCache(path.parent, 300, lambda: "catalog")
    for space_id, log in logs.items():
        assert_right(cache.get(space_id, replace(SPACE, fingerprint=str(space_id)), log), log)
    cache.close()
    assert {file.name for file in path.parent.iterdir()} == {"space-1.snapshot", "space-2.snapshot"}


def test_an_id_that_is_given_again_has_an_index_of_its_own(path: Path) -> None:
    log, later, cache = filled(10), filled(10, seed=3), Cache(path.parent)
    assert_right(cache.get(log), log)
    assert_right(cache.get(later, replace(SPACE, fingerprint="2")), later)
    cache.cache.close()
    assert_right(Cache(path.parent).get(later, replace(SPACE, fingerprint="2")), later)


def test_an_index_is_kept_while_it_is_used(path: Path) -> None:
    log, cache = filled(), Cache(path.parent)
    index = cache.get(log)
    cache.cache.tend()
    assert cache.get(log) is index


def timed_cache(folder: Path, timer: Callable[[], float]) -> IndexCache:
    """Whose time is told by ``timer``."""
    cache = IndexCache(folder, 300, lambda: "catalog")
    cache._indexes = TTLCache(4, 300, timer)
    return cache


def test_an_index_nobody_used_is_written_down_and_let_go(path: Path) -> None:
    now = 1000.0
    log = filled()
    cache = timed_cache(path.parent, lambda: now)
    index = cache.get(1, SPACE, log)
    now += 299
    assert cache.get(1, SPACE, log) is index, "each use counts anew"
    now += 299
    cache.tend()
    assert cache.get(1, SPACE, log) is index
    assert not path.exists()
    now += 301
    cache.tend()
    loaded = load_snapshot(path, KEY)
    assert loaded is not None
    assert_right(loaded, log)
    log.put(2, None)
    again = cache.get(1, SPACE, log)
    assert again is not index
    assert_right(again, log)


def test_what_expired_before_anybody_looked_after_it_is_right_all_the_same(path: Path) -> None:
    now = 1000.0
    log = filled()
    cache = timed_cache(path.parent, lambda: now)
    cache.get(1, SPACE, log)
    now += 301
    log.put(1, None)
    assert_right(cache.get(1, SPACE, log), log)


def test_a_growing_index_is_written_down_now_and_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, cache = filled(), Cache(path.parent)
    index = cache.get(log)
    cache.cache.tend()
    assert not path.exists(), "not at once"
    monkeypatch.setattr("app.vectors.snapshots.SNAPSHOT_SECONDS", -1.0)
    cache.cache.tend()
    assert path.exists()
    written = path.stat().st_mtime_ns
    cache.cache.tend()
    assert path.stat().st_mtime_ns == written, "only what has grown"
    assert index.saved_seq == newest(log)


def test_a_full_disk_costs_the_snapshot_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = filled(10)
    save_snapshot(following(before), path, KEY)
    log, cache = filled(), Cache(path.parent)
    index = cache.get(log)
    monkeypatch.setattr(os, "fsync", full)
    cache.cache.close()
    assert "No space left" in caplog.text
    assert_right(index, log)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    loaded = load_snapshot(path, KEY)
    assert loaded is not None, "the older snapshot is still whole"
    assert loaded.seq == newest(before)


# -- many at once


def test_searches_go_on_while_the_index_follows(path: Path) -> None:
    log, cache = filled(200), Cache(path.parent)
    stop = threading.Event()
    gone: set[int] = set()

    def search() -> int:
        searches = 0
        while not stop.is_set():
            before = set(gone)  # removed before this search began, so it must not find them
            ids = cache.get(log).search(QUERIES[searches % 5], 50)[0]
            assert not before & set(ids.tolist())
            searches += 1
        return searches

    with ThreadPoolExecutor(4) as pool:
        searching = [pool.submit(search) for _ in range(4)]
        for image_id in range(1, 60):
            log.put(image_id, None)
            gone.add(image_id)
            log.put(1000 + image_id, QUERIES[image_id % 5])
        stop.set()
        assert all(future.result() >= 0 for future in searching)
    assert_right(cache.get(log), log, k=50)


def test_a_snapshot_of_another_history_of_the_same_catalog_is_not_used(path: Path) -> None:
    save_snapshot(following(filled(10)), path, KEY)
    restored = MemoryLog()  # set back to nothing, and filled again in another order up to the same seq
    for vector in list(filled(10).alive().values())[::-1]:
        restored.put(len(restored.alive()) + 1, vector)
    index = Cache(path.parent).get(restored)
    assert index.seq == newest(restored) == 10
    assert_right(index, restored)
