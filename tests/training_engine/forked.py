"""Training processes forked from one that has loaded the libraries; see :mod:`tests.forked`.

``python -m training.engine`` itself is tried by test_train.py, test_vision.py and, below torchrun,
by test_distributed.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from steelyard.lib.rundir import RunDir
from tests.forked import Command, Forked
from tests.ports import free_port


class Training:
    """The engine on a run's folder, after something else."""

    def __init__(
        self, rundir: RunDir, before: Callable[[], None] | None, environment: dict[str, str]
    ) -> None:
        whole = {**os.environ, **environment, "TOKENIZERS_PARALLELISM": "false"}
        self.command, self.before = Command("training.engine", rundir.path, whole), before

    def __call__(self) -> None:
        if self.before:
            self.before()
        self.command()


def start(rundir: RunDir, before: Callable[[], None] | None = None, **environment: str) -> Forked:
    """Start the engine on a run's folder.

    Args:
        before: called first in the new process; a function of a module.
    """
    return Forked(Training(rundir, before, environment), rundir.log).go()


def start_two(rundir: RunDir, before: Callable[[], None] | None = None) -> list[Forked]:
    """Two engines that share a run, as torchrun would start them."""
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [start(rundir, before, RANK=rank, LOCAL_RANK=rank, **shared) for rank in ("0", "1")]
