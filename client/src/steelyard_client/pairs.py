"""Pairs on their way in: checked here where that saves a trip, their files sent first."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from steelyard_client.errors import SteelyardError
from steelyard_client.records import Message

File = str | Path | bytes
"""The SHA-256 of a file that is there already, a path, or the bytes."""
BATCH_BYTES = 8 * 2**20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class NewPair:
    """A prompt and two answers, with a vote on them where there is one already.

    Several votes on one pair are several of these. Which answer becomes side a on the site, their
    content decides; votes are turned with it.
    """

    prompt: str | list[Message]
    a: str = ""
    b: str = ""
    model_a: str = "unknown"
    model_b: str = "unknown"
    category: str = ""
    reference_answer: str = ""
    """What is right, where somebody knows; kept with the prompt."""
    media: list[File] = field(default_factory=list)
    """Pictures or clips that the prompt is about."""
    media_a: File = ""
    media_b: File = ""
    known: dict[str, str] | None = None
    """The right answer: ``{"outcome": "a", "reason": "…"}``."""
    training: bool = False
    """Shown in the training round alone; needs ``known``."""
    outcome: str = ""
    """a, b, tie, both_bad or skip: a vote, by ``annotator``."""
    annotator: str = ""
    kind: str = "person"
    strength: int | None = None
    rationale: str = ""
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class WrongPair:
    """Why the pair of that place, from 1, was refused."""

    place: int
    status: int
    code: str
    detail: str
    field: str | None

    @classmethod
    def of(cls, place: int, said: Mapping[str, Any]) -> WrongPair:
        return cls(place, said["status"], said["code"], said["detail"], said.get("field"))

    def __str__(self) -> str:
        return re.sub(r"^Line \d+: ", "", self.detail)


@dataclass
class Added:
    """What became of pairs that were brought in."""

    pairs: list[int] = field(default_factory=list, repr=False)
    """Their numbers on the site, in the order given; those that were there already too."""
    new: int = 0
    """How many were not there before."""
    problems: list[WrongPair] = field(default_factory=list)


_PLAIN = NewPair(prompt="")
_NEEDED = ("prompt", "a", "b")


def as_line(pair: NewPair | Mapping[str, Any], place: int, send: Callable[[File], str]) -> str:
    """The pair as a line of the site's own format.

    Args:
        send: makes sure that a file is there, and says its SHA-256.

    Raises:
        SteelyardError: a mapping has a key that no pair has.
    """
    said = asdict(_checked(pair, place))
    for name in ("media_a", "media_b"):
        said[name] = said[name] and send(said[name])
    said["media"] = [send(file) for file in said["media"]]
    plain = asdict(_PLAIN)
    kept = {
        name: value
        for name, value in said.items()
        if (name in _NEEDED and not (name != "prompt" and said["media_a"])) or value != plain[name]
    }
    return json.dumps(kept, ensure_ascii=False)


def _checked(pair: NewPair | Mapping[str, Any], place: int) -> NewPair:
    if isinstance(pair, NewPair):
        return pair
    try:
        return NewPair(**pair)
    except TypeError:
        unknown = sorted(set(pair) - set(NewPair.__dataclass_fields__))
        what = f"has no {unknown[0]!r}" if unknown else "needs a prompt"
        names = ", ".join(NewPair.__dataclass_fields__)
        raise SteelyardError(f"Pair {place}: a pair {what}; it may have {names}.") from None


def batches(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lines in parts of so many, and of no more bytes than a request takes with ease."""
    part: list[str] = []
    held = 0
    for line in lines:
        if part and (len(part) >= size or held + len(line) > BATCH_BYTES):
            yield part
            part, held = [], 0
        part.append(line)
        held += len(line)
    if part:
        yield part


def name_and_hash(file: File) -> tuple[str, str]:
    """What a file is called, and the SHA-256 of it as it lies here.

    Raises:
        SteelyardError: it cannot be read.
    """
    if isinstance(file, bytes):
        return "file", hashlib.sha256(file).hexdigest()
    path = Path(file)
    try:
        with path.open("rb") as stream:
            return path.name, hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SteelyardError(f"{path} cannot be read: {error.strerror}.") from error


def is_hash(file: File) -> bool:
    return isinstance(file, str) and bool(_SHA256.fullmatch(file))
