"""Backups: a second data folder, as the library was at one moment. Made and brought back while nothing stands still.

A backup has the layout of a data folder, so it can be looked at like one. Made again into the same folder, it costs
only what is new. On the same volume files are hard links: that guards against mistakes, not against a broken disk.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.catalog.database import Database
from app.catalog.health import Health
from app.catalog.images import Images
from app.catalog.sqlite import alone
from app.catalog.trash import Trash, Trashed
from app.errors import InvalidInput
from app.library.exporting import whole_file
from app.media.folder import BACKUP_NOTE, CATALOG, Folder
from app.media.pictures import derivative_sizes
from app.media.store import Store, copy_file, original_name, thumbnail_name
from app.models import THUMBNAIL_WIDTHS, Image


@dataclass(frozen=True, slots=True)
class Copied:
    """``pictures`` are in the copy, ``new`` of them were not there before; ``missing`` have no original to copy.

    The originals of ``damaged`` are not what was handed in; what an older copy has of them was left as it is.
    """

    pictures: int
    new: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...] = ()


def back_up(database: Database, store: Store, to: Path, watch: Callable[[int], object] = lambda _done: None) -> Copied:
    """Make ``to`` a copy of a library that others may be using. ``watch`` hears how many pictures are done.

    The catalog is copied first, then the files of its rows: what is added meanwhile is left to the next time, and what
    is removed meanwhile is left out. The old copy holds until the new one is whole.

    Raises `InvalidInput` where ``to`` holds anything but an older backup of this library, or another backup into it is
    under way.
    """
    if isinstance(store, Folder) and store.is_at(to / "images"):
        raise InvalidInput(f"The pictures of the library itself lie in {to / 'images'}. Choose another folder.")
    if isinstance(store, Folder) and to.resolve().is_relative_to(store.root.resolve()):
        raise InvalidInput(f"{to} lies among the pictures of the library itself. Choose a folder elsewhere.")
    now, target = Images(database), Folder(to / "images")
    _take_possession(to, target, database.identity())
    with alone(to / "index" / f"{BACKUP_NOTE}.lock") as is_alone:
        if not is_alone:
            raise InvalidInput(f"Another backup into {to} is under way. Wait for its end, or choose another folder.")
        copied = _copy(database.copy_to, lambda md5: now.by_md5(md5) is not None, store, to, target, watch)
        _prune(to, target)
    return copied


def restore_library(
    backup: Path, data: Path, store: Store, watch: Callable[[int], object] = lambda _done: None
) -> Copied:
    """Bring a backup into a data folder without a library, its pictures into ``store``.

    Pictures that lie there already and are younger than the backup stay: the next start takes them in, of a bucket
    ``doctor --fix``. Raises `InvalidInput` where it is none, or the folder is in use; `CatalogUnavailable` where the
    catalog there can't be read.
    """
    source, catalog = backup / "index" / CATALOG, data / "index" / CATALOG
    if not source.is_file():
        raise InvalidInput(f"{backup} is no backup: there is no index/{CATALOG} in it.")
    for folder in (backup, data):
        _refuse_in_use(folder)
    if catalog.exists() and not _is_empty(catalog):
        raise InvalidInput(
            f"There is a library in {data} already. Move its folder index away first. What lies in its folder images "
            "and is not in the backup is taken in at the next start, unless you move that away as well."
        )
    pictures = Folder(backup / "images")
    return _copy(partial(shutil.copyfile, source), lambda _md5: True, pictures, data, store, watch)


def _take_possession(to: Path, target: Folder, library: str) -> None:
    """Note whose backup this is, before anything is written into it."""
    note = to / "index" / BACKUP_NOTE
    owner = note.read_text("ascii", "replace").strip() if note.is_file() else None
    if owner is None and ((to / "index" / CATALOG).exists() or any(target.found_originals())):
        raise InvalidInput(
            f"{to} holds pictures, and nothing there says that they are a backup of this library. "
            "Choose an empty folder, also where a version before this one has made a backup."
        )
    if owner not in (None, library):
        raise InvalidInput(f"{to} is a backup of another library. Choose an empty folder.")
    _refuse_in_use(to)
    if owner is None:
        note.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(note) as file:
            file.write(library.encode())


def _refuse_in_use(folder: Path) -> None:
    if (folder / "index" / f"{CATALOG}-wal").exists():
        raise InvalidInput(
            f"A server seems to run on {folder}. Stop it first, and start it again afterwards. If none runs, one was "
            f"ended by force: `python run.py --data {folder} doctor` clears up behind it."
        )


def _copy(
    copy_catalog: Callable[[Path], object],
    is_known: Callable[[str], bool],
    store: Store,
    to: Path,
    target: Store,
    watch: Callable[[int], object],
) -> Copied:
    """``is_known``: whether a picture of the copied catalog, by its MD5, is still in the library."""
    (to / "index").mkdir(parents=True, exist_ok=True)
    unfinished = to / "index" / f"{CATALOG}.part"
    for ending in ("", "-wal", "-shm"):  # of one that was killed: the new copy must not be given its log
        unfinished.with_name(unfinished.name + ending).unlink(missing_ok=True)
    copy_catalog(unfinished)
    copy = Database(f"sqlite:///{unfinished}")
    try:
        copy.migrate()  # the backup may be of an older version
        copied = _copy_files(copy, is_known, store, target, watch)
        # Who restores this may have got the same pictures again by then.
        Images(copy).forget_removals()
    finally:
        copy.close()
    _replace(to / "index" / CATALOG, unfinished)
    return copied


def _copy_files(
    copy: Database, is_known: Callable[[str], bool], store: Store, target: Store, watch: Callable[[int], object]
) -> Copied:
    pictures, new, missing, damaged, gone = 0, 0, [], [], []
    for image in Health(copy).pictures():
        try:
            size, was_new = copy_file(store, target, original_name(image.md5, image.format), image.bytes)
            new += was_new
            damaged += [image.filename] if size != image.bytes else []
        except FileNotFoundError:
            if not is_known(image.md5):
                gone.append(image.id)
                continue
            missing.append(image.filename)
        if image.has_thumbnails:
            _copy_thumbnails(image, store, target)
        pictures += 1
        watch(pictures)
    for image_id in gone:
        Images(copy).remove(image_id)
    _copy_trash(Trash(copy), store, target)
    return Copied(pictures, new, tuple(missing), tuple(damaged))


def _copy_trash(trash: Trash, store: Store, target: Store) -> None:
    for item in trash.latest(trash.count()):
        try:
            copy_file(store, target, original_name(item.md5, item.format), item.bytes)
        except FileNotFoundError:  # given up for good meanwhile
            trash.discard(item.id)
            continue
        _copy_thumbnails(item, store, target)


def _copy_thumbnails(image: Image | Trashed, store: Store, target: Store) -> None:
    """They can be made again, so one that is missing is nobody's loss."""
    for size in derivative_sizes(image.width, image.height):
        try:
            copy_file(store, target, thumbnail_name(image.md5, size.name))
        except FileNotFoundError:
            continue


def _replace(catalog: Path, new: Path) -> None:
    for leftover in (f"{CATALOG}-wal", f"{CATALOG}-shm"):  # of the older catalog: the new one must not be given them
        catalog.with_name(leftover).unlink(missing_ok=True)
    os.replace(new, catalog)


def _prune(to: Path, target: Store) -> None:
    """Take away the files of pictures that have been removed since the last time."""
    database = Database(f"sqlite:///{to / 'index' / CATALOG}")
    try:
        found = dict(target.found_originals())
        for md5 in found.keys() - Images(database).known_md5s(list(found)):
            target.remove(md5, found[md5], THUMBNAIL_WIDTHS)
    finally:
        database.close()


def _is_empty(catalog: Path) -> bool:
    database = Database(f"sqlite:///{catalog}")
    try:
        return Health(database).is_empty()
    finally:
        database.close()
