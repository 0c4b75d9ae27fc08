from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from annotation.models.material import Pair
from annotation.models.outcome import Outcome
from annotation.models.people import Annotator


class Style(models.TextChoices):
    GENERAL = "general", _("General: what makes it better on the whole")
    SPECIFIC = "specific", _("Specific: which places of the answers decide")


class MachineRationale(models.Model):
    """Why a verdict that people gave is right, as a model says it: of the pair and the outcome,
    whoever of the people gave it. Never in a judgment, where people's own reasons are."""

    project = models.ForeignKey(
        "projects.Project", models.CASCADE, related_name="machine_rationales", db_index=False
    )
    pair = models.ForeignKey(Pair, models.CASCADE, related_name="machine_rationales")
    outcome = models.CharField(
        max_length=10, choices=Outcome.choices, help_text="What people said: a, b, tie or both_bad."
    )
    judge = models.ForeignKey(Annotator, models.PROTECT, related_name="machine_rationales")
    style = models.CharField(max_length=10, choices=Style.choices)
    text = models.TextField(help_text="Speaks of the answers by no letter.")
    run = models.ForeignKey("runs.Run", models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["pair", "outcome", "judge", "style"], name="machine_rationale_once"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=["a", "b", "tie", "both_bad"]),
                name="machine_rationale_of_a_verdict",
            ),
        ]
        indexes = [models.Index(fields=["project", "id"], name="machine_rationale_listed")]

    def __str__(self) -> str:
        return f"why {self.outcome}, by {self.judge}"
