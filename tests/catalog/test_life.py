"""Any order of what can happen to pictures, against a model of a few lines."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import text

from app.catalog.database import Database
from app.catalog.images import Images
from app.catalog.vectors import Vectors
from app.models import Counts, EmbeddingSpace, ImageState
from tests.catalogs import FACTS, OTHER_SPACE, SPACE, empty_catalog, new_image, newest, nothing, unit_vectors

WORKERS = st.sampled_from(["a", "b"])
PICTURES = st.integers(0, 5)


class PictureLives(RuleBasedStateMachine):
    """Two workers, six pictures, two spaces. `states`, `claims` and `vectors` are what the catalog should say."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = self.open()
        self.images, self.catalog = Images(self.database), Vectors(self.database)
        self.space = self.catalog.serve(SPACE)
        self.ids: dict[int, int] = {}
        self.states: dict[int, ImageState] = {}
        self.claims: dict[int, str] = {}
        self.embedded: set[tuple[int, int]] = set()
        self.highest = 0
        self.newest = 0

    def open(self) -> Database:
        """An empty catalog."""
        return empty_catalog(Path(self.folder.name))

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    @rule(picture=PICTURES)
    def add(self, picture: int) -> None:
        image_id, added = self.images.add(new_image(picture, bytes=1 << picture), nothing)
        assert added == (picture not in self.ids)
        if added:
            assert image_id > self.highest
            self.highest = self.ids[picture] = image_id
            self.states[image_id] = ImageState.PENDING
        assert self.ids[picture] == image_id

    @rule(picture=PICTURES)
    def remove(self, picture: int) -> None:
        image_id = self.ids.pop(picture, -1)
        assert (self.images.remove(image_id) is not None) == (image_id > 0)
        self.states.pop(image_id, None)
        self.claims.pop(image_id, None)
        self.embedded = {entry for entry in self.embedded if entry[1] != image_id}

    @rule(worker=WORKERS, limit=st.integers(1, 4), state=st.sampled_from([ImageState.PENDING, ImageState.PREPARED]))
    def claim(self, worker: str, limit: int, state: ImageState) -> None:
        free = [key for key, found in self.states.items() if found is state and key not in self.claims]
        chosen = sorted(free, reverse=state is ImageState.PENDING)[:limit]
        claimed = [image.id for image in self.images.claim(state, worker, limit)]
        assert claimed == sorted(chosen)
        self.claims.update(dict.fromkeys(claimed, worker))

    @rule(worker=WORKERS, picture=PICTURES)
    def prepare(self, worker: str, picture: int) -> None:
        image_id = self.ids.get(picture, 0)
        mine = self.claims.get(image_id) == worker
        facts = replace(FACTS, taken_at=datetime(2020, 1 + picture % 3, 9) if picture % 2 else None)
        assert self.images.record_prepared(worker, image_id, facts) == mine
        if mine:
            self.states[image_id] = ImageState.PREPARED
            del self.claims[image_id]

    @rule(worker=WORKERS, picture=PICTURES)
    def fail(self, worker: str, picture: int) -> None:
        image_id = self.ids.get(picture, 0)
        self.images.record_failed(worker, image_id, "It is torn.")
        if self.claims.get(image_id) == worker:
            self.states[image_id] = ImageState.FAILED
            del self.claims[image_id]

    @rule(worker=WORKERS)
    def embed(self, worker: str) -> None:
        wanted = sorted(self.ids.values())
        mine = [image_id for image_id in wanted if self.claims.get(image_id) == worker]
        assert self.catalog.record(worker, self.space, wanted, unit_vectors(len(wanted))) == len(mine)
        for image_id in mine:
            self.states[image_id] = ImageState.INDEXED
            self.embedded.add((self.space, image_id))
            del self.claims[image_id]

    @rule(worker=WORKERS)
    def release(self, worker: str) -> None:
        mine = [image_id for image_id, claimer in self.claims.items() if claimer == worker]
        assert self.images.release(worker) == len(mine)
        for image_id in mine:
            del self.claims[image_id]

    @precondition(lambda self: ImageState.FAILED in self.states.values())
    @rule()
    def retry_failed(self) -> None:
        failed = [image_id for image_id, state in self.states.items() if state is ImageState.FAILED]
        assert self.images.start_over_failed() == len(failed)
        self.states.update(dict.fromkeys(failed, ImageState.PENDING))

    @rule(picture=PICTURES)
    def start_over(self, picture: int) -> None:
        image_id = self.ids.get(picture, 0)
        assert self.images.start_over([image_id]) == (image_id > 0)
        if image_id:
            self.states[image_id] = ImageState.PENDING
            self.claims.pop(image_id, None)

    @rule(space=st.sampled_from([SPACE, OTHER_SPACE]))
    def switch(self, space: EmbeddingSpace) -> None:
        served = self.catalog.serve(space)
        if served == self.space:
            return
        self.space, self.newest = served, 0
        for image_id, state in self.states.items():
            if state in (ImageState.PREPARED, ImageState.INDEXED):
                has_vector = (served, image_id) in self.embedded
                self.states[image_id] = ImageState.INDEXED if has_vector else ImageState.PREPARED
                self.claims.pop(image_id, None)

    @invariant()
    def words_are_those_of_the_pictures(self) -> None:
        with self.database.reading() as connection:
            assert set(connection.scalars(text("SELECT rowid FROM words"))) == set(self.states)

    @invariant()
    def states_are_as_told(self) -> None:
        found = {image.id: image.state for image in self.images.newest(100)}
        assert found == self.states

    @invariant()
    def counts_are_right(self) -> None:
        states = list(self.states.values())
        assert self.images.counts() == Counts(**{state.value: states.count(state) for state in ImageState})
        assert self.images.total_bytes() == sum(1 << picture for picture in self.ids)

    @invariant()
    def days_and_months_are_counted(self) -> None:
        dates = [image.date for image in self.images.by_date(100)]
        assert dates == sorted(dates, reverse=True)
        assert self.images.days(date.min, date.max) == Counter(found.date() for found in dates)
        assert self.images.months() == Counter(f"{found:%Y-%m}" for found in dates)
        assert list(self.images.months()) == sorted(self.images.months(), reverse=True)

    @invariant()
    def the_log_holds_the_pictures_that_were_embedded(self) -> None:
        log = self.catalog.log(self.space)
        found = [entry for batch in log.entries(0) for entry in batch]
        alive = {(self.space, entry.image_id) for entry in found if entry.vector is not None}
        assert alive == {entry for entry in self.embedded if entry[0] == self.space}
        assert newest(log) >= self.newest
        self.newest = newest(log)


PictureLives.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestPictureLives = PictureLives.TestCase
