"""Files made to harm, all by code: a few kilobytes that would become gigabytes, or never end, or are two things."""

from __future__ import annotations

import struct
import zipfile
import zlib
from io import BytesIO

from PIL import Image

from tests.pictures import encoded, noise, picture, png_chunk, png_of_grey_bits, with_xmp, xmp_packet

PNG_START = b"\x89PNG\r\n\x1a\n"

# Bombs: the header tells of more pixels than anybody has


def jpeg_of(width: int, height: int) -> bytes:
    """A small JPEG whose frame header claims another size."""
    file = bytearray(picture("red"))
    at = file.index(b"\xff\xc0")
    struct.pack_into(">HH", file, at + 5, height, width)
    return bytes(file)


def gif_of(width: int, height: int) -> bytes:
    file = bytearray(picture("red", format="GIF"))
    struct.pack_into("<HH", file, 6, width, height)
    struct.pack_into("<HH", file, file.index(b",\0\0\0\0") + 5, width, height)
    return bytes(file)


def gif_with_a_huge_frame() -> bytes:
    """A canvas of 64 × 48 pixels, and a frame on it of 65,535 × 65,535."""
    file = bytearray(picture("red", format="GIF"))
    struct.pack_into("<HH", file, file.index(b",\0\0\0\0") + 5, 65535, 65535)
    return bytes(file)


def bmp_of(width: int, height: int) -> bytes:
    file = bytearray(picture("red", format="BMP"))
    struct.pack_into("<ii", file, 18, width, height)
    return bytes(file)


def webp_of(width: int, height: int) -> bytes:
    """A lossless WebP whose bit stream claims another size (RFC 9649, 3.4)."""
    file = bytearray(encoded(Image.new("RGB", (64, 48), "red"), "WEBP", lossless=True))
    at = file.index(b"VP8L") + 9
    (bits,) = struct.unpack_from("<I", file, at)
    struct.pack_into("<I", file, at, bits & ~0xFFFFFFF | (width - 1) | (height - 1) << 14)
    return bytes(file)


def tiff_of(width: int, height: int) -> bytes:
    file = bytearray(picture("red", format="TIFF"))
    for tag, value in ((256, width), (257, height)):
        at = file.index(struct.pack("<H", tag), struct.unpack_from("<I", file, 4)[0])
        struct.pack_into("<HHII", file, at, tag, 4, 1, value)
    return bytes(file)


def box_of(format: str, width: int, height: int) -> bytes:
    """An AVIF or HEIC whose size box (``ispe``, ISO/IEC 23008-12, 6.5.3) claims another size."""
    file = bytearray(picture("red", format=format))
    at = file.find(b"ispe")
    while at >= 0:
        struct.pack_into(">II", file, at + 8, width, height)
        at = file.find(b"ispe", at + 1)
    return bytes(file)


def tiff_of_packed_nothing(width: int, height: int) -> bytes:
    """All its pixels are there, in some kilobytes."""
    return encoded(Image.new("1", (width, height)), "TIFF", compression="tiff_adobe_deflate")


# Bombs: the header is harmless, what is packed beside the pixels is not


def png_with(*chunks: tuple[bytes, bytes], behind: bool = False) -> bytes:
    """A red PNG with more chunks, in front of its pixels or behind them."""
    file = picture("red", format="PNG")
    at = file.index(b"IEND") - 4 if behind else file.index(b"IDAT") - 4
    return file[:at] + b"".join(png_chunk(*chunk) for chunk in chunks) + file[at:]


def packed(megabytes: int, byte: bytes = b"A") -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(byte * 1_000_000) for _ in range(megabytes)) + packer.flush()


def billion_laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY l0 "lol">{entities}]><x:xmpmeta xmlns:x="adobe:ns:meta/">&l9;</x:xmpmeta>'.encode()


def external_entity() -> bytes:
    """Asks the XML parser for a file of the server."""
    document = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    return f'{document}<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:title>&e;</dc:title></x:xmpmeta>'.encode()


def deep_xml(depth: int = 100_000) -> bytes:
    return xmp_packet("<a>" * depth + "</a>" * depth)


def with_deep_xmp(packet: bytes) -> bytes:
    """In a PNG: a JPEG takes 64 kB of it at most."""
    return with_xmp(packet, format="PNG")


def with_exif(block: bytes) -> bytes:
    return picture("red", exif=b"Exif\0\0" + block)


def exif_that_contains_itself() -> bytes:
    """Its Exif directory is the main one, which has it in it (Exif 2.32, 4.6.3)."""
    return with_exif(b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x8769, 4, 1, 8) + struct.pack("<I", 8))


def exif_with_a_huge_count() -> bytes:
    """A text of four billion characters, says its directory."""
    return with_exif(b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x010E, 2, 2**32 - 1, 26, 0))


def exif_with_many_entries() -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, 1) for tag in range(5000))
    return with_exif(b"II*\0" + struct.pack("<IH", 8, 5000) + entries + bytes(4))


def tiff_that_never_ends() -> bytes:
    """Its directory of the second page is that of the first."""
    file = bytearray(picture("red", format="TIFF"))
    (at,) = struct.unpack_from("<I", file, 4)
    (entries,) = struct.unpack_from("<H", file, at)
    struct.pack_into("<I", file, at + 2 + 12 * entries, at)
    return bytes(file)


def with_profile(profile: bytes, format: str = "JPEG") -> bytes:
    return picture("red", format=format, icc_profile=profile)


def profile_with_many_tags() -> bytes:
    """Four billion of them, says its header (ICC.1:2022, 7.3)."""
    head = bytearray(128)
    struct.pack_into(">I", head, 0, 132)
    head[12:24] = b"mntrRGB XYZ "
    head[36:40] = b"acsp"
    return bytes(head) + struct.pack(">I", 2**32 - 1)


# Long, thin, moving


def gif_of_frames(count: int) -> bytes:
    frames = [Image.new("P", (64, 48), number) for number in (0, 1)]
    for frame in frames:
        frame.putpalette([255, 0, 0, 0, 0, 255])
    file = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=20, loop=0)
    start = file.rindex(b"\x21\xf9")
    return file[:start] + file[start:-1] * count + b";"


def webp_of_frames(count: int) -> bytes:
    frames = [Image.new("RGB", (16, 12), colour) for colour in ("red", "blue")]
    file = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=20)
    start = file.rindex(b"ANMF")
    body = file[8:start] + file[start:] * count
    return b"RIFF" + struct.pack("<I", len(body)) + body


def apng_that_promises(count: int) -> bytes:
    """Two frames, and a header that tells of many more."""
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    file = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=20)
    at = file.index(b"acTL")
    return file[: at - 4] + png_chunk(b"acTL", struct.pack(">II", count, 0)) + file[at + 16 :]


# Two things at once


def svg_in_front() -> bytes:
    return b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>' + picture("red")


def html_in_a_comment() -> bytes:
    return picture("red", comment=b"--><html><script>alert(document.domain)</script></html><!--")


def jpeg_that_is_an_archive() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil.sh", "#!/bin/sh\nid\n")
    return picture("red") + buffer.getvalue()


def pdf_in_front() -> bytes:
    return b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n" + picture("red")


# Broken


def png_without(kind: bytes) -> bytes:
    file, at, kept = picture("red", format="PNG"), len(PNG_START), PNG_START
    while at < len(file):
        (length,) = struct.unpack_from(">I", file, at)
        if file[at + 4 : at + 8] != kind:
            kept += file[at : at + 12 + length]
        at += 12 + length
    return kept


def png_whose_chunk_is_longer_than_the_file() -> bytes:
    return png_with((b"tEXt", b"Title\0red")).replace(
        struct.pack(">I", 9) + b"tEXt", struct.pack(">I", 2**31 - 1) + b"tEXt"
    )


def jpeg_without(marker: int) -> bytes:
    file = picture("red")
    at = file.index(bytes([0xFF, marker]))
    (length,) = struct.unpack_from(">H", file, at + 2)
    return file[:at] + file[at + 2 + length :]


def jpeg_of_endless_scans() -> bytes:
    """A progressive picture whose scans come again and again: each costs a look at all pixels."""
    file = encoded(noise((2000, 1500)), "JPEG", progressive=True, quality=5)
    start = file.rindex(b"\xff\xda")
    scan = file[start:-2]
    return file[:start] + scan[: 20_000 // 2] * 600 + b"\xff\xd9"


def png_of_packed_pixels(side: int) -> bytes:
    """All of its pixels are there, one bit each, in some kilobytes."""
    return png_of_grey_bits(side, side)
