"""What happens when the model, or the catalog at start, fails: no picture is blamed, and it heals."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from PIL import Image
from sqlalchemy.exc import OperationalError

from app.models import Counts, FloatArray
from app.vectors.relevance import neutral_texts
from tests.encoders import ColourEncoder, FailingEncoder
from tests.library.conftest import Rooms


class BrokenEncoder(ColourEncoder):
    """Fails with everything, as after a lost GPU."""

    def encode_images(self, images: Sequence[Image.Image]) -> FloatArray:
        raise RuntimeError("device lost")


def test_a_model_that_fails_with_everything_blames_no_picture(rooms: Rooms) -> None:
    rooms.add("red", "blue", "green")
    rooms.prepare()
    rooms.vectors.serve(BrokenEncoder().space)
    with pytest.raises(RuntimeError, match="device lost"):
        rooms.indexer.embed_next_batch(BrokenEncoder())
    rooms.images.release("worker")
    assert rooms.images.counts() == Counts(prepared=3)
    rooms.index()
    assert rooms.images.counts() == Counts(indexed=3)


def test_a_picture_that_a_working_model_cannot_read_is_blamed(rooms: Rooms) -> None:
    rooms.add("red", "black", "green")
    rooms.index(FailingEncoder())
    assert rooms.images.counts() == Counts(indexed=2, failed=1)


def test_neutral_texts_are_read_once_also_where_they_can_not_be_written(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms.add("red")
    rooms.index()
    read: list[str] = []

    class Counting(ColourEncoder):
        def encode_texts(self, texts: Sequence[str]) -> FloatArray:
            read.extend(texts)
            return super().encode_texts(texts)

    def full(*_arguments: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("database or disk is full"))

    searcher = rooms.searcher(load=Counting, start=False)
    with monkeypatch.context() as disk:
        disk.setattr(rooms.vectors, "keep_bank", full)
        for _ in range(3):
            with pytest.raises(OperationalError):
                searcher.serve()
    searcher.serve()
    assert searcher.ready()
    assert len(read) == len(neutral_texts())


def test_a_start_that_failed_is_made_up_for(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms.add("red")
    rooms.index()
    keep_bank = rooms.vectors.keep_bank

    def locked(*_arguments: object) -> None:
        monkeypatch.setattr(rooms.vectors, "keep_bank", keep_bank)
        raise OperationalError("UPDATE", {}, Exception("database is locked"))

    monkeypatch.setattr(rooms.vectors, "keep_bank", locked)
    searcher = rooms.searcher(start=False)
    with pytest.raises(OperationalError):
        searcher.serve()
    assert not searcher.ready()
    searcher.serve()
    assert searcher.ready()
