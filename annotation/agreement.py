"""How far annotators agree: shares of equal verdicts where two have judged the same pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Count, F, Q
from django.db.models.fields.json import KT

from annotation.models import Annotator, Judgment
from steelyard.projects.models import Project

if TYPE_CHECKING:
    from annotation.querysets import JudgmentQuerySet


@dataclass(frozen=True)
class Agreement:
    """Equal ones of n."""

    equal: int
    n: int

    @property
    def share(self) -> float | None:
        return self.equal / self.n if self.n else None


@dataclass(frozen=True)
class JudgeReport:
    judge: Annotator
    votes: int
    unreadable: int
    """Answers without a verdict in them, kept as skips."""
    with_people: Agreement
    """Over each vote of a person on a pair that the judge has judged: the same outcome."""
    between_orders: Agreement
    """Over the pairs asked in both orders: the same outcome in either."""


def judge_reports(project: Project) -> list[JudgeReport]:
    """Every judge of a project, by name. Withdrawn votes count for nothing, theirs and people's."""
    judgments = Judgment.objects.current().by_judges().standing(project).filter(project=project)
    votes = _per_annotator(judgments.decisive())
    unreadable = _per_annotator(judgments.filter(details__has_key="invalid"))
    people = _agreement(project, judgments.decisive())
    orders = _between_orders(judgments)
    none = Agreement(0, 0)
    return [
        JudgeReport(
            judge=judge,
            votes=votes.get(judge.pk, 0),
            unreadable=unreadable.get(judge.pk, 0),
            with_people=people.get(judge.pk, none),
            between_orders=orders.get(judge.pk, none),
        )
        for judge in Annotator.objects.filter(
            project=project, kind=Annotator.Kind.JUDGE
        ).select_related("model")
    ]


def among_people(project: Project) -> Agreement:
    """Over each two people who have judged the same pair: the measure that a judge's agreement
    with people is to be held against."""
    votes = _people(project)
    parts = _agreement(project, votes).values()
    # each two are met from either side
    return Agreement(sum(part.equal for part in parts) // 2, sum(part.n for part in parts) // 2)


def _agreement(project: Project, votes: JudgmentQuerySet) -> dict[int, Agreement]:
    """By annotator, their votes against those of other people on the same pairs."""
    people = _people(project)
    # the annotations join the judgments of this filter
    rows = (
        votes.filter(pair__judgments__in=people.order_by().values("pk"))
        .annotate(other=F("pair__judgments__annotator"))
        .exclude(annotator=F("other"))
        .order_by()
        .values("annotator")
        .annotate(n=Count("pk"), equal=Count("pk", filter=Q(outcome=F("pair__judgments__outcome"))))
    )
    return {row["annotator"]: Agreement(row["equal"], row["n"]) for row in rows}


def _people(project: Project) -> JudgmentQuerySet:
    """Their own opinion: whoever saw a judge's verdict would agree with it the more."""
    votes = Judgment.objects.decisive().by_people().unaided()
    return votes.standing(project).filter(project=project)


def _between_orders(judgments: JudgmentQuerySet) -> dict[int, Agreement]:
    rows = (
        judgments.annotate(
            first=KT("details__orders__0__outcome"), second=KT("details__orders__1__outcome")
        )
        .filter(first__isnull=False, second__isnull=False)
        .order_by()
        .values("annotator")
        .annotate(n=Count("pk"), equal=Count("pk", filter=Q(first=F("second"))))
    )
    return {row["annotator"]: Agreement(row["equal"], row["n"]) for row in rows}


def _per_annotator(judgments: JudgmentQuerySet) -> dict[int, int]:
    rows = judgments.order_by().values("annotator").annotate(n=Count("pk"))
    return {row["annotator"]: row["n"] for row in rows}
