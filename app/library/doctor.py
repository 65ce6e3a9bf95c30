"""Checks everything against everything: catalog, originals, derivatives, vectors, snapshots. And puts it right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.catalog.health import Health
from app.catalog.images import Images
from app.catalog.sqlite import RESTORE
from app.catalog.trash import Trash
from app.catalog.vectors import Vectors
from app.errors import EngineUnavailable
from app.library.intake import Intake
from app.media.pictures import derivative_sizes
from app.media.store import Inventory, Store
from app.models import THUMBNAIL_WIDTHS, Image
from app.vectors.shared import SharedIndexes
from app.vectors.snapshots import IndexCache

ADD_AGAIN = "Add the same file again, and it takes its place; or remove the picture."
HAND_IN = "From a bucket nothing is taken in by itself: fetch it, and hand it in or import it."
SHOWN_SECONDS = 10.0
"""Vector engines show what was written some seconds late."""
NO_PICTURE = "What is no picture stays where it is."


@dataclass(frozen=True, slots=True)
class Finding:
    """``what`` is wrong, in a sentence; ``help``: what a person can do where the doctor can't."""

    what: str
    help: str = ""
    repair: Callable[[], object] | None = None

    @property
    def repairable(self) -> bool:
        return self.repair is not None


class Doctor:
    """Works beside a running server: it only reads, and each repair is a step that any process may take any time."""

    def __init__(
        self,
        health: Health,
        images: Images,
        trash: Trash,
        vectors: Vectors,
        store: Store,
        intake: Intake,
        indexes: IndexCache | SharedIndexes,
    ) -> None:
        self._health = health
        self._images = images
        self._trash = trash
        self._vectors = vectors
        self._store = store
        self._intake = intake
        self._indexes = indexes

    def examine(self, deep: bool = False) -> Iterator[Finding]:
        """Everything that is wrong. ``deep``: every original is read and its MD5 compared, which takes its time."""
        damage = self._health.damage()
        yield from (Finding(f"The catalog is damaged: {fault}.", RESTORE) for fault in damage)
        if damage:
            return  # nothing it says can be relied on
        if self._health.miscounted():
            yield Finding("The numbers on the pages do not fit the pictures.", repair=self._health.recount)
        yield from self._files_of_rows(deep)
        yield from self._rows_of_files()
        yield from self._trash_and_files()
        yield from self._vectors_and_pictures()
        yield from self._snapshots()

    def _files_of_rows(self, deep: bool) -> Iterator[Finding]:
        inventory = self._store.inventory()
        for image in self._health.pictures():
            name = f"{image.filename} (picture {image.id})"
            size = inventory.size(image.md5, image.format)
            if size is None:
                if self._images.get(image.id) is None:
                    continue  # removed a moment ago
                yield Finding(f"The original of {name} is missing.", ADD_AGAIN)
            elif size != image.bytes or (deep and not self._store.is_whole(image.md5, image.format)):
                place = self._store.location(image.md5, image.format)
                yield Finding(f"The original of {name} is not what was handed in.", f"Move {place} away. {ADD_AGAIN}")
            elif image.has_thumbnails and not _has_thumbnails(image, inventory):
                yield Finding(f"Previews of {name} are missing.", repair=partial(self._intake.retry, image.id))

    def _rows_of_files(self) -> Iterator[Finding]:
        """What the next start would see to as well, in a folder."""
        recover = partial(self._intake.recover, thorough=True)
        found = dict(self._store.found_originals())
        known = self._images.known_md5s(list(found))
        unfinished = {removal.md5 for removal in self._images.unfinished_removals()}
        for md5 in sorted(unfinished):
            yield Finding(f"A deleted picture ({md5}) still has files.", repair=recover)
        unknown = found.keys() - known - unfinished
        for md5 in sorted(unknown - self._images.known_md5s(list(unknown))):  # asked twice: one may just come in
            yield Finding(f"{self._store.location(md5, found[md5])} is in no gallery.", repair=recover)
        for path in self._store.found_strangers():
            if isinstance(path, Path):
                yield Finding(f"{path} was put there by hand and is not taken in yet.", NO_PICTURE, recover)
            else:
                yield Finding(f"{self._store.place}/{path} was put there by hand.", HAND_IN)
        previews = set(self._store.found_thumbnails(THUMBNAIL_WIDTHS[0]))
        for md5 in sorted(previews - self._images.known_md5s(list(previews)) - unfinished):
            yield Finding(f"There are previews of a picture that is gone ({md5}).", repair=recover)

    def _trash_and_files(self) -> Iterator[Finding]:
        items = self._trash.latest(self._trash.count())
        there = bool(items) and any(self._store.found_originals())
        for item in items:
            if self._store.size(item.md5, item.format) is None and self._trash.get(item.id):
                what = f"The original of {item.filename}, in the trash, is missing."
                if there:
                    yield Finding(what, repair=partial(self._intake.discard, item.id))
                else:
                    yield Finding(what, f"Nothing at all lies in {self._store.place}: is its disk mounted?")

    def _vectors_and_pictures(self) -> Iterator[Finding]:
        if without := self._health.without_vector():
            many = f"{len(without):,} pictures count as searchable and are not."
            what = many if len(without) > 1 else "1 picture counts as searchable and is not."
            yield Finding(what, repair=lambda: self._health.embed_again(without))
        if unindexed := self._health.unindexed():
            what = f"The index of words and the pictures differ in {len(unindexed):,}."
            yield Finding(what, repair=lambda: self._health.index_words(unindexed))
        if astray := self._health.astray():
            many = f"{len(astray):,} vectors belong to pictures that are gone."
            what = many if len(astray) > 1 else "1 vector belongs to a picture that is gone."
            yield Finding(what, repair=lambda: self._health.withdraw(astray))

    def _snapshots(self) -> Iterator[Finding]:
        if isinstance(self._indexes, SharedIndexes):
            yield from self._engine(self._indexes)
            return
        serving = self._vectors.serving()
        if serving is not None and (path := self._indexes.unusable(serving.id, serving.space)):
            yield Finding(f"The snapshot {path.name} can't be used; a start takes longer.", repair=path.unlink)

    def _engine(self, indexes: SharedIndexes) -> Iterator[Finding]:
        for kept in self._vectors.searched():
            engine, space_log = indexes.engine(kept.id, kept.space), self._vectors.log(kept.id)
            end = time.monotonic() + SHOWN_SECONDS
            try:
                if engine.last_seq().seq < space_log.newest():
                    continue  # a worker is about to fill it
                while (has := engine.count()) != (wanted := self._vectors.count(kept.id)) and time.monotonic() < end:
                    time.sleep(1)
            except EngineUnavailable as error:
                yield Finding(str(error), "Start it again: what it lacks follows by itself.")
                return
            if has != wanted:
                what = f"The vector engine has {has:,} pictures of {kept.space.model}, the catalog {wanted:,}."
                yield Finding(what, "Emptied, it is filled again by a worker.", engine.empty)


def _has_thumbnails(image: Image, inventory: Inventory) -> bool:
    sizes = derivative_sizes(image.width, image.height)
    return all(inventory.has_thumbnail(image.md5, size.name) for size in sizes)
