from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class Routing(models.Model):
    """A draw of pairs for people: those of which judges were unsure more often, each with a
    probability that is written down, so that what people say of them stands for all."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="routings")
    evaluation = models.OneToOneField(
        "evaluation.Evaluation",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="routing",
        help_text="None where it was over the project's pairs.",
    )
    judges = models.ManyToManyField("annotation.Annotator", related_name="+")
    base = models.FloatField(help_text="The probability where the judges are sure.")
    slope = models.FloatField(help_text="How much more where they are wholly unsure.")
    seed = models.BigIntegerField(default=0)
    covered = models.JSONField(
        default=dict,
        blank=True,
        help_text="On how many of the pairs each judge had a verdict, by its name.",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"draw {self.pk}"

    @property
    def covering(self) -> list[tuple[str, int | None]]:
        """Its judges, and on how many of the pairs each had a verdict; None of old draws."""
        return [(judge.name, self.covered.get(judge.name)) for judge in self.judges.all()]


class Routed(models.Model):
    """What was decided of one pair; it never changes."""

    routing = models.ForeignKey(Routing, models.CASCADE, related_name="pairs")
    pair = models.ForeignKey("annotation.Pair", models.CASCADE, related_name="routed")
    p_a = models.FloatField(help_text="The judges' mean probability that a is better.")
    probability = models.FloatField(
        help_text="With which people are asked; 1 where they had judged it before."
    )
    drawn = models.BooleanField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["routing", "pair"], name="routed_once"),
            models.CheckConstraint(
                condition=Q(probability__gt=0.0, probability__lte=1.0),
                name="routed_with_a_probability",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pair} in {self.routing}"
