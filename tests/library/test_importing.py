"""Import: what is found where, what becomes of it, and that it goes on where it stopped."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from app.catalog.imports import Imports
from app.errors import InvalidInput, StorageUnavailable
from app.library.importing import Fate, Imported, Importer, Mode, Source, find_sources, folders_below
from app.media.store import Incoming
from tests.library.conftest import Rooms
from tests.pictures import picture, text_file, truncated, unique_pictures, with_facts

LIMIT = 5_000_000


@pytest.fixture
def importer(rooms: Rooms) -> Importer:
    return Importer(rooms.intake, Imports(rooms.database), rooms.store, LIMIT)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder to import from."""
    folder = tmp_path / "my pictures"
    folder.mkdir()
    return folder


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(zipfile.ZipInfo(name, (2019, 5, 4, 3, 2, 0)), data)
    return path


def sources(*paths: Path, exclude: tuple[str, ...] = ()) -> list[Source]:
    found = list(find_sources(paths, exclude))
    assert all(isinstance(item, Source) for item in found), found
    return [item for item in found if isinstance(item, Source)]


def fates(results: list[Imported]) -> dict[str, Fate]:
    return {result.name.rsplit("/", 1)[-1]: result.fate for result in results}


class TestFinding:
    def test_goes_to_the_bottom_in_the_order_of_names(self, disk: Path) -> None:
        for name in ("b/2.JPG", "a/deep/er/1.png", "c.heic", "notes.txt", "a/.DS_Store", "film.mov"):
            put(disk / name, b"x")
        assert [source.path.relative_to(disk).as_posix() for source in sources(disk)] == [
            "c.heic", "a/deep/er/1.png", "b/2.JPG",
        ]  # fmt: skip

    def test_a_file_that_is_named_is_taken_whatever_its_ending(self, disk: Path) -> None:
        assert [source.filename for source in sources(put(disk / "picture.dat", b"x"))] == ["picture.dat"]

    def test_links_to_folders_are_not_followed(self, disk: Path) -> None:
        put(disk / "a" / "1.jpg", b"x")
        (disk / "a" / "loop").symlink_to(disk)
        assert len(sources(disk)) == 1

    @pytest.mark.parametrize(
        ("pattern", "left"), [("*.png", 2), ("private", 2), ("*/private/*", 2), ("b*", 2), ("x", 3)]
    )
    def test_what_is_excluded_is_not_looked_into(self, disk: Path, pattern: str, left: int) -> None:
        for name in ("a.jpg", "b.png" if pattern == "*.png" else "b.jpg", "private/c.jpg"):
            put(disk / name, b"x")
        assert len(sources(disk, exclude=(pattern,))) == left

    def test_what_is_hidden_or_thrown_away_is_left_alone_unless_it_is_named(self, disk: Path) -> None:
        hidden = (
            "@eaDir/1.jpg/SYNOPHOTO_THUMB_XL.jpg",
            ".Trash-1000/files/2.jpg",
            "$RECYCLE.BIN/3.jpg",
            "#recycle/4.jpg",
        )
        for name in (*hidden, ".trashed-17-5.jpg", "._6.jpg", "7.jpg"):
            put(disk / name, b"x")
        members = dict.fromkeys(("__MACOSX/._8.jpg", ".hidden/9.jpg", "sub/._10.jpg", "11.jpg"), b"x")
        archive(disk / "some.zip", members)
        assert [source.filename for source in sources(disk)] == ["7.jpg", "11.jpg"]
        assert [source.filename for source in sources(disk / ".Trash-1000", disk / "._6.jpg")] == ["2.jpg", "._6.jpg"]

    @pytest.mark.parametrize("mark", ["index/catalog.sqlite3", "index/backup-of"])
    def test_what_belongs_to_a_library_or_a_backup_is_left_to_it(self, disk: Path, mark: str) -> None:
        library = disk / "backup"
        for name in (mark, "images/ab/ab12.jpg", "images/thumbs/256/ab/ab12.webp"):
            put(library / name, b"x")
        put(disk / "1.jpg", b"x")
        assert [source.filename for source in sources(disk)] == ["1.jpg"]
        assert list(folders_below(disk)) == [disk]
        for named in (library, library / "images"):
            assert [source.filename for source in sources(named)] == ["ab12.jpg"], "its previews are no pictures"

    def test_names_in_archives_are_read_as_they_were_meant(self, disk: Path) -> None:
        """The Finder writes UTF-8 without saying so."""
        made = archive(disk / "some.zip", {"Gr____e.jpg": b"x", "plain.jpg": b"x", "Größe.png": b"x"})
        made.write_bytes(made.read_bytes().replace(b"Gr____e.jpg", "Größe.jpg".encode()))
        assert [source.filename for source in sources(made)] == ["Größe.jpg", "plain.jpg", "Größe.png"]

    def test_a_path_that_is_not_there_is_told_at_once(self, disk: Path) -> None:
        with pytest.raises(InvalidInput, match="nowhere"):
            list(find_sources([disk / "nowhere"]))

    def test_an_archive_shows_its_pictures(self, disk: Path) -> None:
        path = archive(disk / "old.zip", {"x/1.jpg": b"1", "x/": b"", "readme.txt": b"2", "../../evil.png": b"3"})
        assert [source.member for source in sources(path)] == ["x/1.jpg", "../../evil.png"]

    @pytest.mark.parametrize("data", [b"", b"PK\3\4 nonsense", b"\0" * 1000])
    def test_a_broken_archive_is_a_problem_of_its_own(self, disk: Path, data: bytes) -> None:
        put(disk / "a.zip", data)
        put(disk / "b.jpg", b"x")
        problem, source = find_sources([disk])
        assert isinstance(problem, Imported)
        assert problem.fate is Fate.PROBLEM
        assert "can't be read" in problem.reason
        assert isinstance(source, Source)


class TestImporting:
    def test_pictures_come_in_once_and_others_are_told(self, importer: Importer, rooms: Rooms, disk: Path) -> None:
        put(disk / "red.jpg", picture("red"))
        put(disk / "sub" / "the same.jpg", picture("red"))
        put(disk / "wrong.jpg", text_file())
        results = list(importer.run(sources(disk)))
        assert fates(results) == {
            "red.jpg": Fate.ADDED, "the same.jpg": Fate.DUPLICATE, "wrong.jpg": Fate.PROBLEM,
        }  # fmt: skip
        assert all(result.reason for result in results if result.fate is Fate.PROBLEM)
        assert [image.filename for image in rooms.images.newest(9)] == ["red.jpg"]
        assert len(list(disk.rglob("*.jpg"))) == 3

    def test_names_of_any_bytes_are_taken(self, importer: Importer, rooms: Rooms, disk: Path) -> None:
        names = [b"caf\xe9.jpg", "Ünïcode 日本.jpg".encode(), b"a\nb.jpg", b"with space .jpg"]
        for name, data in zip(names, unique_pictures(9), strict=False):
            with open(os.fsencode(disk) + b"/" + name, "wb") as file:
                file.write(data)
        assert Counter(result.fate for result in importer.run(sources(disk))) == {Fate.ADDED: 4}
        assert Counter(result.fate for result in importer.run(sources(disk))) == {Fate.UNCHANGED: 4}
        assert "Ünïcode 日本.jpg" in [image.filename for image in rooms.images.newest(9)]

    def test_a_second_time_only_what_changed_is_read(self, importer: Importer, disk: Path) -> None:
        put(disk / "red.jpg", picture("red"))
        put(disk / "blue.jpg", picture("blue"))
        list(importer.run(sources(disk)))
        put(disk / "blue.jpg", picture("green"))
        os.utime(disk / "blue.jpg", (1, 1))
        assert fates(list(importer.run(sources(disk)))) == {"blue.jpg": Fate.ADDED, "red.jpg": Fate.UNCHANGED}

    def test_what_was_deleted_meanwhile_comes_again(self, importer: Importer, rooms: Rooms, disk: Path) -> None:
        put(disk / "red.jpg", picture("red"))
        list(importer.run(sources(disk)))
        rooms.intake.remove(1)
        assert fates(list(importer.run(sources(disk)))) == {"red.jpg": Fate.ADDED}

    def test_one_that_is_interrupted_goes_on_where_it_stopped(
        self, importer: Importer, rooms: Rooms, disk: Path
    ) -> None:
        for number, data in enumerate(unique_pictures(20)):
            put(disk / f"{number:02}.jpg", data)
        running = importer.run(sources(disk))
        for _ in range(7):
            next(running)
        running.close()  # Ctrl-C
        again = Counter(result.fate for result in importer.run(sources(disk)))
        assert again == {Fate.UNCHANGED: 7, Fate.ADDED: 13}
        assert rooms.images.counts().total == 20

    def test_a_dry_run_changes_nothing(self, importer: Importer, rooms: Rooms, disk: Path) -> None:
        put(disk / "red.jpg", picture("red"))
        for mode in Mode:
            assert fates(list(importer.run(sources(disk), mode, dry=True))) == {"red.jpg": Fate.ADDED}
        assert rooms.images.counts().total == 0
        assert (disk / "red.jpg").exists()

    def test_what_is_too_large_is_not_even_read(self, importer: Importer, disk: Path) -> None:
        with (disk / "large.jpg").open("wb") as file:
            file.truncate(LIMIT + 1)
        [result] = importer.run(sources(disk))
        assert "larger than 5 MB" in result.reason

    def test_a_file_that_may_not_be_read_costs_itself(
        self, importer: Importer, disk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(disk / "mine.jpg", picture("red"))
        put(disk / "theirs.jpg", picture("blue"))
        opened = Path.open

        def refuse(path: Path, *arguments: object, **options: object) -> object:
            if path.name == "theirs.jpg":
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return opened(path, *arguments, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(Path, "open", refuse)
        results = list(importer.run(sources(disk)))
        assert fates(results) == {"mine.jpg": Fate.ADDED, "theirs.jpg": Fate.PROBLEM}
        assert "Permission denied" in results[1].reason

    def test_the_time_of_the_file_stands_in_for_a_missing_date(
        self, importer: Importer, rooms: Rooms, disk: Path
    ) -> None:
        moment = datetime(2011, 7, 8, 9, 10)
        knows = with_facts(taken=datetime(2020, 1, 2, 3, 4))
        for name, data in (("plain.jpg", picture("red")), ("knows.jpg", knows)):
            put(disk / name, data)
            os.utime(disk / name, (moment.timestamp(), moment.timestamp()))
        list(importer.run(sources(disk)))
        rooms.prepare()
        taken = {image.filename: image.taken_at for image in rooms.images.newest(9)}
        assert taken == {"plain.jpg": moment, "knows.jpg": datetime(2020, 1, 2, 3, 4)}


class TestModes:
    def test_moving_takes_away_what_is_here_for_sure(self, importer: Importer, rooms: Rooms, disk: Path) -> None:
        red = picture("red")
        put(disk / "red.jpg", red)
        put(disk / "again.jpg", red)
        put(disk / "broken.jpg", truncated()[:20])
        list(importer.run(sources(disk), Mode.MOVE))
        assert [path.name for path in disk.iterdir()] == ["broken.jpg"]
        [found] = rooms.store.found_originals()
        assert rooms.store.original(*found).read_bytes() == red

    def test_moving_after_copying_takes_away_what_was_copied(self, importer: Importer, disk: Path) -> None:
        put(disk / "red.jpg", picture("red"))
        list(importer.run(sources(disk)))
        list(importer.run(sources(disk), Mode.MOVE))
        assert not list(disk.iterdir())

    def test_nothing_is_moved_away_while_the_original_here_is_damaged(
        self, importer: Importer, rooms: Rooms, disk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_name: str, _md5: str) -> bool:
            raise PermissionError(errno.EACCES, "Permission denied")

        path = put(disk / "red.jpg", picture("red"))
        list(importer.run(sources(path)))
        original = next((rooms.store.root).glob("??/*.jpeg"))
        original.write_bytes(bytes(original.stat().st_size))
        [told] = importer.run(sources(path), Mode.MOVE)
        assert told.fate is Fate.DUPLICATE
        assert "the original here is damaged" in told.reason
        assert path.read_bytes() == picture("red")
        with monkeypatch.context() as patching:
            patching.setattr(rooms.store, "has_md5", refuse)
            [told] = importer.run(sources(path), Mode.MOVE)
        assert "the original here is damaged" in told.reason
        original.write_bytes(b"")  # of another length it is put in its place at once
        [told] = importer.run(sources(path), Mode.MOVE)
        assert told.gone
        assert original.read_bytes() == picture("red")

    def test_a_link_to_a_file_becomes_a_link_to_what_it_means(
        self, importer: Importer, rooms: Rooms, disk: Path, tmp_path: Path
    ) -> None:
        """Albums made of symbolic links, git-annex: the picture stays when its first place is given up."""
        first = put(tmp_path / "elsewhere" / "red.jpg", picture("red"))
        (disk / "red.jpg").symlink_to(first)
        list(importer.run(sources(disk), Mode.LINK))
        first.unlink()
        [original] = rooms.store.root.glob("??/*.jpeg")
        assert original.read_bytes() == picture("red")

    def test_a_linked_file_that_is_being_written_is_not_taken(
        self, importer: Importer, rooms: Rooms, disk: Path
    ) -> None:
        path = put(disk / "red.jpg", picture("red"))
        found = sources(path)
        put(path, picture("red") + b"more")
        [told] = importer.run(found, Mode.LINK)
        assert "it is being written to" in told.reason
        assert rooms.images.counts().total == 0
        assert path.exists()

    def test_links_take_no_room(self, importer: Importer, rooms: Rooms, disk: Path) -> None:
        path = put(disk / "red.jpg", picture("red"))
        list(importer.run(sources(disk), Mode.LINK))
        [found] = rooms.store.found_originals()
        assert rooms.store.original(*found).samefile(path)
        assert not list((rooms.store.root / ".incoming").iterdir())

    def test_where_links_cannot_be_there_are_copies(
        self, importer: Importer, rooms: Rooms, disk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", refuse)
        path = put(disk / "red.jpg", picture("red"))
        [result] = importer.run(sources(disk), Mode.LINK)
        assert result.fate is Fate.ADDED
        assert result.reason.startswith("It was copied")
        [found] = rooms.store.found_originals()
        assert not rooms.store.original(*found).samefile(path)
        assert not list((rooms.store.root / ".incoming").iterdir())


def test_a_full_disk_of_ours_is_no_fault_of_the_files(
    importer: Importer, rooms: Rooms, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk / "blue.jpg", picture("blue"))
    put(disk / "red.jpg", picture("red"))
    running = importer.run(sources(disk))
    assert next(running).fate is Fate.ADDED

    def full(_incoming: Incoming, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patching:
        patching.setattr(Incoming, "write", full)
        with pytest.raises(StorageUnavailable, match="disk is full"):
            next(running)
    assert [result.fate for result in importer.run(sources(disk))] == [Fate.UNCHANGED, Fate.ADDED]


@pytest.mark.parametrize("moment", [(1970, 1, 1), (1980, 1, 1)])
def test_who_says_so_of_every_file_says_nothing_of_when_it_was_taken(
    importer: Importer, rooms: Rooms, disk: Path, moment: tuple[int, int, int]
) -> None:
    path = put(disk / "red.jpg", picture("red"))
    seconds = datetime(*moment).timestamp()
    os.utime(path, (seconds, seconds))
    made = archive(disk / "some.zip", {})
    with zipfile.ZipFile(made, "w") as new:
        new.writestr(zipfile.ZipInfo("blue.jpg"), picture("blue"))  # 1980, as many programs write it
    list(importer.run(sources(disk)))
    rooms.index()
    taken = {image.filename: image.taken_at for image in rooms.images.newest(9)}
    assert taken["red.jpg"] is None
    assert taken["blue.jpg"] is not None
    assert taken["blue.jpg"].year == datetime.now().year, "of the archive"


class TestArchives:
    def test_members_come_in_with_their_time_and_nowhere_else(
        self, importer: Importer, rooms: Rooms, disk: Path, tmp_path: Path
    ) -> None:
        path = archive(disk / "old.zip", {"trip/1.jpg": picture("red"), "../../../evil.jpg": picture("blue")})
        before = {file for file in tmp_path.rglob("*") if file.is_file() and "index" not in file.parts}
        results = list(importer.run(sources(path)))
        assert [result.fate for result in results] == [Fate.ADDED, Fate.ADDED]
        assert [image.filename for image in rooms.images.newest(9)] == ["evil.jpg", "1.jpg"]
        new = {file for file in tmp_path.rglob("*") if file.is_file() and "index" not in file.parts} - before
        assert all(file.is_relative_to(rooms.store.root) for file in new)
        rooms.prepare()
        assert rooms.image(1).taken_at == datetime(2019, 5, 4, 3, 2)
        assert [result.fate for result in importer.run(sources(path))] == [Fate.UNCHANGED, Fate.UNCHANGED]

    def test_a_bomb_is_given_up(self, importer: Importer, rooms: Rooms, disk: Path) -> None:
        path = archive(disk / "bomb.zip", {"1.jpg": bytes(LIMIT * 3), "2.jpg": picture("red")})
        content = bytearray(path.read_bytes())
        honest, lie = (LIMIT * 3).to_bytes(4, "little"), (100).to_bytes(4, "little")
        while (at := content.find(honest)) >= 0:  # the archive says that the member is small
            content[at : at + 4] = lie
        path.write_bytes(content)
        results = fates(list(importer.run(sources(path))))
        assert results["1.jpg"] is Fate.PROBLEM
        assert results["2.jpg"] is Fate.ADDED
        assert sum(file.stat().st_size for file in rooms.store.root.rglob("*") if file.is_file()) < LIMIT

    def test_a_damaged_member_costs_itself(self, importer: Importer, disk: Path) -> None:
        noise = os.urandom(5000)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as made:
            made.writestr("1.jpg", noise)
            made.writestr("2.jpg", picture("red"))
        path = put(disk / "damaged.zip", buffer.getvalue().replace(noise[100:200], bytes(100)))
        results = fates(list(importer.run(sources(path))))
        assert results == {"1.jpg": Fate.PROBLEM, "2.jpg": Fate.ADDED}

    def test_one_that_says_it_unpacks_to_far_more_than_its_size_is_not_opened(
        self, disk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.library.importing.LARGE", 1000)
        path = disk / "bomb.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("zeros.png", bytes(1_000_000))
        [problem] = find_sources([path])
        assert isinstance(problem, Imported)
        assert "100 times its size" in problem.reason

    def test_its_list_is_read_once(self, importer: Importer, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = archive(disk / "many.zip", {f"{n}.jpg": data for n, data in enumerate(unique_pictures(20))})
        found = sources(path)
        opened: list[object] = []
        made = zipfile.ZipFile.__init__

        def count(self: zipfile.ZipFile, *arguments: object, **options: object) -> None:
            opened.append(arguments)
            made(self, *arguments, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(zipfile.ZipFile, "__init__", count)
        assert {result.fate for result in importer.run(found)} == {Fate.ADDED}
        assert len(opened) == 1


class TestWhatIsLeftAlone:
    def test_the_library_itself(self, importer: Importer, rooms: Rooms, disk: Path) -> None:
        """Moving its originals away, as duplicates of themselves, would be the end of them."""
        rooms.add("red")
        [found_original] = rooms.store.found_originals()
        original = rooms.store.original(*found_original)
        for path in (rooms.store.root, original, original.parent):
            with pytest.raises(InvalidInput, match="library itself"):
                list(find_sources([path], library=rooms.store.root))
        put(disk / "blue.jpg", picture("blue"))
        (disk / "shortcut").symlink_to(rooms.store.root)
        found = [item for item in find_sources([rooms.folder], library=rooms.store.root) if isinstance(item, Source)]
        assert [source.filename for source in found] == ["blue.jpg"]
        list(importer.run(found, Mode.MOVE))
        assert original.is_file()

    def test_pipes_and_links_that_lead_nowhere(self, disk: Path) -> None:
        os.mkfifo(disk / "pipe.jpg")
        (disk / "loop.png").symlink_to("loop.png")
        (disk / "nowhere.gif").symlink_to("there is nothing")
        found = list(find_sources([disk]))
        assert fates([item for item in found if isinstance(item, Imported)]) == dict.fromkeys(
            ("loop.png", "nowhere.gif", "pipe.jpg"), Fate.PROBLEM
        )
        assert len(found) == 3

    def test_a_file_that_grows_while_it_is_read(
        self, importer: Importer, rooms: Rooms, disk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = put(disk / "red.jpg", picture("red"))
        found = sources(disk)
        took = rooms.store.incoming

        def grow() -> object:
            with path.open("ab") as file:
                file.write(b"more")
            return took()

        monkeypatch.setattr(rooms.store, "incoming", grow)
        [result] = importer.run(found)
        assert "being written to" in result.reason
        assert rooms.images.counts().total == 0


def test_what_could_not_be_moved_away_is_here_and_says_so(
    importer: Importer, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk / "red.jpg", picture("red"))
    found = sources(disk)

    def refuse(_path: Path, **_options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    unlink = Path.unlink
    monkeypatch.setattr(
        Path, "unlink", lambda path, **options: (refuse if path.name == "red.jpg" else unlink)(path, **options)
    )
    [result] = importer.run(found, Mode.MOVE)
    assert result.fate is Fate.ADDED
    assert "Read-only file system" in result.reason
