"""Runs as jobs on a Ray cluster (``STEELYARD_RAY_ADDRESS``), over several hosts.

The job's entry point is ``steelyard.lib.ray_driver``, which starts the engine in as many workers of
Ray Train as the run asks for. Hosts of the cluster have Steelyard installed and see the run
directory and the models at the same paths as this server, on a shared file system.

A job is known by a submission id of our own, one for each attempt, so that asking twice for the
same start is harmless. It outlives this server; it ends by the mark ``cancel`` or ``pause`` in the
run directory, and where that does not help by being stopped.
"""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from steelyard.lib.errors import UserError
from steelyard.lib.ray_driver import WORKERS
from steelyard.lib.rundir import RunDir, write_atomically
from steelyard.lib.said import Said
from steelyard.runs.launchers import Unreachable
from steelyard.runs.said import OF_RUNS

FILE = "ray"
"""In the run directory: submission id and time of submission."""
_TO_CARRY = ("CUDA_DEVICE_ORDER", "HF_HOME", "HF_HUB_OFFLINE", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class RayJob:
    """A submitted job; the methods are those of a process on this machine."""

    rundir: RunDir
    submission_id: str
    started: float
    """Seconds since the epoch when it was submitted."""
    pid: None = None

    def is_alive(self) -> bool:
        """Whether it waits for the cluster or is at work.

        Raises:
            Unreachable: the cluster does not answer.
            UserError: it has waited for too long.
        """
        with _client() as client:
            status, message = _state(client, self.submission_id)
        if status not in {"PENDING", "RUNNING"}:
            self._note(message)
            return False
        # a job is running as well while its workers wait for room
        if (self.rundir.path / WORKERS).exists():
            return True
        if time.time() - self.started > settings.RAY_QUEUE_MINUTES * 60:
            raise UserError(
                Said(OF_RUNS, "ray_full", minutes=settings.RAY_QUEUE_MINUTES),
                code="ray_queue_timeout",
                field="processes",
            )
        # waiting is no silence: the supervisor takes a run without a heartbeat for hung
        self.rundir.beat()
        return True

    def signal(self, number: signal.Signals) -> None:
        """SIGTERM is left to the mark in the run directory, which all workers see; SIGKILL stops
        the job."""
        if number == signal.SIGTERM:
            (self.rundir.path / "stop").touch()
            return
        with _client() as client:
            if _state(client, self.submission_id)[0] in {"PENDING", "RUNNING"}:
                client.stop_job(self.submission_id)

    def _note(self, message: str) -> None:
        """What Ray says of a job that never came to print anything itself."""
        if message and not self.rundir.log_tail(1):
            self.rundir.log.write_text(f"{message}\n")


def launch(
    engine: str, rundir: RunDir, env: dict[str, str], *, workers: int, on_gpu: bool
) -> RayJob:
    """Submit ``ENGINE RUN_DIR`` as a job; what it prints goes to ``process.log``.

    Args:
        on_gpu: whether each worker gets a GPU, where the cluster has any.

    Raises:
        UserError: there is no cluster set up here, no Ray to ask it by, or no answer.
    """
    submission_id = f"{rundir.path.name}-{_attempts(rundir) + 1}"
    command = [
        sys.executable,
        "-m",
        "steelyard.lib.ray_driver",
        engine,
        str(rundir.path),
        str(workers),
    ]
    try:
        with _client() as client:
            # there where a worker died between submitting and writing it down
            if _state(client, submission_id)[0] is None:
                for name in ("stop", WORKERS):
                    (rundir.path / name).unlink(missing_ok=True)
                client.submit_job(
                    entrypoint=shlex.join([*command, *(["--gpu"] if on_gpu else [])]),
                    submission_id=submission_id,
                    runtime_env={"env_vars": {**_carried(), **env}},
                    metadata={"run": rundir.path.name},
                )
    except Unreachable as error:
        raise UserError(
            Said(OF_RUNS, "ray_refuses", error=error),
            code="ray_unreachable",
            field="launcher",
        ) from error
    job = RayJob(rundir, submission_id, time.time())
    write_atomically(rundir.path / FILE, f"{submission_id} {job.started}".encode())
    return job


def find(rundir: RunDir) -> RayJob | None:
    """The job that last worked on this folder."""
    try:
        submission_id, started = (rundir.path / FILE).read_text().split()
        return RayJob(rundir, submission_id, float(started))
    except (FileNotFoundError, ValueError):
        return None


def _attempts(rundir: RunDir) -> int:
    job = find(rundir)
    return int(job.submission_id.rpartition("-")[2]) if job else 0


def _carried() -> dict[str, str]:
    return {name: os.environ[name] for name in _TO_CARRY if name in os.environ}


def _state(client: Any, submission_id: str) -> tuple[str | None, str]:
    """The job's state in Ray's words and what it says of it; None where Ray knows no such job."""
    try:
        job = client.get_job_info(submission_id)
    except RuntimeError as error:
        if "404" in str(error) or "does not exist" in str(error):
            return None, ""
        raise
    return str(getattr(job.status, "value", job.status)), job.message or ""


@contextmanager
def _client() -> Iterator[Any]:
    """
    Raises:
        UserError: no address is set, or Ray is not installed.
        Unreachable: the cluster does not answer.
    """
    if not settings.RAY_ADDRESS:
        raise UserError(
            Said(OF_RUNS, "no_ray_cluster"),
            code="no_ray",
            field="launcher",
        )
    try:
        job_submission = importlib.import_module("ray.job_submission")
    except ImportError as error:
        raise UserError(
            Said(OF_RUNS, "no_ray"),
            code="no_ray",
            field="launcher",
        ) from error
    try:
        yield job_submission.JobSubmissionClient(settings.RAY_ADDRESS)
    except (ConnectionError, OSError, RuntimeError) as error:
        raise Unreachable(f"Ray at {settings.RAY_ADDRESS}: {error}") from error
