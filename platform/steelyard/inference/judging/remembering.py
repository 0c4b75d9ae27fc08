"""What a model in this process has answered before: neither a run that was killed nor another one
that asks the same computes it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from steelyard.inference.identity import writer_version
from steelyard.inference.judging.ledger import Kept, Ledger
from steelyard.inference.judging.prompting import VERDICT_CUE
from steelyard.inference.judging.reading import Question
from steelyard.inference.loading import LocalWriter, SeeingWriter
from steelyard.lib.hashing import digest_of

CALCULATION = 1
"""Raised when the same model comes to other numbers."""


@dataclass(frozen=True)
class Said:
    """An answer and what was measured after it, in the letters that were shown."""

    text: str
    reason: str
    measured: dict[str, float]
    aspects: dict[str, dict[str, float]]
    tokens_in: int
    tokens_out: int
    seconds: float
    """What it took when it was computed."""
    cached: bool = False


class Remembered:
    """Answers by all that they depend on: the weights, the question with both texts in their order,
    the pictures, the sampling with its seed, and what is measured."""

    def __init__(
        self, ledger: Ledger, writer: LocalWriter | SeeingWriter, sampling: Mapping[str, Any]
    ) -> None:
        self._ledger = ledger
        self._version = writer_version(writer)
        self._sampling = {
            "temperature": float(sampling["temperature"]),
            "top_p": float(sampling["top_p"]),
            "max_new_tokens": int(sampling["max_new_tokens"]),
        }

    def get(self, question: Question, aspects: Sequence[str]) -> Said | None:
        kept = self._ledger.get(self._key(question, aspects))
        return replace(Said(**kept.answer), cached=True) if kept else None

    def keep(self, question: Question, aspects: Sequence[str], said: Said) -> None:
        kept = Kept(asdict(said), said.tokens_in, said.tokens_out, 0.0, said.seconds)
        self._ledger.keep(self._key(question, aspects), kept)

    def _key(self, question: Question, aspects: Sequence[str]) -> str:
        drawn = self._sampling["temperature"] > 0
        return digest_of(
            {
                "local": [CALCULATION, VERDICT_CUE, self._version],
                "asked": [dict(message) for message in question.messages],
                "pictures": list(question.names),
                "sampling": self._sampling,
                "seed": question.seed if drawn else None,
                "aspects": list(aspects),
            }
        )
