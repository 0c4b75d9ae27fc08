"""What a run means in which a judge says why people's verdicts are right."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.engine.words import WORDS
from annotation.judge_runs import environment as environment
from annotation.judge_runs import gpus as gpus
from annotation.judge_runs import judge_of, take_in, told_of
from annotation.models import MachineRationale, Pair
from annotation.runner import asked_of
from annotation.spending import store_spending
from annotation.titles import TITLES
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.policy import ADMINS, role_in
from steelyard.runs.models import Run

engine = "annotation.engine.explaining"
words = {**WORDS, **TITLES}


def prepare(run: Run) -> dict[str, Any]:
    asked = run.spec["pairs"]
    pairs = Pair.objects.filter(project=run.project).with_content().in_bulk(pk for pk, _ in asked)
    return {
        "kind": "explain",
        **told_of(run, judge_of(run)),
        "style": run.spec["style"],
        "pairs": [
            {**asked_of(run, pairs[pk]), "outcome": outcome} for pk, outcome in asked if pk in pairs
        ],
    }


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
    """A reason that is there already stays."""
    take_in(run, "reasons", _store)


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
