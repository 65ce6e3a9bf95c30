"""Copies of pictures to give away, without place, serial numbers and texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from app.catalog.images import Images
from app.errors import NotFound
from app.media.decoding import Decoder
from app.media.pictures import FORMATS
from app.media.store import Incoming, Store

ENDINGS = {"jpeg": ".jpg", "png": ".png"}


@dataclass(frozen=True, slots=True)
class Copy:
    """``file`` is there until it is left as a context manager."""

    file: Incoming
    media_type: str
    filename: str


class Copies:
    """Makes them when they are asked for; none is kept."""

    def __init__(self, images: Images, store: Store, decoder: Decoder) -> None:
        self._images = images
        self._store = store
        self._decoder = decoder

    def without_location(self, image_id: int) -> Copy:
        """Raises `NotFound`, `PictureError`."""
        image = self._images.get(image_id)
        if image is None:
            raise NotFound("This picture is not here (any more).")
        file = self._store.incoming()
        try:
            with self._store.original_file(image.md5, image.format) as original:
                format = self._decoder.write_without_location(original, file.path)
        except BaseException:
            file.__exit__()
            raise
        name = image.filename
        if format != image.format:
            name = PurePath(name).stem + ENDINGS[format]
        return Copy(file, FORMATS[format].media_type, name)
