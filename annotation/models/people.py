from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from steelyard.inference.scorers.base import KINDS


class Annotator(models.Model):
    """Who judges in a project: a person, or a judge (a model with what it is told, or a scorer)."""

    class Kind(models.TextChoices):
        PERSON = "person", _("Person")
        JUDGE = "judge", _("AI judge")

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="annotators")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="annotators"
    )
    model = models.ForeignKey(
        "registry.ModelVersion", models.PROTECT, null=True, blank=True, related_name="judges"
    )
    scorer = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        help_text="Of a scorer: kind, source, weights, dimension, tie_band, frames, api_key.",
    )
    criteria = models.TextField(blank=True, help_text="What the judge is told to look for.")
    sampling = models.JSONField(default=dict, blank=True)
    template_version = models.PositiveSmallIntegerField(default=1)
    trained_at = models.DateTimeField(
        null=True, blank=True, help_text="When the training round was passed."
    )
    training_attempt = models.PositiveSmallIntegerField(default=1)
    cap = models.PositiveIntegerField(
        null=True, blank=True, help_text="Most verdicts in all; the project's where empty."
    )
    quota = models.PositiveIntegerField(
        null=True, blank=True, help_text="How many verdicts are expected of the person."
    )
    paused = models.BooleanField(default=False, help_text="Gets no more pairs.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="annotator_name_once"),
            models.UniqueConstraint(
                fields=["project", "user"],
                name="annotator_user_once",
                condition=Q(user__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def can_be_asked(self) -> bool:
        """Whether it is a judge that was made here; of others the votes came from a file."""
        return self.kind == self.Kind.JUDGE and bool(self.model_id or self.scorer)

    @property
    def scorer_shown(self) -> dict[str, Any]:
        """What people may know of a scorer: all but its key."""
        return {name: value for name, value in self.scorer.items() if name != "api_key"}

    @property
    def scorer_words(self) -> str:
        """Which kind of scorer it is, in words; empty where it is none."""
        return gettext(KINDS[self.scorer["kind"]].words) if self.scorer else ""

    @property
    def scorer_key_variable(self) -> str:
        """The environment variable in which an engine's process is given a scorer's key."""
        return f"STEELYARD_SCORER_{self.pk}_KEY"


class Group(models.Model):
    """Annotators to whom pairs can be given; a group of one is a named person."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="groups")
    name = models.CharField(max_length=100)
    members = models.ManyToManyField(Annotator, related_name="groups", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="group_name_once")]

    def __str__(self) -> str:
        return self.name
