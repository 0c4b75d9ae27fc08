"""Having a judge say why people's verdicts are right."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from annotation.models import Annotator, Judgment, MachineRationale, Pair, Style
from annotation.services.estimating import Estimate, estimate_words
from annotation.services.judge_checks import can_see
from annotation.titles import TITLES
from steelyard.accounts.models import User
from steelyard.inference.judging.explaining import STYLES, question
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.projects.policy import ADMINS, role_in
from steelyard.registry.models import ModelFamily
from steelyard.runs.models import Run
from steelyard.runs.services import start_run

_FAMILIES = {ModelFamily.ENDPOINT, ModelFamily.CAUSAL_LM, ModelFamily.VISION_LANGUAGE}


@dataclass(frozen=True)
class Waiting:
    """Verdicts that a judge could explain: pair and outcome, once however many gave it."""

    verdicts: list[tuple[int, str]]
    done: int
    """Reasons of that judge and style that are there already."""


def waiting(*, judge: Annotator, style: str, limit: int = 0) -> Waiting:
    """People's verdicts that stand, ties and “both bad” too, and have no reason of this judge in
    this style, the oldest pairs first; not of held-out prompts, which no dataset has.

    Raises:
        UserError: there is no such style, or the judge has no model that writes.
    """
    _check(judge, style)
    mine = MachineRationale.objects.filter(judge=judge, style=style)
    known = mine.filter(pair=OuterRef("pair"), outcome=OuterRef("outcome"))
    rows = Judgment.objects.decisive().by_people().standing(judge.project)
    rows = rows.filter(
        project=judge.project_id,
        pair__closed=False,
        pair__is_training=False,
        pair__prompt__held_out=False,
    ).filter(~Exists(known))
    assert judge.model is not None
    if not can_see(judge.model):
        rows = rows.filter(pair__prompt__media=[])
    found = rows.order_by("pair_id", "outcome").values_list("pair_id", "outcome").distinct()
    return Waiting(list(found[:limit] if limit else found), mine.count())


def estimate_explaining(
    *, judge: Annotator, verdicts: list[tuple[int, str]], style: str
) -> Estimate:
    """Tokens, money and time for it, before anybody is asked."""
    blank = {"pair": 0, "outcome": "a", "messages": [{"role": "user", "content": ""}]}
    asked = question({**blank, "a": "", "b": ""}, {"criteria": judge.criteria}, style)
    rows = Pair.objects.filter(pk__in=[pk for pk, _ in verdicts])
    return estimate_words(
        judge=judge, rows=rows, calls=len(verdicts), frame=len(asked[0]["content"])
    )


@transaction.atomic
def start_explaining(*, judge: Annotator, style: str, by: User, limit: int = 0) -> Run:
    """Start a run in which the judge says why people's verdicts are right, each once.

    Raises:
        UserError: whoever asks is no admin, the judge cannot be asked, or nothing is left for it.
    """
    if role_in(by, judge.project) not in ADMINS:
        raise UserError(
            _("Only an admin of the project may have reasons written: it costs calls."),
            code="admins_only",
            status=403,
        )
    verdicts = waiting(judge=judge, style=style, limit=limit).verdicts
    if not verdicts:
        raise UserError(
            _("There is no verdict of people left for %(judge)s to explain in this style.")
            % {"judge": judge.name},
            code="nothing_to_explain",
        )
    return start_run(
        project=judge.project,
        kind="explain",
        title=Said(TITLES, "title_explain", judge=judge.name, count=len(verdicts)),
        spec={"judge": judge.pk, "style": style, "pairs": [list(one) for one in verdicts]},
        by=by,
    )


def _check(judge: Annotator, style: str) -> None:
    if style not in STYLES:
        raise UserError(
            _("%(style)s is no style; it must be one of %(known)s.")
            % {"style": f"{style!r}", "known": ", ".join(STYLES)},
            field="style",
        )
    if judge.model is None or judge.scorer or judge.model.family not in _FAMILIES:
        raise UserError(
            _("%(judge)s has no model that could write reasons.") % {"judge": judge.name},
            code="not_a_judge",
        )


assert set(Style.values) == set(STYLES)
