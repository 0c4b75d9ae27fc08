"""What a run keeps of its steps, and how it comes into a checkpoint: of texts, pictures and clips
alike."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from steelyard.lib.rundir import RunDir
from training.engine.checkpoints import resume, save_checkpoint
from training.engine.loop import LOOK_BACK


class Remembering:
    """What the steps of a run share, as far as it is told and kept."""

    KEPT: ClassVar[frozenset[str]]
    """What of it a checkpoint keeps beside the weights."""
    WATCHED: ClassVar[dict[str, str]]
    """Of which metrics the last LOOK_BACK values are kept, and under which name."""

    rundir: RunDir
    optimizer: torch.optim.Optimizer
    last: dict[str, float]
    """The newest value of each metric."""
    first: dict[str, float]
    """The first value of each metric."""

    @property
    def kept(self) -> dict[str, nn.Parameter]:
        """All tensors that a checkpoint holds."""
        raise NotImplementedError

    def record(self, step: int, values: dict[str, float], **pace: float) -> None:
        """
        Args:
            pace: what depends on the machine's mood and belongs to no result.
        """
        self.rundir.metric(step, **values, **pace)
        self.last |= values
        self.first = {**values, **self.first}
        for metric, name in self.WATCHED.items():
            if metric in values:
                setattr(self, name, [*getattr(self, name), values[metric]][-LOOK_BACK:])

    def save(self, step: int) -> None:
        save_checkpoint(
            self.rundir,
            step=step,
            parameters=self.kept,
            optimizer=self.optimizer,
            state={name: getattr(self, name) for name in self.KEPT},
        )

    def resume(self) -> int:
        """Go on from the newest checkpoint, where there is one; the number of steps done."""
        start, state = resume(self.rundir, parameters=self.kept, optimizer=self.optimizer)
        for name in self.KEPT & state.keys():
            setattr(self, name, state[name])
        return start
