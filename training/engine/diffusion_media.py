"""Pictures and clips of a dataset version as pixels: looked at once, then read for the encoder.

What files hold and how it is taken:

- turned pictures and clips (EXIF, display matrix) are set upright;
- colours go through an embedded profile to sRGB, CMYK with or without one;
- what is transparent becomes white;
- 16 bits a channel are scaled to 8;
- of an animated picture the first frame counts;
- a clip is taken from its start, at the frames that a viewer sees at whole multiples of 1 / rate.

What cannot be taken (truncated or broken files, no picture or clip at all, over 50 million pixels,
a side under 4 pixels) is told in words, for the pair to be left out by name.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from steelyard.inference.pixels import MODES, to_tensor
from steelyard.lib.said import Said
from training.engine.words import WORDS

MAX_PIXELS = 50_000_000
"""Of a picture or a frame; what the upload takes too."""
MIN_SIDE = 4
MAX_FRAMES = 2048
"""Of a clip so many frames are looked at; none is trained on more."""
_LATE = 1e-3
"""Seconds by which a frame may come after its time and still be the one that is seen."""
_ERRORS = (OSError, ValueError, SyntaxError, ArithmeticError, Image.DecompressionBombError)


class BadMedia(Exception):
    """A file cannot be trained on; ``why`` follows "the file … "."""

    def __init__(self, code: str, **values: Any) -> None:
        self.why = Said(WORDS, code, **values)
        super().__init__(self.why)


@dataclass(frozen=True)
class Facts:
    """What a file holds."""

    width: int
    """Upright, as is height."""
    height: int
    frames: int = 1
    rate: float = 0.0
    """Frames a second; 0 for a picture."""
    notes: tuple[str, ...] = ()
    """How it was taken: alpha, animated, cmyk, profile, sixteen_bit, turned."""


@dataclass(frozen=True)
class Place:
    """The shape in pixels that both sides of a pair are brought to."""

    height: int
    width: int
    frames: int = 1
    rate: float = 0.0
    """Frames a second that are taken of a clip; 0 for a picture."""


def look(path: Path, modality: str) -> Facts:
    """Decode the whole file once.

    Raises:
        BadMedia: it cannot be trained on.
        FileNotFoundError: it is not there.
    """
    try:
        facts = _look_picture(path) if modality == "image" else _look_clip(path)
    except FileNotFoundError:
        raise
    except _ERRORS as error:
        raise BadMedia("not_decoded", error=error) from error
    if min(facts.width, facts.height) < MIN_SIDE:
        raise BadMedia("too_small", width=facts.width, height=facts.height, least=MIN_SIDE)
    return facts


def read(path: Path, place: Place, channels: int, *, clip: bool) -> Tensor:
    """Pixels from -1 to 1, float32: (channels, height, width) of a picture, (channels, frames,
    height, width) of a clip. The side that is too long for the shape is cropped in the middle.

    Raises:
        BadMedia: it cannot be read, though it could be when it was looked at.
    """
    try:
        if not clip:
            return to_tensor(fit(_upright(path)[0], place.height, place.width, channels))
        frames = [
            to_tensor(fit(f, place.height, place.width, channels)) for f in _taken(path, place)
        ]
    except _ERRORS as error:
        raise BadMedia("not_decoded", error=error) from error
    if not frames:
        raise BadMedia("no_frame")
    # a clip that is a frame shorter than it says: its last one stands
    frames += [frames[-1]] * (place.frames - len(frames))
    return torch.stack(frames, dim=1)


def fit(image: Image.Image, height: int, width: int, channels: int) -> Image.Image:
    """Cover the shape with the picture and keep the middle.

    A whole multiple is averaged block by block, so that a picture enlarged by doubling its pixels
    comes back exactly; every other ratio is resampled bicubically.
    """
    if image.mode != MODES[channels]:
        image = image.convert(MODES[channels])
    scale = max(width / image.width, height / image.height)
    times = round(1 / scale)
    if times > 1 and abs(times * scale - 1) < 1e-9 and _divides(image, times):
        image = image.reduce(times)
    elif scale != 1:
        size = max(width, round(image.width * scale)), max(height, round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    if (left, top, image.width, image.height) == (0, 0, width, height):
        return image
    return image.crop((left, top, left + width, top + height))


def seen(facts: Facts, place: Place) -> tuple[float, float, float, float]:
    """Which part of a picture :func:`fit` keeps: left, top, right, bottom as shares of it."""
    scale = max(place.width / facts.width, place.height / facts.height)
    across = place.width / (facts.width * scale)
    down = place.height / (facts.height * scale)
    return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2


def _divides(image: Image.Image, times: int) -> bool:
    return not (image.width % times and image.height % times)


# pictures


def _look_picture(path: Path) -> Facts:
    image, notes = _upright(path)
    return Facts(*image.size, notes=tuple(sorted(notes)))


def _upright(path: Path) -> tuple[Image.Image, set[str]]:
    """The first frame in 8-bit grey or RGB, sRGB, upright, on white; and what was done to it."""
    notes: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as opened:
            _check_pixels(*opened.size)
            if getattr(opened, "n_frames", 1) > 1:
                opened.seek(0)
                notes.add("animated")
            opened.load()
            image = ImageOps.exif_transpose(opened)
            if opened.getexif().get(0x0112, 1) != 1:
                notes.add("turned")
        if image.mode.startswith(("I", "F")):
            image = _eight_bits(image)
            notes.add("sixteen_bit")
        if image.has_transparency_data:
            notes.add("alpha")
        if image.mode == "CMYK":
            notes.add("cmyk")
        if profile := image.info.get("icc_profile"):
            image, used = _through(image, profile)
            notes |= {"profile"} if used else set()
        return _flat(image), notes


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadMedia("too_many_pixels", width=width, height=height, most=MAX_PIXELS // 1_000_000)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow's own conversion would cut 16 bits at 255 instead of scaling them."""
    if image.mode == "F":
        raise BadMedia("floating_point")
    values = np.asarray(image.convert("I"), dtype=np.float64)
    return Image.fromarray((values / 257).round().clip(0, 255).astype(np.uint8))


def _through(image: Image.Image, profile: bytes) -> tuple[Image.Image, bool]:
    """In sRGB; a profile that does not fit is passed over, as browsers do."""
    if image.mode in {"P", "PA", "LA", "1"}:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode not in {"RGB", "RGBA", "CMYK", "L"}:
        return image, False
    try:
        changed = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGBA" if image.mode == "RGBA" else "RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image, False
    return (image, False) if changed is None else (changed, True)


def _flat(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode in {"L", "RGB"} else image.convert("RGB")


# clips


def _look_clip(path: Path) -> Facts:
    with av.open(str(path), metadata_errors="ignore") as container:
        if not container.streams.video:
            raise BadMedia("no_film")
        stream = container.streams.video[0]
        _check_pixels(stream.width, stream.height)
        told, rate = stream.frames, float(stream.average_rate or 0)
        lasts = float(container.duration or 0) / av.time_base
        count, first, last, turned = 0, 0.0, 0.0, 0
        width = height = 0
        for frame in container.decode(stream):
            at = frame.time if frame.time is not None else count / (rate or 25)
            if count == 0:
                first, turned = at, int(frame.rotation) % 360
                aspect = float(stream.sample_aspect_ratio or 1) or 1.0
                width, height = _wide(frame.width, aspect), frame.height
            count, last = count + 1, at
            if count == MAX_FRAMES:
                break
    if not count:
        raise BadMedia("no_frame")
    if rate <= 0:
        rate = (count - 1) / (last - first) if last > first else 25.0
    if count < MAX_FRAMES and (count < told - 1 or last - first + 2 / rate < 0.9 * lasts):
        there = {"count": count, "seconds": f"{last - first + 1 / rate:.2f}"}
        if told:
            raise BadMedia("cut_frames", **there, told=told)
        raise BadMedia("cut_seconds", **there, lasts=f"{lasts:.2f}")
    if turned in (90, 270):
        width, height = height, width
    # by the clock, as a viewer sees them: of uneven frames some are seen longer
    whole = max(1, int((last - first + 1 / rate) * rate + 0.01))
    return Facts(width, height, whole, round(rate, 6), ("turned",) if turned else ())


def _taken(path: Path, place: Place) -> Iterator[Image.Image]:
    """The frames that are seen at 0, 1 / rate, 2 / rate and so on after the clip's first one."""
    with av.open(str(path), metadata_errors="ignore") as container:
        if not container.streams.video:
            raise BadMedia("no_film")
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        given, first, before = 0, 0.0, None
        for count, frame in enumerate(container.decode(stream)):
            at = frame.time if frame.time is not None else count / rate
            if before is None:
                first = at
            while before is not None and at - first > given / place.rate + _LATE:
                yield _picture(before, aspect)
                given += 1
                if given == place.frames:
                    return
            before = frame
        if before is not None:
            yield _picture(before, aspect)


def _picture(frame: av.VideoFrame, aspect: float) -> Image.Image:
    """
    Args:
        aspect: width of a pixel over its height.
    """
    image: Image.Image = frame.to_image()
    if aspect != 1:
        image = image.resize((_wide(image.width, aspect), image.height), Image.Resampling.BICUBIC)
    turned = int(frame.rotation) % 360
    return image.rotate(turned, expand=True) if turned else image


def _wide(width: int, aspect: float) -> int:
    return max(1, round(width * aspect))
