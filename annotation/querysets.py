from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.apps import apps
from django.db import models
from django.db.models import Count, Exists, F, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

if TYPE_CHECKING:
    from annotation.models import Annotator


class PairQuerySet(models.QuerySet):
    def open(self) -> Self:
        """Pairs that still want a person's judgment."""
        return self.filter(judged__lt=F("wanted"))

    def not_seen_by(self, annotator: Annotator) -> Self:
        """Without those that the annotator has judged or skipped."""
        judgments = apps.get_model("annotation", "Judgment").objects
        mine = judgments.filter(pair=OuterRef("pk"), annotator=annotator, is_current=True)
        return self.filter(~Exists(mine))

    def with_leases(self, annotator: Annotator) -> Self:
        """Adds ``leases``: how many other people hold the pair at this moment.

        A correlated subquery and no join, so that rows may be locked ``FOR UPDATE``.
        """
        assignments = apps.get_model("annotation", "Assignment").objects
        live = (
            assignments.filter(pair=OuterRef("pk"), expires_at__gt=timezone.now())
            .exclude(annotator=annotator)
            .order_by()
            .values("pair")
            .annotate(n=Count("pk"))
            .values("n")
        )
        return self.annotate(leases=Coalesce(Subquery(live, output_field=IntegerField()), 0))

    def next_for(self, annotator: Annotator) -> Self:
        """Open pairs that this annotator may be given, in the order of the queue."""
        return (
            self.open()
            .filter(project=annotator.project_id)
            .not_seen_by(annotator)
            .with_leases(annotator)
            .filter(judged__lt=F("wanted") - F("leases"))
            .order_by("-priority", "pk")
        )

    def with_content(self) -> Self:
        """With all that a page shows of a pair."""
        return self.select_related(
            "prompt",
            "output_a__model",
            "output_b__model",
            "output_a__asset",
            "output_b__asset",
        )


class JudgmentQuerySet(models.QuerySet):
    def current(self) -> Self:
        """Those that no correction has superseded."""
        return self.filter(is_current=True)

    def decisive(self) -> Self:
        """Current ones that say something of the pair: skips are left out."""
        return self.current().exclude(outcome="skip")

    def by_people(self) -> Self:
        return self.filter(annotator__kind="person")

    def by_judges(self) -> Self:
        return self.filter(annotator__kind="judge")

    def with_content(self) -> Self:
        """With all that a page shows of a judgment."""
        return self.select_related(
            "annotator", "pair__prompt", "pair__output_a__model", "pair__output_b__model", "run"
        )
