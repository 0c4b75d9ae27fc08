"""What a run means in which a judge says why people's verdicts are right."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from annotation.engine.words import WORDS
from annotation.models import Annotator, MachineRationale, Pair
from annotation.runner import asked_of, judge_spec
from annotation.spending import store_spending
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import write_atomically
from steelyard.projects.policy import ADMINS, role_in
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run

engine = "annotation.engine.explaining"
words = WORDS
_SEEN = "collected.json"


def prepare(run: Run) -> dict[str, Any]:
    judge = _judge(run)
    asked = run.spec["pairs"]
    pairs = Pair.objects.filter(project=run.project).with_content().in_bulk(pk for pk, _ in asked)
    kept = settings.DATA_DIR / "cache" / "judging"
    return {
        "kind": "explain",
        "judge": judge_spec(judge),
        "style": run.spec["style"],
        "pairs": [
            {**asked_of(run, pairs[pk]), "outcome": outcome} for pk, outcome in asked if pk in pairs
        ],
        "run": str(run.uuid),
        "calls": str(kept / f"{run.project_id}.sqlite"),
        "pace": str(kept / "pace.sqlite"),
        "spent": judge.spent,
    }


def environment(run: Run) -> dict[str, str]:
    """An endpoint's key goes to the engine this way: run.json stays readable to others."""
    model = _judge(run).model
    return model.secrets() if model else {}


def gpus(run: Run) -> int:
    model = _judge(run).model
    return gpus_for([model.family] if model else [])


def check_retry(run: Run, by: User) -> None:
    """It costs calls again, as when it was started.

    Raises:
        UserError: whoever asks is no admin of the project.
    """
    if role_in(by, run.project) not in ADMINS:
        raise UserError(
            _("Only an admin of the project may have reasons written: it costs calls."),
            code="admins_only",
            status=403,
        )


def collect(run: Run) -> None:
    """Take in the reasons written since the last look; one that is there already stays."""
    place = run.dir.path / _SEEN
    seen = json.loads(place.read_text())["reasons"] if place.exists() else 0
    while True:
        lines, offset = run.dir.read_lines("reasons.jsonl", seen)
        if offset == seen:
            break
        _store(run, lines)
        write_atomically(place, json.dumps({"reasons": offset}).encode())
        seen = offset


def finish(run: Run, result: dict[str, Any]) -> None:
    collect(run)
    store_spending(run)


def abandoned(run: Run) -> None:
    """What a failed or cancelled run has written stays, and what it has cost."""
    if run.dir.path.exists():
        collect(run)
        store_spending(run)


@transaction.atomic
def _store(run: Run, lines: list[dict[str, Any]]) -> None:
    there = set(
        Pair.objects.filter(
            project=run.project, pk__in=[line["pair"] for line in lines]
        ).values_list("pk", flat=True)
    )
    MachineRationale.objects.bulk_create(
        (
            MachineRationale(
                project_id=run.project_id,
                pair_id=line["pair"],
                outcome=line["outcome"],
                judge_id=run.spec["judge"],
                style=run.spec["style"],
                text=line["text"],
                run=run,
            )
            for line in lines
            if line["pair"] in there and line.get("text")
        ),
        ignore_conflicts=True,
        batch_size=1000,
    )


def _judge(run: Run) -> Annotator:
    return Annotator.objects.select_related("model").get(pk=run.spec["judge"])
