"""What every vector engine promises, on the engine itself: what it finds is what FAISS finds in the same library."""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError
from sqlalchemy import update

from app.catalog.switching import Switches
from app.catalog.tables import images
from app.catalog.tables import vectors as log_table
from app.config import Settings
from app.errors import EngineUnavailable
from app.library.engine_filling import EngineFilling
from app.library.query import parse
from app.main import create_doctor
from app.models import EmbeddingSpace, FloatArray
from app.vectors.engine import Engine, Points, Reached, as_tests
from app.vectors.engines import open_engine
from app.vectors.milvus import Milvus
from app.vectors.pgvector import MOST_CONNECTIONS, Pgvector
from app.vectors.qdrant import Qdrant
from app.vectors.relevance import neutral_digest, stances
from app.vectors.shared import OpenEngine
from tests.catalogs import unit_vectors
from tests.conftest import running, wait_for
from tests.engines import needs
from tests.engines.libraries import BANK, DIMENSION, Library, library, nearest
from tests.pictures import picture

if TYPE_CHECKING:
    from psycopg import Connection

# Qdrant in this process says of what a server needs that it needs it not.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning"),
]

ENGINES = ("milvus", "pgvector", "qdrant")
PICTURES = 1500
QUERIES = unit_vectors(4, DIMENSION, seed=99)
CONDITIONS = (
    "type:png",
    "-type:png,jpg",
    "camera:canon",
    "camera:quoted",
    "camera:ÜNÏCODE",
    "-camera:nikon",
    "camera:nobody",
    "-camera:nobody",
    "orientation:square",
    "-orientation:landscape type:webp",
    "larger:2mp",
    "-larger:2mp",
    "smaller:3mb larger:100kb",
    "taken:1999",
    "taken:..1970-06",
    "-taken:1980..2010",
    "added:2025-06",
    "-added:2025-06 taken:2001.. -type:jpg camera:d3",
)


@pytest.fixture(scope="module", params=ENGINES)
def opening(request: pytest.FixtureRequest) -> Iterator[OpenEngine]:
    """Opens engines of one kind."""
    match request.param:
        case "milvus":
            url: str = request.getfixturevalue("milvus").url
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("app.vectors.milvus.ANSWER_SECONDS", 60.0)  # a busy machine is slow, not away
                yield lambda name, dimension: open_engine(url, name, dimension)
        case "pgvector":
            server = request.getfixturevalue("postgres")
            database = server.new_database()
            yield lambda name, dimension: open_engine(database, name, dimension)
            server.drop(database)
        case "qdrant":
            needs.package("qdrant_client")
            from qdrant_client import QdrantClient

            client = QdrantClient(":memory:")  # in this process: no server was to be had
            yield lambda name, dimension: Qdrant("qdrant://memory", name, dimension, client)


@pytest.fixture(scope="module")
def full(opening: OpenEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """A library that no test changes. Every tenth picture has the same vector."""
    vectors = unit_vectors(PICTURES, DIMENSION)
    vectors[::10] = vectors[0]
    with library(tmp_path_factory.mktemp("full"), opening, vectors) as filled:
        yield filled


@pytest.fixture
def small(opening: OpenEngine, tmp_path: Path) -> Iterator[Library]:
    """A library of twenty pictures, to be changed."""
    with library(tmp_path, opening, unit_vectors(20, DIMENSION)) as filled:
        yield filled


def assert_same(found: tuple[npt.NDArray[np.int64], FloatArray], expected: tuple[list[int], FloatArray]) -> None:
    """The same pictures; those whose scores differ by less than float32 tells may have changed places."""
    ids, scores = found
    np.testing.assert_allclose(scores, expected[1][: len(scores)], atol=2e-6)
    differing = np.flatnonzero(ids != np.array(expected[0])[: len(ids)])
    assert set(ids[differing]) == {expected[0][place] for place in differing}, "other pictures"
    for place in differing:
        assert abs(expected[1][place] - expected[1][expected[0].index(int(ids[place]))]) < 2e-6


# -- searching


@pytest.mark.parametrize("k", [1, 10, 300, 1000, PICTURES, 5000])
def test_the_nearest_are_those_by_hand(full: Library, k: int) -> None:
    for query in QUERIES[:2] if k > 10 else QUERIES:
        ids, scores = full.index.search(query, k)
        assert len(ids) == min(k, PICTURES)
        assert_same((ids, scores), nearest(full, query))


def test_a_shorter_answer_is_the_beginning_of_a_longer_one(full: Library) -> None:
    for query in QUERIES:
        whole = full.index.search(query, 1100)[0].tolist()
        for k in (1, 2, 25, 60, 495, 496, 497, 511, 512, 700, 1024):
            assert full.index.search(query, k)[0].tolist() == whole[:k]


def test_pictures_with_the_same_vector_stand_in_order_of_id(full: Library) -> None:
    same = list(range(1, PICTURES + 1, 10))
    query = full.vectors.get(full.space_id, 1)
    assert query is not None
    for k in (5, len(same), len(same) + 1):
        assert full.index.search(query, k)[0].tolist()[: len(same)] == same[:k]


@pytest.mark.parametrize("text", CONDITIONS)
def test_conditions_choose_what_competes_and_change_nothing_else(full: Library, text: str) -> None:
    conditions = parse(text).conditions
    meeting = full.images.matching(conditions)
    tests = as_tests(conditions, full.images.cameras)
    assert tests is not None
    assert full.engine.count(tests) == len(meeting)
    expected = nearest(full, QUERIES[0], meeting.tolist())
    for allowed in (tests, meeting):
        assert_same(full.index.search(QUERIES[0], 20, allowed), expected)
        assert full.index.rank(QUERIES[0], 20, allowed).total == len(meeting)


def test_a_count_that_took_long_is_not_kept_for_long(small: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the first one of a process does, and the first one after a collection was loaded: it may find nothing yet."""
    index = small.index

    def slowly_nothing() -> int:
        time.sleep(0.3)
        return 0

    monkeypatch.setattr("app.vectors.shared.FEW_SECONDS", 0.1)
    with monkeypatch.context() as at_first:
        at_first.setattr(index._engine, "count", slowly_nothing)
        assert index.search(QUERIES[0], 5)[0].tolist() == []
    time.sleep(0.1)
    assert len(index.search(QUERIES[0], 5)[0]) == 5


def test_ids_that_are_not_there_change_nothing(full: Library) -> None:
    ids, _ = full.index.search(QUERIES[0], 10, np.array([5, 17, 10**12]))
    assert sorted(ids.tolist()) == [5, 17]
    assert full.index.search(QUERIES[0], 10, np.array([], np.int64))[0].tolist() == []
    assert full.index.search(QUERIES[0], 0)[0].tolist() == []


@pytest.mark.parametrize("text", ["", "type:png", "camera:canon taken:2001.."])
def test_relevance_is_what_it_is_in_memory(full: Library, text: str) -> None:
    conditions = parse(text).conditions
    ids = full.images.matching(conditions) if conditions else None
    allowed = as_tests(conditions, full.images.cameras) if conditions else None
    in_memory = full.in_memory()
    for query in QUERIES:
        for k in (10, 400):
            here, there = full.index.rank(query, k, allowed), in_memory.rank(query, k, ids)
            assert (here.total, here.matches) == (there.total, there.matches)
            assert_same((here.ids, here.relevance.astype(np.float32)), (there.ids.tolist(), there.relevance))  # type: ignore[arg-type]
            np.testing.assert_allclose(here.scores, there.scores, atol=1e-4)


# -- following


def test_a_new_picture_is_found_and_a_deleted_one_is_not(small: Library) -> None:
    small.add(QUERIES[:1], first=50)
    small.follow()
    assert small.index.search(QUERIES[0], 3)[0][0] == 50
    small.images.remove(50)
    small.follow()
    assert 50 not in small.index.search(QUERIES[0], 100)[0]


def test_a_picture_that_is_embedded_again_has_its_new_vector_alone(small: Library) -> None:
    small.embed_again(7, QUERIES[0])
    small.follow()
    wait_for(lambda: small.index.search(QUERIES[0], 1)[0].tolist() == [7])
    assert small.index.search(QUERIES[0], 100)[0].tolist().count(7) == 1


def test_an_engine_that_was_emptied_is_filled_again(small: Library) -> None:
    small.engine.empty()
    assert small.engine.last_seq() == Reached()
    assert small.engine.count() == 0
    assert small.index.search(QUERIES[0], 5)[0].tolist() == []
    assert small.index.rank(QUERIES[0], 5).total == 0
    small.follow()
    assert_same(small.index.search(QUERIES[0], 20), nearest(small, QUERIES[0]))


def test_of_two_that_would_follow_one_does(small: Library) -> None:
    small.add(QUERIES[:3], first=50)
    first, other = small.follower("first"), small.follower("other")
    writing = small.engine.upsert
    seen: list[Callable[[], None]] = []

    def meanwhile(points: Points) -> None:
        seen.append(other.follow)
        other.follow()
        assert small.engine.last_seq().seq < small.vectors.log(small.space_id).newest()
        writing(points)

    small.engine.upsert = meanwhile  # type: ignore[method-assign]
    first.follow()
    assert len(seen) == 1, "the other one wrote as well"
    assert small.engine.last_seq().seq == small.vectors.log(small.space_id).newest()


def test_who_dies_between_writing_and_telling_how_far_costs_nothing(small: Library) -> None:
    class Died(Exception):
        pass

    def die(reached: Reached) -> None:
        raise Died

    small.add(QUERIES[:1], first=50)
    telling, small.engine.reached = small.engine.reached, die  # type: ignore[method-assign]
    with pytest.raises(Died):
        small.follower("dead").follow()
    small.engine.reached = telling  # type: ignore[method-assign]
    small.images.remove(50)
    small.follow()
    assert_same(small.index.search(QUERIES[0], 100), nearest(small, QUERIES[0]))


def test_an_engine_of_another_history_is_filled_anew(small: Library) -> None:
    """The catalog was set back to a backup, and has gone on from there in another way."""
    newest = small.vectors.log(small.space_id).newest()
    with small.database.writing() as connection:
        other = log_table.update().where(log_table.c.seq == newest).values(vector=QUERIES[1].astype("<f4").tobytes())
        connection.execute(other)
        connection.execute(log_table.delete().where(log_table.c.seq == 3))
        connection.execute(update(log_table).where(log_table.c.seq == 2).values(seq=newest - 1 + 10**6))
    small.follow()
    assert_same(small.index.search(QUERIES[1], 100), nearest(small, QUERIES[1]))


def set_back(library: Library, without: Sequence[int]) -> None:
    """To a backup from before these pictures came: there is no trace of them."""
    with library.database.writing() as connection:
        connection.execute(log_table.delete().where(log_table.c.image_id.in_(without)))
        connection.execute(images.delete().where(images.c.id.in_(without)))


def test_a_catalog_that_was_set_back_has_nothing_left_in_the_engine(small: Library) -> None:
    set_back(small, [18, 19, 20])
    small.vectors.keep_bank(small.space_id, neutral_digest(), BANK[:40])  # by another version
    small.follow()
    assert_same(small.index.search(QUERIES[0], 100), nearest(small, QUERIES[0]))


def test_also_if_it_went_on_before_the_engine_was_asked_again(small: Library) -> None:
    set_back(small, [20])
    small.add(QUERIES[:2], first=50)
    assert small.vectors.log(small.space_id).newest() > small.engine.last_seq().seq
    small.follow()
    assert_same(small.index.search(QUERIES[0], 100), nearest(small, QUERIES[0]))


def test_a_change_of_the_picture_that_was_read_last_is_no_other_history(small: Library) -> None:
    def never() -> None:
        raise AssertionError("everything would be written again")

    small.engine.empty = never  # type: ignore[method-assign]
    small.embed_again(20, QUERIES[0])
    small.follow()
    small.images.remove(20)
    small.follow()
    assert 20 not in small.index.search(QUERIES[0], 100)[0]
    del small.engine.empty


def test_with_other_neutral_texts_what_relevance_needs_is_written_again(small: Library) -> None:
    before = small.engine.last_seq()
    small.vectors.keep_bank(small.space_id, neutral_digest(), BANK[:40])
    small.follow()
    assert small.engine.last_seq() == replace(before, bank=zlib.crc32(BANK[:40].astype("<f4").tobytes()))
    expected = stances(small.in_memory().rows.vectors.astype(np.float32), BANK[:40])

    def known() -> FloatArray:
        hits = small.engine.search(QUERIES[0], 20, None)
        return hits.stances[np.argsort(hits.ids)]

    wait_for(lambda: np.allclose(known(), expected, rtol=1e-4))


def test_the_space_of_the_next_model_is_in_the_engine_before_it_serves(small: Library) -> None:
    switches, other = Switches(small.database), EmbeddingSpace("other", "2", DIMENSION)
    switches.want("other")
    switches.begin("other", other, "other")
    filling = switches.read().filling
    assert filling is not None
    small.vectors.keep_bank(filling.id, neutral_digest(), BANK)
    ids = switches.claim("w", filling, 0, 0, PICTURES)
    switches.fill("w", filling, dict(zip(ids, unit_vectors(len(ids), DIMENSION, seed=3), strict=True)))
    newest = small.vectors.log(filling.id).newest()
    assert not small.indexes.has_read(filling.id, other, newest)
    small.follow()
    assert small.indexes.has_read(filling.id, other, newest)
    engine = small.indexes.engine(filling.id, other)
    wait_for(lambda: engine.count() == len(ids))
    engine.empty()


def test_nothing_is_written_while_there_is_nothing_new(small: Library) -> None:
    def never(*_given: object) -> None:
        raise AssertionError("this wakes a disk")

    follower = small.follower()
    follower.follow()
    small.engine.upsert = never  # type: ignore[method-assign,assignment]
    small.engine.reached = never  # type: ignore[method-assign,assignment]
    follower._leases.take = never  # type: ignore[method-assign,assignment]
    follower.follow()
    assert follower.message is None


# -- what is away


@pytest.mark.parametrize(
    "url", ["milvus://u:secret@127.0.0.1:1", "qdrant+tls://:secret@127.0.0.1:1", "postgresql://u:secret@127.0.0.1:1/x"]
)
def test_an_engine_that_does_not_answer_is_told_without_secrets(url: str) -> None:
    needs.package({"m": "pymilvus", "q": "qdrant_client", "p": "psycopg"}[url[0]])
    engine: Engine = open_engine(url, "glimpse_test", DIMENSION)
    with pytest.raises(EngineUnavailable, match="does not answer") as told:
        engine.count()
    assert "secret" not in str(told.value)


# -- filling one before it serves


def test_a_filled_engine_is_compared_with_exact_search(small: Library) -> None:
    small.engine.empty()
    [space] = EngineFilling(small.vectors, small.follower("mover"), small.indexes).run()
    assert (space.pictures, space.in_engine, space.recall) == (20, 20, 1.0)
    assert space.complete


def test_a_filling_that_is_stopped_goes_on_where_it_was(small: Library) -> None:
    small.engine.empty()
    filling = EngineFilling(small.vectors, small.follower("mover"), small.indexes)
    assert filling.run(stopping=lambda: True) == []
    [space] = filling.run()
    assert space.complete


def test_what_an_engine_lacks_shows_in_the_comparison(small: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    best = small.index.search(BANK[0], 3)[0].tolist()
    monkeypatch.setattr("app.library.engine_filling.SHOWN_SECONDS", 0)
    small.engine.delete(best)
    wait_for(lambda: small.engine.count() == 17)
    filling = EngineFilling(small.vectors, small.follower("mover"), small.indexes)
    [space] = filling.run()
    assert (space.pictures, space.in_engine, space.complete) == (20, 17, False)
    assert space.recall < 1


def psycopg_connection(url: str) -> Connection[Any]:
    import psycopg

    return psycopg.connect(url)


# -- Milvus whose collections somebody has released


def test_released_collections_are_loaded_again() -> None:
    needs.package("pymilvus")
    from pymilvus import MilvusException

    class Client:
        """Answers as a server does whose collections are not in memory."""

        def __init__(self) -> None:
            self.loaded = set[str]()

        def has_collection(self, _name: str, **_options: Any) -> bool:
            return True

        def load_collection(self, name: str, **_options: Any) -> None:
            self.loaded.add(name)

        def query(self, name: str, **_options: Any) -> list[dict[str, int]]:
            if name not in self.loaded:
                raise MilvusException(code=101, message="collection not loaded")
            return [{"seq": 7, "mark": 8, "bank": 9}]

    engine = Milvus("milvus://host", "glimpse_test", DIMENSION)
    engine._connected = client = Client()
    assert engine.last_seq() == Reached(7, 8, 9)
    engine._made = True
    client.loaded.clear()
    with pytest.raises(EngineUnavailable):
        engine.last_seq()
    assert engine.last_seq() == Reached(7, 8, 9)


# -- pgvector beyond what it compares one by one


@pytest.fixture
def graph(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """A library in pgvector that is large enough for HNSW, since little counts as large."""
    monkeypatch.setattr("app.vectors.pgvector.EXACT_UP_TO", 200)
    monkeypatch.setattr("app.library.following.MUCH", 1000)
    opening = partial(open_engine, postgres_url)
    with library(tmp_path, opening, unit_vectors(PICTURES, DIMENSION)) as filled:
        yield filled


def test_many_pictures_have_an_index_and_few_go_without(graph: Library, postgres_url: str) -> None:
    with psycopg_connection(postgres_url) as connection:
        indexes = [row[0] for row in connection.execute("SELECT indexdef FROM pg_indexes").fetchall()]
    assert sum("USING hnsw" in index for index in indexes) == 1
    small = as_tests(parse("type:png taken:2001..2005").conditions, graph.images.cameras)
    assert small is not None
    meeting = graph.images.matching(parse("type:png taken:2001..2005").conditions)
    assert len(meeting) < 200
    assert_same(graph.index.search(QUERIES[0], 1000, small), nearest(graph, QUERIES[0], meeting.tolist()))


@pytest.mark.parametrize("text", ["", "type:png", "-type:png,jpg larger:1mp"])
def test_the_index_finds_as_many_as_there_are_and_nearly_the_same(graph: Library, text: str) -> None:
    conditions = parse(text).conditions
    tests = as_tests(conditions, graph.images.cameras) if conditions else None
    meeting = graph.images.matching(conditions).tolist()
    for query in QUERIES:
        expected, _ = nearest(graph, query, meeting)
        for k in (10, 400, len(meeting)):
            found = graph.index.search(query, k, tests)[0].tolist()
            assert len(found) == min(k, len(meeting)), "what is filtered out must not leave gaps"
            assert len(set(found) & set(expected[:k])) >= 0.99 * len(found)


def test_no_process_takes_more_than_its_connections(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Pgvector(postgres_url, "glimpse_test", DIMENSION)
    with ExitStack() as busy:
        for _ in range(MOST_CONNECTIONS):
            busy.enter_context(engine._answering(30))
        monkeypatch.setattr("app.vectors.pgvector.ANSWER_SECONDS", 1)
        with pytest.raises(EngineUnavailable, match="is busy"), engine._answering(1):
            pass
    monkeypatch.undo()
    assert engine.count() == 0
    engine.close()


def test_a_server_that_hangs_is_given_up(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.vectors.pgvector.MARGIN_SECONDS", 0)
    engine = Pgvector(postgres_url, "glimpse_test", DIMENSION)
    with pytest.raises(EngineUnavailable, match="does not answer"), engine._answering(5) as connection:
        connection.execute("SET statement_timeout = 0; SELECT pg_sleep(600)")
    assert connection.closed
    assert engine.count() == 0
    engine.close()


# -- what a doctor sees, and who has no client


def test_the_doctor_compares_engine_and_catalog(postgres_url: str, settings: Settings) -> None:
    changed = settings.model_copy(update={"vectors": postgres_url})
    with running(changed) as glimpse, glimpse.working():
        glimpse.upload(("red.jpg", picture("red")), ("green.jpg", picture("green")))
        wait_for(lambda: len(glimpse.search("red")) == 2 if glimpse.idle() else False)
    with create_doctor(changed) as doctor:
        assert list(doctor.examine()) == []
        with psycopg_connection(postgres_url) as connection:
            [table] = connection.execute("SELECT name FROM glimpse_state").fetchone() or [""]
            connection.execute(f'DELETE FROM "{table}" WHERE id = 1')  # noqa: S608
        [finding] = doctor.examine()
        assert "has 1 pictures of colours, the catalog 2" in finding.what
        assert finding.repair is not None
        finding.repair()
    with running(changed) as glimpse, glimpse.working():
        wait_for(lambda: glimpse.search("red") == ["red.jpg", "green.jpg"])


@pytest.mark.parametrize("url", ["milvus://host", "qdrant://host", "postgresql://host/name"])
def test_a_client_that_is_missing_is_told_with_how_to_get_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("pymilvus", "qdrant_client", "qdrant_client.http.exceptions", "psycopg"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineUnavailable, match=r"is not installed: pip install -r requirements-\w+\.txt"):
        open_engine(url, "name", 4).count()


@pytest.mark.parametrize("url", ["", "milvus://", "qdrant", "redis://host", "http://host"])
def test_what_names_no_engine_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="Known are faiss, milvus"):
        open_engine(url, "name", 4)
    with pytest.raises(ValidationError, match="vectors"):
        Settings(vectors=url)
    with pytest.raises(ValidationError, match="say which server"):
        Settings(vectors="pgvector")
