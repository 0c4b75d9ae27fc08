"""Pairs of photographs: each view of :mod:`views` under two different kinds of processing.

Every picture is stored in the same way in the end, so that neither form nor size of a file tells
what was done to it; only its look does.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from skimage.restoration import denoise_tv_chambolle

from steelyard.demo.engine.lines import OUTPUTS, append, asked, keep_media, prompts_done
from steelyard.demo.engine.views import VIEWS, View, load
from steelyard.demo.engine.words import WORDS
from steelyard.lib.engine import Stop
from steelyard.lib.hashing import stable_int
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

LONGEST = 768
STORED_QUALITY = 93


def _jpeg(image: Image.Image, seed: int, *, quality: int) -> Image.Image:
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=quality)
    return Image.open(packed).convert("RGB")


def _blur(image: Image.Image, seed: int, *, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


def _sharpen(image: Image.Image, seed: int, *, percent: int) -> Image.Image:
    return image.filter(ImageFilter.UnsharpMask(radius=2, percent=percent, threshold=0))


def _noise(image: Image.Image, seed: int, *, sigma: float, weight: float) -> Image.Image:
    """Gaussian noise of ``sigma`` (of 1), then denoised by total variation; weight 0 leaves it."""
    pixels = np.asarray(image, dtype=np.float64) / 255
    pixels = pixels + np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    if weight:
        pixels = denoise_tv_chambolle(pixels, weight=weight, channel_axis=-1)
    return Image.fromarray(np.uint8(np.clip(pixels, 0, 1) * 255 + 0.5))


def _palette(image: Image.Image, seed: int, *, colours: int) -> Image.Image:
    return image.quantize(colours, dither=Image.Dither.NONE).convert("RGB")


def _small(image: Image.Image, seed: int, *, factor: int) -> Image.Image:
    """Scaled down and up again."""
    small = image.reduce(factor)
    return small.resize(image.size, Image.Resampling.BICUBIC)


PROCESSINGS: dict[str, tuple[Callable[..., Image.Image], dict[str, Any]]] = {
    "JPEG quality 80": (_jpeg, {"quality": 80}),
    "JPEG quality 12": (_jpeg, {"quality": 12}),
    "Gaussian blur": (_blur, {"radius": 1.2}),
    "Sharpened": (_sharpen, {"percent": 180}),
    "Noise": (_noise, {"sigma": 0.06, "weight": 0.0}),
    "Noise, then denoised": (_noise, {"sigma": 0.06, "weight": 0.1}),
    "24 colours": (_palette, {"colours": 24}),
    "Half the size and back": (_small, {"factor": 2}),
}
"""Name, as the leaderboard shows it → what is done and how much of it."""


def make_photos(rundir: RunDir, stop: Stop) -> None:
    """Write a line a view into ``outputs.jsonl``, with its two pictures under ``media/``."""
    views = VIEWS[: rundir.spec().get("limit")]
    done = prompts_done(rundir)
    pairings = _pairings()
    for number, view in enumerate(views):
        if stop:
            return
        rundir.progress(number, len(views), "pairs", view.text)
        if view.text not in done:
            names = pairings[number % len(pairings)]
            append(rundir, OUTPUTS, _line(rundir, number, view, names))
    rundir.progress(len(views), len(views), "pairs", Said(WORDS, "photos_ready"))
    rundir.finish(status="succeeded", counts={"pairs": len(views)})


def _pairings() -> list[tuple[str, str]]:
    """Every two of the processings, in an order that mixes them from the start."""
    return sorted(combinations(PROCESSINGS, 2), key=lambda names: stable_int("photos", *names))


def _line(rundir: RunDir, number: int, view: View, names: tuple[str, str]) -> dict[str, Any]:
    image = load(view, LONGEST)
    line: dict[str, Any] = {
        "prompt": asked(view.text),
        "category": view.category,
        "held_out": False,
    }
    for side, name in zip("ab", names, strict=True):
        process, parameters = PROCESSINGS[name]
        seed = stable_int("photos", number, name) % 2**31
        packed = io.BytesIO()
        process(image, seed, **parameters).save(
            packed, "JPEG", quality=STORED_QUALITY, subsampling=0
        )
        media = keep_media(rundir, f"{number:02}-{side}.jpg", packed.getvalue())
        line[side] = {"model": name, "media": media, "seed": seed, "parameters": parameters}
    return line
