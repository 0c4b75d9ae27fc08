"""Engine processes that start at once: forked from one that has loaded the libraries already.

They are processes of their own, with signals, exit codes and a log; only the six seconds in which
``python -m training.engine`` loads torch and transformers are spared. That command itself is tried
by test_train.py, test_vision.py and, below torchrun, by test_distributed.py.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
from collections.abc import Callable

from steelyard.lib import engine
from steelyard.lib.rundir import RunDir

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["training.engine.text", "training.engine.diffusion"])


class Forked:
    """What tests ask of a :class:`subprocess.Popen`."""

    def __init__(self, process: multiprocessing.process.BaseProcess) -> None:
        self.process = process
        process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float = 120) -> int:
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired("training.engine", timeout)
        return self.process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _work(rundir: RunDir, environment: dict[str, str], before: Callable[[], None] | None) -> None:
    with rundir.log.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.update(environment, TOKENIZERS_PARALLELISM="false")
    if before:
        before()
    from training.engine.__main__ import train

    engine.run(train, [str(rundir.path)])


def start(rundir: RunDir, before: Callable[[], None] | None = None, **environment: str) -> Forked:
    """Start the engine on a run's folder.

    Args:
        before: called first in the new process; a function of a module.
    """
    arguments = (rundir, environment, before)
    return Forked(_CONTEXT.Process(target=_work, args=arguments, daemon=True))


def start_two(rundir: RunDir, before: Callable[[], None] | None = None) -> list[Forked]:
    """Two engines that share a run, as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [start(rundir, before, RANK=rank, LOCAL_RANK=rank, **shared) for rank in ("0", "1")]
