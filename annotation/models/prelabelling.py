from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.models.people import Annotator


class Prelabelling(models.Model):
    """That a project shows people what a judge has said before they say it themselves: whose
    verdict, and on which share of the pairs. A project without one shows nobody anything."""

    project = models.OneToOneField("projects.Project", models.CASCADE, related_name="prelabelling")
    judge = models.ForeignKey(
        Annotator, models.PROTECT, related_name="+", help_text="A judge or a jury."
    )
    share = models.PositiveSmallIntegerField(
        default=80, help_text="Per cent of the verdicts that are shown; the others are hidden."
    )
    seed = models.BigIntegerField(default=0, help_text="Draws what is hidden from whom.")
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    set_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(share__gte=1, share__lte=100), name="prelabelling_share_percent"
            )
        ]

    def __str__(self) -> str:
        return f"{self.share} % of {self.judge}"
