"""What goes on in the background: runs, training jobs, evaluations."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from steelyard_client import progress as bars
from steelyard_client.connection import Connection
from steelyard_client.errors import RunFailed, SteelyardError
from steelyard_client.inside import InProject
from steelyard_client.records import EvaluationInfo, JobInfo, RunInfo, Stopping

ENDED = {"succeeded", "failed", "cancelled"}
EVERY = 2.0
"""seconds between two looks"""
SETTLES = 60
"""seconds in which the server has made comparisons of a generation's outputs"""


class Run:
    """One background execution."""

    def __init__(self, connection: Connection, project: str, info: RunInfo) -> None:
        self._connection, self.project, self.info = connection, project, info
        self._path = f"projects/{project}/runs/{info.id}"

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.info.kind} {self.info.state}>"

    @property
    def id(self) -> int:
        return self.info.id

    @property
    def kind(self) -> str:
        return self.info.kind

    @property
    def state(self) -> str:
        """As of the last look: queued, running, pausing, paused, cancelling, succeeded, failed or
        cancelled."""
        return self.info.state

    def refresh(self) -> RunInfo:
        self.info = RunInfo.of(self._connection.get(self._path))
        return self.info

    def wait(self, *, progress: bool = False, timeout: float | None = None) -> RunInfo:
        """Wait until it has ended, and say how.

        Args:
            progress: show a line with how far it is, on a terminal.
            timeout: seconds after which to give up waiting; the run goes on.

        Raises:
            RunFailed: it failed, with its reason, or was cancelled.
            SteelyardError: the time is over.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with bars.line(self.info.title, self.info.unit, wanted=progress) as told:
            while self.refresh().state not in ENDED:
                told(self.info.done, self.info.total)
                if end is not None and time.monotonic() > end:
                    raise SteelyardError(
                        f"Run {self.id} is still {self.state} after {timeout:g} s; it goes on."
                    )
                time.sleep(EVERY)
            told(self.info.done, self.info.total)
        if self.state == "failed":
            raise RunFailed(
                f"Run {self.id} failed: {self.info.error or 'no reason is known'}",
                run=self.id,
                code=self.info.error_code,
            )
        if self.state == "cancelled":
            raise RunFailed(f"Run {self.id} was cancelled.", run=self.id, code="cancelled")
        return self.info

    def cancel(self) -> RunInfo:
        """Ask it to stop."""
        self.info = RunInfo.of(self._connection.post(f"{self._path}/cancel", again=True))
        return self.info

    def pause(self) -> RunInfo:
        """Stop a training run at its next checkpoint, until :meth:`resume`."""
        return self._ask("pause")

    def resume(self) -> RunInfo:
        """Put a paused one back into the queue."""
        return self._ask("resume")

    def retry(self) -> RunInfo:
        """Try a failed training run again, from its last checkpoint."""
        return self._ask("retry")

    def _ask(self, verb: str) -> RunInfo:
        self.info = RunInfo.of(self._connection.post(f"{self._path}/{verb}"))
        return self.info

    def metrics(self, name: str | None = None) -> Iterator[dict[str, Any]]:
        """Its numbers, the newest first: step, name, value, time."""
        yield from self._connection.pages(f"{self._path}/metrics", {"name": name, "limit": 500})

    def log(self, limit: int = 200) -> list[dict[str, Any]]:
        """Its last lines, the oldest first: time, level, text."""
        return list(self._connection.get(f"{self._path}/log", {"limit": limit}))


class _Started:
    """What a run is part of."""

    def __init__(self, connection: Connection, project: str) -> None:
        self._connection, self.project = connection, project

    def _run(self, number: int) -> Run:
        path = f"projects/{self.project}/runs/{number}"
        return Run(self._connection, self.project, RunInfo.of(self._connection.get(path)))


class TrainingJob(_Started):
    def __init__(self, connection: Connection, project: str, info: JobInfo) -> None:
        super().__init__(connection, project)
        self.info = info

    def __repr__(self) -> str:
        return f"<TrainingJob {self.info.id} {self.info.model_name!r} {self.info.state}>"

    @property
    def run(self) -> Run:
        return self._run(self.info.run)

    def cancel(self) -> JobInfo:
        """Ask its run to stop."""
        self.run.cancel()
        return self.refresh()

    def refresh(self) -> JobInfo:
        path = f"projects/{self.project}/training-jobs/{self.info.id}"
        self.info = JobInfo.of(self._connection.get(path))
        return self.info

    def wait(self, *, progress: bool = False, timeout: float | None = None) -> JobInfo:
        """Wait for its run; ``result`` of the answer is the new model's name."""
        self.run.wait(progress=progress, timeout=timeout)
        return self.refresh()


class Evaluation(_Started):
    def __init__(self, connection: Connection, project: str, info: EvaluationInfo) -> None:
        super().__init__(connection, project)
        self.info = info

    def __repr__(self) -> str:
        return f"<Evaluation {self.info.id} {self.info.name!r} {self.info.state}>"

    def refresh(self) -> EvaluationInfo:
        """With the win rates so far."""
        self.info = EvaluationInfo.of(self._connection.get(self._path))
        return self.info

    def length(self) -> list[dict[str, Any]]:
        """Win rates of texts at equal length, by candidate and source: ours (``win_rate``, ``lo``,
        ``hi``) and AlpacaEval's (``alpaca_eval``)."""
        return list(self._connection.get(f"{self._path}/length"))

    def stopping(self) -> Stopping:
        """How sure it is by people's votes, and how many more it needs."""
        return Stopping.of(self._connection.get(f"{self._path}/stopping"))

    def stop(self) -> Stopping:
        """Ask people no more; admins only."""
        return Stopping.of(self._connection.post(f"{self._path}/stop", {}))

    def go_on(self, budget: int | None = None) -> Stopping:
        """Ask people again, up to so many votes from the beginning; admins only."""
        return Stopping.of(self._connection.post(f"{self._path}/go-on", {"budget": budget}))

    @property
    def _path(self) -> str:
        return f"projects/{self.project}/evaluations/{self.info.id}"

    def ask(self, judge: str) -> EvaluationInfo:
        """Ask one more judge, or one that failed about what it has not judged."""
        path = f"projects/{self.project}/evaluations/{self.info.id}/judges"
        self.info = EvaluationInfo.of(self._connection.post(path, {"judge": judge}))
        return self.info

    def resume(self) -> EvaluationInfo:
        """After it failed, make the outputs that are missing; those that were made are kept."""
        path = f"projects/{self.project}/evaluations/{self.info.id}/resume"
        self.info = EvaluationInfo.of(self._connection.post(path, {}))
        return self.info

    def wait(self, *, progress: bool = False, timeout: float | None = None) -> EvaluationInfo:
        """Wait until the outputs are there, and where judges compare them, until each has.
        People take their time; for them ``win_rates`` grows afterwards."""
        if self.info.generation is not None:
            self._run(self.info.generation).wait(progress=progress, timeout=timeout)
        end = time.monotonic() + SETTLES
        while self.refresh().state == "generating" and time.monotonic() < end:
            time.sleep(EVERY)
        if self.info.state == "failed":
            raise RunFailed(
                f"Evaluation {self.info.id} failed: {self.info.error}",
                run=self.info.generation or 0,
            )
        for seat in self.info.panel:
            if seat.run is not None:
                self._run(seat.run).wait(progress=progress, timeout=timeout)
        return self.refresh()


class RunVerbs(InProject):
    def runs(self, *, kind: str | None = None, state: str | None = None) -> Iterator[Run]:
        """The newest first."""
        return map(self._run, self._pages("runs", {"kind": kind, "state": state}))

    def run(self, number: int) -> Run:
        return self._run(self._connection.get(f"{self._path}/runs/{number}"))

    def _run(self, row: Mapping[str, Any]) -> Run:
        return Run(self._connection, self.slug, RunInfo.of(row))
