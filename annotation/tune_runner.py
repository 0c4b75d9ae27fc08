"""What tuning a judge means: the engine is told what people said and why, and the criteria that it
finds are the judge's next version, with its agreement on pairs that the search never saw."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation import judge_runs
from annotation.engine.words import WORDS
from annotation.judge_runs import judge_of, told_of
from annotation.models import Annotator, Judgment, Pair
from annotation.runner import asked_of
from annotation.services.judging import new_judge_version
from annotation.services.tuned import made_by
from annotation.spending import store_spending
from annotation.titles import TITLES
from steelyard.registry.models import ModelVersion
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run

engine = "annotation.engine.tuning"
words = {**WORDS, **TITLES}


def prepare(run: Run) -> dict[str, Any]:
    reflection = _reflection(run)
    return {
        "kind": "tune_judge",
        **told_of(run, judge_of(run)),
        "reflection": reflection.as_spec(),
        "pairs": _pairs(run),
        "budget": run.spec["budget"],
        "seed": run.spec["seed"],
    }


def _pairs(run: Run) -> list[dict[str, Any]]:
    """Each with its part, what most people say, and everybody's votes and reasons without names."""
    parts = run.spec["parts"]
    wanted = [pk for some in parts.values() for pk, _ in some]
    pairs = Pair.objects.filter(project=run.project).with_content().in_bulk(wanted)
    people = Judgment.objects.decisive().by_people().unaided()
    rows = people.standing(run.project).filter(pair__in=wanted)
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    reasons: dict[int, list[dict[str, str]]] = defaultdict(list)
    for pair, outcome, why, tags in rows.order_by("pk").values_list(
        "pair", "outcome", "rationale", "tags"
    ):
        votes[pair][outcome] += 1
        if text := "; ".join([*filter(None, [why.strip()]), *map(str, tags)]):
            reasons[pair].append({"outcome": outcome, "text": text})
    return [
        {
            **asked_of(run, pairs[pk]),
            "prompt": pairs[pk].prompt.key,
            "part": part,
            "majority": side,
            "votes": {side: 0, **votes[pk]},
            "reasons": reasons[pk],
        }
        for part, some in parts.items()
        for pk, side in some
        if pk in pairs
    ]


def environment(run: Run) -> dict[str, str]:
    """The endpoints' keys go to the engine this way."""
    return {**judge_runs.environment(run), **_reflection(run).secrets()}


def gpus(run: Run) -> int:
    model = judge_of(run).model
    return gpus_for([*_reflection(run).families, *(model.families if model else [])])


@transaction.atomic
def finish(run: Run, result: dict[str, Any]) -> None:
    """The next version, where a better text was found; once, however often this is called."""
    store_spending(run)
    judge = Annotator.objects.select_for_update().get(pk=run.spec["judge"])
    if not result["changed"] or made_by(run) is not None:
        return
    found = result["tuning"]
    n = found["pairs"]["train"] + found["pairs"]["validation"]
    writer = _reflection(run).name
    made = new_judge_version(
        judge=judge,
        criteria=result["criteria"],
        note=f"tuned on {n} pairs that people judged, by {writer}"[:300],
    )
    checks = {
        **found,
        "run": run.pk,
        "of": judge.pk,
        "seed": run.spec["seed"],
        "budget": run.spec["budget"],
        "reflection": writer,
        "at": timezone.now().isoformat(),
    }
    # not by save: a judge is fixed, and what was measured of it is no part of it
    Annotator.objects.filter(pk=made.pk).update(checks={"tuning": checks})


def abandoned(run: Run) -> None:
    """What a failed or cancelled run has cost."""
    if run.dir.path.exists():
        store_spending(run)


def _reflection(run: Run) -> ModelVersion:
    return ModelVersion.objects.get(pk=run.spec["reflection"])
