"""AI judges: making one, and asking it to judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.judges import new_judge
from annotation.models import Annotator, Pair
from annotation.querysets import PairQuerySet
from annotation.services.asking import start_asking
from annotation.services.judge_checks import (
    ASKING,
    SAMPLING,
    can_see,
    check_model,
    checked_asking,
    checked_limits,
    checked_rubric,
    checked_sampling,
)
from annotation.services.scoring import scorable, start_scoring
from annotation.titles import TITLES
from steelyard.accounts.models import User
from steelyard.inference.judging.prompting import LATEST, check_template
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.projects.models import Project
from steelyard.projects.policy import ADMINS, role_in
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import Run, RunState
from steelyard.runs.services import start_run

WHICH = {
    "unjudged": gettext_lazy("All pairs that it has not judged yet"),
    "unlabelled": gettext_lazy("Of these, only pairs that no person has judged"),
    "labelled": gettext_lazy("Of these, only pairs that people have judged"),
}
PROMPTS = {
    "": gettext_lazy("all"),
    "training": gettext_lazy("those that versions may contain"),
    "held_out": gettext_lazy("those that are held out"),
}
DEFAULT_CRITERIA = (
    "Which answer helps more the person who asked? Correct beats wrong; of two correct answers, "
    "prefer the one that does what was asked, clearly and without padding."
)


@transaction.atomic
def create_judge(
    *,
    project: Project,
    name: str,
    model: ModelVersion,
    criteria: str,
    sampling: Mapping[str, Any] | None = None,
    rubric: Sequence[Mapping[str, Any]] = (),
    template: str = "",
    asking: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    note: str = "",
) -> Annotator:
    """Make the first version of a judge: an annotator of a model and what it is told.

    Args:
        sampling: ``temperature`` and ``max_new_tokens``.
        rubric: ``name`` and ``text`` of aspects of the label scheme that get verdicts too.
        template: the project's own wording of the question; empty for the shipped one.
        asking: ``orders`` (both, or random: one of the two, drawn by pair and judge), ``samples``,
            ``max_side`` in pixels and ``frames`` of a clip.
        limits: see :data:`.judge_checks.LIMITS`.

    Raises:
        UserError: the model cannot judge here, the name is taken, or something is out of bounds.
    """
    name = " ".join(name.split())
    if not name or len(name) > 150:
        raise UserError(_("A judge needs a name of at most 150 characters."), field="name")
    values = _checked(
        project,
        model=model,
        criteria=criteria,
        sampling=sampling or {},
        rubric=rubric,
        template=template,
        asking=asking or {},
        limits=limits or {},
    )
    return new_judge(project, name, {**values, "family": name, "note": _checked_note(note)})


@transaction.atomic
def new_judge_version(
    *,
    judge: Annotator,
    note: str = "",
    model: ModelVersion | None = None,
    criteria: str | None = None,
    sampling: Mapping[str, Any] | None = None,
    rubric: Sequence[Mapping[str, Any]] | None = None,
    template: str | None = None,
    asking: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
) -> Annotator:
    """Make the next version of a judge's line; what is not said stays as in ``judge``.

    Returns:
        An annotator of its own, whose parent is ``judge`` and whose votes are its own.

    Raises:
        UserError: nothing changes, or as :func:`create_judge`.
    """
    if judge.model is None or judge.scorer:
        raise UserError(
            _("%(judge)s has no model to ask; only judges made here have versions.")
            % {"judge": judge.name},
            code="not_a_judge",
        )
    values = _checked(
        judge.project,
        model=model or judge.model,
        criteria=judge.criteria if criteria is None else criteria,
        sampling={**judge.sampling, **(sampling or {})},
        rubric=judge.rubric if rubric is None else rubric,
        template=judge.template if template is None else template,
        asking={**judge.asking, **(asking or {})},
        limits=judge.limits if limits is None else limits,
    )
    same = {"asking": {**ASKING, **judge.asking}, "sampling": {**SAMPLING, **judge.sampling}}
    if all(same.get(key, getattr(judge, key)) == values[key] for key in values if key != "limits"):
        raise UserError(
            _("Nothing is changed: this is version %(version)s as it is.")
            % {"version": judge.version},
            code="nothing_changed",
        )
    family = judge.family or judge.name
    # whoever makes a version of the same line at the same time waits here
    line = Annotator.objects.select_for_update().filter(project=judge.project, family=family)
    version = max(line.values_list("version", flat=True), default=judge.version) + 1
    more = {"family": family, "version": version, "parent": judge, "note": _checked_note(note)}
    return new_judge(judge.project, f"{family[:140]} v{version}", {**values, **more})


def set_limits(*, judge: Annotator, limits: Mapping[str, Any]) -> Annotator:
    """What a judge may cost and how fast it may ask; no verdict depends on it, so it may change.

    Raises:
        UserError: one is out of bounds.
    """
    Annotator.objects.filter(pk=judge.pk).update(limits=checked_limits(limits))
    judge.refresh_from_db(fields=["limits"])
    return judge


@transaction.atomic
def start_judging(
    *, judge: Annotator, pairs: Iterable[Pair], by: User | None, by_turns: bool = False
) -> Run:
    """Start a run in which the judge compares each pair in both orders.

    Its verdicts come in as judgments while the run goes on; they take no place of a person's. A
    scorer is started as :func:`.scoring.start_scoring` does.
    Pairs that the judge has judged already are left out, and those that are taken out, are for
    training or have a prompt with media.

    Args:
        by_turns: whether a conversation of several turns has a verdict for each, see
            :mod:`steelyard.inference.judging.turns`; a scorer looks at the whole all the same.

    Raises:
        UserError: the annotator is no judge that can be asked, or nothing is left for it.
    """
    if judge.is_jury:
        return _ask_members(judge, list(pairs), by, by_turns)
    if judge.kind == Annotator.Kind.JUDGE and judge.scorer:
        return start_scoring(judge=judge, pairs=pairs, by=by)
    if judge.kind != Annotator.Kind.JUDGE or judge.model is None:
        raise UserError(
            _("%(judge)s has no model to ask; its votes came from a file.") % {"judge": judge.name},
            code="not_a_judge",
        )
    check_model(judge.project, judge.model)
    return start_asking(
        judge=judge,
        pairs=pairs,
        open_pairs=_judgeable(judge),
        kind="judge",
        by=by,
        **({"by_turns": True} if by_turns else {}),
    )


def _ask_members(jury: Annotator, pairs: list[Pair], by: User | None, by_turns: bool) -> Run:
    """A run of each member that has something left; the first of them."""
    runs, refused = [], None
    for member in jury.members.select_related("project", "model"):
        try:
            runs.append(start_judging(judge=member, pairs=pairs, by=by, by_turns=by_turns))
        except UserError as error:
            refused = error
    if not runs:
        raise refused or UserError(_("%(jury)s has no members.") % {"jury": jury.name})
    return runs[0]


@transaction.atomic
def start_check(*, judge: Annotator, by: User) -> Run:
    """Start a run that measures how much an answer gains by telling the judge to choose it.

    Raises:
        UserError: whoever asks is no admin of the project, or the judge has no model to ask.
    """
    if role_in(by, judge.project) not in ADMINS:
        raise UserError(
            _("Only an admin of the project may have a judge checked: it costs calls."),
            code="admins_only",
            status=403,
        )
    if judge.model is None or judge.scorer:
        raise UserError(
            _("%(judge)s has no model to ask; its votes came from a file.") % {"judge": judge.name},
            code="not_a_judge",
        )
    return start_run(
        project=judge.project,
        kind="check_judge",
        title=Said(TITLES, "title_check", judge=judge.name),
        spec={"judge": judge.pk},
        by=by,
    )


def pairs_for(
    *, judge: Annotator, which: str, category: str = "", prompts: str = "", limit: int = 0
) -> list[Pair]:
    """The pairs that a choice on the page means, oldest first.

    Args:
        which: a key of :data:`WHICH`.
        prompts: a key of :data:`PROMPTS`.
        limit: at most so many; 0 for all.
    """
    pairs = pairs_left(judge, which)
    if category:
        pairs = pairs.filter(prompt__category=category)
    if prompts:
        pairs = pairs.filter(prompt__held_out=prompts == "held_out")
    return list(pairs.only("pk")[:limit] if limit else pairs.only("pk"))


def pairs_left(judge: Annotator, which: str) -> PairQuerySet:
    """All that ``which`` speaks of, oldest first, but what a run of the judge is at already."""
    if which not in WHICH:
        raise UserError(
            _("which is %(which)s; it must be one of %(names)s.")
            % {"which": f"{which!r}", "names": ", ".join(WHICH)},
            field="which",
        )
    pairs = _judgeable(judge).exclude(pk__in=_at_work_on(judge)).order_by("pk")
    if which == "unlabelled":
        return pairs.filter(judged=0)
    return pairs.filter(judged__gt=0) if which == "labelled" else pairs


def _at_work_on(judge: Annotator) -> set[int]:
    """The pairs of its runs that wait or go on; a jury's members are asked, not itself."""
    rows = Run.objects.filter(
        project=judge.project_id,
        kind__in=["judge", "score"],
        state__in=[RunState.QUEUED, RunState.RUNNING],
        spec__judge=judge.pk,
    )
    return {pk for pairs in rows.values_list("spec__pairs", flat=True) for pk in pairs or []}


def _judgeable(judge: Annotator) -> PairQuerySet:
    """What a prompt's picture shows, a judge that cannot look would have to guess."""
    if judge.scorer:
        return scorable(judge)
    rows = Pair.objects.filter(project=judge.project_id, closed=False, is_training=False)
    if judge.is_jury:
        return rows.not_seen_by(judge)
    if judge.model is None or not can_see(judge.model):
        rows = rows.filter(prompt__media=[])
    return rows.not_seen_by(judge)


def _checked(
    project: Project,
    *,
    model: ModelVersion,
    criteria: str,
    sampling: Mapping[str, Any],
    rubric: Sequence[Mapping[str, Any]],
    template: str,
    asking: Mapping[str, Any],
    limits: Mapping[str, Any],
) -> dict[str, Any]:
    """A judge's fields as they are to be kept."""
    if not criteria.strip():
        raise UserError(_("Say what the judge is to look for."), field="criteria")
    check_model(project, model)
    written = checked_sampling(sampling)
    return {
        "model": model,
        "criteria": criteria.strip(),
        "sampling": written,
        "rubric": checked_rubric(project, rubric),
        "template": check_template(template),
        "template_version": LATEST,
        "asking": checked_asking(asking, written),
        "limits": checked_limits(limits),
    }


def _checked_note(note: str) -> str:
    note = " ".join(note.split())
    if len(note) > 300:
        raise UserError(_("A note has at most 300 characters."), field="note")
    return note
