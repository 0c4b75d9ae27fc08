"""What a judging run means: which pairs the judge is shown, and what its verdicts become."""

from __future__ import annotations

from typing import Any
from uuid import uuid5

from django.db import transaction

from annotation.engine.words import WORDS
from annotation.judge_runs import environment as environment
from annotation.judge_runs import gpus as gpus
from annotation.judge_runs import judge_of, take_in, told_of
from annotation.juries import recount_with
from annotation.models import Annotator, Judgment, Outcome, Output, Pair
from annotation.spending import store_spending
from annotation.titles import TITLES
from steelyard.assets.services import blob_path
from steelyard.lib.files import place_file
from steelyard.runs.models import Run

engine = "annotation.engine"
words = {**WORDS, **TITLES}
_STEP = {Outcome.A: -1, Outcome.B: 1}


def prepare(run: Run) -> dict[str, Any]:
    judge = judge_of(run)
    pairs = Pair.objects.filter(project=run.project).with_content().in_bulk(run.spec["pairs"])
    by_turns = {"by_turns": True} if run.spec.get("by_turns") else {}
    return {
        "kind": "judge",
        **told_of(run, judge),
        "pairs": [asked_of(run, pairs[pk]) | by_turns for pk in run.spec["pairs"] if pk in pairs],
    }


def asked_of(run: Run, pair: Pair) -> dict[str, Any]:
    """A pair as the judge is shown it; its files go into the run's folder, by their content."""
    asked: dict[str, Any] = {
        "pair": pair.pk,
        "messages": pair.prompt.messages,
        "a": _words(pair.output_a),
        "b": _words(pair.output_b),
    }
    files = {
        "media": list(pair.prompt.media),
        "a_media": [pair.output_a.asset.sha256] if pair.output_a.asset else [],
        "b_media": [pair.output_b.asset.sha256] if pair.output_b.asset else [],
    }
    for name, some in files.items():
        for sha256 in some:
            if blob_path(sha256).exists():
                place_file(blob_path(sha256), run.dir.media / sha256)
        if some:
            asked[name] = some
    return asked


def _words(output: Output) -> str:
    return output.text or ("(It is shown before this text.)" if output.asset else "")


def collect(run: Run) -> None:
    """Each verdict's UUID is made of run and pair, so none is taken in twice."""
    if take_in(run, "verdicts", _store):
        recount_with(run.spec["judge"])


def finish(run: Run, result: dict[str, Any]) -> None:
    collect(run)
    recount_with(run.spec["judge"])
    store_spending(run)


def abandoned(run: Run) -> None:
    """What a failed or cancelled run has found out stays, and what it has cost."""
    if run.dir.path.exists():
        collect(run)
        store_spending(run)


@transaction.atomic
def _store(run: Run, lines: list[dict[str, Any]]) -> None:
    """Judgments do not count in ``Pair.judged``: judges take no place of a person's."""
    judge = judge_of(run)
    pairs = Pair.objects.filter(project=run.project).in_bulk([line["pair"] for line in lines])
    judgments = [
        _judgment(run, judge, pairs[line["pair"]], line) for line in lines if line["pair"] in pairs
    ]
    # a verdict taken in before, or by another run of the same judge, is left as it is
    Judgment.objects.bulk_create(judgments, ignore_conflicts=True, batch_size=1000)


def _judgment(run: Run, judge: Annotator, pair: Pair, line: dict[str, Any]) -> Judgment:
    """An answer that cannot be read as a verdict is kept as a skip, with what was answered."""
    outcome = Outcome.SKIP if line.get("invalid") else Outcome(line["outcome"])
    orders = line.get("orders", [])
    details = {
        "orders": orders,
        **{name: line[name] for name in ("p_a", "invalid", "turns") if line.get(name) is not None},
    }
    return Judgment(
        uuid=uuid5(run.uuid, str(pair.pk)),
        project=run.project,
        pair=pair,
        annotator=judge,
        outcome=outcome,
        strength=line.get("strength") or _STEP.get(outcome, 0) if outcome in _STEP else 0,
        aspects=line.get("aspects", {}),
        rationale=line.get("rationale", ""),
        # shown in both orders it was shown as it stands too
        swapped=len(orders) == 1 and orders[0]["swapped"],
        run=run,
        details=details,
    )
