"""What every reader of an outside format gives: one record a pair, sides as the file has them."""

from __future__ import annotations

from dataclasses import dataclass, field

Messages = list[dict[str, str]]


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


@dataclass(frozen=True)
class ImportedRecord:
    """A prompt, two outputs and the votes on them."""

    place: str
    """Where in the file, to begin an error message with: ``Line 12``."""
    messages: Messages
    text_a: str
    text_b: str
    model_a: str
    model_b: str
    category: str = ""
    votes: list[ImportedVote] = field(default_factory=list)


@dataclass(frozen=True)
class ImportedPrompt:
    """A prompt to be kept for evaluation."""

    place: str
    messages: Messages
    category: str = ""
    reference_answer: str = ""
