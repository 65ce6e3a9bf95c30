"""Pictures: their rows, and the rows as the queue that workers claim from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Row,
    Select,
    String,
    Tuple,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from app.catalog.conditions import where
from app.catalog.database import Database
from app.catalog.postgresql import take_turn
from app.catalog.tables import counts, days, images, removals, trash
from app.catalog.trash import Removal, bring_back, take_out
from app.catalog.words import add_words, captions_of, set_caption
from app.conditions import Condition
from app.models import NO_CAPTIONS, Captions, Counts, Image, ImageState

MAX_ATTEMPTS = 3
"""A picture that was claimed this often and never recorded has stopped its worker each time."""
LEASE_SECONDS = 300.0
"""After this long without a word a claim is void. Far above what a batch takes, since it only matters after a crash."""
MOST_CAMERAS = 100
"""Cameras that are offered to choose from."""
SQL_BATCH = 500
"""Values in one IN (…): SQLite's limit of variables is 32,766 in current builds but was 999."""

_COLUMNS = (
    images.c.id,
    images.c.md5,
    images.c.filename,
    images.c.format,
    images.c.bytes,
    images.c.width,
    images.c.height,
    images.c.state,
    images.c.reason,
    images.c.added_at,
    images.c.taken_at,
    images.c.camera,
    images.c.captions,
    images.c.date,
)
_STATES = {state.value: state for state in ImageState}
_BY_IDS: Select[tuple[object, ...]] = select(*_COLUMNS).where(images.c.id.in_(bindparam("ids", expanding=True)))
"""Made once: building a statement takes as long as running it."""


@dataclass(frozen=True, slots=True)
class NewImage:
    """What is known about a picture when it is taken in."""

    md5: str
    filename: str
    format: str
    bytes: int
    width: int
    height: int
    folder: str | None = None
    """Where it was imported from."""
    file_time: datetime | None = None
    """When the file was last written to, by the local clock: the date taken, unless the picture knows better."""


@dataclass(frozen=True, slots=True)
class PreparedFacts:
    """What preparing a picture found out. ``width`` and ``height``: upright, in pixels."""

    width: int
    height: int
    taken_at: datetime | None
    camera: str | None
    captions: Captions = NO_CAPTIONS


@dataclass(frozen=True, slots=True)
class Choices:
    """What pictures can be told apart by: formats, and cameras by name."""

    formats: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order of dates: that of the picture with this date and id. Pictures of one moment go by id."""

    date: datetime
    id: int

    @classmethod
    def of(cls, image: Image) -> Place:
        return cls(image.date, image.id)


class Images:
    """Reads and writes rows of `images`. ``worker`` names the claimer: only its own claims can be recorded by it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- taking in and removing ---------------------------------------------------------------------------------

    def add(
        self, new: NewImage, place: Callable[[], None], put_back: Callable[[str], bool] = lambda _format: False
    ) -> tuple[int, bool]:
        """Insert a picture unless its MD5 is known. Returns its id and whether it is new.

        ``place`` puts the file where it belongs. It runs while nobody else adds or removes this picture, just before
        the row is written: so no removal can take the new file away, and no row ever stands without its file. For a
        picture that is known, by its format, ``put_back`` does so if its file is missing or cut short, and says whether
        it was: if the picture had failed, it is tried again. One that is in the trash comes back from there, under its
        id.
        """
        with self._database.writing() as connection:
            take_turn(connection, new.md5)
            known = connection.execute(
                select(images.c.id, images.c.format, images.c.state).where(images.c.md5 == new.md5)
            ).first()
            if known is not None:
                if put_back(known.format) and known.state == ImageState.FAILED:
                    connection.execute(update(images).where(images.c.id == known.id).values(**_PENDING))
                return known.id, False
            thrown_away = connection.scalar(select(trash.c.id).where(trash.c.md5 == new.md5))
            place()
            if thrown_away is not None:
                bring_back(connection, thrown_away)
                return thrown_away, True
            now = datetime.now(UTC)
            added = insert(images).values(
                md5=new.md5,
                filename=new.filename,
                format=new.format,
                bytes=new.bytes,
                width=new.width,
                height=new.height,
                folder=new.folder,
                file_time=new.file_time,
                state=ImageState.PENDING,
                added_at=now.replace(tzinfo=None),
                date=new.file_time or now.astimezone().replace(tzinfo=None),
            )
            connection.execute(delete(removals).where(removals.c.md5 == new.md5))
            image_id: int = connection.execute(added.returning(images.c.id)).scalar_one()
            add_words(connection, image_id, new.filename)
            return image_id, True

    def remove(self, image_id: int) -> Removal | None:
        """Delete a row and, in every space, its vector; from here on the picture is nowhere to be found.

        Its files are noted down as to be removed: see `finish_removal`. ``None`` if there is no such picture.
        """
        with self._database.writing() as connection:
            gone = take_out(connection, image_id)
            if gone is None:
                return None
            connection.execute(insert(removals).values(md5=gone.md5, format=gone.format))
            return Removal(gone.md5, gone.format)

    def finish_removal(self, removal: Removal, unlink: Callable[[], None]) -> None:
        """Take the files away, unless the same picture was added again since. Nobody adds it meanwhile."""
        with self._database.writing() as connection:
            take_turn(connection, removal.md5)
            noted = connection.execute(delete(removals).where(removals.c.md5 == removal.md5)).rowcount
            if noted:
                unlink()

    def if_known(self, md5: str, put_back: Callable[[], None]) -> None:
        """Put a file back, if there is a picture that it is of. Nobody takes it away meanwhile."""
        with self._database.writing() as connection:
            take_turn(connection, md5)
            if connection.scalar(_is_known(md5)):
                put_back()

    def unless_known(self, md5: str, unlink: Callable[[], None]) -> bool:
        """Take files away, unless there is a picture that they are of. Nobody adds it meanwhile. Returns whether."""
        with self._database.writing() as connection:
            take_turn(connection, md5)
            known = connection.scalar(_is_known(md5))
            if not known:
                unlink()
            return not known

    def unfinished_removals(self) -> list[Removal]:
        """Removals whose files may still lie on disk, because the process ended in between."""
        with self._database.reading() as connection:
            return [Removal(row.md5, row.format) for row in connection.execute(select(removals))]

    def forget_removals(self) -> None:
        """Leave the files of removed pictures where they are: in a copy of a catalog, they are somebody else's."""
        with self._database.writing() as connection:
            connection.execute(delete(removals))

    # -- reading ------------------------------------------------------------------------------------------------

    def get(self, image_id: int) -> Image | None:
        with self._database.reading() as connection:
            row = connection.execute(_select_images().where(images.c.id == image_id)).first()
        return _image(row) if row else None

    def get_many(self, ids: Sequence[int]) -> dict[int, Image]:
        """Pictures by id; those that are gone are left out."""
        found: dict[int, Image] = {}
        with self._database.reading() as connection:
            for start in range(0, len(ids), SQL_BATCH):
                part = ids[start : start + SQL_BATCH]
                for row in connection.execute(_BY_IDS, {"ids": part}):
                    found[row.id] = _image(row)
        return found

    def by_md5(self, md5: str) -> Image | None:
        with self._database.reading() as connection:
            row = connection.execute(_select_images().where(images.c.md5 == md5)).first()
        return _image(row) if row else None

    def newest(self, limit: int, before: int | None = None, state: ImageState | None = None) -> list[Image]:
        """Pictures, newest first, from the one after ``before`` on."""
        query = _select_images().order_by(images.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(images.c.id < before)
        if state is not None:
            query = query.where(images.c.state == state)
        with self._database.reading() as connection:
            return [_image(row) for row in connection.execute(query)]

    def by_date(self, limit: int, before: Place | None = None) -> list[Image]:
        """Pictures by the day they were taken or else added, newest first, from the one after ``before`` on."""
        query = _select_images().order_by(images.c.date.desc(), images.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(_row_place() < _place(before))
        with self._database.reading() as connection:
            return [_image(row) for row in connection.execute(query)]

    def just_newer(self, than: Place, limit: int) -> list[Image]:
        """The nearest pictures above a place in that order, newest first."""
        query = _select_images().where(_row_place() > _place(than)).order_by(images.c.date, images.c.id).limit(limit)
        with self._database.reading() as connection:
            return [_image(row) for row in connection.execute(query)][::-1]

    def months(self) -> dict[str, int]:
        """How many pictures are of each month (``2023-05``) that has any, newest first."""
        month = func.substr(cast(days.c.day, String), 1, 7, type_=String)
        query = select(month, func.sum(days.c.pictures)).group_by(month).order_by(month.desc())
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def days(self, first: date, last: date) -> dict[date, int]:
        """How many pictures are of each day from ``first`` to ``last`` that has any."""
        query = select(days.c.day, days.c.pictures).where(days.c.day.between(first, last))
        with self._database.reading() as connection:
            return {row.day: row.pictures for row in connection.execute(query)}

    def matching(self, conditions: Sequence[Condition]) -> npt.NDArray[np.int64]:
        """Ids of all pictures that meet the conditions."""
        # As one text: making a Python object of each of 100,000 ids would take several times as long as finding them.
        ids = func.aggregate_strings(cast(images.c.id, String), " ")
        with self._database.reading() as connection:
            found = connection.scalar(select(ids).where(*where(conditions)))
        return np.fromstring(found or "", np.int64, sep=" ")

    def listed(self, conditions: Sequence[Condition], oldest_first: bool, offset: int, limit: int) -> list[Image]:
        """Pictures that meet the conditions, by the day they were taken or else added."""
        place = (images.c.date, images.c.id)
        order = place if oldest_first else tuple(column.desc() for column in place)
        query = _select_images().where(*where(conditions)).order_by(*order).offset(offset).limit(limit)
        with self._database.reading() as connection:
            return [_image(row) for row in connection.execute(query)]

    def matching_days(self, conditions: Sequence[Condition], first: date, last: date) -> dict[date, int]:
        """As `days`, of the pictures that meet the conditions."""
        day = func.substr(cast(images.c.date, String), 1, 10, type_=String)
        start, end = datetime.combine(first, datetime.min.time()), datetime.combine(last, datetime.max.time())
        among = images.c.date.between(start, end)
        query = select(day, func.count()).where(among, *where(conditions)).group_by(day)
        with self._database.reading() as connection:
            return {date.fromisoformat(found): count for found, count in connection.execute(query)}

    def choices(self) -> Choices:
        """Formats and cameras that there are. Costs a look-up for each of them, however many pictures there are."""
        with self._database.reading() as connection:
            formats = connection.scalars(_distinct(images.c.format)).all()
            cameras = connection.scalars(_distinct(images.c.camera).limit(MOST_CAMERAS)).all()
        return Choices(tuple(formats), tuple(sorted((str(camera) for camera in cameras if camera), key=str.casefold)))

    def cameras(self, containing: str) -> list[str]:
        """Names of all cameras that contain a text."""
        names = _distinct(images.c.camera).subquery()
        wanted = select(names.c.value).where(names.c.value.icontains(containing, autoescape=True))
        with self._database.reading() as connection:
            return [str(name) for name in connection.scalars(wanted)]

    def neighbours(self, image_id: int) -> tuple[int | None, int | None]:
        """Ids of the next newer and the next older picture."""
        newer = select(func.min(images.c.id)).where(images.c.id > image_id)
        older = select(func.max(images.c.id)).where(images.c.id < image_id)
        with self._database.reading() as connection:
            return connection.scalar(newer), connection.scalar(older)

    def neighbours_by_date(self, image: Image) -> tuple[int | None, int | None]:
        """Ids of the picture before and the one after it in the order of dates, newest first."""
        newer, older = self.just_newer(Place.of(image), 1), self.by_date(1, Place.of(image))
        return newer[0].id if newer else None, older[0].id if older else None

    def known_md5s(self, md5s: Sequence[str]) -> set[str]:
        """Those of ``md5s`` that the catalog has, in the trash as well."""
        known: set[str] = set()
        with self._database.reading() as connection:
            for start in range(0, len(md5s), SQL_BATCH):
                part = md5s[start : start + SQL_BATCH]
                for table in (images, trash):
                    known.update(connection.scalars(select(table.c.md5).where(table.c.md5.in_(part))))
        return known

    def counts(self) -> Counts:
        with self._database.reading() as connection:
            rows = connection.execute(select(counts.c.state, counts.c.pictures))
            return Counts(**{row.state: row.pictures for row in rows})

    def total_bytes(self) -> int:
        """Size of all originals."""
        with self._database.reading() as connection:
            return int(connection.scalar(select(func.sum(counts.c.bytes))) or 0)

    # -- the queue ----------------------------------------------------------------------------------------------

    def claim(self, state: ImageState, worker: str, limit: int) -> list[Image]:
        """Take up to ``limit`` pictures in ``state`` for ``worker``.

        Pending ones newest first, as the gallery shows them: its first page must not stay blank until a large import is
        through. Others oldest first.

        A picture that was claimed before without an outcome is taken alone: should it stop the worker again, then no
        other picture is blamed. After `MAX_ATTEMPTS` it is failed instead.
        """
        if not self._has_work(state):  # the common answer, without asking for the write lock
            return []
        now = time.time()
        free = is_free(now)
        order = images.c.id.desc() if state is ImageState.PENDING else images.c.id
        waiting = select(images.c.id).where(images.c.state == state, free).with_for_update(skip_locked=True)
        # Two questions, each answered in the order of the index: together they would have all that waits sorted.
        untried = waiting.where(images.c.attempts == 0).order_by(order).limit(limit)
        tried = waiting.where(images.c.attempts > 0).order_by(images.c.attempts, order).limit(1)
        with self._database.writing() as connection:
            self._fail_hopeless(connection, state, now)
            ids = connection.scalars(untried).all() or connection.scalars(tried).all()
            claimed = (
                update(images)
                .where(images.c.id.in_(ids))
                .values(claimed_by=worker, claimed_until=now + LEASE_SECONDS, attempts=images.c.attempts + 1)
                .returning(*_COLUMNS)
            )
            return sorted((_image(row) for row in connection.execute(claimed)), key=lambda image: image.id)

    def _has_work(self, state: ImageState) -> bool:
        with self._database.reading() as connection:
            return bool(connection.scalar(select(exists().where(images.c.state == state, is_free(time.time())))))

    def _fail_hopeless(self, connection: Connection, state: ImageState, now: float) -> None:
        reason = f"Reading this picture stopped the program {MAX_ATTEMPTS} times, so it is left alone now."
        hopeless = select(images.c.id).where(
            images.c.state == state,
            images.c.attempts >= MAX_ATTEMPTS,
            is_free(now),
        )
        mine = update(images).where(images.c.id.in_(hopeless.with_for_update(skip_locked=True)))
        connection.execute(mine.values(state=ImageState.FAILED, reason=reason, **_UNCLAIMED))

    def record_prepared(self, worker: str, image_id: int, facts: PreparedFacts) -> bool:
        """``False`` if the picture is gone or no longer this worker's."""
        values = {
            "width": facts.width,
            "height": facts.height,
            "taken_at": func.coalesce(facts.taken_at, images.c.file_time),
            "camera": facts.camera,
            "captions": asdict(facts.captions),
            "state": ImageState.PREPARED,
        } | ({"date": facts.taken_at} if facts.taken_at else {})
        with self._database.writing() as connection:
            mine = update(images).where(images.c.id == image_id, images.c.claimed_by == worker)
            recorded = connection.execute(mine.values(**values, **_UNCLAIMED)).rowcount > 0
            if recorded:
                set_caption(connection, image_id, facts.captions)
            return recorded

    def without_captions(self, before: int, limit: int) -> list[Image]:
        """Prepared pictures with a smaller id, newest first, in whose file nobody has looked for texts."""
        ready = images.c.state.in_([ImageState.PREPARED, ImageState.INDEXED])
        query = _select_images().where(images.c.id < before, images.c.captions.is_(None), ready)
        with self._database.reading() as connection:
            return [_image(row) for row in connection.execute(query.order_by(images.c.id.desc()).limit(limit))]

    def record_captions(self, image_id: int, captions: Captions) -> None:
        """What stands in the file of a picture that was prepared before; nothing if it is gone."""
        with self._database.writing() as connection:
            chosen = update(images).where(images.c.id == image_id)
            if connection.execute(chosen.values(captions=asdict(captions))).rowcount:
                set_caption(connection, image_id, captions)

    def record_failed(self, worker: str, image_id: int, reason: str) -> None:
        """Give a picture up, with the reason that the Problems page shows."""
        with self._database.writing() as connection:
            mine = update(images).where(images.c.id == image_id, images.c.claimed_by == worker)
            connection.execute(mine.values(state=ImageState.FAILED, reason=reason, **_UNCLAIMED))

    def release(self, worker: str, state: ImageState | None = None, died: bool = False) -> int:
        """Give back what ``worker`` claimed (in ``state``) and did not finish. Returns how many.

        It counts as a try only if the worker ``died`` of it.
        """
        attempts = images.c.attempts if died else images.c.attempts - 1
        with self._database.writing() as connection:
            mine = update(images).where(images.c.claimed_by == worker)
            if state is not None:
                mine = mine.where(images.c.state == state)
            return connection.execute(mine.values(attempts=attempts, claimed_by=None, claimed_until=None)).rowcount

    def claimers(self) -> list[str]:
        """Workers that hold claims."""
        with self._database.reading() as connection:
            named = select(images.c.claimed_by).where(images.c.claimed_by.is_not(None)).distinct()
            return [str(name) for name in connection.scalars(named)]

    def start_over(self, ids: Iterable[int]) -> int:
        """Make pictures pending again (a retry, or derivatives that vanished). Returns how many."""
        with self._database.writing() as connection:
            chosen = update(images).where(images.c.id.in_(list(ids)))
            return connection.execute(chosen.values(**_PENDING)).rowcount

    def start_over_failed(self) -> int:
        """Retry everything that failed. Returns how many."""
        with self._database.writing() as connection:
            failed = update(images).where(images.c.state == ImageState.FAILED)
            return connection.execute(failed.values(**_PENDING)).rowcount


def _distinct(column: Column[str]) -> Select[str]:
    """The values of a column in order, from one to the next by its index: ``DISTINCT`` would read every row."""
    found = select(func.min(column).label("value")).cte("found", recursive=True)
    following = select(func.min(column)).where(column > found.c.value).scalar_subquery()
    found = found.union_all(select(following).where(found.c.value.is_not(None)))
    return select(found.c.value).where(found.c.value.is_not(None))


_UNCLAIMED = {"attempts": 0, "claimed_by": None, "claimed_until": None}
_PENDING = {"state": ImageState.PENDING, "reason": None, **_UNCLAIMED}


def is_free(now: float) -> ColumnElement[bool]:
    """Claimed by nobody, or for too long. What ends far in the future was claimed before the clock was set back."""
    until = images.c.claimed_until
    return or_(until.is_(None), until < now, until > now + 2 * LEASE_SECONDS)


def _is_known(md5: str) -> Select[tuple[bool]]:
    """Whether there is such a picture, in the gallery or the trash."""
    return select(or_(exists().where(images.c.md5 == md5), exists().where(trash.c.md5 == md5)))


def _select_images() -> Select[tuple[object, ...]]:
    return select(*_COLUMNS)


def _image(row: Row[Any]) -> Image:
    """Of a row of `_COLUMNS`, in their order."""
    image_id, md5, filename, format_, size, width, height, *others = tuple(row)
    state, reason, added_at, taken_at, camera, captions, day = others
    return Image(
        id=image_id,
        md5=md5,
        filename=filename,
        format=format_,
        bytes=size,
        width=width,
        height=height,
        state=_STATES[state],
        reason=reason,
        added_at=added_at.replace(tzinfo=UTC),
        taken_at=taken_at,
        camera=camera,
        captions=captions_of(captions),
        date=day,
    )


def _row_place() -> Tuple:
    return tuple_(images.c.date, images.c.id)


def _place(place: Place) -> Tuple:
    return tuple_(literal(place.date, DateTime), literal(place.id))
