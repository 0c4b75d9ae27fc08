"""AI judging: ``python -m annotation.engine RUN_DIR``.

Reads ``run.json`` (a judge and pairs), writes ``verdicts.jsonl``, a line a pair, as they come.
Started again it goes on with the pairs that have no line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from annotation.engine.tally import Tally
from steelyard.inference.judging.judge import EndpointJudge
from steelyard.inference.loading import CONCURRENCY, LocalWriter, open_endpoint, sampling_of
from steelyard.lib import engine
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir

FIRST_ATTEMPTS = 3
"""A dead endpoint is told within seconds; later on, a hiccup is waited out."""
FATAL = {"endpoint_refused", "endpoint_unknown_model"}
Pairs = list[dict[str, Any]]


def work(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    judge, pairs = spec["judge"], spec["pairs"]
    model = judge.get("model")
    if not model:
        raise UserError(f"{judge['name']} has no model to ask.", code="not_a_judge")
    sampling = sampling_of({}, {"temperature": 0.0, **judge.get("sampling", {})})
    with Journal(rundir.path / "verdicts.jsonl") as journal:
        tally = Tally(rundir, journal, len(pairs))
        left = [pair for pair in pairs if pair["pair"] not in tally.seen]
        if left:
            ask = _ask_endpoint if model["family"] == "endpoint" else _ask_local
            ask(judge, sampling, left, tally, stop)
        if not stop:
            tally.finish()


def _ask_local(
    judge: dict[str, Any], sampling: dict[str, Any], pairs: Pairs, tally: Tally, stop: Stop
) -> None:
    # imported here, for torch is slow to import and an endpoint needs none of it
    from steelyard.inference.judging.local import LocalJudge
    from steelyard.inference.sampling import Interrupted

    tally.say(f"loading {judge['model']['name']}")
    asked = LocalJudge(LocalWriter(judge["model"], lambda: bool(stop)), judge, sampling)
    tally.say("")
    for start in range(0, len(pairs), asked.batch):
        try:
            lines = asked.verdicts(pairs[start : start + asked.batch])
        except Interrupted:
            return
        for line in lines:
            tally.add(line)


def _ask_endpoint(
    judge: dict[str, Any], sampling: dict[str, Any], pairs: Pairs, tally: Tally, stop: Stop
) -> None:
    """The first pair alone shows whether anybody answers; then several at a time."""
    asked = EndpointJudge(open_endpoint(judge["model"]), judge, sampling, stop=lambda: bool(stop))
    tally.say(f"asking {judge['model']['name']}")
    try:
        tally.add(asked.verdict(pairs[0], attempts=FIRST_ATTEMPTS))
    except UserError as error:
        if stop:
            return
        if error.code != "endpoint_rejected":
            raise
        tally.failed(pairs[0], error)
    tally.say("")
    pool = ThreadPoolExecutor(CONCURRENCY)
    try:
        for pair, answer in _in_turn(pool, asked, pairs[1:], stop):
            try:
                tally.add(answer.result())
            except UserError as error:
                if stop:
                    return
                if error.code in FATAL:
                    raise
                tally.failed(pair, error)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _in_turn(
    pool: ThreadPoolExecutor, asked: EndpointJudge, pairs: Pairs, stop: Stop
) -> Iterator[tuple[Mapping[str, Any], Future[dict[str, Any]]]]:
    """Answers in the order of the pairs, with few questions under way at any time."""
    under_way: deque[tuple[Mapping[str, Any], Future[dict[str, Any]]]] = deque()
    for pair in pairs:
        if stop:
            return
        under_way.append((pair, pool.submit(asked.verdict, pair)))
        if len(under_way) > CONCURRENCY:
            yield under_way.popleft()
    yield from under_way


if __name__ == "__main__":
    engine.run(work)
