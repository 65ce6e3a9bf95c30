"""Texts that stand in a picture's file: title, description and keywords, from XMP, IPTC, EXIF and PNG.

Where several say the same it is kept once; where they disagree, what was written by hand is more likely in the first:
XMP (dc:title, dc:description, dc:subject), then IPTC-IIM (object name 2:05, caption 2:120, keywords 2:25), then EXIF
(ImageDescription, UserComment and Windows' XP tags), then PNG's Title, Description and Comment.

Sources: Metadata Working Group, Guidelines for Handling Image Metadata 2.0; Exif 2.32; IPTC-IIM 4.2.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from xml.etree.ElementTree import Element

from defusedxml import ElementTree
from PIL import ExifTags, Image, IptcImagePlugin

from app.models import Captions

log = logging.getLogger(__name__)

LONGEST_TITLE = 300
LONGEST_DESCRIPTION = 2000
LONGEST_KEYWORD = 100
"""Characters that are kept."""
MOST_KEYWORDS = 100
MOST_TEXTS = 1000
"""Values of one kind that are looked at."""
LARGEST_XMP = 1_000_000
"""Bytes of a packet that is parsed; real ones have some thousand."""

WRITTEN_BY_CAMERAS = {
    "olympus digital camera",
    "minolta digital camera",
    "konica minolta digital camera",
    "digital camera",
    "sony dsc",
    "samsung",
    "exif_jpeg_picture",
    "dcim",
}
"""What cameras put into every picture says nothing about one."""

_DC = "{http://purl.org/dc/elements/1.1/}"
_RDF_LI = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
_RDF_DESCRIPTION = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_IPTC_TITLE, _IPTC_DESCRIPTION, _IPTC_KEYWORDS, _IPTC_CHARACTERS = (2, 5), (2, 120), (2, 25), (1, 90)


@dataclass
class _Texts:
    """As found, the best source first."""

    titles: list[str] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)

    def captions(self) -> Captions:
        titles = _cleaned(self.titles, LONGEST_TITLE)
        descriptions = _cleaned([*self.descriptions, *titles[1:]], LONGEST_DESCRIPTION)
        title = titles[0] if titles else ""
        description = " · ".join(text for text in descriptions if text != title)[:LONGEST_DESCRIPTION]
        return Captions(title, description, tuple(_cleaned(self.keywords, LONGEST_KEYWORD)[:MOST_KEYWORDS]))


def read(picture: Image.Image) -> Captions:
    """The texts of an open picture. Never raises: broken metadata must not cost the picture."""
    texts = _Texts()
    sources: tuple[Callable[[Image.Image, _Texts], None], ...] = (_read_xmp, _read_iptc, _read_exif, _read_png)
    for source in sources:
        try:
            source(picture, texts)
        except Exception as error:  # anything: these bytes were made elsewhere, and several parsers look at them
            log.info("metadata can't be read source=%s reason=%r", source.__name__, error)
    return texts.captions()


def _read_xmp(picture: Image.Image, texts: _Texts) -> None:
    packet = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b""
    packet = packet.encode() if isinstance(packet, str) else bytes(packet)
    if not 0 < len(packet) <= LARGEST_XMP:
        return
    root = ElementTree.fromstring(packet.rstrip(b"\0 \r\n\t"), forbid_dtd=True)
    texts.titles += _xmp_values(root, "title")[:1]
    texts.descriptions += _xmp_values(root, "description")[:1]
    texts.keywords += _xmp_values(root, "subject")


def _xmp_values(root: Element, name: str) -> list[str]:
    """Values of a property, that of the default language first. Arrays, plain elements and attributes are all legal."""
    values: list[str] = []
    for node in islice(root.iter(_DC + name), MOST_TEXTS):
        items = list(islice(node.iter(_RDF_LI), MOST_TEXTS)) or [node]
        items.sort(key=lambda item: item.get(_LANGUAGE) != "x-default")
        values += [item.text for item in items if item.text]
    short_forms = (node.get(_DC + name) for node in islice(root.iter(_RDF_DESCRIPTION), MOST_TEXTS))
    return values + [value for value in short_forms if value]


def _read_iptc(picture: Image.Image, texts: _Texts) -> None:
    found = IptcImagePlugin.getiptcinfo(picture) or {}  # type: ignore[arg-type]
    utf8 = found.get(_IPTC_CHARACTERS) == b"\x1b%G"

    def values(key: tuple[int, int]) -> list[str]:
        value = found.get(key, [])
        parts = value if isinstance(value, list) else [value]
        return [part.decode("utf-8", "replace") if utf8 else _decoded(part) for part in parts[:MOST_TEXTS]]

    texts.titles += values(_IPTC_TITLE)
    texts.descriptions += values(_IPTC_DESCRIPTION)
    texts.keywords += values(_IPTC_KEYWORDS)


def _read_exif(picture: Image.Image, texts: _Texts) -> None:
    exif = picture.getexif()
    texts.titles += _wide(exif.get(ExifTags.Base.XPTitle))
    description = exif.get(ExifTags.Base.ImageDescription)
    if isinstance(description, str):
        texts.descriptions.append(_decoded(description.encode("latin-1", "replace")))  # Pillow took it for Latin-1
    texts.descriptions += _wide(exif.get(ExifTags.Base.XPComment))
    for keywords in _wide(exif.get(ExifTags.Base.XPKeywords)):
        texts.keywords += keywords.split(";")[:MOST_TEXTS]
    comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    texts.descriptions += _comment(comment, exif.endian)


def _wide(value: object) -> list[str]:
    """Windows' XP tags: UTF-16, always little-endian."""
    if isinstance(value, tuple):
        value = bytes(value)
    return [value[: 4 * LONGEST_DESCRIPTION].decode("utf-16-le", "replace")] if isinstance(value, bytes) else []


def _comment(value: object, endian: str | None) -> list[str]:
    """UserComment says in its first eight bytes how it is written (Exif 2.32, 4.6.5)."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, bytes):
        return []
    characters, text = value[:8], value[8 : 8 + 4 * LONGEST_DESCRIPTION]
    if characters == b"UNICODE\0":
        # In the byte order of the file, says the standard; programs differ, so Latin letters decide.
        orders = ("utf-16-le", "utf-16-be") if endian == "<" else ("utf-16-be", "utf-16-le")
        readings = [text.decode(order, "ignore") for order in orders]
        return [max(readings, key=lambda reading: sum(character.isascii() for character in reading))]
    return [_decoded(text)] if characters in (b"ASCII\0\0\0", bytes(8)) else []


def _read_png(picture: Image.Image, texts: _Texts) -> None:
    if picture.format != "PNG":
        return

    def value(key: str) -> list[str]:
        text = picture.info.get(key)
        return [text] if isinstance(text, str) else []

    texts.titles += value("Title")
    texts.descriptions += value("Description") + value("Comment")


def _decoded(text: bytes) -> str:
    """What is UTF-8 by its form is meant as such; everything is Latin-1."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _cleaned(texts: Iterable[str], longest: int) -> list[str]:
    """Printable, in single spaces, of bounded length, each once; what says nothing is left out."""
    return list(dict.fromkeys(_kept(texts, longest)))


def _kept(texts: Iterable[str], longest: int) -> Iterator[str]:
    for text in texts:
        words = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text[: 4 * longest]).split()
        cleaned = " ".join(words)[:longest].strip()
        if any(character.isalnum() for character in cleaned) and cleaned.lower() not in WRITTEN_BY_CAMERAS:
            yield cleaned
