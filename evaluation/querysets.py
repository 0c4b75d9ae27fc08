from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Self

from django.apps import apps
from django.db import models
from django.db.models import Count, F, Prefetch, Q
from django.utils import timezone

if TYPE_CHECKING:
    from steelyard.projects.models import Project


class EvaluationQuerySet(models.QuerySet):
    def to_advance(self, project: int | None = None) -> Self:
        """Those that ask people by a plan, and those stopped of late, whose last leases run out;
        of one project or of all."""
        late = Q(stopped_at=None) | Q(stopped_at__gt=timezone.now() - timedelta(days=1))
        rows = self.filter(late, state="comparing", ask_people=True).exclude(plan={})
        return (rows.filter(project=project) if project else rows).order_by("pk")

    def with_progress(self) -> Self:
        """Adds ``comparisons_total`` and ``comparisons_waiting`` (open to people)."""
        waiting = Q(comparisons__pair__judged__lt=F("comparisons__pair__wanted"))
        return self.annotate(
            comparisons_total=Count("comparisons", distinct=True),
            comparisons_waiting=Count("comparisons", filter=waiting, distinct=True),
        )

    def with_parts(self) -> Self:
        """With the models, the judges and the runs that a page names."""
        panel = apps.get_model("evaluation", "EvaluationJudge").objects
        return self.select_related(
            "project", "baseline__project", "generation__project"
        ).prefetch_related(Prefetch("panel", panel.select_related("judge", "run__project")))


class ComparisonQuerySet(models.QuerySet):
    def against_baseline(self) -> Self:
        """Without those in which two candidates meet."""
        return self.filter(opponent=None)

    def identical(self) -> Self:
        """Those of two identical outputs that nobody is asked about."""
        same = Q(pair__output_a__asset=F("pair__output_b__asset"))
        same |= Q(pair__output_a__asset=None, pair__output_b__asset=None)
        rows = self.filter(same, pair__wanted=0, pair__judged=0)
        return rows.filter(pair__output_a__text=F("pair__output_b__text"))

    def with_sides(self) -> Self:
        """With everything that a row of the page shows."""
        return self.select_related(
            "candidate",
            "pair__prompt",
            "pair__output_a__model",
            "pair__output_b__model",
        )

    def with_content(self) -> Self:
        """With all that is shown of a comparison, pictures and clips too."""
        asset = "pair__output_%s__asset"
        return (
            self.with_sides()
            .select_related("evaluation__project", "opponent", asset % "a", asset % "b")
            .prefetch_related(*(f"{asset % side}__renditions" for side in "ab"))
        )

    def with_votes(self, project: Project, *, unreadable: bool = False) -> Self:
        """With ``pair.votes``: what people and judges now say of it, skips left out but for answers
        of judges that could not be read, if these are wanted; each with ``is_withdrawn``."""
        votes = apps.get_model("annotation", "Judgment").objects.current()
        said = ~Q(outcome="skip")
        votes = votes.filter(said | Q(details__has_key="invalid") if unreadable else said)
        votes = votes.with_withdrawn(project)
        votes = votes.select_related("annotator").order_by("annotator__kind", "pk")
        return self.prefetch_related(Prefetch("pair__judgments", votes, to_attr="votes"))
