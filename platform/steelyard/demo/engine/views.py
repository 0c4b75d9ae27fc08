"""The photographs that scikit-image carries, and what is to be seen on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class View:
    """A photograph, or a part of one."""

    photo: str
    """Name of the function in :mod:`skimage.data`."""
    text: str
    """What is to be seen, as a prompt asks for it."""
    category: str
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, right, bottom as shares of width and height."""


# Only those that lie in the package itself: nothing is fetched.
VIEWS = [
    View("astronaut", "A photograph of an astronaut in an orange suit", "people"),
    View("astronaut", "A portrait of a smiling astronaut", "people", (0.2, 0.0, 0.75, 0.6)),
    View("camera", "A photograph of a man at a camera on a tripod", "people"),
    View("camera", "A photograph of a photographer at work", "people", (0.25, 0.05, 0.75, 0.6)),
    View("chelsea", "A photograph of a ginger cat", "animals"),
    View("chelsea", "A close-up of a cat's eyes and nose", "animals", (0.2, 0.15, 0.85, 1.0)),
    View("coffee", "A photograph of an espresso on a wooden table", "objects"),
    View("coffee", "A close-up of a cup of espresso", "objects", (0.25, 0.0, 0.75, 0.85)),
    View("coins", "A photograph of ancient coins in rows", "objects"),
    View("coins", "A close-up of a few ancient coins", "objects", (0.3, 0.0, 1.0, 0.75)),
    View("stereo_motorcycle", "A photograph of a red motorcycle in a garage", "vehicles"),
    View(
        *("stereo_motorcycle", "A close-up of a motorcycle's front wheel and engine", "vehicles"),
        box=(0.45, 0.25, 1.0, 0.95),
    ),
    View("rocket", "A photograph of a rocket on its launch pad at dusk", "vehicles"),
    View("rocket", "A close-up of a floodlit rocket", "vehicles", (0.3, 0.15, 0.75, 1.0)),
    View("hubble_deep_field", "A photograph of thousands of far galaxies", "space"),
    View("hubble_deep_field", "A close-up of some galaxies", "space", (0.5, 0.35, 1.0, 0.9)),
    View("moon", "A photograph of the moon's surface", "space"),
    View("moon", "A close-up of craters on the moon", "space", (0.0, 0.0, 0.8, 0.5)),
    View("brick", "A photograph of a brick pavement", "textures"),
    View("brick", "A close-up of bricks and joints", "textures", (0.0, 0.5, 0.6, 1.0)),
    View("grass", "A photograph of grass seen from above", "textures"),
    View("grass", "A close-up of blades of grass", "textures", (0.3, 0.3, 0.8, 0.8)),
    View("gravel", "A photograph of gravel", "textures"),
    View("gravel", "A close-up of small stones", "textures", (0.2, 0.2, 0.7, 0.7)),
    View("immunohistochemistry", "A micrograph of stained glands", "science"),
    View(
        *("immunohistochemistry", "A close-up of one stained gland", "science"),
        box=(0.4, 0.5, 0.9, 1.0),
    ),
    View("retina", "A photograph of the back of an eye", "science"),
    View("retina", "A close-up of the vessels of a retina", "science", (0.05, 0.25, 0.55, 0.75)),
]


def load(view: View, longest: int) -> Image.Image:
    """The view as RGB, its longer side at most ``longest`` pixels."""
    from skimage import data

    pixels = getattr(data, view.photo)()
    if isinstance(pixels, tuple):  # a stereo pair and its depth: the left eye
        pixels = pixels[0]
    image = Image.fromarray(np.asarray(pixels)).convert("RGB")
    left, top, right, bottom = view.box
    width, height = image.size
    part = image.crop(
        (round(left * width), round(top * height), round(right * width), round(bottom * height))
    )
    part.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return part
