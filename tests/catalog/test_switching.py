"""Changing the model while the old one serves, as the catalog sees it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert

from app.catalog.database import Database
from app.catalog.images import LEASE_SECONDS, MAX_ATTEMPTS, Images
from app.catalog.switching import Switches
from app.catalog.tables import vectors as log
from app.catalog.trash import Trash
from app.catalog.vectors import KeptSpace, Vectors
from app.errors import NotFound
from app.models import Counts, FloatArray, ImageState
from tests.catalogs import OTHER_SPACE, SPACE, Clock, add_pictures, prepare_all, unit_vectors

NEW = unit_vectors(50, seed=7)


@pytest.fixture
def switches(database: Database) -> Switches:
    return Switches(database)


@pytest.fixture
def old(images: Images, vectors: Vectors) -> int:
    """Five searchable pictures in the space that serves, which comes from "colours"."""
    space = vectors.serve(SPACE, "colours")
    index(images, vectors, space, 5)
    return space


def index(images: Images, vectors: Vectors, space: int, count: int, first: int = 0) -> list[int]:
    ids = add_pictures(images, count, first)
    prepare_all(images)
    claimed = [image.id for image in images.claim(ImageState.PREPARED, "w", 100)]
    vectors.record("w", space, claimed, unit_vectors(len(claimed)))
    return ids


def begin(switches: Switches, wanted: str = "other") -> KeptSpace:
    switches.want(wanted)
    switches.begin(wanted, OTHER_SPACE, wanted)
    filling = switches.read().filling
    assert filling is not None
    return filling


def fill(switches: Switches, filling: KeptSpace, limit: int = 100, worker: str = "w") -> list[int]:
    """Fill one batch; its ids."""
    claimed = switches.claim(worker, filling, switches.read().after, 0, limit)
    switches.fill(worker, filling, {key: NEW[key] for key in claimed})
    return claimed


def of(vectors: Vectors, space: int, image_id: int) -> FloatArray:
    vector = vectors.get(space, image_id)
    assert vector is not None
    return vector


# -- wishes


@pytest.mark.usefixtures("old")
def test_pictures_whose_previews_are_made_again_are_waited_for(
    images: Images, vectors: Vectors, switches: Switches
) -> None:
    """The space that serves finds them; the new one would not."""
    filling = begin(switches)
    images.start_over([2, 4])
    assert fill(switches, filling) == [1, 3, 5]
    assert not switches.promote(filling)
    prepare_all(images)
    serving = vectors.serving()
    assert serving is not None
    vectors.record("w", serving.id, [i.id for i in images.claim(ImageState.PREPARED, "w", 9)], unit_vectors(2))
    assert not switches.promote(filling)
    assert fill(switches, filling) == [2, 4]
    assert switches.promote(filling)
    assert images.counts() == Counts(indexed=5)


def test_new_pictures_are_not_waited_for(images: Images, old: int, switches: Switches) -> None:
    filling = begin(switches)
    add_pictures(images, 3, first=5)
    fill(switches, filling)
    assert switches.promote(filling)


@pytest.mark.usefixtures("old")
def test_a_wish_changes_nothing_until_its_space_is_full(images: Images, vectors: Vectors, switches: Switches) -> None:
    filling = begin(switches)
    assert fill(switches, filling, 4) == [1, 2, 3, 4]
    assert not switches.promote(filling)
    serving = vectors.serving()
    assert serving is not None
    assert (serving.space, serving.source, images.counts()) == (SPACE, "colours", Counts(indexed=5))
    assert switches.progress(filling, 0) == (4, 5)
    assert fill(switches, filling) == [5]
    assert switches.promote(filling)
    serving = vectors.serving()
    assert serving is not None
    assert (serving.space, serving.source, images.counts()) == (OTHER_SPACE, "other", Counts(indexed=5))
    told = switches.read()
    assert (told.wanted, told.filling, told.chosen) == (None, None, "other")
    assert told.previous is not None
    assert told.previous.space == SPACE


def test_the_two_spaces_keep_vectors_of_their_own(old: int, vectors: Vectors, switches: Switches) -> None:
    filling = begin(switches)
    fill(switches, filling)
    assert filling.id != old
    for image_id in (1, 5):
        assert (of(vectors, filling.id, image_id) == NEW[image_id]).all()
        assert (of(vectors, old, image_id) == unit_vectors(5)[image_id - 1]).all()


@pytest.mark.usefixtures("old")
def test_a_wish_that_fails_leaves_all_as_it_was_and_says_why(switches: Switches, vectors: Vectors) -> None:
    switches.want("nowhere")
    switches.fail("somewhere else", "another wish")
    assert switches.read().wanted == "nowhere"
    switches.fail("nowhere", "It can't be had.")
    told = switches.read()
    assert (told.wanted, told.filling, told.chosen, told.failure) == (None, None, None, "It can't be had.")
    serving = vectors.serving()
    assert serving is not None
    assert serving.space == SPACE
    switches.want("other")
    assert switches.read().failure is None


@pytest.mark.usefixtures("old")
def test_a_wish_that_is_being_filled_can_be_had_and_does_not_fail(switches: Switches) -> None:
    begin(switches)
    begun = switches.read()
    assert begun.wanted is not None
    switches.fail(begun.wanted, "It can't be had, says one worker of many.")
    assert switches.read() == begun


@pytest.mark.usefixtures("old")
def test_pictures_are_not_embedded_again_for_what_was_replaced_meanwhile(switches: Switches, vectors: Vectors) -> None:
    switches.anew()
    vectors.serve(replace(SPACE, fingerprint="replaced"))
    told = switches.read()
    assert (told.wanted, told.filling) == (None, None)


@pytest.mark.usefixtures("old")
def test_what_serves_already_is_filled_by_nobody(switches: Switches) -> None:
    switches.want("colours")
    switches.begin("colours", SPACE, "colours")
    told = switches.read()
    assert (told.wanted, told.filling) == (None, None)


@pytest.mark.usefixtures("old")
def test_a_model_that_loads_after_another_was_wanted_fills_nothing(switches: Switches) -> None:
    switches.want("other")
    switches.want("third")
    switches.begin("other", OTHER_SPACE, "other")
    assert switches.read().filling is None


@pytest.mark.usefixtures("old")
def test_staying_ends_a_filling_and_keeps_what_it_has(switches: Switches) -> None:
    filling = begin(switches)
    fill(switches, filling, 3)
    switches.stay()
    assert (switches.read().wanted, switches.read().filling) == (None, None)
    assert not switches.promote(filling)
    assert switches.progress(begin(switches), 0) == (3, 5)


@pytest.mark.usefixtures("old")
def test_a_choice_holds_until_the_setting_is_changed(switches: Switches) -> None:
    switches.settle("auto")
    filling = begin(switches)
    fill(switches, filling)
    switches.promote(filling)
    assert switches.settle("auto").chosen == "other"
    assert switches.settle("other").chosen is None
    assert switches.settle("auto").chosen is None


@pytest.mark.usefixtures("old")
def test_to_choose_what_the_setting_says_is_no_choice(switches: Switches) -> None:
    switches.settle("other")
    filling = begin(switches)
    fill(switches, filling)
    switches.promote(filling)
    assert switches.read().chosen is None


@pytest.mark.usefixtures("old")
def test_a_changed_setting_ends_an_earlier_wish(switches: Switches) -> None:
    switches.settle("auto")
    begin(switches)
    assert switches.settle("auto").wanted == "other", "a start is no change"
    assert switches.settle("third").wanted is None


# -- filling


@pytest.mark.usefixtures("old")
def test_workers_share_the_filling(switches: Switches) -> None:
    filling = begin(switches)
    first = switches.claim("a", filling, 0, 0, 3)
    second = switches.claim("b", filling, 0, 0, 3)
    assert (first, second) == ([1, 2, 3], [4, 5])
    assert switches.claim("c", filling, 0, 0, 3) == []
    switches.fill("a", filling, {key: NEW[key] for key in first})
    assert not switches.promote(filling), "what is claimed is not there yet"
    switches.fill("b", filling, {key: NEW[key] for key in second})
    assert switches.promote(filling)


@pytest.mark.usefixtures("old")
def test_a_worker_that_lost_its_claim_writes_nothing(switches: Switches, vectors: Vectors, clock: Clock) -> None:
    filling = begin(switches)
    switches.claim("slow", filling, 0, 0, 9)
    clock.now += LEASE_SECONDS + 1
    assert switches.claim("other", filling, 0, 0, 9) == [1], "it may be what stopped the first"
    switches.fill("slow", filling, {1: NEW[1]})
    assert vectors.get(filling.id, 1) is None


@pytest.mark.usefixtures("old")
def test_a_picture_that_stops_workers_is_left_out_and_stays_searchable(
    images: Images, vectors: Vectors, switches: Switches
) -> None:
    filling = begin(switches)
    for _ in range(MAX_ATTEMPTS):
        switches.claim("w", filling, 0, 0, 1)
        images.release("w", died=True)
    while fill(switches, filling):
        pass
    assert images.counts() == Counts(indexed=5)
    assert switches.promote(filling)
    assert images.counts() == Counts(indexed=4, prepared=1), "it has a try as any other picture that is prepared"
    assert vectors.get(filling.id, 1) is None


@pytest.mark.usefixtures("old")
def test_a_picture_that_cannot_be_read_holds_nothing_up(images: Images, switches: Switches) -> None:
    filling = begin(switches)
    claimed = switches.claim("w", filling, 0, 0, 9)
    switches.fill("w", filling, {key: NEW[key] for key in claimed[1:]}, claimed[:1])
    assert images.claimers() == []
    assert switches.promote(filling)
    assert images.counts() == Counts(indexed=4, prepared=1)


def test_new_pictures_go_to_both_spaces(old: int, images: Images, vectors: Vectors, switches: Switches) -> None:
    filling = begin(switches)
    fill(switches, filling)
    (new,) = index(images, vectors, old, 1, first=10)
    assert not switches.promote(filling)
    assert fill(switches, filling) == [new]
    assert switches.promote(filling)
    assert vectors.get(old, new) is not None


@pytest.mark.usefixtures("old")
def test_a_picture_that_is_not_searchable_yet_is_embedded_after_the_promotion(
    images: Images, switches: Switches
) -> None:
    filling = begin(switches)
    fill(switches, filling)
    add_pictures(images, 1, first=10)
    prepare_all(images)
    images.claim(ImageState.PREPARED, "w", 1)
    assert switches.promote(filling)
    assert images.counts() == Counts(indexed=5, prepared=1)
    assert images.claimers() == []


def test_pictures_removed_meanwhile_are_nowhere(old: int, images: Images, vectors: Vectors, switches: Switches) -> None:
    filling = begin(switches)
    claimed = switches.claim("w", filling, 0, 0, 2)
    images.remove(1)
    switches.fill("w", filling, {key: NEW[key] for key in claimed})
    images.remove(2)
    assert [vectors.get(space, gone) for space in (old, filling.id) for gone in (1, 2)] == [None] * 4
    while fill(switches, filling):
        pass
    assert switches.promote(filling)
    assert images.counts() == Counts(indexed=3)


def test_a_picture_that_comes_back_from_the_trash_is_filled_again(
    old: int, database: Database, images: Images, vectors: Vectors, switches: Switches
) -> None:
    filling = begin(switches)
    fill(switches, filling)
    Trash(database).put(2)
    Trash(database).restore(2)
    index(images, vectors, old, 0)
    assert not switches.promote(filling)
    assert fill(switches, filling) == [2]
    assert switches.promote(filling)
    assert images.counts() == Counts(indexed=5)


def test_vectors_for_a_space_that_serves_no_more_do_not_count(
    old: int, images: Images, vectors: Vectors, switches: Switches, database: Database
) -> None:
    filling = begin(switches)
    fill(switches, filling)
    (late,) = add_pictures(images, 1, first=10)
    prepare_all(images)
    switches.promote(filling)
    images.claim(ImageState.PREPARED, "w", 1)
    assert vectors.record("w", old, [late], unit_vectors(1)) == 0
    assert images.counts() == Counts(indexed=5, prepared=1)


# -- the way back


def test_going_back_is_instant_and_honest_about_what_came_since(
    old: int, images: Images, vectors: Vectors, switches: Switches
) -> None:
    switches.settle("auto")
    filling = begin(switches)
    fill(switches, filling)
    switches.promote(filling)
    since = index(images, vectors, filling.id, 2, first=10)
    assert switches.roll_back().space == SPACE
    assert images.counts() == Counts(indexed=5, prepared=2)
    assert [image.id for image in images.claim(ImageState.PREPARED, "w", 9)] == since
    vectors.record("w", old, since, unit_vectors(2))
    told = switches.read()
    assert told.previous is not None
    assert (told.chosen, told.previous.space) == ("colours", OTHER_SPACE)
    switches.roll_back()
    assert images.counts() == Counts(indexed=7), "and forth"


def test_going_back_ends_a_filling(old: int, switches: Switches, vectors: Vectors) -> None:
    filling = begin(switches)
    fill(switches, filling)
    switches.promote(filling)
    switches.want("third")
    assert switches.roll_back().id == old
    assert switches.read().wanted is None


@pytest.mark.usefixtures("old")
def test_there_is_no_way_back_from_the_first_model(switches: Switches) -> None:
    with pytest.raises(NotFound, match="no earlier model"):
        switches.roll_back()


# -- the same model again


def test_all_pictures_are_embedded_anew_in_place(
    old: int, images: Images, vectors: Vectors, switches: Switches
) -> None:
    switches.anew()
    told = switches.read()
    assert told.filling is not None
    assert (told.wanted, told.filling.id) == ("colours", old)
    assert switches.progress(told.filling, told.after) == (0, 5)
    assert fill(switches, told.filling, 3) == [1, 2, 3]
    assert (of(vectors, old, 1) == NEW[1]).all()
    assert (of(vectors, old, 5) == unit_vectors(5)[4]).all(), "until it is there, the old one serves"
    assert not switches.promote(told.filling)
    fill(switches, told.filling)
    assert switches.promote(told.filling)
    assert images.counts() == Counts(indexed=5)
    assert switches.read().wanted is None
    assert switches.read().previous is None


@pytest.mark.usefixtures("old")
def test_a_picture_that_cannot_be_read_again_goes_the_ordinary_way(images: Images, switches: Switches) -> None:
    switches.anew()
    filling = switches.read().filling
    assert filling is not None
    [one] = switches.claim("w", filling, switches.read().after, 0, 1)
    switches.fill("w", filling, {}, [one])
    assert images.counts() == Counts(indexed=4, prepared=1)


def test_before_the_first_model_there_is_nothing_to_do_anew(switches: Switches) -> None:
    with pytest.raises(NotFound, match="nothing to embed"):
        switches.anew()


def test_an_entry_without_a_vector_is_none_to_whoever_follows_the_log(
    old: int, vectors: Vectors, database: Database
) -> None:
    with database.writing() as connection:
        connection.execute(insert(log).values(space_id=old, image_id=99, vector=b""))
    assert vectors.get(old, 99) is None
    assert [entry.vector for batch in vectors.log(old).entries(0) for entry in batch][-1] is None
