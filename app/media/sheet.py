"""A contact sheet: many pictures on one, to look at without a browser."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from app.errors import PictureError
from app.media.pictures import open_thumbnail

CELL, GAP, LABEL = 256, 12, 20
"""Pixels."""
COLUMNS = 5
PAPER, INK, EMPTY = "#faf9f7", "#33302b", "#e4e1db"


def contact_sheet(pictures: Sequence[tuple[bytes | None, str]]) -> Image.Image:
    """Thumbnails (WebP, ``None`` where there is none yet) with a line of text under each, in rows of five."""
    columns = min(COLUMNS, max(1, len(pictures)))
    rows = -(-len(pictures) // columns)
    size = (GAP + columns * (CELL + GAP), GAP + max(1, rows) * (CELL + LABEL + GAP))
    sheet = Image.new("RGB", size, PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, (data, label) in enumerate(pictures):
        left = GAP + number % columns * (CELL + GAP)
        top = GAP + number // columns * (CELL + LABEL + GAP)
        try:
            thumbnail = open_thumbnail(data or b"")
            thumbnail.thumbnail((CELL, CELL))
            sheet.paste(thumbnail, (left + (CELL - thumbnail.width) // 2, top + (CELL - thumbnail.height) // 2))
        except PictureError:  # not prepared yet, or on its way back
            pen.rectangle((left, top, left + CELL, top + CELL), EMPTY)
        pen.text((left, top + CELL + 4), _shortened(label, font), INK, font)
    return sheet


def _shortened(label: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    while font.getlength(label) > CELL:
        label = label.removesuffix("…")[:-1] + "…"
    return label
