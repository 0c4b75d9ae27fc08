"""Pictures: what they are, and the same picture without what its maker wrote beside it.

A generator likes to write its name, prompt and seed into the file, and a camera its owner's place.
Annotators must see neither, so a picture is kept without them. The compressed pixels are copied as
they are: nothing is encoded again, and the same input gives the same bytes. What stays is what
changes the look: colour profile, transparency, animation, and how the picture is turned.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import NoReturn

from PIL import Image, ImageFile, UnidentifiedImageError

from steelyard.assets.probing import MAX_MOVING_PIXELS, Facts, check_size, refuse

_PNG_KEPT = {
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"bKGD", b"pHYs", b"sBIT", b"hIST"),
    *(b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI"),
    *(b"acTL", b"fcTL", b"fdAT"),
}
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04
_ORIENTATION = 0x0112
# in a JPEG scan a 0xFF byte belongs to the data when a zero or a restart mark follows
_JPEG_MARK = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def clean(data: bytes, form: str) -> bytes:
    """The same picture without text, EXIF (but how it is turned), XMP and trailing bytes.

    Args:
        form: ``png``, ``jpeg`` or ``webp``, as sniffed.

    Raises:
        UserError: the file is cut off or damaged.
    """
    try:
        exif = _minimal_exif(data)
        return {"png": _png, "jpeg": _jpeg, "webp": _webp}[form](data, exif)
    except (ValueError, IndexError, struct.error):
        _damaged()


def probe(data: bytes) -> Facts:
    """Decode the picture once and say what it is.

    Raises:
        UserError: it cannot be decoded, or has too many pixels.
    """
    try:
        with _opened(data) as image:
            check_size(*image.size)
            _check_frames(image)
            image.load()
            turned = image.getexif().get(_ORIENTATION, 1) in {5, 6, 7, 8}
            mime = Image.MIME[image.format or ""]
            width, height = image.size
    except (OSError, ValueError, SyntaxError, EOFError, zlib.error):
        _damaged()
    if turned:
        width, height = height, width
    return Facts(kind="image", mime=mime, width=width, height=height)


def _check_frames(image: ImageFile.ImageFile) -> None:
    """Refuse an animation that fills the memory of whoever plays it."""
    frames = getattr(image, "n_frames", 1)
    width, height = image.size
    if frames * width * height > MAX_MOVING_PIXELS:
        refuse(
            f"{frames} frames of {width} × {height} pixels are too many; at most "
            f"{MAX_MOVING_PIXELS // 1_000_000} million pixels in all. Send it as a video.",
            code="too_many_pixels",
        )


def _opened(data: bytes) -> ImageFile.ImageFile:
    """Reads the header alone; we count the pixels, so Pillow's own warning says nothing new."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "WEBP"])
    except Image.DecompressionBombError:
        refuse("This picture has far too many pixels. Scale it down.", code="too_many_pixels")
    except UnidentifiedImageError:
        _damaged()


def _damaged() -> NoReturn:
    refuse(
        "This picture is cut off or damaged and cannot be decoded. Save it again from its source.",
        code="damaged_media",
    )


def _minimal_exif(data: bytes) -> bytes:
    """EXIF that says how the picture is turned and nothing else; empty where it stands upright."""
    try:
        with _opened(data) as image:
            check_size(*image.size)  # a PNG is unpacked to find EXIF behind the pixels
            orientation = image.getexif().get(_ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, TypeError):
        return b""
    if orientation not in range(2, 9):
        return b""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return exif.tobytes().removeprefix(b"Exif\x00\x00")


def _png(data: bytes, exif: bytes) -> bytes:
    out = [data[:8]]
    for name, chunk in _png_chunks(data):
        if name in _PNG_KEPT:
            out.append(chunk)
        if name == b"IHDR" and exif:
            body = b"eXIf" + exif
            out.append(struct.pack(">I", len(exif)) + body + struct.pack(">I", zlib.crc32(body)))
    return b"".join(out)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and whole bytes of each chunk up to the end mark; what follows that is left out."""
    at = 8
    while True:
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ValueError("cut off")
        name = data[at + 4 : at + 8]
        yield name, data[at:end]
        if name == b"IEND":
            return
        at = end


def _jpeg(data: bytes, exif: bytes) -> bytes:
    out = [data[:2]]
    if exif:
        body = b"Exif\x00\x00" + exif
        out.append(b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body)
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("no mark where one must stand")
        mark = data[at + 1]
        if mark == 0xFF:  # fill byte
            at += 1
            continue
        if mark == 0xD9:
            return b"".join([*out, data[at : at + 2]])
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if end > len(data):
            raise ValueError("cut off")
        if mark == 0xDA:
            found = _JPEG_MARK.search(data, end)
            if found is None:
                raise ValueError("cut off")
            end = found.start()
        if _jpeg_keeps(mark, data[at + 4 : at + 18]):
            out.append(data[at:end])
        at = end


def _jpeg_keeps(mark: int, head: bytes) -> bool:
    """Whether a segment is needed to show the picture: JFIF, the colour profile, Adobe's colour
    transform and all that is no application segment and no comment."""
    if mark == 0xFE:
        return False
    if 0xE0 <= mark <= 0xEF:
        return (
            (mark == 0xE0 and head.startswith(b"JFIF\x00"))
            or (mark == 0xE2 and head.startswith(b"ICC_PROFILE\x00"))
            or (mark == 0xEE and head.startswith(b"Adobe"))
        )
    return True


def _webp(data: bytes, exif: bytes) -> bytes:
    chunks: list[bytes] = []
    for name, body in _webp_chunks(data):
        if name == b"VP8X":
            flags = (body[0] & ~(_WEBP_EXIF | _WEBP_XMP)) | (_WEBP_EXIF if exif else 0)
            chunks.append(_riff(name, bytes([flags]) + body[1:]))
        elif name in _WEBP_KEPT:
            chunks.append(_riff(name, body))
    if exif:
        chunks.append(_riff(b"EXIF", exif))
    joined = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(joined)) + joined


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    (size,) = struct.unpack_from("<I", data, 4)
    at, end = 12, 8 + size
    if end > len(data):
        raise ValueError("cut off")
    while at + 8 <= end:
        (length,) = struct.unpack_from("<I", data, at + 4)
        if at + 8 + length > end:
            raise ValueError("cut off")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _riff(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)
