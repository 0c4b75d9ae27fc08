"""Asking people where judges are unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, F
from django.db.models.functions import Greatest
from django.utils.translation import gettext as _

from annotation.models import Annotator, Judgment, Pair
from evaluation.models import Evaluation, Routed, Routing
from evaluation.routing import Drawn, ask_no_more, draw, routed_in, told_by
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project

LEAST = 0.01
"""The smallest probability: a vote stands for a hundred pairs at most."""
PRIORITY = 10


@dataclass(frozen=True)
class Preview:
    """What a draw would come to; nobody is asked."""

    pairs: int
    """That judges have judged and no earlier draw was about."""
    known: int
    """Of them, that people have judged already."""
    expected: float
    """How many people would be asked about, on average over seeds."""
    drawn: int
    """How many it is by this seed."""
    unsure: int
    """Pairs on which the judges are more unsure than sure."""
    covered: dict[str, int]
    """On how many of the pairs each judge has a verdict, by its name."""

    @property
    def covering(self) -> list[tuple[str, int]]:
        """For templates: a judge may be called “items”."""
        return list(self.covered.items())


def preview(
    *,
    project: Project,
    judges: Sequence[Annotator],
    base: float,
    slope: float,
    seed: int = 0,
    evaluation: Evaluation | None = None,
) -> Preview:
    """
    Raises:
        UserError: as :func:`route` does.
    """
    found = _decisions(project, judges, base, slope, seed, evaluation, lock=False)
    asked = [one for one in found if not one.known]
    return Preview(
        pairs=len(found),
        known=len(found) - len(asked),
        expected=sum(one.probability for one in asked),
        drawn=sum(one.drawn for one in asked),
        unsure=sum(0.25 < one.p_a < 0.75 for one in found),
        covered=_covered(judges, found),
    )


@transaction.atomic
def route(
    *,
    project: Project,
    judges: Sequence[Annotator],
    base: float,
    slope: float,
    seed: int = 0,
    evaluation: Evaluation | None = None,
    by: User | None,
) -> Routing:
    """Draw pairs for people: those that are drawn come into the queue, the others leave it.

    Args:
        judges: those whose uncertainty decides; juries and scorers too.
        base: the probability of a pair on which they are sure, 0.01 to 1.
        slope: how much more one has on which they are wholly unsure or divided, 0 to 1.
        evaluation: its comparisons with the baseline; else the project's pairs that no draw was
            about so far. Of an evaluation there is one draw.

    Raises:
        UserError: a number is out of bounds, a judge is another project's, the evaluation asks
            people by a plan or has its draw, there is no pair that the judges have judged, or one
            of them has judged none of those that others have.
    """
    if evaluation is not None:
        evaluation = Evaluation.objects.select_for_update(of=("self",)).get(pk=evaluation.pk)
        if evaluation.plan:
            raise UserError(
                _("This evaluation chooses people’s pairs by its plan."), code="has_plan"
            )
        if Routing.objects.filter(evaluation=evaluation).exists():
            raise UserError(
                _("People’s pairs were drawn for this evaluation already."),
                code="drawn_already",
                status=409,
            )
    found = _decisions(project, judges, base, slope, seed, evaluation, lock=True)
    if not found:
        raise UserError(
            _("There is no pair that these judges have judged and no draw was about."),
            code="no_pairs",
            field="judges",
        )
    routing = Routing.objects.create(
        project=project,
        evaluation=evaluation,
        base=base,
        slope=slope,
        seed=seed,
        covered=_covered(judges, found),
        created_by=by,
    )
    routing.judges.set(judges)
    Routed.objects.bulk_create(
        [
            Routed(
                routing=routing,
                pair=one.pair,
                p_a=one.p_a,
                probability=one.probability,
                drawn=one.drawn,
            )
            for one in found
        ],
        batch_size=1000,
    )
    _open(project, [one.pair.pk for one in found if one.drawn and not one.known])
    ask_no_more([one.pair.pk for one in found if not one.drawn])
    if evaluation is not None and not evaluation.ask_people:
        evaluation.ask_people = True
        evaluation.save(update_fields=["ask_people"])
    return routing


def _covered(judges: Sequence[Annotator], found: Sequence[Drawn]) -> dict[str, int]:
    """On how many of the pairs each judge has a verdict.

    Raises:
        UserError: one has none: it would be named without deciding anything.
    """
    rows = Judgment.objects.decisive().filter(pair__in=[one.pair.pk for one in found])
    counted = rows.order_by().values("annotator").annotate(pairs=Count("pair", distinct=True))
    by_judge = dict(counted.filter(annotator__in=judges).values_list("annotator", "pairs"))
    covered = {judge.name: by_judge.get(judge.pk, 0) for judge in judges}
    idle = [name for name, pairs in covered.items() if not pairs]
    if found and idle:
        raise UserError(
            _(
                "%(judge)s has judged none of these %(pairs)s pairs. Let it judge them, or leave "
                "it out."
            )
            % {"judge": ", ".join(idle), "pairs": len(found)},
            code="judge_without_verdicts",
            field="judges",
        )
    return covered


def _open(project: Project, pairs: list[int]) -> None:
    Pair.objects.filter(pk__in=pairs).update(
        wanted=Greatest(F("wanted"), project.overlap), priority=Greatest(F("priority"), PRIORITY)
    )


def _decisions(
    project: Project,
    judges: Sequence[Annotator],
    base: float,
    slope: float,
    seed: int,
    evaluation: Evaluation | None,
    *,
    lock: bool,
) -> list[Drawn]:
    if not LEAST <= base <= 1.0:
        raise UserError(
            _(
                "The probability where judges are sure is %(least)s to 1: above 0, or nothing "
                "could be said of the pairs that nobody is ever asked about."
            )
            % {"least": LEAST},
            field="base",
        )
    if not 0.0 <= slope <= 1.0:
        raise UserError(_("What uncertainty adds is 0 to 1."), field="slope")
    if not judges:
        raise UserError(_("Choose at least one judge."), field="judges")
    for judge in judges:
        if judge.project_id != project.pk or judge.kind != Annotator.Kind.JUDGE:
            raise UserError(
                _("%(judge)s is no judge of this project.") % {"judge": judge.name}, field="judges"
            )
    rows = Pair.objects.filter(project=project, is_training=False, closed=False)
    if evaluation is not None:
        compared = evaluation.comparisons.against_baseline().with_sides()
        rows = rows.filter(pk__in=[one.pair_id for one in compared if not one.is_identical])
    else:
        rows = rows.exclude(pk__in=routed_in(project.pk))
        rows = rows.exclude(routed__routing__evaluation__isnull=False)
    rows = rows.filter(judgments__annotator__in=judges).distinct().order_by("pk")
    pks = list(rows.values_list("pk", flat=True))
    locked = Pair.objects.filter(pk__in=pks).order_by("pk")
    pairs = list(locked.select_for_update(no_key=True) if lock else locked)
    return draw(pairs, told_by(judges, pairs), base=base, slope=slope, seed=seed)
