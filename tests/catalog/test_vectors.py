"""Embedding spaces and the vector log."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy.exc import IntegrityError

from app.catalog.images import LEASE_SECONDS, Images
from app.catalog.vectors import Vectors
from app.models import Counts, EmbeddingSpace, ImageState, LogEntry
from tests.catalogs import (
    OTHER_SPACE,
    SPACE,
    Clock,
    add_pictures,
    new_image,
    newest,
    nothing,
    prepare_all,
    unit_vectors,
)


def entries(vectors: Vectors, space: int, after: int = 0) -> list[LogEntry]:
    return [entry for batch in vectors.log(space).entries(after) for entry in batch]


def embed_all(images: Images, vectors: Vectors, space: int, seed: int = 0) -> list[int]:
    """Give every prepared picture a vector; their ids."""
    ids = [image.id for image in images.claim(ImageState.PREPARED, "w", 1000)]
    assert vectors.record("w", space, ids, unit_vectors(len(ids), seed=seed)) == len(ids)
    return ids


# -- recording


def test_before_the_first_model_no_space_serves(vectors: Vectors) -> None:
    assert vectors.serving() is None


def test_a_vector_and_the_state_of_its_picture_change_together(images: Images, vectors: Vectors) -> None:
    space = vectors.serve(SPACE)
    first, second = add_pictures(images, 2)
    prepare_all(images)
    images.claim(ImageState.PREPARED, "w", 9)
    embedded = unit_vectors(2)
    assert vectors.record("w", space, [second, first], embedded) == 2
    assert images.counts() == Counts(indexed=2)
    assert images.claimers() == []
    np.testing.assert_array_equal(vectors.get(space, second), embedded[0])
    np.testing.assert_array_equal(vectors.get(space, first), embedded[1])


def test_a_write_that_fails_changes_neither(images: Images, vectors: Vectors) -> None:
    vectors.serve(SPACE)
    (image_id,) = add_pictures(images, 1)
    prepare_all(images)
    images.claim(ImageState.PREPARED, "w", 9)
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        vectors.record("w", 99, [image_id], unit_vectors(1))
    assert images.counts() == Counts(prepared=1)
    assert images.claimers() == ["w"]


def test_ids_and_vectors_that_do_not_match_in_number_are_a_fault(vectors: Vectors) -> None:
    with pytest.raises(ValueError, match="zip"):
        vectors.record("w", vectors.serve(SPACE), [1, 2], unit_vectors(1))


def test_pictures_removed_meanwhile_are_skipped(images: Images, vectors: Vectors) -> None:
    space = vectors.serve(SPACE)
    gone, kept = add_pictures(images, 2)
    prepare_all(images)
    images.claim(ImageState.PREPARED, "w", 9)
    images.remove(gone)
    embedded = unit_vectors(2)
    assert vectors.record("w", space, [gone, kept], embedded) == 1
    assert vectors.get(space, gone) is None
    np.testing.assert_array_equal(vectors.get(space, kept), embedded[1])
    assert [entry.image_id for entry in entries(vectors, space)] == [kept]


def test_vectors_of_a_worker_that_lost_its_claim_are_refused(images: Images, vectors: Vectors, clock: Clock) -> None:
    space = vectors.serve(SPACE)
    (image_id,) = add_pictures(images, 1)
    prepare_all(images)
    images.claim(ImageState.PREPARED, "slow", 9)
    clock.now += LEASE_SECONDS + 1
    images.claim(ImageState.PREPARED, "other", 9)
    mine, theirs = unit_vectors(2)
    assert vectors.record("slow", space, [image_id], mine[None]) == 0
    assert vectors.record("other", space, [image_id], theirs[None]) == 1
    assert vectors.record("slow", space, [image_id], mine[None]) == 0
    np.testing.assert_array_equal(vectors.get(space, image_id), theirs)


def test_nothing_to_record_is_fine(vectors: Vectors) -> None:
    assert vectors.record("w", vectors.serve(SPACE), [], unit_vectors(0)) == 0


# -- the log


def test_the_log_is_read_in_growing_order_from_any_place(
    images: Images, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.catalog.vectors.LOG_BATCH", 3)
    space = vectors.serve(SPACE)
    ids = add_pictures(images, 7)
    prepare_all(images)
    embed_all(images, vectors, space)
    batches = list(vectors.log(space).entries(0))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    found = [entry for batch in batches for entry in batch]
    assert [entry.image_id for entry in found] == ids
    seqs = [entry.seq for entry in found]
    assert seqs == sorted(set(seqs))
    assert [entry.image_id for entry in entries(vectors, space, seqs[4])] == ids[5:]
    assert entries(vectors, space, seqs[-1]) == []
    assert newest(vectors.log(space)) == seqs[-1]


def test_a_newer_vector_replaces_the_older_under_a_higher_seq(images: Images, vectors: Vectors) -> None:
    space = vectors.serve(SPACE)
    first, second = add_pictures(images, 2)
    prepare_all(images)
    embed_all(images, vectors, space)
    before = newest(vectors.log(space))
    images.start_over([first])
    prepare_all(images)
    embed_all(images, vectors, space, seed=1)
    assert [entry.image_id for entry in entries(vectors, space)] == [second, first]
    assert entries(vectors, space)[-1].seq > before
    np.testing.assert_array_equal(vectors.get(space, first), unit_vectors(1, seed=1)[0])


def test_seq_grows_also_past_entries_that_were_deleted(images: Images, vectors: Vectors) -> None:
    space, seen = vectors.serve(SPACE), [0]
    for _ in range(3):
        (image_id,) = add_pictures(images, 1)
        prepare_all(images)
        embed_all(images, vectors, space)
        seen.append(newest(vectors.log(space)))
        images.remove(image_id)
        seen.append(newest(vectors.log(space)))
    assert seen == sorted(set(seen))
    assert [entry.vector for entry in entries(vectors, space)] == [None, None, None]


def test_whoever_follows_the_log_from_anywhere_ends_with_the_same_pictures(images: Images, vectors: Vectors) -> None:
    space = vectors.serve(SPACE)
    add_pictures(images, 4)
    prepare_all(images)
    ids = embed_all(images, vectors, space)
    early = {entry.image_id: entry.vector for entry in entries(vectors, space)}
    seq = newest(vectors.log(space))
    images.remove(ids[1])
    again, _ = images.add(new_image(1), nothing)
    prepare_all(images)
    embed_all(images, vectors, space, seed=1)
    early.update({entry.image_id: entry.vector for entry in entries(vectors, space, seq)})
    whole = {entry.image_id: entry.vector for entry in entries(vectors, space)}
    alive = [{key for key, vector in known.items() if vector is not None} for known in (early, whole)]
    assert alive == [{ids[0], ids[2], ids[3], again}] * 2


# -- spaces


def test_a_space_is_known_by_model_weights_and_dimension(vectors: Vectors) -> None:
    space = vectors.serve(SPACE)
    assert vectors.serve(SPACE) == space
    serving = vectors.serving()
    assert serving is not None
    assert (serving.id, serving.space) == (space, SPACE)
    others = [EmbeddingSpace("colours", "1", 5), EmbeddingSpace("other", "1", 4), OTHER_SPACE]
    assert len({vectors.serve(other) for other in others} | {space}) == 4
    serving = vectors.serving()
    assert serving is not None
    assert serving.space == OTHER_SPACE


def test_another_space_makes_pictures_prepared_and_the_first_one_finds_them_indexed_again(
    images: Images, vectors: Vectors
) -> None:
    first = vectors.serve(SPACE)
    ids = add_pictures(images, 3)
    prepare_all(images)
    embed_all(images, vectors, first)
    (pending,) = add_pictures(images, 1, first=10)

    second = vectors.serve(OTHER_SPACE)
    assert images.counts() == Counts(pending=1, prepared=3)
    assert embed_all(images, vectors, second, seed=1) == ids
    assert images.counts() == Counts(pending=1, indexed=3)

    vectors.serve(SPACE)
    assert images.counts() == Counts(pending=1, indexed=3)
    prepare_all(images)
    embed_all(images, vectors, first)
    vectors.serve(OTHER_SPACE)
    assert images.counts() == Counts(prepared=1, indexed=3)
    assert [image.id for image in images.claim(ImageState.PREPARED, "w", 9)] == [pending]


def test_serving_the_same_space_again_leaves_claims_alone(images: Images, vectors: Vectors) -> None:
    vectors.serve(SPACE)
    add_pictures(images, 1)
    prepare_all(images)
    images.claim(ImageState.PREPARED, "w", 1)
    vectors.serve(SPACE)
    assert images.claimers() == ["w"]


def test_a_switch_takes_claims_back_so_that_no_vector_of_the_old_model_counts(images: Images, vectors: Vectors) -> None:
    old = vectors.serve(SPACE)
    (image_id,) = add_pictures(images, 1)
    prepare_all(images)
    images.claim(ImageState.PREPARED, "w", 1)
    vectors.serve(OTHER_SPACE)
    assert vectors.record("w", old, [image_id], unit_vectors(1)) == 0
    assert images.counts() == Counts(prepared=1)


def test_failed_and_pending_pictures_stay_what_they_are_in_a_switch(images: Images, vectors: Vectors) -> None:
    vectors.serve(SPACE)
    _, failed = add_pictures(images, 2)
    images.claim(ImageState.PENDING, "w", 1)
    images.record_failed("w", failed, "It is torn.")
    vectors.serve(OTHER_SPACE)
    assert images.counts() == Counts(pending=1, failed=1)


def test_the_vectors_of_two_spaces_are_never_mixed(images: Images, vectors: Vectors) -> None:
    first = vectors.serve(SPACE)
    ids = add_pictures(images, 2)
    prepare_all(images)
    embed_all(images, vectors, first, seed=1)
    second = vectors.serve(OTHER_SPACE)
    embed_all(images, vectors, second, seed=2)
    for space, seed in ((first, 1), (second, 2)):
        found = entries(vectors, space)
        assert [entry.image_id for entry in found] == ids
        np.testing.assert_array_equal([entry.vector for entry in found], unit_vectors(2, seed=seed))
        np.testing.assert_array_equal(vectors.get(space, ids[0]), unit_vectors(2, seed=seed)[0])


def test_a_removed_picture_does_not_count_as_having_a_vector(images: Images, vectors: Vectors) -> None:
    space = vectors.serve(SPACE)
    (image_id,) = add_pictures(images, 1)
    prepare_all(images)
    embed_all(images, vectors, space)
    images.remove(image_id)
    assert vectors.get(space, image_id) is None
    assert vectors.get(space, 999) is None
