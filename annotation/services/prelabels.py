"""What a judge has said, shown to people before they say it themselves: to whom, on which pairs,
and what of it is kept.

It is decided when a pair is first given out with its content, is kept in the lease, and goes from
there into the judgment: so a page that is loaded again shows the same, and the judgment says what
its annotator saw whatever the settings have become meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import sides
from annotation.blind import is_blind
from annotation.models import Annotator, Assignment, Judgment, Pair, Prelabelling
from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.inference.judging.parsing import read_verdict
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_uniform
from steelyard.projects.models import Project

DEFAULT_SHARE = 80
_BLIND_ORIGINS = {Pair.Origin.EVALUATION, Pair.Origin.ARENA}


@dataclass(frozen=True)
class Prelabel:
    """A judge's verdict as one annotator is shown it."""

    judge: str
    outcome: str
    """Of the places of their screen: a is what they are shown first."""
    strength: int
    reason: str
    letters: str
    """Whose letters the reason uses: ``same`` as the screen's, ``turned``, or ``unknown``."""
    verdict: Judgment
    """The judge's own, of the pair's sides."""

    @property
    def words(self) -> Any:
        """The verdict as the buttons name it."""
        rest = [sides.BOTH_BAD]
        words = {one.value: one.label for one in [*sides.scale(7, tie=True), *rest]}
        return words[sides.value_of(self.outcome, self.strength)]


def setting_of(project: Project) -> Prelabelling | None:
    try:
        return project.prelabelling
    except ObjectDoesNotExist:
        return None


@transaction.atomic
def set_prelabelling(
    *, project: Project, judge: Annotator | None, by: User, share: int = DEFAULT_SHARE
) -> Prelabelling | None:
    """Show people this judge's verdicts from now on, or no judge's.

    Pairs that somebody holds already stay as they were given.

    Args:
        share: per cent of the verdicts that are shown; which, is drawn by pair and annotator.

    Raises:
        UserError: that is no judge of the project, the share is out of bounds, or the project's
            people put several outputs in order.
    """
    if judge is None:
        Prelabelling.objects.filter(project=project).delete()
        project.refresh_from_db()
        record(by=by, action="prelabels-off", target=project.slug)
        return None
    if project.scheme["task"] == "ranking":
        raise UserError(
            _("Judges compare two answers; in a project of rankings there is nothing to show."),
            code="no_pairs",
        )
    if judge.project_id != project.pk or judge.kind != Annotator.Kind.JUDGE:
        raise UserError(
            _("%(name)s is no judge of this project.") % {"name": judge.name},
            code="not_a_judge",
            field="judge",
        )
    if not 1 <= share <= 100:
        raise UserError(
            _("%(share)s per cent is out of range; it must be 1 to 100.") % {"share": share},
            field="share",
        )
    values = {"judge": judge, "share": share, "set_by": by}
    setting, _made = Prelabelling.objects.update_or_create(
        project=project, defaults=values, create_defaults={**values, "seed": project.pk}
    )
    project.prelabelling = setting
    record(by=by, action="prelabels-on", target=project.slug, judge=judge.name, share=share)
    return setting


def is_shown(setting: Prelabelling, annotator: int, pair: int) -> bool:
    """The draw: the same whenever it is asked, so that nobody sees more by coming again."""
    return stable_uniform("prelabel", setting.seed, annotator, pair) * 100 < setting.share


def told_with(lease: Assignment) -> Prelabel | None:
    """What the annotator of a lease is shown beside its pair, None where they see nothing.

    What is decided is kept in the lease. Of pairs with a known answer, of held-out prompts, of
    arenas and of evaluations nothing is ever shown, nor is it of pairs that the judge has not
    judged or has no verdict on that stands.
    """
    if lease.pk is None:
        return None
    if not lease.prelabel:
        setting = setting_of(lease.project)
        if setting is None or (verdict := _verdict_on(lease.pair, setting)) is None:
            return None
        return _decide(lease, setting, verdict)
    if not lease.prelabel["shown"]:
        return None
    return _as_seen(lease.prelabel, lease.swapped)


def told_before(judgment: Judgment) -> Prelabel | None:
    """What was shown when a verdict was given, for its annotator who looks at it again."""
    if not judgment.prelabel.get("shown"):
        return None
    return _as_seen(judgment.prelabel, bool(judgment.swapped))


def _as_seen(kept: dict[str, Any], swapped: bool) -> Prelabel | None:
    rows = Judgment.objects.select_related("annotator").filter(uuid=kept["judgment"])
    verdict = rows.first()
    return None if verdict is None else _seen(verdict, swapped)


def _verdict_on(pair: Pair, setting: Prelabelling) -> Judgment | None:
    if pair.is_training or pair.known_outcome or pair.prompt.held_out:
        return None
    if pair.origin in _BLIND_ORIGINS:
        return None
    said = Judgment.objects.decisive().standing(setting.project)
    verdict = said.filter(pair=pair, annotator=setting.judge_id).select_related("annotator").first()
    return None if verdict is None or is_blind(pair.pk) else verdict


def _decide(lease: Assignment, setting: Prelabelling, verdict: Judgment) -> Prelabel | None:
    shown = is_shown(setting, lease.annotator_id, lease.pair_id)
    kept = {
        "judge": verdict.annotator_id,
        "judgment": str(verdict.uuid),
        "outcome": verdict.outcome,
        "strength": verdict.strength,
        "shown": shown,
        "share": setting.share,
        "at": timezone.now().isoformat(),
    }
    if not Assignment.objects.filter(pk=lease.pk, prelabel={}).update(prelabel=kept):
        return None  # another request of theirs was quicker, or the verdict is in already
    lease.prelabel = kept
    return _seen(verdict, lease.swapped) if shown else None


def _seen(verdict: Judgment, swapped: bool) -> Prelabel:
    outcome, strength = sides.turned(verdict.outcome, verdict.strength, swapped)
    reason, letters = _reason(verdict, swapped)
    return Prelabel(verdict.annotator.name, outcome, strength, reason, letters, verdict)


def _reason(verdict: Judgment, swapped: bool) -> tuple[str, str]:
    """Why, and whose letters it uses. Of a judge that was asked in both orders it is the reason
    that it gave when it was shown the two as this annotator is, none where it then said something
    else than what it comes to."""
    orders = [one for one in verdict.details.get("orders", []) if one.get("outcome")]
    if len({one["outcome"] for one in orders}) > 1:
        return "", "same"
    for order in sorted(orders, key=lambda one: one["swapped"] != swapped):
        raw = order.get("raw") or next(
            (
                one["raw"]
                for one in order.get("samples", [])
                if one["outcome"] == order["outcome"] and one.get("raw")
            ),
            "",
        )
        said = read_verdict(raw)
        if said is not None and said.rationale.strip():
            return said.rationale.strip(), "same" if order["swapped"] == swapped else "turned"
    reason = verdict.rationale.strip()
    if not reason or not orders:
        known = verdict.swapped is not None
        return reason, ("same" if verdict.swapped == swapped else "turned") if known else "unknown"
    # it speaks of the pair's own sides, or says how it was asked
    return reason, "turned" if swapped else "same"
