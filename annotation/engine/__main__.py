"""AI judging: ``python -m annotation.engine RUN_DIR``.

Reads ``run.json`` (a judge and pairs), writes ``verdicts.jsonl``, a line a pair, as they come, and
``usage.json``. Started again it goes on with the pairs that have no line; of those that were under
way, answers that had come are known from the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from annotation.engine.callers import ASKED, caller_of, ledger_of
from annotation.engine.tally import Tally
from annotation.engine.words import WORDS
from steelyard.inference.judging import turns
from steelyard.inference.judging.explaining import EndpointExplainer
from steelyard.inference.judging.judge import EndpointJudge
from steelyard.inference.judging.limits import CapReached
from steelyard.inference.judging.looking import Pictures
from steelyard.inference.loading import CONCURRENCY, load_writer, sampling_of
from steelyard.lib import engine
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir, write_atomically
from steelyard.lib.said import Said

if TYPE_CHECKING:
    from steelyard.inference.judging.local import LocalJudge

FIRST_ATTEMPTS = 3
"""A dead endpoint is told within seconds; later on, a hiccup is waited out."""
FATAL = {"endpoint_refused", "endpoint_unknown_model", "private_address"}
DRAIN = 10.0
"""Seconds that answers under way are waited for when a run is to stop: they are paid for."""
Pairs = list[dict[str, Any]]


def work(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    judge, pairs = spec["judge"], spec["pairs"]
    model = judge.get("model")
    if not model:
        raise UserError(Said(WORDS, "no_model_to_ask", name=judge["name"]), code="not_a_judge")
    sampling = sampling_of({}, {"temperature": 0.0, **judge.get("sampling", {})})
    with Journal(rundir.path / "verdicts.jsonl") as journal:
        tally = Tally(rundir, journal, len(pairs))
        left = [pair for pair in pairs if pair["pair"] not in tally.seen]
        if left:
            ask = _ask_endpoint if model["family"] in ASKED else _ask_local
            ask(spec, sampling, left, tally, stop)
        if not stop:
            tally.finish()


def _ask_local(
    spec: dict[str, Any], sampling: dict[str, Any], pairs: Pairs, tally: Tally, stop: Stop
) -> None:
    # imported here, for torch is slow to import and an endpoint needs none of it
    from steelyard.inference.judging.local import LocalJudge
    from steelyard.inference.judging.remembering import Remembered

    judge = spec["judge"]
    tally.say(Said(WORDS, "loading", name=judge["model"]["name"]))
    writer: Any = load_writer(judge["model"], stop=lambda: bool(stop))
    with closing(ledger_of(spec, str(judge.get("id", "")), spec.get("run", ""))) as ledger:
        known = Remembered(ledger, writer, sampling)
        asked = LocalJudge(writer, judge, sampling, Pictures(tally.rundir.media), known)
        _in_batches(asked, pairs, tally)


def _in_batches(asked: LocalJudge, pairs: Pairs, tally: Tally) -> None:
    from steelyard.inference.interrupted import Interrupted

    known, start, size = tally.total - len(pairs), 0, 1
    while start < len(pairs):
        some = pairs[start : start + size]
        tally.say(_at_work(known + start, len(some), tally.total))
        try:
            lines = turns.verdicts(asked.verdicts, some)
        except Interrupted:
            return
        for line in lines:
            tally.add(line)
        # the first verdict is seen soon, and so how long the others will take
        start, size = start + size, min(2 * size, asked.batch)
    tally.say("")


def _at_work(start: int, some: int, pairs: int) -> str:
    code = "judging_pair" if some == 1 else "judging_pairs"
    return Said(WORDS, code, first=start + 1, last=start + some, of=pairs)


def _ask_endpoint(
    spec: dict[str, Any], sampling: dict[str, Any], pairs: Pairs, tally: Tally, stop: Stop
) -> None:
    judge = spec["judge"]
    pictures = Pictures(tally.rundir.media)
    ask_endpoint(
        spec, pairs, tally, stop, lambda caller: EndpointJudge(caller, judge, sampling, pictures)
    )


def ask_endpoint(
    spec: dict[str, Any],
    pairs: Pairs,
    tally: Tally,
    stop: Stop,
    make: Callable[[Any], EndpointJudge | EndpointExplainer],
) -> None:
    """
    Args:
        make: who asks, of the caller.
    """
    judge = spec["judge"]
    with (
        closing(ledger_of(spec, str(judge.get("id", "")), spec.get("run", ""))) as ledger,
        closing(caller_of(spec, ledger, stop)) as caller,
    ):
        asked = make(caller)
        try:
            _all(asked, pairs, tally, stop, judge.get("limits", {}).get("at_once", CONCURRENCY))
        finally:
            usage = asdict(caller.used)
            write_atomically(tally.rundir.path / "usage.json", json.dumps(usage).encode())
            tally.used, tally.spent = usage, caller.ledger.spent()


def _all(
    asked: EndpointJudge | EndpointExplainer,
    pairs: Pairs,
    tally: Tally,
    stop: Stop,
    at_once: int,
) -> None:
    """The first pair alone shows whether anybody answers and how they like to be asked; then
    several at a time."""
    tally.say(Said(WORDS, "asking", name=asked.judge["model"]["name"]))
    try:
        first = partial(asked.verdict, attempts=FIRST_ATTEMPTS)
        tally.add(turns.verdict(first, pairs[0]))
    except CapReached as cap:
        tally.capped(cap)
        return
    except UserError as error:
        if stop:
            return
        if error.code != "endpoint_rejected":
            raise
        tally.failed(pairs[0], error)
    tally.say("")
    pool = ThreadPoolExecutor(at_once)
    try:
        for pair, answer in _as_they_come(pool, asked, pairs[1:], at_once, tally, stop):
            try:
                tally.add(answer.result())
            except CapReached as cap:
                tally.capped(cap)
            except UserError as error:
                if stop:
                    continue
                if error.code in FATAL:
                    raise
                tally.failed(pair, error)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _as_they_come(
    pool: ThreadPoolExecutor,
    asked: EndpointJudge | EndpointExplainer,
    pairs: Pairs,
    at_once: int,
    tally: Tally,
    stop: Stop,
) -> Iterator[tuple[Mapping[str, Any], Future[dict[str, Any]]]]:
    """Answers as they are ready, with few questions under way at any time: a slow one holds up
    nobody. When the run is to stop, those under way are waited for a while."""
    under_way: dict[Future[dict[str, Any]], Mapping[str, Any]] = {}
    left = iter(pairs)
    pair = next(left, None)
    while pair is not None or under_way:
        while pair is not None and len(under_way) <= at_once and not (stop or tally.is_capped):
            under_way[pool.submit(turns.verdict, asked.verdict, pair)] = pair
            pair = next(left, None)
        if stop or tally.is_capped:
            pair = None
        ready, _ = wait(under_way, timeout=DRAIN if stop else None, return_when=FIRST_COMPLETED)
        if stop and not ready:
            return
        for one in ready:
            yield under_way.pop(one), one


if __name__ == "__main__":
    engine.run(work)
