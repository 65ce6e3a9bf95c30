"""The pictures that ``--demo`` fills an empty gallery with."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from io import BytesIO
from itertools import islice

import pytest
from PIL import ExifTags, Image, ImageOps, ImageStat

from app.library import demo
from app.library.demo import DemoPicture, Scene, draw_demo_pictures

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}


@pytest.fixture(scope="module")
def pictures() -> tuple[DemoPicture, ...]:
    return tuple(draw_demo_pictures())


def opened(picture: DemoPicture) -> Image.Image:
    return Image.open(BytesIO(picture.data))


def digests(pictures: Iterable[DemoPicture]) -> list[str]:
    return [hashlib.sha256(picture.data).hexdigest() for picture in pictures]


def test_there_are_some_sixty(pictures: tuple[DemoPicture, ...]) -> None:
    assert 55 <= len(pictures) <= 70


def test_no_two_are_alike(pictures: tuple[DemoPicture, ...]) -> None:
    assert len({picture.filename for picture in pictures}) == len(pictures)
    assert len(set(digests(pictures))) == len(pictures)


def test_all_decode_and_none_is_larger_than_a_screen(pictures: tuple[DemoPicture, ...]) -> None:
    for picture in pictures:
        with opened(picture) as image:
            image.load()
            assert image.mode == "RGB", picture.filename
            assert 600 <= max(image.size) <= 1600, picture.filename


def test_none_is_empty(pictures: tuple[DemoPicture, ...]) -> None:
    for picture in pictures:
        with opened(picture) as image:
            colours = image.resize((32, 32)).getcolors(1024)
        assert colours is not None
        assert len(colours) > 1, picture.filename


def test_names_tell_the_format(pictures: tuple[DemoPicture, ...]) -> None:
    for picture in pictures:
        with opened(picture) as image:
            assert image.format == FORMATS[picture.filename.rpartition(".")[2]]


def test_names_could_be_anybodys(pictures: tuple[DemoPicture, ...]) -> None:
    for picture in pictures:
        assert picture.filename.isascii()
        assert not set(picture.filename) & set('/\\:*?"<>|')


def test_they_come_in_several_formats(pictures: tuple[DemoPicture, ...]) -> None:
    formats = Counter(picture.filename.rpartition(".")[2] for picture in pictures)
    assert formats.keys() == FORMATS.keys()
    assert min(formats.values()) >= 4


def test_they_come_in_many_shapes(pictures: tuple[DemoPicture, ...]) -> None:
    ratios = []
    for picture in pictures:
        with opened(picture) as image:
            width, height = ImageOps.exif_transpose(image).size
        ratios.append(width / height)
    assert sum(ratio > 1.2 for ratio in ratios) >= 15, "landscape"
    assert sum(ratio < 0.85 for ratio in ratios) >= 15, "portrait"
    assert sum(ratio == 1 for ratio in ratios) >= 5, "square"
    assert any(ratio > 2.5 for ratio in ratios), "panorama"


def test_photographs_know_when_and_by_what_they_were_taken(pictures: tuple[DemoPicture, ...]) -> None:
    years, cameras = Counter[str](), Counter[str]()
    for picture in pictures:
        with opened(picture) as image:
            exif = image.getexif()
            taken = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
        if image.format == "JPEG":
            assert taken, picture.filename
            assert exif[ExifTags.Base.Make], picture.filename
            years[taken[:4]] += 1
            cameras[exif[ExifTags.Base.Model]] += 1
        else:
            assert not taken, picture.filename
    assert len(years) >= 5
    assert len(cameras) >= 2


def test_one_was_taken_with_the_camera_held_upright(pictures: tuple[DemoPicture, ...]) -> None:
    turned = [picture for picture in pictures if opened(picture).getexif().get(ExifTags.Base.Orientation, 1) != 1]
    assert [picture.filename for picture in turned] == ["sailboat.jpg"]
    with opened(turned[0]) as image:
        upright = ImageOps.exif_transpose(image)
        assert image.width > image.height
        assert upright.width < upright.height
    sky = upright.crop((0, 0, upright.width, 100))
    sea = upright.crop((0, upright.height - 100, upright.width, upright.height))
    assert brightness(sky) > brightness(sea) + 40


def brightness(image: Image.Image) -> float:
    return ImageStat.Stat(image.convert("L")).mean[0]


def test_another_process_draws_the_same_bytes(pictures: tuple[DemoPicture, ...]) -> None:
    script = """
import hashlib, itertools
from app.library.demo import draw_demo_pictures
for picture in itertools.islice(draw_demo_pictures(), 12):
    print(hashlib.sha256(picture.data).hexdigest())
"""
    again = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert again.stdout.split() == digests(pictures[:12])


def test_each_is_drawn_only_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Image.Image:
        raise AssertionError("drawn ahead of time")

    monkeypatch.setattr(demo, "SCENES", (demo.SCENES[0], Scene("never.png", never)))
    (first,) = islice(draw_demo_pictures(), 1)
    assert first.filename == demo.SCENES[0].filename
