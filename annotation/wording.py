"""What changed between two wordings, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import NamedTuple


class Piece(NamedTuple):
    kind: str
    """same, new or gone."""
    text: str


def changes(old: str, new: str) -> list[Piece]:
    """The pieces of both in reading order; what is gone stands before what is new in its place."""
    before, after = _words(old), _words(new)
    found: list[Piece] = []
    # no junk: in short texts the commonest word would count as such
    for tag, i, j, k, n in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            found.append(Piece("same", "".join(before[i:j])))
            continue
        if i < j:
            found.append(Piece("gone", "".join(before[i:j])))
        if k < n:
            found.append(Piece("new", "".join(after[k:n])))
    return found


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)
