"""Copies to give away: what is to be seen of a picture, without what the file tells about whom and where.

Kept are pixels, colours (ICC) and, where pixels are not stored upright, the orientation. Everything else goes: EXIF
with place, serial numbers and maker notes, XMP, IPTC, comments, second pictures, and whatever hangs behind the end.
JPEG, PNG, WebP and GIF are not encoded anew: their parts are copied, by a list of those that may stay. The others
become an upright PNG or JPEG in sRGB.

Sources: ITU-T T.81 (JPEG), annex B; PNG (W3C, third edition), 5 and 11; RFC 9649 (WebP), 2; GIF89a, appendix A.
Runs where pictures are decoded (`app.media.decoding`).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from app.errors import PictureError
from app.media import pictures

JPEG_QUALITY = 95

_JPEG_PARTS = frozenset({*range(0xC0, 0xD0), 0xDB, 0xDC, 0xDD, 0xDE, 0xDF})
"""Frames, tables and restart intervals."""
_JPEG_SCAN = 0xDA
_JPEG_EMPTY = frozenset({0x01, *range(0xD0, 0xD8)})
"""Marks without content."""
_JPEG_SCAN_END = re.compile(rb"\xff(?![\x00\xd0-\xd7\xff])")
_PNG_PARTS = frozenset({
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"sBIT",
    b"bKGD", b"hIST", b"pHYs", b"acTL", b"fcTL", b"fdAT",
})  # fmt: skip
_WEBP_PARTS = frozenset({b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"})
_WEBP_HAS_EXIF, _WEBP_HAS_XMP = 0x08, 0x04
_GIF_PARTS = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012")
_PNG_START = b"\x89PNG\r\n\x1a\n"

Strip = Callable[[bytes, int], Iterator[bytes]]
"""Given a file and its EXIF orientation: the parts of the copy."""


def write_without_location(source: Path, max_pixels: int, target: Path) -> str:
    """Write a copy of ``source`` to ``target``. Returns its format, a key of `app.media.pictures.FORMATS`.

    Raises `PictureError`.
    """
    with pictures.opened(source, max_pixels) as picture:
        format = pictures.format_of(picture)
        strip = _STRIPS.get(format)
        if strip is None:
            return _encode(picture, format, target)
        orientation, size = pictures.orientation_of(picture), picture.size
    with target.open("wb") as file:
        try:
            file.writelines(strip(source.read_bytes(), orientation))
        except (IndexError, ValueError, struct.error) as error:
            raise PictureError("The file is damaged, so no copy can be made of it.") from error
    with pictures.opened(target, max_pixels) as copy:
        if pictures.format_of(copy) != format or copy.size != size:
            raise PictureError("No copy can be made of this picture: its file is put together in an unusual way.")
    return format


def _encode(picture: Image.Image, format: str, target: Path) -> str:
    raster = pictures.upright(picture, max(picture.size))
    clean = Image.new("RGB", raster.size)  # from the pixels alone
    clean.paste(raster)
    if format in ("bmp", "tiff"):
        clean.save(target, "PNG")
        return "png"
    clean.save(target, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return "jpeg"


def _exif(orientation: int) -> bytes:
    """An EXIF block (TIFF, Exif 2.32, 4.5) that holds an orientation alone."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _strip_jpeg(data: bytes, orientation: int) -> Iterator[bytes]:
    yield data[:2]
    if orientation != 1:
        block = b"Exif\0\0" + _exif(orientation)
        yield b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block
    for kind, content, whole in _jpeg_segments(data):
        if kind in _JPEG_PARTS or kind == _JPEG_SCAN or (kind == 0xE2 and content.startswith(b"ICC_PROFILE\0")):
            yield whole
        elif kind == 0xE0 and content.startswith(b"JFIF\0"):
            yield b"\xff\xe0\x00\x10" + content[:12].ljust(12, b"\0") + b"\0\0"  # without the thumbnail in it
        elif kind == 0xEE and content.startswith(b"Adobe"):
            yield b"\xff\xee\x00\x0e" + content[:12].ljust(12, b"\0")
    yield b"\xff\xd9"


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Kind, content and all bytes of each segment up to the end of the picture; a scan has its pixels behind it."""
    at = 2
    while at < len(data) and data[at : at + 2] != b"\xff\xd9":
        kind = data[at + 1]
        if data[at] != 0xFF:
            raise ValueError("no marker")
        if kind == 0xFF:  # filling
            at += 1
            continue
        if kind in _JPEG_EMPTY:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if length < 2 or end > len(data):
            raise ValueError("segment is cut short")
        if kind == _JPEG_SCAN:
            found = _JPEG_SCAN_END.search(data, end)
            end = found.start() if found else len(data)
        yield kind, data[at + 4 : at + 2 + length], data[at:end]
        at = end


def _strip_png(data: bytes, orientation: int) -> Iterator[bytes]:
    yield _PNG_START
    turned, at, kind = orientation != 1, len(_PNG_START), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT" and turned:
            block = _exif(orientation)
            yield struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
            turned = False
        if kind in _PNG_PARTS:
            yield data[at : at + 12 + length]
        at += 12 + length


def _strip_webp(data: bytes, orientation: int) -> Iterator[bytes]:
    (size,) = struct.unpack_from("<I", data, 4)
    parts = []
    for kind, content in _riff(data[12 : 8 + size]):
        if kind == b"VP8X":
            flags = content[0] & ~(_WEBP_HAS_EXIF | _WEBP_HAS_XMP) | (_WEBP_HAS_EXIF if orientation != 1 else 0)
            parts.append(_riff_part(kind, bytes([flags]) + content[1:]))
        elif kind == b"ANMF":
            frame = [_riff_part(*part) for part in _riff(content[16:]) if part[0] in _WEBP_PARTS]
            parts.append(_riff_part(kind, content[:16] + b"".join(frame)))
        elif kind in _WEBP_PARTS:
            parts.append(_riff_part(kind, content))
    if orientation != 1:
        parts.append(_riff_part(b"EXIF", _exif(orientation)))
    yield b"RIFF" + struct.pack("<I", 4 + sum(map(len, parts))) + b"WEBP"
    yield from parts


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _riff_part(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _strip_gif(data: bytes, orientation: int) -> Iterator[bytes]:
    at = 13 + _colours(data[10])
    yield data[:at]
    while at < len(data) and data[at] != 0x3B:
        begin = at
        if data[at] == 0x2C:
            at += 10 + _colours(data[at + 9]) + 1
            keep = True
        elif data[at] == 0x21:
            kind = data[at + 1]
            keep = kind == 0xF9 or (kind == 0xFF and data[at + 3 : at + 14] in _GIF_PARTS)
            at += 2
        else:
            raise ValueError("no block")
        while data[at]:
            at += 1 + data[at]
        at += 1
        if keep:
            yield data[begin:at]
    yield b";"


def _colours(flags: int) -> int:
    """Bytes of the colour table that a header with these flags has behind it."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


_STRIPS: dict[str, Strip] = {"jpeg": _strip_jpeg, "png": _strip_png, "webp": _strip_webp, "gif": _strip_gif}
