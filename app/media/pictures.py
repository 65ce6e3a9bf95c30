"""Reading pictures with Pillow: what a file is, its upright raster, its facts, its derivatives.

`identify` reads headers and may run in the web process. `prepare` and `load` decode, and are meant for a process that
may be killed (`app.media.decoding`). Formats are decided by content, and only those of `FORMATS` are ever tried.
"""

from __future__ import annotations

import errno
import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pillow_heif
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from app.errors import PictureError
from app.media import captions
from app.models import THUMBNAIL_WIDTHS, Captions

pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS = None
"""Pillow's own limit would be lower than what a person may set: `_check_pixels` comes before any decoding."""


@dataclass(frozen=True, slots=True)
class Format:
    """``pillow``: the decoder's name. ``shown``: browsers can show the original itself."""

    pillow: str
    media_type: str
    shown: bool


FORMATS = {
    "jpeg": Format("JPEG", "image/jpeg", True),
    "png": Format("PNG", "image/png", True),
    "gif": Format("GIF", "image/gif", True),
    "webp": Format("WEBP", "image/webp", True),
    "avif": Format("AVIF", "image/avif", True),
    "bmp": Format("BMP", "image/bmp", True),
    "tiff": Format("TIFF", "image/tiff", False),
    "heic": Format("HEIF", "image/heic", False),
}
"""What is taken in. The key is the name in the catalog and the ending of the stored file."""

READABLE = "JPEG, PNG, GIF, WebP, AVIF, HEIC, TIFF and BMP can be"
_ALLOWED = tuple(format.pillow for format in FORMATS.values())
# MPO is what phones write for a JPEG with a second picture behind the first: the JPEG plugin opens it under this name.
_BY_PILLOW = {format.pillow: name for name, format in FORMATS.items()} | {"MPO": "jpeg"}
# What a decoder may raise on bytes made to mislead it. Anything else is a fault of ours and should be seen.
_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    ArithmeticError,
    LookupError,
    TypeError,
    EOFError,
    MemoryError,
    RuntimeError,  # AVIF
    struct.error,
    zlib.error,
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation upright."""

WEBP_QUALITY = 78
WEBP_METHOD = 0
"""The fastest search: 60 % of the time of method 2, and 10 % more bytes at the same signal to noise ratio."""
SHRINK = Image.Resampling.HAMMING
"""Half the time of LANCZOS, and no difference to be seen (48 dB) where pictures only become smaller."""
QUERY_PIXELS = 640
"""Longest side of a picture that is only searched by: more than any encoder looks at."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the header says. ``width`` and ``height``: upright, in pixels."""

    format: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Derivative:
    """One of the sizes a picture is kept in: ``name`` is the width it is asked for by, the rest its real size."""

    name: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """Upright ``width`` × ``height`` of the original, its facts and texts, and WebP bytes by derivative name."""

    width: int
    height: int
    taken_at: datetime | None
    camera: str | None
    captions: Captions
    thumbnails: dict[int, bytes]


def derivative_sizes(width: int, height: int) -> tuple[Derivative, ...]:
    """The sizes a picture of ``width`` × ``height`` pixels is kept in, smallest first.

    Every width of `THUMBNAIL_WIDTHS` below the picture's own and the first that is not; never enlarged, and never
    taller than twice the named width (a tall screenshot is bounded too).
    """
    sizes = []
    for name in THUMBNAIL_WIDTHS:
        scale = min(1.0, name / width, 2 * name / height)
        sizes.append(Derivative(name, max(1, round(width * scale)), max(1, round(height * scale))))
        if scale == 1.0:
            break
    return tuple(sizes)


def smallest_of(sizes: Sequence[Derivative], side: int) -> Derivative:
    """The smallest size whose shorter side has ``side`` pixels, else the largest."""
    return next((size for size in sizes if min(size.width, size.height) >= side), sizes[-1])


def identify(path: Path, max_pixels: int) -> Identity:
    """Format and upright size, from the header alone.

    Raises `PictureError` for anything that is not a picture of a known format, or has more than ``max_pixels``.
    """
    if not path.stat().st_size:
        raise PictureError("The file is empty.")
    with opened(path, max_pixels) as picture:
        width, height = picture.size
        if _is_jpeg(picture) and orientation_of(picture) >= 5:  # elsewhere reading it may mean decoding
            width, height = height, width
        return Identity(format_of(picture), width, height)


def prepare(path: Path, max_pixels: int) -> Prepared:
    """Decode an original once: derivatives and facts. Raises `PictureError` with a reason for the person."""
    with opened(path, max_pixels) as picture:
        _load_unless_jpeg(picture)
        width, height = picture.size if orientation_of(picture) < 5 else picture.size[::-1]
        sizes = derivative_sizes(width, height)
        raster = upright(picture, max(sizes[-1].width, sizes[-1].height))
        taken_at, camera, texts = _taken_at(picture), _camera(picture), captions.read(picture)
    thumbnails = {}
    for size in reversed(sizes):  # each from the one above it: a 256 px picture needs no look at a million pixels
        if raster.size != (size.width, size.height):
            raster = raster.resize((size.width, size.height), SHRINK)
        thumbnails[size.name] = _webp(raster)
    return Prepared(width, height, taken_at, camera, texts, thumbnails)


def read_captions(path: Path, max_pixels: int) -> Captions:
    """The texts of an original, for pictures that were prepared before texts were read. Raises `PictureError`."""
    with opened(path, max_pixels) as picture:
        _load_unless_jpeg(picture)  # a PNG may have its texts behind the pixels
        return captions.read(picture)


def load(data: bytes, max_pixels: int, longest: int = QUERY_PIXELS) -> Image.Image:
    """Decode a picture that is not kept: upright RGB, at most ``longest`` pixels in either direction."""
    with _opened(io.BytesIO(data)) as picture:
        _check_pixels(picture, max_pixels)
        _load_unless_jpeg(picture)
        raster = upright(picture, longest)
    raster.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return raster


def open_thumbnail(data: bytes) -> Image.Image:
    """A derivative as RGB raster. Raises `PictureError` if it is damaged."""
    try:
        return Image.open(io.BytesIO(data), formats=["WEBP"]).convert("RGB")
    except _DECODER_ERRORS as error:
        raise PictureError("The stored preview is damaged.") from error


@contextmanager
def opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """Open a file and, in the block, read it. Raises `PictureError`."""
    with path.open("rb") as file, _opened(file) as picture:
        _check_pixels(picture, max_pixels)
        yield picture


def format_of(picture: Image.Image) -> str:
    """A key of `FORMATS`."""
    return _BY_PILLOW[picture.format or ""]


@contextmanager
def _opened(file: BinaryIO) -> Iterator[Image.Image]:
    """Open and, in the block, read a picture; whatever a decoder raises becomes a `PictureError`."""
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and large sizes; we have limits of our own, and odd metadata is no fault.
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=_ALLOWED) as picture:
                yield picture
        except PictureError:
            raise
        except UnidentifiedImageError as error:
            raise PictureError(_not_a_picture(file)) from error
        except MemoryError as error:
            raise PictureError("Reading the picture takes more memory than is allowed.") from error
        except _DECODER_ERRORS as error:
            if isinstance(error, OSError) and error.errno == errno.EIO:
                raise PictureError(f"The disk that holds the file fails: {error.strerror}.") from error
            raise PictureError(_damage(error)) from error


def _not_a_picture(file: BinaryIO) -> str:
    file.seek(0)
    start = file.read(1024).lstrip().lower()
    if b"<svg" in start:
        return f"Vector graphics (SVG) are not taken in. {READABLE}."
    if start.startswith(b"<"):
        return f"This is a web page, not a picture. {READABLE}."
    if start[4:8] == b"ftyp" and start[8:11] in (b"mp4", b"iso", b"qt ", b"m4v"):
        return f"This is a video. {READABLE}."
    return f"This is not a picture that can be read. {READABLE}."


def _damage(error: BaseException) -> str:
    text = str(error).lower()
    if "truncated" in text or "incomplete" in text or isinstance(error, EOFError):
        return "The file is cut short: the rest of the picture is missing. Try to copy it again from where it came."
    return "The file is damaged and can't be read. Try to copy it again from where it came."


def _check_pixels(picture: Image.Image, max_pixels: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        raise PictureError(
            f"{width} × {height} pixels are too many: the limit is {max_pixels // 1_000_000} megapixels"
            " (GLIMPSE_MAX_MEGAPIXELS)."
        )


def upright(picture: Image.Image, longest: int) -> Image.Image:
    """Upright RGB with alpha on white, in sRGB, at most ``longest`` pixels on the longer side."""
    scale = min(1.0, longest / max(picture.size))
    # JPEG: decode at a half, quarter or eighth where that is enough.
    picture.draft("RGB", (math.ceil(picture.width * scale), math.ceil(picture.height * scale)))
    picture.load()
    profile = picture.info.get("icc_profile")
    orientation = orientation_of(picture)
    raster = _rgb(picture)
    raster.thumbnail((longest, longest), SHRINK, reducing_gap=3.0)
    raster = _to_srgb(raster, profile)
    return raster.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else raster


def _is_jpeg(picture: Image.Image) -> bool:
    return picture.format in ("JPEG", "MPO")


def _load_unless_jpeg(picture: Image.Image) -> None:
    """Decode before metadata is asked for.

    Reading the EXIF of a PNG decodes it on the way and hides it when that fails: a broken picture would turn up black.
    A JPEG has its EXIF in the header, and must not be decoded before `draft`.
    """
    if not _is_jpeg(picture):
        picture.load()


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        return _eight_bit(picture).convert("RGB")
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        with_alpha = picture.convert("RGBA")
        white = Image.new("RGBA", with_alpha.size, "white")
        white.alpha_composite(with_alpha)
        return white.convert("RGB")
    return picture.convert("RGB")


def _eight_bit(picture: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float greys: Pillow would cut them off at 255 instead of scaling them."""
    grey = picture.convert("F")
    high = max(float(value) for value in grey.getextrema() if isinstance(value, (int, float)))
    white = 1.0 if high <= 1.0 else 255.0 if high <= 255.0 else max(high, 65535.0)
    return grey.point(lambda value: value * (255.0 / white)).convert("L")


def _to_srgb(raster: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours as the camera meant them: without this, a phone's wide-gamut pictures look dull in a browser."""
    if not profile:
        return raster
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(raster, source, srgb, outputMode="RGB") or raster
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return raster  # a profile for other than RGB (CMYK, grey) or a broken one: the colours as they are


def _webp(raster: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # A new picture from the pixels alone: no EXIF, no GPS, no profile can slip through.
    clean = Image.new("RGB", raster.size)
    clean.paste(raster)
    clean.save(buffer, "WEBP", quality=WEBP_QUALITY, method=WEBP_METHOD)
    return buffer.getvalue()


def orientation_of(picture: Image.Image) -> int:
    """EXIF orientation 1–8 (Exif 2.32, tag 0x0112) still to be applied; 1 where there is none or nonsense."""
    if picture.format in ("TIFF", "HEIF"):
        return 1  # these decoders have turned the pixels already
    value = _exif(picture).get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _exif(picture: Image.Image) -> Image.Exif:
    try:
        return picture.getexif()
    except _DECODER_ERRORS:
        return Image.Exif()


def _taken_at(picture: Image.Image) -> datetime | None:
    exif = _exif(picture)
    try:
        details = exif.get_ifd(ExifTags.IFD.Exif)
    except _DECODER_ERRORS:
        details = {}
    original, digitized = (
        details.get(tag) for tag in (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized)
    )
    for value in (original, digitized, exif.get(ExifTags.Base.DateTime)):  # the last one: when it was last edited
        with suppress(ValueError, TypeError):
            return datetime.strptime(str(value).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    return None


def _camera(picture: Image.Image) -> str | None:
    exif = _exif(picture)
    make, model = (_text(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    if model.lower().startswith(make.lower()):
        make = ""  # "Canon" + "Canon EOS 5D"
    return f"{make} {model}".strip()[:100] or None


def _text(value: object) -> str:
    return "".join(c for c in str(value) if c.isprintable()).strip() if isinstance(value, str) else ""
