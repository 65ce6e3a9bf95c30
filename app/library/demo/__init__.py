"""Some sixty pictures drawn by code, for somebody who has none at hand (``run.py --demo``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

from PIL import ExifTags, Image

from app.library.demo import animals, landscapes, papers, patterns, screens, seas, things, towns

POCKET = ("Lumen", "Lumen Pocket 3")
MIRRORLESS = ("Halden", "Halden R2")
"""Two cameras, make and model, that nobody ever built."""


@dataclass(frozen=True, slots=True)
class DemoPicture:
    """A picture file: its name and what is in it."""

    filename: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Scene:
    """How a demo picture comes about. The ending of ``filename`` decides the format."""

    filename: str
    draw: Callable[[], Image.Image]
    taken: str | None = None
    """When the camera was there, as EXIF writes it; ``None`` for what no camera made."""
    camera: tuple[str, str] = POCKET
    turned: bool = False
    """The camera was held upright: the pixels lie on their side and EXIF says so."""


def draw_demo_pictures() -> Iterator[DemoPicture]:
    """Draws one after the other, some 100 ms each; the same bytes every time with the same version of Pillow."""
    for scene in SCENES:
        yield DemoPicture(scene.filename, _encode(scene))


def _encode(scene: Scene) -> bytes:
    picture = scene.draw()
    file = BytesIO()
    if scene.filename.endswith(".jpg"):
        if scene.turned:
            picture = picture.transpose(Image.Transpose.ROTATE_90)
        picture.save(file, "JPEG", quality=88, exif=_exif(scene))
    elif scene.filename.endswith(".webp"):
        picture.save(file, "WEBP", quality=86, method=1)
    else:
        picture.save(file, "PNG", compress_level=4)
    return file.getvalue()


def _exif(scene: Scene) -> Image.Exif:
    exif = Image.Exif()
    if scene.taken:
        exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = scene.camera
        exif[ExifTags.Base.Orientation] = 6 if scene.turned else 1
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = scene.taken
    return exif


SCENES = (
    Scene("checkerboard.png", patterns.checkerboard),
    Scene("Screenshot 2024-05-06 at 16.42.png", screens.error_dialog),
    Scene("invoice 1187.png", papers.invoice),
    Scene("IMG_2041.jpg", landscapes.forest_in_fog, "2019:10:27 08:14:31"),
    Scene("energy by source.png", papers.pie_chart),
    Scene("tree in winter.jpg", landscapes.tree_in_winter, "2020:01:19 15:40:02"),
    Scene("lemons.jpg", things.lemons, "2021:07:03 11:22:48"),
    Scene("plaid blanket.webp", patterns.plaid),
    Scene("timetable 7b.png", papers.timetable),
    Scene("desert dunes with camels.jpg", landscapes.desert_dunes, "2019:04:11 17:55:09", MIRRORLESS),
    Scene("cactus.jpg", things.cactus_on_a_sill, "2022:02:13 10:05:37"),
    Scene("terminal tide table.png", screens.terminal),
    Scene("red house with a white fence.jpg", towns.red_house, "2020:06:21 12:30:00"),
    Scene("polka dots.png", patterns.polka_dots),
    Scene("library card form.png", papers.form_to_fill_in),
    Scene("northern lights.jpg", landscapes.northern_lights, "2023:02:04 23:48:19", MIRRORLESS),
    Scene("green pear.jpg", things.green_pear, "2021:09:12 09:41:26"),
    Scene("birds scatter plot.png", papers.scatter_plot),
    Scene("street in the rain.jpg", towns.street_in_the_rain, "2022:11:05 19:07:44"),
    Scene("green bicycle at the wall.jpg", towns.green_bicycle, "2021:05:30 14:12:51"),
    Scene("shopping list.jpg", papers.handwritten_note, "2024:03:02 08:33:10"),
    Scene("lake with a jetty.jpg", seas.lake_with_reflection, "2020:08:16 07:20:55", MIRRORLESS),
    Scene("mosaic.webp", patterns.mosaic),
    Scene("brown mug.jpg", things.brown_mug, "2023:01:08 07:58:03"),
    Scene("temperature over a week.png", papers.line_chart),
    Scene("DSC_0187.jpg", landscapes.forest_in_snow, "2021:01:23 11:36:40", MIRRORLESS),
    Scene("orange.jpg", things.orange_fruit, "2021:12:11 13:15:29"),
    Scene("letter from the nursery.png", papers.letter),
    Scene("yellow taxi.jpg", towns.yellow_taxi, "2019:09:08 16:02:17"),
    Scene("spiral.png", patterns.spiral),
    Scene("tent under the milky way.jpg", landscapes.milky_way_over_a_tent, "2022:08:12 23:59:07", MIRRORLESS),
    Scene("chat with Nora.png", screens.chat_on_a_phone),
    Scene("tree in autumn.jpg", landscapes.tree_in_autumn, "2020:10:18 15:10:33"),
    Scene("mountains at noon.jpg", landscapes.mountains_at_noon, "2022:07:17 12:04:58", MIRRORLESS),
    Scene("Quarterly report.png", papers.quarterly_report),
    Scene("birthday cake.jpg", things.birthday_cake, "2023:05:20 16:00:12"),
    Scene("island with a palm tree.jpg", seas.island_with_palm, "2024:02:18 13:27:45"),
    Scene("diagonal stripes.png", patterns.stripes),
    Scene("IMG_2217.jpg", animals.white_sheep, "2021:06:06 10:48:20"),
    Scene("code editor.png", screens.code_editor),
    Scene("city skyline at night.jpg", towns.city_by_night, "2022:12:30 21:15:36", MIRRORLESS),
    Scene("pink umbrella.jpg", things.pink_umbrella, "2023:04:15 17:23:08"),
    Scene("bicycles per month.png", papers.bar_chart),
    Scene("rainbow over the hills.jpg", landscapes.rainbow_over_hills, "2023:09:03 18:09:52"),
    Scene("purple flower.jpg", things.purple_flower, "2022:05:14 12:44:05"),
    Scene("weather.webp", screens.weather_on_a_phone),
    Scene("mountains at night.jpg", landscapes.mountains_at_night, "2023:08:30 22:51:13", MIRRORLESS),
    Scene("sunflowers.jpg", things.sunflowers, "2022:08:07 17:31:47"),
    Scene("sheet music little waltz.png", papers.sheet_music),
    Scene("lighthouse in a storm.jpg", seas.lighthouse_in_a_storm, "2021:11:14 16:26:38", MIRRORLESS),
    Scene("brown dog on grass.jpg", animals.brown_dog, "2024:04:28 10:19:24"),
    Scene("colour gradient.webp", patterns.soft_gradient),
    Scene("sunset over the sea.jpg", seas.sunset_over_the_sea, "2024:07:24 21:06:40"),
    Scene("red apple.jpg", things.red_apple, "2023:10:01 09:02:14"),
    Scene("map way to the rose garden.png", screens.map_of_a_town),
    Scene("harbour at dusk.jpg", seas.harbour_at_dusk, "2024:05:11 20:47:30", MIRRORLESS),
    Scene("blue balloons.jpg", things.blue_balloons, "2023:05:20 15:41:09"),
    Scene("receipt hotel aurora.jpg", papers.receipt, "2023:02:05 09:12:43"),
    Scene("meadow with poppies.jpg", landscapes.meadow_with_poppies, "2024:06:09 11:53:26", MIRRORLESS),
    Scene("walks along the coast.webp", screens.browser_window),
    Scene("sailboat.jpg", towns.sailboat, "2024:07:23 16:14:02", turned=True),
    Scene("mountains at dawn.jpg", landscapes.mountains_at_dawn, "2024:09:14 06:32:18", MIRRORLESS),
    Scene("black cat at the window.jpg", animals.black_cat, "2024:10:20 17:49:35"),
    Scene("tropical fish.jpg", seas.fish_in_water, "2024:02:19 12:08:51"),
    Scene("beach in summer.jpg", seas.beach_in_summer, "2024:07:21 14:38:57"),
    Scene("hot air balloons.jpg", towns.hot_air_balloon, "2024:08:31 07:15:22", MIRRORLESS),
    Scene("mountains at dusk.jpg", landscapes.mountains_at_dusk, "2024:09:13 19:44:11", MIRRORLESS),
)
"""Mixed as a life's pictures are. A gallery shows the newest first, that is, these from the end."""
