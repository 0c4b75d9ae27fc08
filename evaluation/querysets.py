from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Count, F, Q


class EvaluationQuerySet(models.QuerySet):
    def with_progress(self) -> Self:
        """Adds ``comparisons_total`` and ``comparisons_waiting`` (open to people)."""
        waiting = Q(comparisons__pair__judged__lt=F("comparisons__pair__wanted"))
        return self.annotate(
            comparisons_total=Count("comparisons", distinct=True),
            comparisons_waiting=Count("comparisons", filter=waiting, distinct=True),
        )


class ComparisonQuerySet(models.QuerySet):
    def with_sides(self) -> Self:
        """With everything that a row of the page shows."""
        return self.select_related(
            "candidate",
            "pair__prompt",
            "pair__output_a__model",
            "pair__output_b__model",
        )
