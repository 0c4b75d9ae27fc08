"""Checkpoints of a training run: what there is, keeping some as models, letting one go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from steelyard_client.inside import InProject
from steelyard_client.records import Record
from steelyard_client.runs import TrainingJob


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Record):
    """A step of a run of which there is a model, or could be one."""

    step: int
    size: int
    """Bytes on the server's disk."""
    model: str | None
    """Name of its model version; None where it is not kept."""


class CheckpointVerbs(InProject):
    def checkpoints(self, job: TrainingJob) -> list[Checkpoint]:
        """By step, those that are kept and those that may be."""
        return list(map(Checkpoint.of, self._connection.get(self._checkpoints(job))))

    def keep_checkpoints(self, job: TrainingJob, steps: Iterable[int]) -> list[Checkpoint]:
        """Make models of some; one that is kept already stays as it is. Admins only.

        Returns:
            All checkpoints of the job.

        Raises:
            SteelyardError: there is no such checkpoint, or it is damaged; none is kept then.
        """
        body = {"steps": list(steps)}
        answer = self._connection.post(self._checkpoints(job), body, again=True)
        return list(map(Checkpoint.of, answer))

    def let_checkpoint_go(self, job: TrainingJob, step: int) -> None:
        """Take the model of a checkpoint away with its files. Admins only.

        Raises:
            SteelyardError: something was made with it.
        """
        self._connection.send("DELETE", f"{self._checkpoints(job)}/{step}")

    def _checkpoints(self, job: TrainingJob) -> str:
        return f"{self._path}/training-jobs/{job.info.id}/checkpoints"
