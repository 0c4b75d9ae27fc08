"""Adapter dropout that depends on the pair alone, however a step is cut into passes.

Each row of a pass has a seed; a layer's mask for it is a function of (seed, number of the layer).
So it is the same in a pass of one pair and in a pass of sixteen, in one process and in several, and
when gradient checkpointing computes the pass a second time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from steelyard.lib.hashing import stable_int


class Draws:
    """What the layers of a model share: the seeds of the rows that are going through."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []
        """Seed and length, in tokens, of each row."""

    def next(self, seed: int, step: int, rows: Sequence[tuple[str, int]]) -> None:
        """
        Args:
            rows: what each row is known by, and its length.
        """
        self.rows = [(stable_int(seed, "dropout", step, name), size) for name, size in rows]


class RowDropout(nn.Module):
    def __init__(self, share: float, draws: Draws, number: int) -> None:
        super().__init__()
        self.share, self.number = share, number
        self._draws = draws

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return inputs
        kept = torch.ones_like(inputs)
        generator = torch.Generator(inputs.device)
        for place, (seed, size) in enumerate(self._draws.rows):
            generator.manual_seed(stable_int(seed, self.number))
            of_row = kept[place, :size]
            # as many numbers as the row is long, whatever it was padded to
            draw = torch.rand(of_row.shape, generator=generator, device=inputs.device)
            of_row.copy_((draw >= self.share) / (1 - self.share))
        return inputs * kept


def by_row(model: nn.Module) -> Draws:
    """Give a model with an adapter this dropout in place of its own."""
    draws, number = Draws(), 0
    for module in model.modules():
        held = getattr(module, "lora_dropout", None)
        if isinstance(held, nn.ModuleDict):
            for name, dropout in held.items():
                if isinstance(dropout, nn.Dropout):
                    number += 1
                    held[name] = RowDropout(dropout.p, draws, number)
    return draws
