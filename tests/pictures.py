"""Picture files for tests, good ones and bad ones, all made by code and the same every time."""

from __future__ import annotations

import colorsys
import struct
import zlib
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageCms, ImageColor, PngImagePlugin

pillow_heif.register_heif_opener()

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "HEIC")
"""Every format that is taken in, by the names `picture` knows."""

Pixel = tuple[int, int, int]

# Plain pictures


def picture(color: str = "red", size: tuple[int, int] = (64, 48), format: str = "JPEG", **save_options: Any) -> bytes:
    """A picture of one colour. ``save_options`` go to Pillow, such as ``exif=…`` or ``quality=95``."""
    return encoded(Image.new("RGB", size, color), format, **save_options)


def encoded(image: Image.Image, format: str = "JPEG", **save_options: Any) -> bytes:
    """The image as a file of one of `FORMATS`."""
    file = BytesIO()
    image.save(file, "HEIF" if format == "HEIC" else format, **save_options)
    return file.getvalue()


def unique_pictures(count: int, size: tuple[int, int] = (48, 36)) -> Iterator[bytes]:
    """Small JPEGs, no two with the same bytes; their hues lie as far apart as ``count`` allows."""
    for index in range(count):
        hue, light = index * 0.618034 % 1, 1 - 0.6 * (index % 7) / 6
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, light))
        yield encoded(Image.new("RGB", size, (red, green, blue)), comment=f"picture {index}")


def noise(size: tuple[int, int] = (160, 120), seed: int = 0) -> Image.Image:
    """Grain that no format makes small: half of its file is half of the picture."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


def pixel(file: bytes, x: float = 0.5, y: float = 0.5) -> Pixel:
    """The colour at a place given in shares of width and height, as Pillow decodes it (orientation not applied)."""
    with Image.open(BytesIO(file)) as image:
        rgb = image.convert("RGB")
    found = rgb.getpixel((min(rgb.width - 1, int(x * rgb.width)), min(rgb.height - 1, int(y * rgb.height))))
    assert isinstance(found, tuple)
    return int(found[0]), int(found[1]), int(found[2])


def nearest(found: Pixel, *names: str) -> str:
    """Which of the named colours a pixel means, through the loss of JPEG."""
    return min(names, key=lambda name: sum((a - b) ** 2 for a, b in zip(ImageColor.getrgb(name), found, strict=False)))


# Orientation and facts

UPRIGHT_SIZE = (64, 48)
UPRIGHT_CORNERS = ("red", "lime", "blue", "yellow")
"""How `oriented` looks when it is upright: upper left, upper right, lower left, lower right."""

# What a camera does to the pixels before it notes the orientation; the inverse of what makes them upright again.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


ORIENTED_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC")
"""Formats that can say how the camera was held."""


def oriented(orientation: int, format: str = "JPEG") -> bytes:
    """`UPRIGHT_SIZE` pixels with four corners of `UPRIGHT_CORNERS`, stored for EXIF orientation 1 to 8."""
    width, height = UPRIGHT_SIZE
    image = Image.new("RGB", UPRIGHT_SIZE)
    for index, color in enumerate(UPRIGHT_CORNERS):
        left, top = index % 2 * width // 2, index // 2 * height // 2
        image.paste(color, (left, top, left + width // 2, top + height // 2))
    if orientation in _STORED:
        image = image.transpose(_STORED[orientation])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"quality": 95, "subsampling": 0} if format == "JPEG" else {}
    return encoded(image, format, exif=exif.tobytes(), **options)  # HEIC is turned only if EXIF comes as bytes


def corners(image: Image.Image) -> tuple[str, ...]:
    """The corners' colours in the order of `UPRIGHT_CORNERS`, for a picture that was made upright."""
    rgb = image.convert("RGB")
    x, y = image.width // 8, image.height // 8
    places = ((x, y), (-1 - x, y), (x, -1 - y), (-1 - x, -1 - y))
    pixels = (rgb.getpixel((left % rgb.width, top % rgb.height)) for left, top in places)
    return tuple(
        nearest((found[0], found[1], found[2]), *UPRIGHT_CORNERS) for found in pixels if isinstance(found, tuple)
    )


def with_facts(
    taken: datetime | str = datetime(2021, 5, 4, 12, 30, 15),
    make: str = "Halden",
    model: str = "Halden R2",
    color: str = "red",
    format: str = "JPEG",
) -> bytes:
    """A picture with the moment and the camera in its EXIF. A ``taken`` that is text is written as it stands."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = make, model
    moment = taken if isinstance(taken, str) else taken.strftime("%Y:%m:%d %H:%M:%S")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = moment
    return picture(color, format=format, exif=exif)


def xmp(title: str = "", description: str = "", keywords: tuple[str, ...] = ()) -> bytes:
    """A packet as photo programs write it, padding included."""
    items = "".join(f"<rdf:li>{escape(keyword)}</rdf:li>" for keyword in keywords)
    body = f"<dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject>"
    for name, value in (("title", title), ("description", description)):
        item = f'<rdf:li xml:lang="x-default">{escape(value)}</rdf:li>'
        body += f"<dc:{name}><rdf:Alt>{item}</rdf:Alt></dc:{name}>" if value else ""
    return xmp_packet(f'<rdf:Description rdf:about="">{body}</rdf:Description>')


def xmp_packet(inner: str) -> bytes:
    """A packet around what stands in its ``rdf:RDF``."""
    names = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f"<rdf:RDF {names}>{inner}</rdf:RDF></x:xmpmeta>{' ' * 200}<?xpacket end='w'?>"
    ).encode()


def with_captions(
    title: str = "", description: str = "", keywords: tuple[str, ...] = (), color: str = "red", format: str = "JPEG"
) -> bytes:
    """A picture that has texts in its file."""
    return with_xmp(xmp(title, description, keywords), color, format)


def with_xmp(packet: bytes, color: str = "red", format: str = "JPEG") -> bytes:
    """A picture with this packet, whatever it holds."""
    if format == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode("utf-8", "replace"))
        return picture(color, format=format, pnginfo=info)
    if format == "TIFF":
        return picture(color, format=format, tiffinfo={700: packet})
    return picture(color, format=format, xmp=packet)


def with_iptc(*records: tuple[int, int, bytes], color: str = "red", format: str = "JPEG") -> bytes:
    """A picture with IPTC-IIM records: (record, data set, value)."""
    block = b"".join(b"\x1c" + struct.pack(">BBH", record, key, len(value)) + value for record, key, value in records)
    if format == "TIFF":
        return picture(color, format=format, tiffinfo={33723: block})
    resource = b"8BIM" + struct.pack(">H", 0x0404) + b"\0\0" + struct.pack(">I", len(block)) + block
    resource += b"\0" * (len(block) % 2)
    photoshop = b"Photoshop 3.0\0" + resource
    segment = b"\xff\xed" + struct.pack(">H", len(photoshop) + 2) + photoshop
    file = picture(color)
    return file[:2] + segment + file[2:]


def with_place() -> bytes:
    """A JPEG that gives away where it was taken (GPS in EXIF): nothing that is shown may carry it on."""
    exif = Image.Exif()
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef], place[ExifTags.GPS.GPSLatitude] = "N", (59.0, 54.0, 50.0)
    place[ExifTags.GPS.GPSLongitudeRef], place[ExifTags.GPS.GPSLongitude] = "E", (10.0, 45.0, 8.0)
    return picture("green", exif=exif)


def with_garbage_exif() -> bytes:
    """A red JPEG whose EXIF block is noise."""
    return picture("red", exif=b"Exif\0\0" + np.random.default_rng(3).bytes(400))


# Pictures of unusual kinds, all of them whole


def animated_gif() -> bytes:
    """Two frames: the first red, the second blue."""
    frames = [Image.new("RGB", (64, 48), color) for color in ("red", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)


def animated_webp() -> bytes:
    """Two frames: the first red, the second blue."""
    frames = [Image.new("RGB", (64, 48), color) for color in ("red", "blue")]
    return encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=100)


def two_in_one_jpeg() -> bytes:
    """What phones write (MPO): a red JPEG with a blue one behind it."""
    second = Image.new("RGB", (64, 48), "blue")
    return encoded(Image.new("RGB", (64, 48), "red"), "MPO", save_all=True, append_images=[second])


def two_page_tiff() -> bytes:
    """The first page red, the second blue."""
    second = Image.new("RGB", (64, 48), "blue")
    return encoded(Image.new("RGB", (64, 48), "red"), "TIFF", save_all=True, append_images=[second])


def cmyk_jpeg() -> bytes:
    """Printer's colours; it must come out red."""
    return encoded(Image.new("CMYK", (64, 48), (0, 255, 255, 0)), "JPEG", quality=95)


def grey_16_bit_png() -> bytes:
    """A ramp from black (left) to white (right) in 65,536 steps' worth of depth."""
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)
    return encoded(Image.fromarray(np.tile(ramp, (32, 1))), "PNG")


def one_bit_png() -> bytes:
    """Black on the left, white on the right."""
    image = Image.new("1", (64, 48), 0)
    image.paste(1, (32, 0, 64, 48))
    return encoded(image, "PNG")


def palette_png() -> bytes:
    """64 × 48 with a palette: red on the left, transparent on the right (must become white)."""
    image = Image.new("P", (64, 48), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (32, 0, 64, 48))
    return encoded(image, "PNG", transparency=1)


def rgba_png() -> bytes:
    """Opaque red on the left; on the right blue that is wholly transparent (must become white)."""
    image = Image.new("RGBA", (64, 48), (255, 0, 0, 255))
    image.paste((0, 0, 255, 0), (32, 0, 64, 48))
    return encoded(image, "PNG")


def grey_alpha_png() -> bytes:
    """Mode LA: opaque black on the left, transparent black on the right (must become white)."""
    image = Image.new("LA", (64, 48), (0, 255))
    image.paste((0, 0), (32, 0, 64, 48))
    return encoded(image, "PNG")


def progressive_jpeg() -> bytes:
    return encoded(noise(), "JPEG", progressive=True, quality=80)


def thin_png() -> bytes:
    """65,000 × 1 pixels."""
    return picture("red", (65_000, 1), "PNG")


def one_pixel_png() -> bytes:
    return picture("red", (1, 1), "PNG")


def wide_gamut_jpeg() -> bytes:
    """Pixels (234, 51, 35) in Display P3, which is sRGB's pure red."""
    return encoded(Image.new("RGB", (64, 48), (234, 51, 35)), "JPEG", quality=95, icc_profile=_display_p3())


def _display_p3() -> bytes:
    """Pillow's sRGB profile with the primaries of Display P3 (adapted to D50) written over its own."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)  # when it was made: else the bytes change every second
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    (count,) = struct.unpack(">I", profile[128:132])
    for index in range(count):
        tag, offset, _ = struct.unpack(">4sII", profile[132 + 12 * index : 144 + 12 * index])
        if tag in primaries:
            struct.pack_into(">3i", profile, offset + 8, *(round(part * 65536) for part in primaries[tag]))
    return bytes(profile)


def gif_that_is_javascript() -> bytes:
    """A red GIF that is also the script ``GIF89a/*…*/=1;alert(1)``: its width, 10,799, is spelled ``/*``."""
    return picture("red", (10_799, 4), "GIF").replace(b"GIF87a", b"GIF89a", 1) + b"*/=1;alert(document.domain)"


def jpeg_with_html_behind() -> bytes:
    """A whole red JPEG followed by a page with a script."""
    return picture("red") + b"<html><script>alert(document.domain)</script></html>"


# Bad files


def truncated(format: str = "JPEG") -> bytes:
    """The header is right; half of the bytes are there."""
    file = encoded(noise(), format)
    return file[: len(file) // 2]


def text_file() -> bytes:
    return b"Dear diary, today I did not take any pictures.\n" * 20


def html_page() -> bytes:
    return b"<!DOCTYPE html><html><body><h1>Hello</h1><script>alert(1)</script></body></html>"


def svg() -> bytes:
    return (
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="64" height="48">'
        b'<script>alert(1)</script><rect width="64" height="48" fill="red"/></svg>'
    )


def video_start() -> bytes:
    """What an MP4 file begins with."""
    return b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(500)


def eps() -> bytes:
    """PostScript, for which Pillow would start another program."""
    return encoded(Image.new("RGB", (64, 48), "red"), "EPS")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG with its length and its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_grey_bits(width: int, height: int, rows: int | None = None) -> bytes:
    """A black PNG with one bit per pixel; ``rows`` of it are there (all, unless told), the header claims ``height``."""
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height if rows is None else rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@cache
def huge_png() -> bytes:
    """10,000 × 10,000 pixels in some 12 kB."""
    return png_of_grey_bits(10_000, 10_000)


def png_that_claims_too_much() -> bytes:
    """A header for 2 billion by 2 billion pixels and next to nothing behind it."""
    return png_of_grey_bits(2**31 - 1, 2**31 - 1, rows=0)


def png_with_wrong_checksum() -> bytes:
    """Whole but for the checksum of its header."""
    file = bytearray(picture("red", format="PNG"))
    file[29] ^= 0xFF
    return bytes(file)


def png_with_broken_pixels() -> bytes:
    """The chunks are in order; what they hold does not decompress."""
    file = encoded(noise(), "PNG")
    start = file.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", file[start - 8 : start - 4])
    broken = b"\xff" * 64 + file[start + 64 : start + length]
    return file[: start - 8] + png_chunk(b"IDAT", broken) + png_chunk(b"IEND", b"")


# Names

AWKWARD_NAMES = (
    "x" * 296 + ".jpg",
    "its \"quoted\" 'name'.jpg",
    "two\nlines.jpg",
    "carriage\r\nreturn.jpg",
    "tab\there.jpg",
    "../../etc/passwd",
    "../../../../../../tmp/glimpse.jpg",
    "/etc/passwd",
    "C:\\Windows\\system32\\picture.jpg",
    "..\\..\\picture.jpg",
    "..",
    ".",
    ".hidden.jpg",
    "holiday 🏖️🐕 2024.jpg",
    "Ünïcödé – 写真 – снимок.jpg",
    "e\u0301 and \u00e9.jpg",
    "<script>alert(1)</script>.jpg",
    "<img src=x onerror=alert(1)>.jpg",
    '"><svg onload=alert(1)>.jpg',
    "{{ 7 * 7 }}.jpg",
    "'; DROP TABLE images; --.jpg",
    "innocent\u202egpj.exe",
    "nul\0byte.jpg",
    "   ",
    "",
    "CON.jpg",
    "nul",
    "-rf.jpg",
    "--help.jpg",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd.jpg",
    "100%.jpg",
    "a;b,c&d=e?f#g.jpg",
    "ends with dots...",
    "picture.jpg.exe",
    "\udce9 lone surrogate.jpg",
)
"""What people, other systems and bad people call their files. None of them may be used as a path or as markup."""

# Everything together

GOOD_FILES: dict[str, bytes] = {
    **{f"plain.{format.lower()}": picture("red", format=format) for format in FORMATS},
    **{f"oriented {orientation}.jpg": oriented(orientation) for orientation in range(1, 9)},
    **{f"turned.{format.lower()}": oriented(8, format) for format in ORIENTED_FORMATS if format != "JPEG"},
    "really a png.jpg": picture("blue", format="PNG"),
    "no ending": picture("yellow"),
    "with facts.jpg": with_facts(),
    "with place.jpg": with_place(),
    "garbage exif.jpg": with_garbage_exif(),
    "animated.gif": animated_gif(),
    "animated.webp": animated_webp(),
    "two in one.jpg": two_in_one_jpeg(),
    "two pages.tiff": two_page_tiff(),
    "cmyk.jpg": cmyk_jpeg(),
    "progressive.jpg": progressive_jpeg(),
    "grey 16 bit.png": grey_16_bit_png(),
    "one bit.png": one_bit_png(),
    "palette.png": palette_png(),
    "rgba.png": rgba_png(),
    "grey alpha.png": grey_alpha_png(),
    "thin.png": thin_png(),
    "one pixel.png": one_pixel_png(),
    "wide gamut.jpg": wide_gamut_jpeg(),
    "script.gif": gif_that_is_javascript(),
    "page behind.jpg": jpeg_with_html_behind(),
}
"""File name → bytes that must be accepted and become indexed. No two have the same bytes."""

REJECTED_FILES: dict[str, bytes] = {
    "empty.jpg": b"",
    "text.txt": text_file(),
    "text.jpg": text_file() + b"\n",
    "page.jpg": html_page(),
    "drawing.svg": svg(),
    "postscript.eps": eps(),
    "portable pixmap.ppm": picture("red", format="PPM"),
    "noise.jpg": np.random.default_rng(4).bytes(5000),
    "only magic.jpg": b"\xff\xd8\xff\xe0",
    "only magic.png": b"\x89PNG\r\n\x1a\n",
    "only magic.gif": b"GIF89a",
    "truncated.webp": truncated("WEBP"),
    "truncated.avif": truncated("AVIF"),
    "video.mp4": video_start(),
    "100 megapixels.png": huge_png(),
    "claims too much.png": png_that_claims_too_much(),
    "wrong checksum.png": png_with_wrong_checksum(),
}
"""File name → bytes whose header already tells: no picture, or one that is broken or too large."""

FAILED_FILES: dict[str, bytes] = {
    "truncated.jpg": truncated("JPEG"),
    "truncated.png": truncated("PNG"),
    "truncated.gif": truncated("GIF"),
    "truncated.bmp": truncated("BMP"),
    "truncated.tiff": truncated("TIFF"),
    "truncated.heic": truncated("HEIC"),
    "broken pixels.png": png_with_broken_pixels(),
}
"""File name → bytes that open well and fail only when the pixels are decoded."""

BAD_FILES = REJECTED_FILES | FAILED_FILES
"""File name → bytes that must be rejected at once or end as failed, with a reason."""
