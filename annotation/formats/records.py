"""What every reader of an outside format gives: one record a pair, sides as the file has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Messages = list[dict[str, str]]
Passages = list[dict[str, Any]]
"""What a search has found: ``text`` and ``score`` of each."""


@dataclass(frozen=True)
class ImportedVote:
    """One annotator's verdict on the record's pair."""

    annotator: str
    kind: str
    """person or judge."""
    outcome: str
    """a, b, tie, both_bad or skip, of the record's own sides."""
    strength: int
    """-3 to 3; negative means a is better, 0 for tie, both_bad and skip."""
    rationale: str = ""
    tags: list[str] = field(default_factory=list)
    aspects: dict[str, int] = field(default_factory=dict)
    """Signed strength by aspect, -3 to 3, of the record's own sides."""
    first: str = ""
    """Which of the record's own sides was shown first, a or b; empty where that is not known."""
    p_a: float | None = None
    """A judge's probability that a is better, where the row tells it."""


@dataclass(frozen=True)
class Known:
    """The right answer to a pair, and why it is right."""

    outcome: str
    """a, b, tie or both_bad, of the sides of whoever says it."""
    reason: str = ""
    """Its A and B are those sides too; the training round shows them in that order."""


@dataclass(frozen=True)
class ImportedRecord:
    """A prompt, two outputs and the votes on them.

    A file is named by its SHA-256, or by its name in the archive that the record came in.
    """

    place: str
    """Where in the file, to begin an error message with: ``Line 12``."""
    messages: Messages
    text_a: str
    text_b: str
    model_a: str
    model_b: str
    category: str = ""
    votes: list[ImportedVote] = field(default_factory=list)
    media: list[str] = field(default_factory=list)
    """What the prompt is about."""
    media_a: str = ""
    media_b: str = ""
    known: Known | None = None
    training: bool = False
    """Shown in the training round alone; it has a known answer and no votes."""
    blobs: dict[str, bytes] = field(default_factory=dict, repr=False)
    """Files that the row itself carries, by the name that media, media_a and media_b give them."""
    key: str = ""
    """The outside's own id of it, empty where there is none: the same twice is a duplicate."""
    source: str = ""
    """Where it is from, where the row says: a data set's name, an address."""
    reference_answer: str = ""
    """What the prompt's author holds to be right."""
    passages_a: Passages = field(default_factory=list, repr=False)
    """What was found for answer a, where it is a search query."""
    passages_b: Passages = field(default_factory=list, repr=False)

    @property
    def files(self) -> Iterator[tuple[str, str]]:
        """Key and name of every file that it names."""
        yield from (("media", name) for name in self.media)
        yield from (("media_a", self.media_a), ("media_b", self.media_b))

    @property
    def voters(self) -> list[tuple[str, str]]:
        """Name and kind of everybody who votes."""
        return [(vote.annotator, vote.kind) for vote in self.votes]


@dataclass(frozen=True)
class ImportedPrompt:
    """A prompt to be kept for evaluation."""

    place: str
    messages: Messages
    category: str = ""
    reference_answer: str = ""
    media: list[str] = field(default_factory=list)

    @property
    def files(self) -> Iterator[tuple[str, str]]:
        yield from (("media", name) for name in self.media)


@dataclass(frozen=True)
class ImportedAnswer:
    """One of the outputs of a set."""

    text: str = ""
    media: str = ""
    """SHA-256 or name of its file, empty for a text."""
    model: str = "unknown"


@dataclass(frozen=True)
class ImportedRanking:
    """A set of outputs to rank, and perhaps somebody's ranking of it."""

    place: str
    messages: Messages
    answers: list[ImportedAnswer]
    category: str = ""
    media: list[str] = field(default_factory=list)
    """What the prompt is about."""
    ranks: list[int] = field(default_factory=list)
    """A number for each answer, the best 1, equal ones tied; empty where nobody ranks."""
    annotator: str = ""
    kind: str = "person"
    rationale: str = ""
    tags: list[str] = field(default_factory=list)
    reference_answer: str = ""
    known: list[int] = field(default_factory=list)
    """The right order, as ``ranks``; a set with one is shown in the training round alone."""
    known_reason: str = ""
    """Why it is right; its A, B, C are the answers as they stand here."""

    @property
    def files(self) -> Iterator[tuple[str, str]]:
        """Key and name of every file that it names."""
        yield from (("media", name) for name in self.media)
        yield from (("outputs", answer.media) for answer in self.answers)

    @property
    def voters(self) -> list[tuple[str, str]]:
        """Name and kind of whoever ranks."""
        return [(self.annotator, self.kind)] if self.ranks else []
