"""Archives made to harm, by the way that `import` takes them: nothing is written outside, nothing grows without end."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from app.library.importing import Fate, Imported, find_sources
from app.main import create_importer
from tests.conftest import Glimpse, wait_for
from tests.pictures import picture

SLIPS = (
    "../../../../evil.jpg", "/etc/evil.jpg", "..\\..\\evil.jpg", "C:\\evil.jpg", "a/../../evil.jpg", "evil\0.jpg",
    "\u202eevil.jpg", "CON.jpg", "a" * 60_000 + ".jpg", "./././evil.jpg", "evil.jpg/", "~/evil.jpg",
    "\x1b[2Jevil.jpg", "e\nvil.jpg",
)  # fmt: skip


def archive(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as made:
        for name, data in members.items():
            made.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, packing)
    return buffer.getvalue()


def a_link() -> bytes:
    """A member that is a symbolic link to a file of the server."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def overlapping() -> bytes:
    """Many members that are all the same bytes of the archive (https://www.bamsoftware.com/hacks/zipbomb/)."""
    content = bytearray(archive({"0.jpg": bytes(10_000_000)}))
    directory = content.rindex(b"PK\x01\x02")
    end = content.rindex(b"PK\x05\x06")
    entry = bytes(content[directory:end])
    entries = b"".join(entry.replace(b"0.jpg", b"%d.jpg" % (number % 10)) for number in range(200))
    tail = bytearray(content[end:])
    struct.pack_into("<HHII", tail, 8, 200, 200, len(entries), directory)
    return bytes(content[:directory]) + entries + bytes(tail)


def in_itself(depth: int = 50) -> bytes:
    data = picture("red")
    for number in range(depth):
        data = archive({f"{number}.zip": data, f"{number}.jpg": b"none"})
    return data


ARCHIVES: dict[str, tuple[Callable[[], bytes], int]] = {
    "names that lead out": (
        lambda: archive({name: picture("green", comment=name.encode()[:99]) for name in SLIPS}),
        12,
    ),
    "a bomb of zeros": (lambda: archive({"zeros.jpg": bytes(300_000_000)}), 0),
    "many bombs": (lambda: archive({f"{number}.jpg": bytes(20_000_000) for number in range(20)}), 0),
    "overlapping members": (overlapping, 0),
    "archives in archives": (in_itself, 0),
    "a link": (a_link, 0),
    "a hundred thousand names": (lambda: archive({f"{n}.txt": b"" for n in range(100_000)}, zipfile.ZIP_STORED), 0),
    "no archive": (lambda: b"PK\x03\x04" + b"\xff" * 2000, 0),
    "a directory that is not there": (lambda: b"PK\x05\x06" + b"\xff" * 18, 0),
}
"""What it is → its bytes, and how many pictures come in."""


@pytest.mark.parametrize("what", ARCHIVES)
def test_what_comes_in_lies_where_pictures_lie(besieged: Glimpse, what: str, tmp_path: Path) -> None:
    make, expected = ARCHIVES[what]
    path = tmp_path / "inner" / "folder" / "attack.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(make())
    data = besieged.settings.data
    before = {file for folder in (tmp_path, data.parent) for file in folder.rglob("*")}
    size = sum(file.stat().st_size for file in besieged.settings.images.rglob("*") if file.is_file())
    with create_importer(besieged.settings) as importer:
        found = list(find_sources([path]))
        problems = [item for item in found if isinstance(item, Imported)]
        results = problems + list(importer.run([item for item in found if not isinstance(item, Imported)]))
    wait_for(besieged.idle)  # the worker's own files come and go until then
    added = [result for result in results if result.fate is Fate.ADDED]
    assert len(added) == expected, [(result.name[-40:], result.reason) for result in results]
    assert all(result.reason for result in results if result.fate is Fate.PROBLEM)
    new = {file for folder in (tmp_path, data.parent) for file in folder.rglob("*")} - before
    assert all(file.is_relative_to(besieged.settings.images) or file.parent == besieged.settings.index for file in new)
    grown = sum(file.stat().st_size for file in besieged.settings.images.rglob("*") if file.is_file()) - size
    assert grown < 1_000_000
