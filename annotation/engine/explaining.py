"""Why people's verdicts are right: ``python -m annotation.engine.explaining RUN_DIR``.

Reads ``run.json`` (a judge, a style, pairs with the outcome that people gave), writes
``reasons.jsonl``, a line a pair and outcome, as they come, and ``usage.json``. Started again it
goes on with what has no line; answers that had come are known from the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from annotation.engine.__main__ import Pairs, ask_endpoint
from annotation.engine.tally import Tally
from annotation.engine.words import WORDS
from steelyard.inference.judging.explaining import EndpointExplainer, line_of, question, swapped_of
from steelyard.inference.judging.looking import Pictures
from steelyard.inference.loading import load_writer, sampling_of
from steelyard.lib import engine
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said


class Written(Tally):
    """Counts reasons; a pair has one for each outcome that people gave."""

    what = "reason"

    def _count(self, line: Mapping[str, Any]) -> None:
        self.seen.add((line["pair"], line["outcome"]))
        self.counts["invalid" if line.get("invalid") else "judged"] += 1

    def _in_words(self) -> str:
        return Said(WORDS, "explained", **self.counts)


def work(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    judge, pairs, style = spec["judge"], spec["pairs"], spec["style"]
    model = judge.get("model")
    if not model:
        raise UserError(Said(WORDS, "no_model_to_ask", name=judge["name"]), code="not_a_judge")
    sampling = sampling_of({}, {"temperature": 0.0, **judge.get("sampling", {})})
    with Journal(rundir.path / "reasons.jsonl") as journal:
        tally = Written(rundir, journal, len(pairs))
        left = [pair for pair in pairs if (pair["pair"], pair["outcome"]) not in tally.seen]
        if left and model["family"] == "endpoint":
            ask_endpoint(
                spec,
                left,
                tally,
                stop,
                lambda caller: EndpointExplainer(
                    caller, judge, sampling, Pictures(rundir.media), style
                ),
            )
        elif left:
            _ask_local(spec, sampling, left, tally, stop)
        if not stop:
            tally.finish()


def _ask_local(
    spec: dict[str, Any], sampling: dict[str, Any], pairs: Pairs, tally: Tally, stop: Stop
) -> None:
    # imported here, for torch is slow to import and an endpoint needs none of it
    from steelyard.inference.interrupted import Interrupted
    from steelyard.inference.judging.reading import PlainReader, SeeingReader
    from steelyard.inference.loading import SeeingWriter

    judge = spec["judge"]
    tally.say(Said(WORDS, "loading", name=judge["model"]["name"]))
    writer: Any = load_writer(judge["model"], stop=lambda: bool(stop))
    pictures = Pictures(tally.rundir.media)
    reader: Any = SeeingReader(writer) if isinstance(writer, SeeingWriter) else PlainReader(writer)
    start, size = 0, 1
    while start < len(pairs):
        some = pairs[start : start + size]
        tally.say(Said(WORDS, "explaining", n=len(some)))
        asked = []
        for pair in some:
            try:
                asked.append((pair, _question(pair, spec, sampling, reader, pictures)))
            except UserError as error:
                tally.add({"pair": pair["pair"], "outcome": pair["outcome"], "invalid": str(error)})
        started = time.monotonic()
        try:
            made = reader.write([one for _, one in asked], sampling) if asked else []
        except Interrupted:
            return
        each = round((time.monotonic() - started) / max(1, len(asked)), 4)
        for (pair, one), written in zip(asked, made, strict=True):
            usage = {
                "tokens_in": reader.length(one),
                "tokens_out": len(written.tokens),
                "cost": 0.0,
                "seconds": each,
            }
            tally.add(line_of(pair, judge, written.text, usage))
        # the first is seen soon, and so how long the others will take
        start, size = start + size, min(2 * size, writer.batch_size)
    tally.say("")


def _question(
    pair: Mapping[str, Any],
    spec: Mapping[str, Any],
    sampling: Mapping[str, Any],
    reader: Any,
    pictures: Pictures,
) -> Any:
    from steelyard.inference.judging.reading import Question

    judge, style = spec["judge"], spec["style"]
    swapped = swapped_of(judge, pair)
    shown = pictures.of(pair, swapped, judge)
    messages = shown.told(question(pair, judge, style))
    seen = [one for _, some in shown.pictures() for one in some] if shown else []
    reader.check(messages, seen, sampling["max_new_tokens"], pair["messages"])
    seed = stable_int("why", style, pair["pair"], pair["outcome"])
    return Question(pair["pair"], swapped, messages, seen, seed)


if __name__ == "__main__":
    engine.run(work)
