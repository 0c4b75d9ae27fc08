"""What a file is, told from its bytes; its name and the sender's word for it count for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from steelyard.lib.errors import UserError

WANTED = "Send a picture (PNG, JPEG or WebP) or a video (MP4 or WebM)."
MAX_PIXELS = 50_000_000
"""Of one picture or one frame: what a browser and a trainer hold in memory without trouble."""
MAX_MOVING_PIXELS = 1_000_000_000
"""Of all frames of an animated picture together."""
MAX_SECONDS = 4 * 3600
"""Of one video."""
PREVIEW_SIDE = 1600
"""Pixels of the longer side up to which a picture is shown itself."""

_OTHERS = [
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"OggS", "an Ogg file"),
    (b"PAR1", "a Parquet file"),
]
_STILL_BRANDS = {b"avif": "an AVIF picture", b"heic": "a HEIC picture", b"mif1": "a HEIF picture"}


@dataclass(frozen=True)
class Facts:
    """What a page needs to know of a file before it shows it."""

    kind: str
    """image or video."""
    mime: str
    width: int
    """pixels, as displayed: a turned picture's sides are swapped."""
    height: int
    duration: float | None = None
    """seconds"""
    frame_rate: float | None = None
    """frames a second, on average"""


@dataclass(frozen=True)
class Made:
    """A rendition; its file is named after its kind."""

    kind: str
    """preview, poster or proxy."""
    mime: str
    width: int
    height: int
    duration: float | None = None
    frame_rate: float | None = None


def is_small_picture(kind: str, width: int | None, height: int | None) -> bool:
    """Whether it is shown itself, pixel by pixel, and needs no copy."""
    return kind == "image" and max(width or 0, height or 0) <= PREVIEW_SIDE


def sniff(head: bytes) -> str:
    """``png``, ``jpeg``, ``webp``, ``mp4`` (any ISO base media file) or ``matroska``.

    Args:
        head: the first 64 bytes or more.

    Raises:
        UserError: it is something else; the message says what, where that can be told.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head[4:8] == b"ftyp" and head[8:12] not in _STILL_BRANDS:
        return "mp4"
    refuse(f"This file is {_name(head)}. {WANTED}", code="not_media")


def refuse(message: str, *, code: str) -> NoReturn:
    raise UserError(message, code=code, field="file")


def check_size(width: int, height: int) -> None:
    """Refuse a picture or frame that would fill the memory of whoever opens it."""
    if width * height > MAX_PIXELS:
        refuse(
            f"{width} × {height} pixels are too many; at most {MAX_PIXELS // 1_000_000} million. "
            "Scale it down first.",
            code="too_many_pixels",
        )


def _name(head: bytes) -> str:
    if not head:
        return "empty"
    if head[4:8] == b"ftyp":
        return _STILL_BRANDS[head[8:12]]
    for start, name in _OTHERS:
        if head.lstrip().startswith(start):
            return name
    return "no picture or video that we know"
