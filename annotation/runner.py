"""What a judging run means: which pairs the judge is shown, and what its verdicts become."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid5

from django.db import transaction

from annotation.models import Annotator, Judgment, Outcome, Pair
from steelyard.lib.rundir import write_atomically
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run

engine = "annotation.engine"
_STEP = {Outcome.A: -1, Outcome.B: 1}
_SEEN = "collected.json"


def prepare(run: Run) -> dict[str, Any]:
    judge = _judge(run)
    pairs = Pair.objects.filter(project=run.project).with_content().in_bulk(run.spec["pairs"])
    return {
        "kind": "judge",
        "judge": {
            "name": judge.name,
            "model": judge.model.as_spec() if judge.model else None,
            "criteria": judge.criteria,
            "template_version": judge.template_version,
            "sampling": judge.sampling,
        },
        "pairs": [
            {
                "pair": pk,
                "messages": pairs[pk].prompt.messages,
                "a": pairs[pk].output_a.text,
                "b": pairs[pk].output_b.text,
            }
            for pk in run.spec["pairs"]
            if pk in pairs
        ],
    }


def environment(run: Run) -> dict[str, str]:
    """An endpoint's key goes to the engine this way: run.json stays readable to others."""
    model = _judge(run).model
    return model.secrets() if model else {}


def gpus(run: Run) -> int:
    model = _judge(run).model
    return gpus_for([model.family] if model else [])


def collect(run: Run) -> None:
    """Take in the verdicts written since the last look.

    How far that is, is kept in the run directory after the rows are committed; a crash between the
    two takes a few lines in again, and each verdict's UUID is made of run and pair.
    """
    place = run.dir.path / _SEEN
    seen = json.loads(place.read_text())["verdicts"] if place.exists() else 0
    while True:
        lines, offset = run.dir.read_lines("verdicts.jsonl", seen)
        if offset == seen:
            return
        _store(run, lines)
        write_atomically(place, json.dumps({"verdicts": offset}).encode())
        seen = offset


def finish(run: Run, result: dict[str, Any]) -> None:
    collect(run)


def abandoned(run: Run) -> None:
    """What a failed or cancelled run has found out stays."""
    if run.dir.path.exists():
        collect(run)


def _judge(run: Run) -> Annotator:
    return Annotator.objects.select_related("model").get(pk=run.spec["judge"])


@transaction.atomic
def _store(run: Run, lines: list[dict[str, Any]]) -> None:
    """Judgments do not count in ``Pair.judged``: judges take no place of a person's."""
    judge = _judge(run)
    pairs = Pair.objects.filter(project=run.project).in_bulk([line["pair"] for line in lines])
    judgments = [
        _judgment(run, judge, pairs[line["pair"]], line) for line in lines if line["pair"] in pairs
    ]
    # a verdict taken in before, or by another run of the same judge, is left as it is
    Judgment.objects.bulk_create(judgments, ignore_conflicts=True, batch_size=1000)


def _judgment(run: Run, judge: Annotator, pair: Pair, line: dict[str, Any]) -> Judgment:
    """An answer that cannot be read as a verdict is kept as a skip, with what was answered."""
    outcome = Outcome.SKIP if line.get("invalid") else Outcome(line["outcome"])
    details = {"orders": line.get("orders", [])}
    if line.get("invalid"):
        details["invalid"] = line["invalid"]
    return Judgment(
        uuid=uuid5(run.uuid, str(pair.pk)),
        project=run.project,
        pair=pair,
        annotator=judge,
        outcome=outcome,
        strength=line.get("strength") or _STEP.get(outcome, 0) if outcome in _STEP else 0,
        rationale=line.get("rationale", ""),
        swapped=False,
        run=run,
        details=details,
    )
