"""Index: one batch at a time, and whatever goes wrong costs one picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Raster
from sqlalchemy import update

from app.catalog.tables import images
from app.catalog.words import Words
from app.errors import PictureError
from app.library.indexing import PREPARE_BATCH, Indexer
from app.media.decoding import Decoder
from app.media.pictures import Prepared
from app.models import Captions, Counts, FloatArray, ImageState
from tests.encoders import ColourEncoder, FailingEncoder
from tests.library.conftest import Rooms, md5
from tests.pictures import (
    FAILED_FILES,
    GOOD_FILES,
    encoded,
    noise,
    oriented,
    picture,
    unique_pictures,
    with_captions,
    with_facts,
)


class CallingEncoder(ColourEncoder):
    """Calls something while it encodes."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self._call = call

    def encode_images(self, images: Sequence[Raster.Image]) -> FloatArray:
        self._call()
        return super().encode_images(images)


class NanEncoder(ColourEncoder):
    """Has no numbers for dark pictures."""

    def encode_images(self, images: Sequence[Raster.Image]) -> FloatArray:
        vectors = super().encode_images(images)
        vectors[[np.asarray(image).max() < 16 for image in images]] = np.nan
        return vectors


def serve_colours(rooms: Rooms) -> ColourEncoder:
    encoder = ColourEncoder()
    rooms.vectors.serve(encoder.space)
    return encoder


# -- prepare


def test_without_pictures_there_is_nothing_to_do(rooms: Rooms) -> None:
    assert not rooms.indexer.prepare_next_batch()
    assert rooms.indexer.embed_next_batch(serve_colours(rooms)) == 0


def test_preparing_makes_derivatives_and_finds_facts(rooms: Rooms) -> None:
    rooms.intake.add_bytes(with_facts(), "facts.jpg")
    rooms.intake.add_bytes(oriented(6, "PNG"), "turned.png")
    assert rooms.indexer.prepare_next_batch()
    assert not rooms.indexer.prepare_next_batch()
    facts, turned = rooms.image(1), rooms.image(2)
    assert (facts.state, facts.camera) == (ImageState.PREPARED, "Halden R2")
    assert facts.taken_at is not None
    assert (turned.width, turned.height) == (64, 48)
    for image in (facts, turned):
        with Raster.open(rooms.store.thumbnail(image.md5, 256)) as thumbnail:
            assert (thumbnail.format, thumbnail.size) == ("WEBP", (64, 48))


def test_a_batch_has_an_end(rooms: Rooms) -> None:
    for number, data in enumerate(unique_pictures(PREPARE_BATCH + 1)):
        rooms.intake.add_bytes(data, f"{number}.jpg")
    assert rooms.indexer.prepare_next_batch()
    assert rooms.images.counts() == Counts(pending=1, prepared=PREPARE_BATCH)
    assert rooms.indexer.prepare_next_batch()
    encoder = serve_colours(rooms)
    assert [rooms.indexer.embed_next_batch(encoder) for _ in range(3)] == [encoder.batch, 1, 0]
    assert rooms.images.counts() == Counts(indexed=PREPARE_BATCH + 1)


def test_pictures_that_cannot_be_decoded_fail_with_their_reason_and_the_others_go_on(rooms: Rooms) -> None:
    files = {"red.jpg": picture("red"), **FAILED_FILES, "blue.jpg": picture("blue")}
    for name, data in files.items():
        rooms.intake.add_bytes(data, name)
    rooms.prepare()
    assert rooms.images.counts() == Counts(prepared=2, failed=len(FAILED_FILES))
    for image in rooms.images.newest(99, state=ImageState.FAILED):
        assert image.filename in FAILED_FILES
        assert image.reason is not None
        assert image.reason.endswith(".")


def test_every_kind_of_good_picture_becomes_indexed(rooms: Rooms) -> None:
    for name, data in GOOD_FILES.items():
        rooms.intake.add_bytes(data, name)
    rooms.index()
    assert rooms.images.counts() == Counts(indexed=len(GOOD_FILES))


def test_an_original_that_is_missing_fails_alone(rooms: Rooms) -> None:
    missing, kept = rooms.add("red", "blue")
    rooms.store.original(rooms.image(missing).md5, "jpeg").unlink()
    rooms.prepare()
    assert rooms.image(kept).state is ImageState.PREPARED
    failed = rooms.image(missing)
    assert failed.state is ImageState.FAILED
    assert failed.reason is not None
    assert "missing" in failed.reason


class RemovingDecoder:
    """Between claim and record, somebody deletes the picture, and may upload it ``again``."""

    def __init__(self, rooms: Rooms, again: bool = False) -> None:
        self._rooms = rooms
        self._again = again

    def prepare(self, paths: Sequence[Path]) -> Iterator[Prepared | PictureError]:
        for prepared in self._rooms.decoder.prepare(paths):
            self._rooms.intake.remove(1)
            if self._again:
                self._rooms.add("red")
            yield prepared


def test_a_picture_deleted_while_it_is_prepared_stays_deleted(rooms: Rooms) -> None:
    rooms.add("red")
    decoder: Decoder = RemovingDecoder(rooms)  # type: ignore[assignment]
    indexer = Indexer("worker", rooms.images, rooms.vectors, rooms.store, decoder)
    assert indexer.prepare_next_batch()
    assert rooms.images.counts() == Counts()
    assert rooms.images.get(1) is None
    assert rooms.files() == set(), "and so do its previews"


def test_previews_of_a_picture_that_was_uploaded_again_meanwhile_stay(rooms: Rooms) -> None:
    rooms.add("red")
    decoder: Decoder = RemovingDecoder(rooms, again=True)  # type: ignore[assignment]
    indexer = Indexer("worker", rooms.images, rooms.vectors, rooms.store, decoder)
    assert indexer.prepare_next_batch()
    assert rooms.images.counts() == Counts(pending=1)
    assert rooms.store.thumbnail(md5(picture("red")), 256).exists()


# -- captions


def test_preparing_reads_the_texts_of_a_picture(rooms: Rooms) -> None:
    rooms.intake.add_bytes(with_captions("Ferry", "At dusk", ("sea",)), "a.jpg")
    rooms.prepare()
    assert rooms.image(1).captions == Captions("Ferry", "At dusk", ("sea",))
    assert not rooms.indexer.read_next_captions(), "it is done already"


def as_before_there_were_captions(rooms: Rooms) -> Indexer:
    """Nobody has looked for texts yet. The indexer of a worker that starts then."""
    with rooms.database.writing() as connection:
        connection.execute(update(images).values(captions=None))
    return Indexer("worker", rooms.images, rooms.vectors, rooms.store, rooms.decoder)


def test_texts_of_pictures_from_before_are_read_once_newest_first(rooms: Rooms) -> None:
    for number in range(PREPARE_BATCH + 2):
        rooms.intake.add_bytes(with_captions(f"Ferry {number}"), f"{number}.jpg")
    rooms.prepare()
    indexer = as_before_there_were_captions(rooms)
    rooms.add("red")  # still pending: preparing it will read its texts
    assert indexer.read_next_captions()
    titled = [image.captions.title for image in rooms.images.newest(99)]
    assert titled == ["", *(f"Ferry {number}" for number in range(PREPARE_BATCH + 1, 1, -1)), "", ""]
    assert indexer.read_next_captions()
    assert not indexer.read_next_captions()
    assert [hit.image_id for hit in Words(rooms.database).search("ferry 0")] == [1]


def test_what_cannot_be_read_any_more_has_no_texts_and_stays_as_it_is(rooms: Rooms) -> None:
    missing, damaged = rooms.add("red", "blue")
    rooms.index()
    rooms.store.original(rooms.image(missing).md5, "jpeg").unlink()
    rooms.store.original(rooms.image(damaged).md5, "jpeg").write_bytes(b"no picture")
    indexer = as_before_there_were_captions(rooms)
    assert indexer.read_next_captions()
    assert not indexer.read_next_captions()
    assert rooms.images.counts() == Counts(indexed=2)
    assert rooms.images.without_captions(99, 99) == [], "nor will another worker look"


# -- embed


def test_embedding_writes_a_vector_for_each_picture(rooms: Rooms) -> None:
    ids = rooms.add("red", "blue")
    rooms.index()
    assert rooms.images.counts() == Counts(indexed=2)
    serving = rooms.vectors.serving()
    assert serving is not None
    red, blue = (rooms.vectors.get(serving.id, image_id) for image_id in ids)
    assert red is not None
    assert blue is not None
    assert float(red @ ColourEncoder().encode_texts(["red"])[0]) > 0.99
    assert float(blue @ ColourEncoder().encode_texts(["red"])[0]) < 0.5


def test_before_a_space_serves_or_while_another_does_nothing_is_embedded(rooms: Rooms) -> None:
    rooms.add("red")
    rooms.prepare()
    assert rooms.indexer.embed_next_batch(ColourEncoder()) == 0
    rooms.vectors.serve(ColourEncoder(fingerprint="2").space)
    assert rooms.indexer.embed_next_batch(ColourEncoder()) == 0
    assert rooms.images.counts() == Counts(prepared=1)
    assert rooms.images.claimers() == []


def test_a_picture_the_model_cannot_read_fails_alone(rooms: Rooms) -> None:
    rooms.add("red", "black", "blue", "green")
    rooms.index(FailingEncoder())
    assert rooms.images.counts() == Counts(indexed=3, failed=1)
    (failed,) = rooms.images.newest(9, state=ImageState.FAILED)
    assert (failed.filename, failed.reason) == ("black.jpg", "The model could not read this picture (RuntimeError).")


def test_a_picture_the_model_has_no_numbers_for_fails_alone(rooms: Rooms) -> None:
    rooms.add("red", "black", "blue")
    rooms.index(NanEncoder())
    assert rooms.images.counts() == Counts(indexed=2, failed=1)
    (failed,) = rooms.images.newest(9, state=ImageState.FAILED)
    assert failed.filename == "black.jpg"


@pytest.mark.parametrize("damage", [None, b"", b"RIFF nothing"])
def test_a_derivative_that_is_missing_or_damaged_is_made_again(damage: bytes | None, rooms: Rooms) -> None:
    red, blue = rooms.add("red", "blue")
    rooms.prepare()
    path = rooms.store.thumbnail(rooms.image(red).md5, 256)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    encoder = serve_colours(rooms)
    assert rooms.indexer.embed_next_batch(encoder) == 2
    assert (rooms.image(red).state, rooms.image(blue).state) == (ImageState.PENDING, ImageState.INDEXED)
    rooms.index(encoder)
    assert rooms.images.counts() == Counts(indexed=2)


def test_a_picture_deleted_while_it_is_embedded_stays_deleted(rooms: Rooms) -> None:
    red, blue = rooms.add("red", "blue")
    rooms.prepare()
    encoder = CallingEncoder(lambda: rooms.intake.remove(red))
    rooms.vectors.serve(encoder.space)
    assert rooms.indexer.embed_next_batch(encoder) == 2
    assert rooms.images.get(red) is None
    serving = rooms.vectors.serving()
    assert serving is not None
    assert rooms.vectors.get(serving.id, red) is None
    assert rooms.image(blue).state is ImageState.INDEXED


def test_vectors_made_while_the_model_is_switched_do_not_count(rooms: Rooms) -> None:
    rooms.add("red")
    rooms.prepare()
    other = ColourEncoder(fingerprint="2")
    encoder = CallingEncoder(lambda: rooms.vectors.serve(other.space))
    rooms.vectors.serve(encoder.space)
    rooms.indexer.embed_next_batch(encoder)
    assert rooms.images.counts() == Counts(prepared=1)
    rooms.index(other)
    assert rooms.images.counts() == Counts(indexed=1)


def test_another_model_works_from_derivatives_alone(rooms: Rooms) -> None:
    (image_id,) = rooms.add("red")
    rooms.index()
    rooms.store.original(rooms.image(image_id).md5, "jpeg").unlink()
    rooms.index(ColourEncoder(fingerprint="2"))
    assert rooms.images.counts() == Counts(indexed=1)


class SizesEncoder(ColourEncoder):
    """Keeps the sizes it saw, and the most it got at once."""

    side = 230
    batch = 2

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int]] = []
        self.most = 0

    def encode_images(self, images: Sequence[Raster.Image]) -> FloatArray:
        self.sizes += [image.size for image in images]
        self.most = max(self.most, len(images))
        return super().encode_images(images)


def test_a_model_gets_as_many_and_as_large_pictures_as_it_asks_for(rooms: Rooms) -> None:
    for number, size in enumerate([(1000, 800), (1000, 300), (1000, 100)]):
        rooms.intake.add_bytes(encoded(noise(size), "JPEG"), f"{number}.jpg")
    encoder = SizesEncoder()
    rooms.index(encoder)
    assert sorted(encoder.sizes) == [(640, 512), (1000, 100), (1000, 300)]
    assert encoder.most == 2
