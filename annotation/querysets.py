from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Count, F, Q
from django.utils import timezone

if TYPE_CHECKING:
    from annotation.models import Annotator


class PairQuerySet(models.QuerySet):
    def open(self) -> Self:
        """Pairs that still want a person's judgment."""
        return self.filter(judged__lt=F("wanted"))

    def next_for(self, annotator: Annotator) -> Self:
        """Open pairs that this annotator may be given, in order.

        Live leases of others count as judgments to come. The caller holds a row lock
        (``select_for_update(skip_locked=True, of=("self",))``) on the pair it takes.
        """
        now = timezone.now()
        live = Q(assignments__expires_at__gt=now) & ~Q(assignments__annotator=annotator)
        return (
            self.open()
            .filter(project=annotator.project)
            .exclude(judgments__annotator=annotator)
            .annotate(leases=Count("assignments", filter=live, distinct=True))
            .filter(judged__lt=F("wanted") - F("leases"))
            .order_by("-priority", "id")
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
