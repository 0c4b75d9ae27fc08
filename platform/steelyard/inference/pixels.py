"""Pictures to numbers and back, the same way for training and for painting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

MODES = {1: "L", 3: "RGB"}
"""Channels of a model → Pillow's mode."""


def open_picture(path: Path) -> Image.Image:
    """Read a whole picture, upright.

    Raises:
        UserError: ``no_picture`` or ``bad_picture``, with the file's name.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise UserError(
            Said(WORDS, "picture_gone", file=path.name),
            code="no_picture",
        ) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(
            Said(WORDS, "picture_unreadable", file=path.name, error=error),
            code="bad_picture",
        ) from error


def fit_square(image: Image.Image, size: int, channels: int) -> Image.Image:
    """Shrink (or enlarge) the short side to ``size`` pixels and keep the middle square.

    A whole multiple is averaged block by block, so a picture enlarged by :func:`to_picture` comes
    back exactly; every other ratio is resampled bicubically. What is transparent becomes white.
    """
    image = _flat(image).convert(MODES[channels])
    short = min(image.size)
    if short > size and short % size == 0:
        image = image.reduce(short // size)
    elif short != size:
        width, height = (max(size, round(side * size / short)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def to_tensor(image: Image.Image) -> torch.Tensor:
    """8-bit pixels → float32 (channels, height, width) from -1 (black) to 1 (white)."""
    pixels = torch.from_numpy(np.array(image, dtype=np.float32)) / 127.5 - 1
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()


def to_picture(pixels: torch.Tensor, enlarge: int = 1) -> Image.Image:
    """(channels, height, width) from -1 to 1 → 8-bit, each pixel drawn ``enlarge`` times across."""
    values = ((pixels.float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
    image = Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))
    size = (image.width * enlarge, image.height * enlarge)
    return image if enlarge == 1 else image.resize(size, Image.Resampling.NEAREST)


def _flat(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image).convert("RGB")
