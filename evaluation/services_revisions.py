"""Whether revising helps: the answers that a training run has revised, and judges' win rates after
each revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from annotation.models import Annotator
from evaluation.revisions_runner import FILE
from evaluation.titles import TITLES
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.projects.models import Project
from steelyard.runs.models import Run
from steelyard.runs.services import start_run

KIND = "revisions"


@dataclass(frozen=True)
class Chain:
    """An answer to a prompt, and what it was revised to."""

    prompt: str
    messages: list[dict[str, str]]
    texts: list[str]
    """At place k the one that was revised k times."""


@dataclass(frozen=True)
class Told:
    """What one judge says of a training run's revisions, or will."""

    run: Run
    judge: str
    rates: list[dict[str, Any]]
    """For each revision ``revision``, ``invalid`` and, where verdicts could be read, ``rate``
    against the first answer, ``lo``, ``hi``, ``prompts``, ``wins``, ``ties``, ``losses``."""


def chains_of(run: Run) -> list[Chain]:
    """What a training run has revised; nothing of one that has not, or not yet."""
    lines, _offset = run.dir.read_lines(FILE, 0)
    found: dict[str, Chain] = {}
    for line in sorted(lines, key=lambda line: line["revision"]):
        chain = found.setdefault(line["prompt"], Chain(line["prompt"], line["messages"], []))
        chain.texts.append(line["text"])
    return list(found.values())


def judges_for(project: Project) -> QuerySet[Annotator]:
    """Those that say of two texts which is better, one by one: no scorers, no juries."""
    judges = Annotator.objects.filter(project=project, kind="judge", model__isnull=False, scorer={})
    return judges.order_by("name")


def told_of_run(run: Run) -> list[Told]:
    """What judges were asked of a training run's revisions, the newest first."""
    runs = Run.objects.filter(project=run.project_id, kind=KIND, spec__of=run.pk)
    runs = runs.select_related("project").order_by("-pk")
    names = dict(
        Annotator.objects.filter(pk__in=[one.spec["judge"] for one in runs]).values_list(
            "pk", "name"
        )
    )
    return [
        Told(one, names.get(one.spec["judge"], ""), (one.result or {}).get("revisions") or [])
        for one in runs
    ]


@transaction.atomic
def start_revisions(*, run: Run, judge: Annotator, by: User) -> Run:
    """Have a judge compare each revision of an answer with the answer before any.

    Args:
        run: a training run that has revised answers to test prompts, as those of srpo do.

    Raises:
        UserError: it has revised none, the judge cannot be asked, or is at work on them.
    """
    if not _has_revisions(chains_of(run)):
        raise UserError(
            _(
                "This run has revised no answers. Runs of srpo do at their end, where the version "
                "has prompts to test with and revisions is above 0."
            ),
            code="no_revisions",
            field="run",
        )
    if not judges_for(run.project).filter(pk=judge.pk).exists():
        raise UserError(
            _("%(judge)s has no model to ask.") % {"judge": judge.name},
            code="not_a_judge",
            field="judge",
        )
    # of two who ask at once the second finds what the first has started
    Project.objects.select_for_update(no_key=True).get(pk=run.project_id)
    asked = Run.objects.filter(
        project=run.project_id, kind=KIND, spec__of=run.pk, spec__judge=judge.pk
    )
    if asked.active().exists():
        raise UserError(
            _("%(judge)s is at work on it.") % {"judge": judge.name},
            code="judge_at_work",
            status=409,
            field="judge",
        )
    return start_run(
        project=run.project,
        kind=KIND,
        title=Said(
            TITLES, "title_revisions", judge=judge.name, model=run.title.removeprefix("Train ")
        ),
        spec={"of": run.pk, "judge": judge.pk},
        by=by,
    )


def _has_revisions(chains: Sequence[Chain]) -> bool:
    return any(len(chain.texts) > 1 for chain in chains)
