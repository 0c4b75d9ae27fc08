"""A judge of whatever kind is asked about pairs, without a queue or a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from steelyard.inference.interrupted import Interrupted
from steelyard.inference.judging.calls import Caller
from steelyard.inference.judging.judge import WORTH, EndpointJudge
from steelyard.inference.judging.ledger import Ledger
from steelyard.inference.judging.looking import Pictures
from steelyard.inference.loading import CONCURRENCY, load_writer, open_endpoint, sampling_of
from steelyard.inference.pipelines.calling import LOCAL, Pipeline, PipelineCaller, Shared
from steelyard.inference.saying import WORDS
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.journal import Journal
from steelyard.lib.said import Said


def judged(
    journal: Journal,
    judge: Mapping[str, Any],
    pairs: Sequence[Mapping[str, Any]],
    stop: Stop,
    tell: Callable[[int], None] | None = None,
    *,
    media: Path | None = None,
) -> list[dict[str, Any]]:
    """Each pair with a verdict in the journal, which a later start goes on with. Equal answers are
    a tie that nobody is asked about.

    Args:
        judge: ``model`` (a spec), ``criteria``, ``template_version``, ``sampling``.
        pairs: ``pair`` (a number), ``messages``, ``a`` and ``b``, and what else is to be kept; in
            ``media`` names of the files that the prompt is about.
        tell: told now and then how many have a verdict.
        media: the folder of those files.

    Raises:
        UserError: the judge cannot be asked.
        Interrupted: it is to stop.
    """
    known = {line["pair"] for line in journal.lines()}
    left = [pair for pair in pairs if pair["pair"] not in known]
    for pair in (pair for pair in left if pair["a"] == pair["b"]):
        journal.add({**pair, "outcome": "tie", "rationale": "Both answers are the same."})
    by_number = {pair["pair"]: pair for pair in left if pair["a"] != pair["b"]}
    if by_number:
        ask = _here if judge["model"]["family"] in LOCAL else _by_endpoint
        done = len(pairs) - len(by_number)
        for line in ask(judge, list(by_number.values()), stop, Pictures(media)):
            journal.add({**by_number[line["pair"]], **line})
            done += 1
            if tell is not None:
                tell(done)
    return list(journal.lines())


def worths(verdicts: Sequence[Mapping[str, Any]]) -> list[float]:
    """1 where a was found better, 0 where b was, one half between; what could not be read is left
    out.

    Raises:
        UserError: nothing could be read.
    """
    worth = [WORTH[line["outcome"]] for line in verdicts if line.get("outcome")]
    if not worth:
        why = next((line["invalid"] for line in verdicts if line.get("invalid")), "")
        raise UserError(
            Said(WORDS, "no_win_rate", why=why),
            code="no_verdicts",
        )
    return worth


def _here(
    judge: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]], stop: Stop, pictures: Pictures
) -> Iterator[dict[str, Any]]:
    # torch is slow to import, and a judge that is an endpoint needs none of it
    from steelyard.inference.judging.local import LocalJudge

    writer: Any = load_writer(judge["model"], stop=lambda: bool(stop))
    asked = LocalJudge(writer, judge, _sampling(judge), pictures)
    for start in range(0, len(pairs), asked.batch):
        yield from asked.verdicts(pairs[start : start + asked.batch])


def _by_endpoint(
    judge: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]], stop: Stop, pictures: Pictures
) -> Iterator[dict[str, Any]]:
    caller = _caller(judge, stop)
    asked = EndpointJudge(caller, judge, _sampling(judge), pictures)
    try:
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            yield from pool.map(asked.verdict, pairs)
    except UserError as error:
        if stop:
            raise Interrupted from error
        raise
    finally:
        caller.close()


def _caller(judge: Mapping[str, Any], stop: Stop) -> Caller | PipelineCaller:
    limits = judge.get("limits", {})
    if judge["model"]["family"] == "pipeline":
        shared = Shared(limits=limits)
        return PipelineCaller(Pipeline(judge["model"], shared, lambda: bool(stop)))
    return Caller(
        open_endpoint(judge["model"]),
        limits=limits,
        ledger=Ledger(None),
        plain=judge["template_version"] == 1 and not judge.get("template"),
        stop=lambda: bool(stop),
    )


def _sampling(judge: Mapping[str, Any]) -> dict[str, Any]:
    return sampling_of({}, {"temperature": 0.0, **judge.get("sampling", {})})
