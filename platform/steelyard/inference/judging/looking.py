"""The pictures that belong to a pair: what its prompt is about, and outputs that are files.

A model is shown them before the question, in a fixed order, and the question says which is which:
few models can be shown a picture in the middle of a sentence.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

MAX_SIDE = 1024
FRAMES = 8


@dataclass(frozen=True)
class Shown:
    """The files of one question, in the order in which they are shown."""

    groups: Sequence[tuple[str, Sequence[Path]]] = ()
    """What each belongs to, in words, and its files."""
    max_side: int = MAX_SIDE
    frames: int = FRAMES

    def __bool__(self) -> bool:
        return any(files for _, files in self.groups)

    @property
    def names(self) -> list[str]:
        """What makes two questions with pictures the same: files are named by their content."""
        if not self:
            return []
        files = [f"{what} {path.name}" for what, paths in self.groups for path in paths]
        return [f"{self.max_side} {self.frames}", *files]

    def pictures(self) -> list[tuple[str, list[Any]]]:
        """Each group with its pictures, frames spread over each clip, none larger than wanted.

        Raises:
            UserError: a file is not there or cannot be read.
        """
        from steelyard.inference.frames import read_pictures

        read = []
        for what, files in self.groups:
            some = [one for path in files for one in read_pictures(path, self.frames)]
            for picture in some:
                picture.thumbnail((self.max_side, self.max_side))
            if some:
                read.append((what, some))
        return read

    def told(self, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The question, which says that there are pictures and in which order."""
        if not self:
            return list(asked)
        order = ", then ".join(what for what, files in self.groups if files)
        first, *rest = asked
        told = f"The pictures before this text are, in this order: {order}. "
        told += f"A clip is shown as up to {self.frames} of its frames.\n\n"
        return [{**first, "content": told + first["content"]}, *rest]

    def put(self, asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The question with its pictures, as chat completions take them."""
        parts: list[dict[str, Any]] = []
        for what, pictures in self.pictures():
            parts.append({"type": "text", "text": f"{what[0].upper()}{what[1:]}:"})
            parts += [{"type": "image_url", "image_url": {"url": _url(one)}} for one in pictures]
        first, *rest = [dict(message) for message in asked]
        first["content"] = [*parts, {"type": "text", "text": first["content"]}]
        return [first, *rest]


@dataclass(frozen=True)
class Pictures:
    """Where files named by their content lie.

    Args:
        folder: of the run's media; None where there are none.
    """

    folder: Path | None = None
    _none: Shown = field(default_factory=Shown)

    def of(self, pair: Mapping[str, Any], swapped: bool, judge: Mapping[str, Any]) -> Shown:
        """What one question about a pair is shown with."""
        of_request, of_a, of_b = (pair.get(f"{one}media", []) for one in ("", "a_", "b_"))
        if not (of_request or of_a or of_b):
            return self._none
        if self.folder is None:
            raise UserError(Said(WORDS, "no_pictures_folder"))
        first, second = (of_b, of_a) if swapped else (of_a, of_b)
        asking = judge.get("asking", {})
        groups = [
            ("what the request is about", self._paths(of_request)),
            ("answer A", self._paths(first)),
            ("answer B", self._paths(second)),
        ]
        side, frames = asking.get("max_side", MAX_SIDE), asking.get("frames", FRAMES)
        return Shown([(what, paths) for what, paths in groups if paths], side, frames)

    def _paths(self, names: Sequence[str]) -> list[Path]:
        assert self.folder is not None
        return [self.folder / name for name in names]


def _url(picture: Any) -> str:
    packed = io.BytesIO()
    picture.save(packed, "JPEG", quality=92)
    return f"data:image/jpeg;base64,{base64.b64encode(packed.getvalue()).decode()}"
