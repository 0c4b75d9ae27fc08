"""Tuning a judge by people's reasons: ``python -m annotation.engine.tuning RUN_DIR``.

Reads ``run.json`` (a judge, pairs with what people said and why, each for training, validation or
test, a model that writes, a budget), lets GEPA look for better criteria by the first two parts, and
judges the test pairs once, by the criteria at the start and by the best. Writes ``asked.jsonl`` (a
line a text and pair), ``written.jsonl`` (what the model wrote) and ``candidates.jsonl`` (texts with
their validation).

GEPA draws by its seed alone. A run that goes on starts its search anew and takes from the first two
files what it has been told before, so that it comes to where it was without asking anybody.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import gepa
from gepa.core.adapter import EvaluationBatch, GEPAAdapter

from annotation.engine.askers import (
    Asker,
    FarJudge,
    HereJudge,
    Pair,
    is_far,
    keep_used,
    used_in,
)
from annotation.engine.paired import compared
from annotation.engine.reflecting import TEMPLATE, Far, Here, Remembered
from annotation.engine.tally import PROGRESS
from annotation.engine.words import WORDS as SAYS
from steelyard.inference.interrupted import Interrupted
from steelyard.inference.judging.judge import shorten
from steelyard.inference.judging.ledger import Sum
from steelyard.inference.judging.limits import CapReached, in_words
from steelyard.inference.loading import load_writer
from steelyard.lib import engine
from steelyard.lib.engine import Stop
from steelyard.lib.hashing import digest_of
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

REFLECT_ON = 4
"""Pairs that the model is shown at a time."""
LONGEST = 10_000
"""Characters of criteria; longer ones are none."""
_SHOWN = 1200
"""Characters of a text that the model is shown."""
_REASONS = 6
_WORDS = {"a": "answer a is better", "b": "answer b is better", "tie": "they are equally good"}
_WORDS["both_bad"] = "both are bad"


def agreement(pair: Pair, line: Mapping[str, Any]) -> float:
    """The share of the orders in which the judge says what most people say: a verdict that changes
    with the order counts half, one that cannot be read not at all."""
    said = [order.get("outcome") for order in line["orders"]]
    return sum(one == pair["majority"] for one in said) / len(said) if said else 0.0


class Adapter(GEPAAdapter[Pair, tuple[Pair, dict[str, Any]], dict[str, Any]]):
    """What GEPA asks of a judge: how good criteria are, and what was said where."""

    def __init__(
        self, judge: Mapping[str, Any], asker: Asker, journal: Journal, rundir: RunDir, total: int
    ) -> None:
        self.judge, self.asker, self.journal = judge, asker, journal
        self.rundir, self.total, self.done = rundir, total, 0
        self._known = {(line["text"], line["pair"]): line for line in journal.lines()}
        self._told = 0.0
        self.trouble: Exception | None = None

    def evaluate(
        self, batch: list[Pair], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[tuple[Pair, dict[str, Any]], dict[str, Any]]:
        try:
            lines = self.verdicts(candidate["criteria"], batch)
        except Exception as error:
            self.trouble = error
            raise
        scores = [agreement(pair, line) for pair, line in zip(batch, lines, strict=True)]
        traces = list(zip(batch, lines, strict=True))
        return EvaluationBatch(lines, scores, traces if capture_traces else None)

    def make_reflective_dataset(
        self,
        candidate: dict[str, str],
        eval_batch: EvaluationBatch[tuple[Pair, dict[str, Any]], dict[str, Any]],
        components_to_update: list[str],
    ) -> dict[str, list[dict[str, Any]]]:
        shown = [example(pair, line) for pair, line in eval_batch.trajectories or []]
        return dict.fromkeys(components_to_update, shown)

    def verdicts(self, criteria: str, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        """One a pair, in order; nobody is asked what was answered before."""
        criteria = criteria.strip()
        if not criteria or len(criteria) > LONGEST:
            self._tell(len(pairs))
            return [
                {"pair": pair["pair"], "orders": [], "invalid": "no criteria"} for pair in pairs
            ]
        text = digest_of(criteria)
        left = [pair for pair in pairs if (text, pair["pair"]) not in self._known]
        self._tell(len(pairs) - len(left))
        for line in self.asker.verdicts({**self.judge, "criteria": criteria}, left):
            kept = {
                "text": text,
                "pair": line["pair"],
                "rationale": shorten(line.get("rationale", ""), _SHOWN),
                "orders": [
                    {"swapped": one["swapped"], "outcome": one["outcome"]} for one in line["orders"]
                ],
                **({"invalid": line["invalid"]} if line.get("invalid") else {}),
            }
            self.journal.add(kept)
            self._known[text, line["pair"]] = kept
            self._tell(1)
        return [self._known[text, pair["pair"]] for pair in pairs]

    def _tell(self, more: int) -> None:
        self.done += more
        if time.monotonic() - self._told >= PROGRESS:
            self._told = time.monotonic()
            self.rundir.progress(min(self.done, self.total), self.total, "pairs")


def example(pair: Pair, line: Mapping[str, Any]) -> dict[str, Any]:
    """A pair as the model that writes is shown it."""
    said = [
        f"Shown {'b' if one['swapped'] else 'a'} first: "
        f"{_WORDS.get(one['outcome'] or '', 'nothing that could be read')}."
        for one in line["orders"]
    ]
    votes = pair["votes"]
    people = f"Of {sum(votes.values())} people, {votes[pair['majority']]} say that "
    share = agreement(pair, line)
    judged = "agrees" if share == 1 else "disagrees" if share == 0 else "changes with the order"
    reasons = [
        f"- ({_WORDS[one['outcome']]}) {shorten(one['text'], _SHOWN // 2)}"
        for one in pair["reasons"][:_REASONS]
    ]
    why = "Their reasons:\n" + "\n".join(reasons) if reasons else "They gave no reasons."
    return {
        "Request": shorten("\n\n".join(m["content"] for m in pair["messages"]), _SHOWN),
        "Answer a": shorten(pair["a"], _SHOWN),
        "Answer b": shorten(pair["b"], _SHOWN),
        "The judge": "\n".join([*said, line.get("rationale", "")]),
        "People": f"{people}{_WORDS[pair['majority']]}; the judge {judged}. {why}",
    }


class Told:
    """GEPA's news, as a run tells them: once, also where it goes on."""

    def __init__(self, rundir: RunDir, journal: Journal) -> None:
        self.rundir, self.journal = rundir, journal
        self._known = {line["number"]: line["validation"] for line in journal.lines()}

    def on_valset_evaluated(self, event: Mapping[str, Any]) -> None:
        number, score = int(event["candidate_idx"]), round(float(event["average_score"]), 6)
        if number in self._known:
            return
        self._known[number] = score
        parent = next((one for one in event["parent_ids"] if one is not None), None)
        text = event["candidate"]["criteria"].strip()
        self.journal.add(
            {"number": number, "parent": parent, "validation": score, "criteria": text}
        )
        best = max(self._known.values())
        self.rundir.metric(number, validation_agreement=score, best_validation_agreement=best)
        code = "at_start" if parent is None else "text"
        self.rundir.event(Said(SAYS, code, number=number, share=f"{100 * score:.1f}"))


class Silent:
    def log(self, message: str) -> None:
        """What GEPA says to its developers goes nowhere."""


class Enough:
    """Whether a step might take more verdicts than are left: a text is tried on a few pairs beside
    the one before, and then on the validation pairs."""

    def __init__(self, budget: int, validation: int) -> None:
        self.most = budget - validation - 2 * REFLECT_ON

    def __call__(self, gepa_state: Any) -> bool:
        return gepa_state.total_num_evals > self.most


def work(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    pairs = [{**pair, "swaps": [False, True]} for pair in spec["pairs"]]
    parts: dict[str, list[Pair]] = {
        name: [pair for pair in pairs if pair["part"] == name] for name in ("train", "validation")
    }
    test = [pair for pair in pairs if pair["part"] == "test"]
    total = spec["budget"] + 2 * len(test)
    rundir.progress(0, total, "pairs", Said(SAYS, "getting_ready"))
    try:
        with ExitStack() as opened:
            asker, reflector = _openers(spec, rundir, stop, opened)
            journals = [
                opened.enter_context(Journal(rundir.path / f"{name}.jsonl"))
                for name in ("asked", "written", "candidates")
            ]
            adapter = Adapter(spec["judge"], asker, journals[0], rundir, total)
            written = Remembered(reflector, journals[1])
            found = _search(spec, parts, adapter, written, Told(rundir, journals[2]), stop)
            if stop:
                return
            rundir.progress(adapter.done, total, "pairs", Said(SAYS, "judging_test"))
            before = spec["judge"]["criteria"].strip()
            best = found.candidates[found.best_idx]["criteria"].strip()
            lines = {text: adapter.verdicts(text, test) for text in dict.fromkeys([before, best])}
    except Interrupted:
        return
    except CapReached as cap:
        _capped(rundir, spec, cap, asker.spent)
        return
    shares = {
        text: [agreement(pair, line) for pair, line in zip(test, some, strict=True)]
        for text, some in lines.items()
    }
    figures = compared(shares[before], shares[best], [pair["prompt"] for pair in test])
    usage = used_in(rundir)
    rundir.progress(total, total, "pairs")
    rates = {name: f"{100 * figures[name]['rate']:.1f}" for name in ("before", "after")}
    rundir.event(Said(SAYS, "tested", pairs=len(test), **rates))
    rundir.finish(
        status="succeeded",
        criteria=best,
        changed=best != before,
        tuning={
            **figures,
            "texts": len(found.candidates),
            "best": found.best_idx if best != before else 0,
            "validation_before": round(found.val_aggregate_scores[0], 6),
            "validation_after": round(found.val_aggregate_scores[found.best_idx], 6),
            "search_verdicts": found.total_metric_calls,
            "pairs": {**{name: len(some) for name, some in parts.items()}, "test": len(test)},
        },
        **({"usage": usage} if usage else {}),
    )


def _capped(rundir: RunDir, spec: Mapping[str, Any], cap: CapReached, spent: Sum | None) -> None:
    """No text was tested, so none becomes a version; what was answered is paid for and known."""
    warning = Said(SAYS, "search_left", cap=cap.cap, spent=in_words(spent or cap.spent))
    rundir.event(warning, "warning")
    usage = used_in(rundir)
    rundir.finish(
        status="succeeded",
        criteria=spec["judge"]["criteria"].strip(),
        changed=False,
        capped=True,
        warning=warning,
        **({"usage": usage} if usage else {}),
    )


def _search(
    spec: Mapping[str, Any],
    parts: Mapping[str, list[Pair]],
    adapter: Adapter,
    written: Remembered,
    told: Told,
    stop: Stop,
) -> gepa.GEPAResult[Any, Any]:
    """
    Raises:
        UserError: the judge or the model that writes cannot be asked.
        Interrupted: it is to stop.
    """

    def trouble() -> Exception | None:
        return adapter.trouble or written.trouble

    try:
        found: gepa.GEPAResult[Any, Any] = gepa.optimize(
            seed_candidate={"criteria": spec["judge"]["criteria"].strip()},
            trainset=parts["train"],
            valset=parts["validation"],
            adapter=adapter,
            reflection_lm=written,
            reflection_prompt_template=TEMPLATE,
            reflection_minibatch_size=min(REFLECT_ON, len(parts["train"])),
            stop_callbacks=[
                Enough(spec["budget"], len(parts["validation"])),
                lambda gepa_state: bool(stop) or trouble() is not None,
            ],
            callbacks=[told],  # type: ignore[list-item]
            logger=Silent(),
            track_best_outputs=False,
            seed=spec["seed"],
        )
    except Exception:
        # GEPA may have met another by it
        if (met := trouble()) is None:
            raise
        raise met from None
    if (met := trouble()) is not None:
        raise met
    return found


def _openers(
    spec: dict[str, Any], rundir: RunDir, stop: Stop, opened: ExitStack
) -> tuple[Asker, Far | Here]:
    """The judge and the model that writes; one and the same is loaded once."""
    model, reflection = spec["judge"]["model"], spec["reflection"]
    writers: dict[str, Any] = {}

    def writer(of: Mapping[str, Any]) -> Any:
        key = digest_of([of["family"], of["source"], of.get("adapters", [])])
        if key not in writers:
            rundir.event(Said(SAYS, "loading", name=of["name"]))
            writers[key] = load_writer(of, stop=lambda: bool(stop))
        return writers[key]

    asker: Asker
    if is_far(spec["judge"]):
        asker = FarJudge(spec, rundir, stop, opened)
    else:
        asker = HereJudge(spec, rundir, writer(model), opened)
    if reflection["family"] == "endpoint":
        far = opened.enter_context(closing(Far(spec, stop)))
        opened.callback(keep_used, rundir, "reflection", far.caller)
        return asker, far
    return asker, Here(spec, writer(reflection))


if __name__ == "__main__":
    engine.run(work)
