from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Annotator(models.Model):
    """Who judges in a project: a person, or a judge (a model with its instructions)."""

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
