"""The preview of a large picture: what a screen can show of it."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

from steelyard.assets.probing import PREVIEW_SIDE, Made, refuse

_QUALITY = 85


def preview(source: Path, folder: Path) -> list[Made]:
    """A WebP of at most :data:`PREVIEW_SIDE` pixels a side, upright, in sRGB.

    None for an animation, of which it would show one frame only.

    Raises:
        UserError: the picture cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source, formats=["PNG", "JPEG", "WEBP"]) as image:
                if getattr(image, "n_frames", 1) > 1:
                    return []
                image.draft("RGB", (PREVIEW_SIDE * 2, PREVIEW_SIDE * 2))  # a JPEG decodes smaller
                shown = _srgb(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError) as error:
        refuse(f"The picture cannot be decoded: {error}.", code="damaged_media")
    shown.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    shown.save(folder / "preview", "WEBP", quality=_QUALITY, method=4)
    return [Made("preview", "image/webp", *shown.size)]


def _srgb(image: Image.Image) -> Image.Image:
    """8-bit RGB or RGBA in the colours that a browser would show."""
    image = _eight_bits(image)
    profile = image.info.get("icc_profile")
    transparent = "A" in image.mode or "transparency" in image.info
    wanted = "RGBA" if transparent else "RGB"
    if image.mode in {"P", "LA", "PA", "1"}:
        image = image.convert(wanted)
    if profile and image.mode in {"RGB", "RGBA", "CMYK", "L"}:
        try:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            image = _through(image, given)
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a profile that does not fit is passed over, as browsers do
    image = image.convert(wanted)
    image.info = {}
    return image


def _through(image: Image.Image, given: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    changed = ImageCms.profileToProfile(image, given, srgb, intent, outputMode=mode)
    if changed is None:
        raise ValueError("no transform")
    return changed


def _eight_bits(image: Image.Image) -> Image.Image:
    """A 16-bit grey picture would be cut at 255 by Pillow's own conversion."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return image
