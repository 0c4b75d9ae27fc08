"""Real files, small, with things in them that must not reach an annotator."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image, PngImagePlugin

SECRET = "made by model-nine"


def pixels(width: int = 32, height: int = 20) -> np.ndarray[Any, Any]:
    """A coloured gradient, [height, width, 3], uint8."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1).astype(np.uint8)


def picture(form: str = "PNG", *, orientation: int = 1, secret: str = SECRET, **size: int) -> bytes:
    """A picture whose EXIF, text and comment name the model."""
    image = Image.fromarray(pixels(**size))
    exif = Image.Exif()
    exif[0x010E] = secret
    exif[0x0112] = orientation
    options: dict[str, Any] = {"exif": exif}
    if form == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("parameters", secret)
        options["pnginfo"].add_itxt("prompt", secret, zip=True)
    elif form == "JPEG":
        options |= {"comment": secret.encode(), "quality": 95}
    elif form == "WEBP":
        options |= {"xmp": f"<x>{secret}</x>".encode(), "lossless": True}
    packed = io.BytesIO()
    image.save(packed, form, **options)
    return packed.getvalue()


def video(
    form: str = "mp4", codec: str = "libx264", *, frames: int = 24, rate: int = 12, **size: int
) -> bytes:
    """A moving gradient; its title names the model."""
    packed = io.BytesIO()
    first = pixels(**{"width": 64, "height": 48, **size})
    with av.open(packed, "w", format=form) as container:
        container.metadata["title"] = SECRET
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            image = np.roll(first, number, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return packed.getvalue()


def decoded(data: bytes) -> list[tuple[float, bytes]]:
    """Time and pixels of every frame."""
    with av.open(io.BytesIO(data)) as container:
        return [
            (round(frame.time or 0.0, 3), frame.to_ndarray().tobytes())
            for frame in container.decode(video=0)
        ]
