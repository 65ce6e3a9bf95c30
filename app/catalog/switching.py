"""Changing the model while the old one serves: what is wanted, the space that is filled for it, and the way back.

::

    want ──▶ begin ──▶ claim, fill … ──▶ promote        each a transaction; a process may die between any two
               fail ◀──┘                    └──▶ roll_back

Pictures of the space that serves are the ones to be filled: those that are not searchable yet become so there first.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Row, exists, func, or_, select, update

from app.catalog.database import Database
from app.catalog.images import LEASE_SECONDS, MAX_ATTEMPTS, is_free
from app.catalog.postgresql import take_turn
from app.catalog.tables import counts, images, spaces, switching, vectors
from app.catalog.vectors import KeptSpace, change_over, has_vector, space_row, write_entries
from app.errors import NotFound
from app.models import EmbeddingSpace, FloatArray, ImageState


@dataclass(frozen=True, slots=True)
class Switching:
    """The row of `switching`, with spaces in place of ids."""

    setting: str | None = None
    """GLIMPSE_MODEL when a server last started."""
    chosen: str | None = None
    """What a person chose instead of it."""
    wanted: str | None = None
    """Name or folder of the model that is to serve next."""
    serving: KeptSpace | None = None
    filling: KeptSpace | None = None
    """The space that is filled for it; ``None`` until its model is loaded."""
    after: int = 0
    """Only vectors with a greater ``seq`` count as filled."""
    previous: KeptSpace | None = None
    failure: str | None = None


class Switches:
    """Reads and writes `switching`, and fills the space it names."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Switching:
        with self._database.reading() as connection:
            row = connection.execute(select(switching)).one()
            named = or_(spaces.c.serving, spaces.c.id.in_([row.filling_id or 0, row.previous_id or 0]))
            told = connection.execute(select(spaces).where(named)).all()
        known = {each.id: KeptSpace.of(each) for each in told}
        serving = next((known[each.id] for each in told if each.serving), None)
        filling, previous = known.get(row.filling_id), known.get(row.previous_id)
        return Switching(row.setting, row.chosen, row.wanted, serving, filling, row.after_seq, previous, row.failure)

    # -- wishes -------------------------------------------------------------------------------------------------

    def settle(self, setting: str) -> Switching:
        """Said by a server that starts. A setting that was changed since the last start outweighs earlier choices."""
        told = self.read()
        if told.setting == setting:  # as at most starts: nothing to wait for where somebody holds the catalog
            return told
        with self._database.writing() as connection:
            row = _row(connection)
            if row.setting is not None and row.setting != setting:
                _set(connection, chosen=None, wanted=None, filling_id=None, failure=None)
            _set(connection, setting=setting)
        return self.read()

    def want(self, source: str) -> None:
        """Have the model ``source`` (a name or folder) serve once its space is filled; an earlier wish is forgotten."""
        with self._database.writing() as connection:
            _set(connection, wanted=source, filling_id=None, after_seq=0, failure=None)

    def stay(self) -> None:
        """What serves is to serve on. Vectors that were made for another space are kept."""
        with self._database.writing() as connection:
            serving = _serving(connection)
            chosen = serving and (serving.source or serving.model)
            _set(connection, wanted=None, filling_id=None, failure=None, **_choice(connection, chosen))

    def begin(self, wanted: str, space: EmbeddingSpace, source: str) -> None:
        """The ``wanted`` model, which comes from ``source``, is there: from now on its space is filled."""
        with self._database.writing() as connection:
            row = _row(connection)
            if row.wanted != wanted or row.filling_id is not None:
                return
            space_id, serving = space_row(connection, space, source), _serving(connection)
            if serving is not None and serving.id == space_id:
                _set(connection, wanted=None, failure=None, **_choice(connection, wanted))
            else:
                _set(connection, filling_id=space_id, after_seq=0)

    def fail(self, wanted: str, message: str) -> None:
        """The ``wanted`` model can't be had: nothing changes, but what is said about it.

        While its space is filled, it can be had elsewhere: then not even that.
        """
        with self._database.writing() as connection:
            row = _row(connection)
            if row.wanted == wanted and row.filling_id is None:
                _set(connection, wanted=None, failure=message)

    def complain(self, message: str | None) -> None:
        """Say why a wish failed, or take that back."""
        with self._database.writing() as connection:
            _set(connection, failure=message)

    def anew(self) -> None:
        """Embed all pictures of the serving space again, in place: each old vector serves until its new one is there.

        Raises `NotFound` while no space serves.
        """
        with self._database.writing() as connection:
            serving = _serving(connection)
            if serving is None:
                raise NotFound("No model has served yet, so there is nothing to embed again.")
            newest = connection.scalar(select(func.max(vectors.c.seq))) or 0
            wanted = serving.source or serving.model
            _set(connection, wanted=wanted, filling_id=serving.id, after_seq=newest, failure=None)

    # -- filling ------------------------------------------------------------------------------------------------

    def progress(self, filling: KeptSpace, after: int) -> tuple[int, int]:
        """How many of the searchable pictures were seen to, of how many. Looks each of them up."""
        with self._database.reading() as connection:
            searchable = connection.scalar(select(counts.c.pictures).where(counts.c.state == ImageState.INDEXED)) or 0
            left = connection.scalar(select(func.count()).select_from(images).where(*_lacks(filling.id, after))) or 0
        return max(searchable - left, 0), searchable

    def claim(self, worker: str, filling: KeptSpace, after: int, beyond: int, limit: int) -> list[int]:
        """Take up to ``limit`` pictures with greater ids than ``beyond`` that the filling lacks: their ids, in order.

        As in `Images.claim`, one that was claimed before without an outcome is taken alone. After `MAX_ATTEMPTS` it is
        left out of the filling; it stays searchable in the space that serves.
        """
        now = time.time()
        free = is_free(now)
        waiting = select(images.c.id, images.c.attempts).where(images.c.id > beyond, free, *_lacks(filling.id, after))
        waiting = waiting.order_by(images.c.id).limit(limit)
        with self._database.reading() as connection:  # the common end of a round, without the write lock
            if connection.execute(waiting.limit(1)).first() is None:
                return []
        with self._database.writing() as connection:
            rows = connection.execute(waiting.with_for_update(skip_locked=True)).all()
            hopeless = [row.id for row in rows if row.attempts >= MAX_ATTEMPTS]
            _leave_out(connection, filling.id, hopeless)
            rows = [row for row in rows if row.attempts < MAX_ATTEMPTS]
            chosen = [row.id for row in rows if row.attempts == 0] or [row.id for row in rows[:1]]
            claimed = update(images).where(images.c.id.in_(chosen))
            values = {"claimed_by": worker, "claimed_until": now + LEASE_SECONDS, "attempts": images.c.attempts + 1}
            connection.execute(claimed.values(**values))
            return chosen

    def fill(
        self, worker: str, filling: KeptSpace, embedded: Mapping[int, FloatArray], unreadable: Sequence[int] = ()
    ) -> None:
        """Write vectors by picture for what ``worker`` has claimed; those it could not read are left out.

        Pictures removed meanwhile are skipped.
        """
        with self._database.writing() as connection:
            mine = select(images.c.id).where(images.c.id.in_([*embedded, *unreadable]), images.c.claimed_by == worker)
            alive = set(connection.scalars(mine.order_by(images.c.id).with_for_update()))
            write_entries(connection, filling.id, {key: embedded[key] for key in sorted(embedded) if key in alive})
            _leave_out(connection, filling.id, sorted(alive.intersection(unreadable)))
            done = update(images).where(images.c.id.in_(alive))
            connection.execute(done.values(attempts=0, claimed_by=None, claimed_until=None))

    def promote(self, filling: KeptSpace) -> bool:
        """Have the filled space serve, if nothing is missing there. The one that served is the way back.

        Pictures whose previews are made again are waited for: the space that serves still finds them.
        """
        with self._database.writing() as connection:
            row, serving = _row(connection), _serving(connection)
            missing = [_lacks(filling.id, row.after_seq)] + ([_made_again(serving.id)] if serving else [])
            if row.filling_id != filling.id or any(
                connection.scalar(select(exists().where(*conditions))) for conditions in missing
            ):
                return False
            change_over(connection, filling.id)
            _set(connection, **_choice(connection, row.wanted))
            return True

    def roll_back(self) -> KeptSpace:
        """Have the previous space serve, at once. Pictures that came since are embedded there next.

        Raises `NotFound` if there is none.
        """
        with self._database.writing() as connection:
            row = _row(connection)
            previous = connection.execute(select(spaces).where(spaces.c.id == row.previous_id)).first()
            if previous is None:
                raise NotFound("There is no earlier model to go back to.")
            change_over(connection, previous.id)
            chosen = _choice(connection, previous.source or previous.model)
            _set(connection, wanted=None, filling_id=None, failure=None, **chosen)
            return KeptSpace.of(previous)


def _row(connection: Connection) -> Row[tuple[object, ...]]:
    take_turn(connection, "spaces")
    return connection.execute(select(switching)).one()


def _set(connection: Connection, **values: object) -> None:
    connection.execute(update(switching).values(**values))


def _serving(connection: Connection) -> Row[tuple[object, ...]] | None:
    return connection.execute(select(spaces).where(spaces.c.serving)).first()


def _choice(connection: Connection, source: str | None) -> dict[str, str | None]:
    """A choice that says the same as the setting is none: a later setting must not have to outweigh it."""
    return {"chosen": None if source == _row(connection).setting else source}


def _lacks(space_id: int, after: int) -> tuple[ColumnElement[bool], ...]:
    """Searchable pictures that the filling has no entry of, or only that of a removal."""
    entry = exists().where(
        vectors.c.space_id == space_id,
        vectors.c.image_id == images.c.id,
        vectors.c.seq > after,
        vectors.c.vector.is_not(None),
    )
    return images.c.state == ImageState.INDEXED, ~entry


def _made_again(space_id: int) -> tuple[ColumnElement[bool], ...]:
    """Pictures that the space finds while their previews are missing."""
    return images.c.state == ImageState.PENDING, has_vector(space_id)


def _leave_out(connection: Connection, space_id: int, ids: Sequence[int]) -> None:
    """An entry without a vector: after a promotion these count as not searchable, and are tried again as such.

    Of the space that serves they are tried again right away.
    """
    if not ids:
        return
    serving = _serving(connection)
    if serving is not None and serving.id == space_id:
        again = update(images).where(images.c.id.in_(ids)).values(state=ImageState.PREPARED)
    else:
        write_entries(connection, space_id, dict.fromkeys(ids))
        again = update(images).where(images.c.id.in_(ids))
    connection.execute(again.values(attempts=0, claimed_by=None, claimed_until=None))
