"""What a scorer is, which kinds there are, and how one is opened. Nothing here imports torch.

A scorer gives one picture or clip, or one text (:mod:`.answers`), numbers, by dimension; which of
two is better follows from their difference (:mod:`annotation.scores`). It never compares, so sides
and their order mean nothing to it, and a score can be kept for as long as the scorer, the file and
the prompt are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_hex
from steelyard.lib.said import Said

if TYPE_CHECKING:
    from PIL.Image import Image

FRAMES = 8
"""How many frames of a clip are scored, where nobody says otherwise."""
ITEM_ERRORS = {
    "bad_picture",
    "no_picture",
    "scorer_refused",
    "no_passages",
    "no_answer",
    "prompt_too_long",
    "bad_messages",
}
"""Codes of errors that speak of one item: the others of a batch can be scored without it."""


class Kind(NamedTuple):
    """A scorer that can be opened here."""

    words: str
    needs_prompt: bool
    licence: str
    """Of the published weights, as their makers say."""
    weights: str = ""
    """What its second file is, where it has one."""


KINDS = {
    "clipscore": Kind("CLIPScore (any CLIP model)", True, "that of the CLIP model"),
    "pickscore": Kind("PickScore", True, "MIT"),
    "hpsv2": Kind("HPSv2 and 2.1", True, "Apache-2.0", "OpenCLIP checkpoint"),
    "aesthetics": Kind("LAION aesthetics", False, "Apache-2.0", "linear head"),
    "answer_probability": Kind("Probability of the answer", True, "that of the language model"),
    "http": Kind("Another scorer over HTTP", True, "as the scorer says"),
    "command": Kind("Another scorer in an environment of its own", True, "as the scorer says"),
}
IN_PROCESS = ("clipscore", "pickscore", "hpsv2", "aesthetics")
OF_TEXTS = ("answer_probability",)
"""They read; the others look."""


class Facts(NamedTuple):
    """What is known of an opened scorer."""

    name: str
    modality: tuple[str, ...]
    needs_prompt: bool
    higher_is_better: dict[str, bool]
    """Dimension → whether more of it is better; the first is the one that decides, where nobody
    says another."""
    version: str
    """Hash of whatever decides its numbers; empty where it is not known, and then no number is
    kept for later."""
    licence: str


@dataclass
class Item:
    """One picture or clip and what it was to show."""

    path: Path
    prompt: str = ""
    frames: int = FRAMES
    _seen: list[Image] = field(default_factory=list, repr=False)

    @property
    def key(self) -> str:
        """Of the file, which is named by its SHA-256, and the prompt."""
        return f"{self.path.name}:{sha256_hex(self.prompt.encode())}"

    def pictures(self) -> list[Image]:
        """The picture, or frames drawn evenly from the clip; read once.

        Raises:
            UserError: ``no_picture`` or ``bad_picture``.
        """
        if not self._seen:
            from steelyard.inference.frames import read_pictures

            self._seen = read_pictures(self.path, self.frames)
        return self._seen


class Keyed(Protocol):
    """What a scorer is handed: a picture, a clip, or what is read before an answer."""

    @property
    def key(self) -> str: ...


class Scorer(Protocol):
    facts: Facts
    batch_size: int
    """How many items are best handed over at a time."""

    def score(self, items: Sequence[Any]) -> list[dict[str, float]]:
        """Of each item a number by dimension; each depends on its own item only.

        Raises:
            UserError: of a code in :data:`ITEM_ERRORS` where one item cannot be scored, of
                another where the scorer itself fails.
        """
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


def open_scorer(spec: Mapping[str, Any], *, device: str | None = None) -> Scorer:
    """Load or reach a scorer.

    Args:
        spec: ``kind`` (a key of :data:`KINDS`) and ``name``; ``source`` and ``weights`` of those
            loaded here; ``base_url`` and ``api_key_env`` of one over HTTP; ``command``, a list of
            words, of one in an environment of its own; ``frames``; ``model`` (as
            ``ModelVersion.as_spec`` gives it) and ``top_k`` of one that reads.
        device: of those loaded here; the GPU where there is one.

    Raises:
        UserError: it cannot be loaded or reached.
    """
    if spec["kind"] in ("http", "command"):
        from steelyard.inference.scorers import outside

        return outside.open_http(spec) if spec["kind"] == "http" else outside.Child(spec)
    if spec["kind"] == "answer_probability":
        from steelyard.inference.scorers.answers import AnswerProbability

        return AnswerProbability(spec)
    import torch

    from steelyard.inference.scorers import aesthetics, clip

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if spec["kind"] == "aesthetics":
        return aesthetics.Aesthetics(spec, device)
    if spec["kind"] in IN_PROCESS:
        return clip.ClipScorer(spec, device)
    raise UserError(Said(WORDS, "no_such_scorer", kind=f"{spec['kind']!r}"), code="unknown_scorer")


def checked_scores(value: Any, dimensions: Sequence[str], who: str) -> dict[str, float]:
    """A scorer's answer about one item, when it is a finite number for every dimension.

    Raises:
        UserError: ``scorer_garbled``.
    """
    if isinstance(value, Mapping):
        found = {name: value.get(name) for name in dimensions}
        if all(_is_number(number) for number in found.values()):
            return {name: float(number) for name, number in found.items()}  # type: ignore[arg-type]
    raise UserError(
        Said(
            WORDS,
            "no_finite_number",
            who=who,
            said=str(value)[:200],
            dimensions=", ".join(dimensions),
        ),
        code="scorer_garbled",
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
