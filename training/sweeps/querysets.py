from __future__ import annotations

from typing import Self

from django.db import models


class SweepQuerySet(models.QuerySet):
    def active(self) -> Self:
        """Those that still ask for runs; paused ones too, whose runs go on."""
        return self.filter(state__in=["tuning", "testing"])

    def with_parts(self) -> Self:
        """With everything that a row of a page shows."""
        return self.select_related("project", "version__dataset", "base", "judge", "created_by")

    def with_counts(self) -> Self:
        """With ``asked`` and ``told``: trials so far, and those of them that have ended."""
        ended = models.Q(trials__state__in=["complete", "pruned", "failed"])
        counted = self.annotate(
            asked=models.Count("trials"), told=models.Count("trials", filter=ended)
        )
        # grouping drops the model's own order
        return counted.order_by("-created_at")


class TrialQuerySet(models.QuerySet):
    def running(self) -> Self:
        return self.filter(state="running")

    def complete(self) -> Self:
        return self.filter(state="complete")


class TrialRunQuerySet(models.QuerySet):
    def waiting(self) -> Self:
        """Those without a training run yet, in the order in which they get one."""
        return self.filter(state="waiting").order_by("trial__number", "pk")

    def started(self) -> Self:
        """Those whose training run has not been read yet."""
        return self.filter(state="started")

    def tuning(self) -> Self:
        return self.filter(purpose="tuning")

    def testing(self) -> Self:
        return self.filter(purpose="test")
