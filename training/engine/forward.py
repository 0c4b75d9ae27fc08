"""How probable answers are to a model, token by token: the one forward pass under every objective.

A row is a context and its answers. Where the model allows, they go through it as one packed
sequence, prompt ‖ answer 1 ‖ answer 2 …, in which no answer sees another and each counts its
positions on from the prompt: the prompt is read once. Elsewhere each answer gets a row of its own.
Only the hidden states that predict an answer's token reach the output head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Row:
    """A context and continuations of it that do not see each other, in token ids."""

    prompt: list[int]
    """At least one token: the first token of an answer is predicted at the last of these."""
    answers: tuple[list[int], ...]
    images: tuple[str, ...] = ()
    """SHA-256 of the pictures in the prompt, in order."""

    @property
    def packed(self) -> int:
        """Tokens of the row with its prompt read once."""
        return len(self.prompt) + sum(map(len, self.answers))

    @property
    def longest(self) -> int:
        """Tokens of prompt and longest answer."""
        return len(self.prompt) + max(map(len, self.answers))


class Scored(NamedTuple):
    """Log-probabilities of the answers of some rows, in the order of rows and answers."""

    values: Tensor
    """float32, (tokens,): log p of every answer token given all before it, in nats."""
    lengths: Tensor
    """int64, (sequences,), on the device of the values: tokens of each answer."""

    def sums(self) -> Tensor:
        """log p of each answer, (sequences,)."""
        return torch.segment_reduce(self.values, "sum", lengths=self.lengths, unsafe=True)

    def means(self) -> Tensor:
        """log p of each answer per token, (sequences,)."""
        return self.sums() / self.lengths


def one_by_one(rows: Sequence[Row]) -> list[Row]:
    """The same sequences with a row each."""
    return [Row(row.prompt, (answer,), row.images) for row in rows for answer in row.answers]
