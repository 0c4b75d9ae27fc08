"""A picture or a clip as the pictures that a model looks at."""

from __future__ import annotations

from pathlib import Path

import av
from PIL import Image

from steelyard.inference.pixels import open_picture
from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

FRAMES = 8
"""How many of a clip's frames a model is shown, where nobody says otherwise."""
JUMP = 10.0
"""Seconds between frames from which on it is quicker to jump than to decode what lies between."""


def read_pictures(path: Path, frames: int = FRAMES) -> list[Image.Image]:
    """What a model is shown of a file: the picture, or frames spread evenly over the clip.

    Which of the two it is, the file's bytes say: media are named by their hash alone.

    Raises:
        UserError: ``no_picture`` where there is no such file, ``bad_picture`` where it is neither a
            picture nor a clip that can be read.
    """
    try:
        return [open_picture(path).convert("RGB")]
    except UserError as error:
        if error.code == "no_picture":
            raise
    try:
        taken = _frames(path, frames)
    except (OSError, ValueError, ArithmeticError) as error:
        raise _unreadable(path, error) from error
    if not taken:
        raise _unreadable(path, "it holds no frame")
    return taken


def _frames(path: Path, wanted: int) -> list[Image.Image]:
    """The frames in the middle of ``wanted`` equal parts of the clip."""
    with av.open(str(path), metadata_errors="ignore") as container:
        if not container.streams.video:
            return []
        stream = container.streams.video[0]
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        length = (container.duration or 0) / av.time_base
        taken: list[Image.Image] = []
        frames, last = container.decode(stream), None
        for part in range(wanted):
            at = start + length * (part + 0.5) / wanted
            if length / wanted > JUMP:
                container.seek(int(at * av.time_base))
                frames = container.decode(stream)
            # a clip of one frame, or one shorter than it says: its last frame stands for the rest
            last = next((one for one in frames if (one.time or 0.0) >= at - 1e-6), last)
            if last is None:
                container.seek(0)
                frames = container.decode(stream)
                last = next(frames, None)
            if last is not None:
                taken.append(last.to_image().convert("RGB"))
        return taken


def _unreadable(path: Path, why: object) -> UserError:
    return UserError(
        Said(WORDS, "neither_picture_nor_clip", file=path.name, why=why),
        code="bad_picture",
    )
