"""A judge that an engine asks about pairs as it goes, whatever kind of judge it is.

What it says comes from the ledger first, and what it is paid for counts for its caps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict
from typing import Any, Protocol

from annotation.engine.callers import ASKED, caller_of, ledger_of
from steelyard.inference.interrupted import Interrupted
from steelyard.inference.judging.judge import EndpointJudge
from steelyard.inference.judging.ledger import Sum
from steelyard.inference.judging.looking import Pictures
from steelyard.inference.loading import CONCURRENCY, load_writer, sampling_of
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir, write_atomically

Pair = Mapping[str, Any]
Lines = Iterator[dict[str, Any]]


class Asker(Protocol):
    spent: Sum | None
    """What the judge has used up in all its runs, once nobody asks it any more."""

    def verdicts(self, judge: Mapping[str, Any], pairs: Sequence[Pair]) -> Lines:
        """One a pair, in order.

        Raises:
            UserError: it cannot be asked; ``CapReached`` among them.
            Interrupted: it is to stop.
        """
        ...


class FarJudge:
    """A judge that is an endpoint, or a pipeline."""

    def __init__(self, spec: dict[str, Any], rundir: RunDir, stop: Stop, opened: ExitStack) -> None:
        judge = spec["judge"]
        ledger = ledger_of(spec, str(judge.get("id", "")), spec.get("run", ""))
        opened.enter_context(closing(ledger))
        self.caller = opened.enter_context(closing(caller_of(spec, ledger, stop)))
        self.spent: Sum | None = None
        opened.callback(self._ended, rundir)
        at_once = judge.get("limits", {}).get("at_once", CONCURRENCY)
        self._pool = opened.enter_context(ThreadPoolExecutor(at_once))
        self._sampling, self._stop = judge_sampling(judge), stop
        self._pictures = Pictures(rundir.media)

    def _ended(self, rundir: RunDir) -> None:
        self.spent = self.caller.ledger.spent()
        keep_used(rundir, "usage", self.caller)

    def verdicts(self, judge: Mapping[str, Any], pairs: Sequence[Pair]) -> Lines:
        asked = EndpointJudge(self.caller, judge, self._sampling, self._pictures)
        # alone where it is not known yet how the endpoint likes to be asked
        alone = 0 if self.caller.manners.sure or self.caller.plain else 1
        try:
            for pair in pairs[:alone]:
                yield asked.verdict(pair)
            yield from self._pool.map(asked.verdict, pairs[alone:])
        except UserError as error:
            if self._stop:
                raise Interrupted from error
            raise


class HereJudge:
    """A judge in this process."""

    spent: Sum | None = None

    def __init__(
        self, spec: dict[str, Any], rundir: RunDir, writer: Any, opened: ExitStack
    ) -> None:
        # torch is slow to import, and a judge that is an endpoint needs none of it
        from steelyard.inference.judging.remembering import Remembered

        judge = spec["judge"]
        self._writer, self._sampling = writer, judge_sampling(judge)
        self._pictures = Pictures(rundir.media)
        ledger = ledger_of(spec, str(judge.get("id", "")), spec.get("run", ""))
        opened.enter_context(closing(ledger))
        self._known = Remembered(ledger, writer, self._sampling)

    def verdicts(self, judge: Mapping[str, Any], pairs: Sequence[Pair]) -> Lines:
        from steelyard.inference.judging.local import LocalJudge

        asked = LocalJudge(self._writer, judge, self._sampling, self._pictures, self._known)
        for start in range(0, len(pairs), asked.batch):
            yield from asked.verdicts(pairs[start : start + asked.batch])


def asker_of(spec: dict[str, Any], rundir: RunDir, stop: Stop, opened: ExitStack) -> Asker:
    """The run's judge, until ``opened`` is closed."""
    judge = spec["judge"]
    if is_far(judge):
        return FarJudge(spec, rundir, stop, opened)
    writer = load_writer(judge["model"], stop=lambda: bool(stop))
    return HereJudge(spec, rundir, writer, opened)


def is_far(judge: Mapping[str, Any]) -> bool:
    return judge["model"]["family"] in ASKED


def judge_sampling(judge: Mapping[str, Any]) -> dict[str, Any]:
    return sampling_of({}, {"temperature": 0.0, **judge.get("sampling", {})})


def keep_used(rundir: RunDir, name: str, caller: Any) -> None:
    write_atomically(rundir.path / f"{name}.json", json.dumps(asdict(caller.used)).encode())


def used_in(rundir: RunDir) -> dict[str, Any]:
    """What a judge, and a model that writes, have used up, as far as they are paid for."""
    places = {name: rundir.path / f"{name}.json" for name in ("usage", "reflection")}
    return {name: json.loads(at.read_text()) for name, at in places.items() if at.exists()}
