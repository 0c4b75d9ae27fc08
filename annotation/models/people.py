from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Sum
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from steelyard.inference.scorers.base import KINDS


class Annotator(models.Model):
    """Who judges in a project: a person, or a judge (a model with what it is told, or a scorer).

    A judge is one version of a line: what it asks and whom never changes, and another wording is
    the next version of the same ``family``.
    """

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
    rubric = models.JSONField(
        default=list,
        blank=True,
        help_text="[{name, text}]: aspects that get a verdict of their own.",
    )
    sampling = models.JSONField(default=dict, blank=True)
    template_version = models.PositiveSmallIntegerField(default=1)
    template = models.TextField(
        blank=True, help_text="The project's own wording of the question; else a shipped version."
    )
    asking = models.JSONField(
        default=dict,
        blank=True,
        help_text="orders (both, random), samples, max_side (pixels), frames (of a clip).",
    )
    limits = models.JSONField(
        default=dict,
        blank=True,
        help_text="Rates, caps and prices; they may change, for no verdict depends on them.",
    )
    is_jury = models.BooleanField(
        default=False, db_default=False, help_text="Votes are made of its members' votes."
    )
    members = models.ManyToManyField(
        "self", symmetrical=False, blank=True, related_name="juries", help_text="Of a jury."
    )
    checks = models.JSONField(default=dict, blank=True, help_text="What was measured of it.")
    family = models.CharField(
        max_length=150, blank=True, help_text="Of a judge: the name of all its versions."
    )
    version = models.PositiveSmallIntegerField(default=1)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children"
    )
    note = models.CharField(max_length=300, blank=True, help_text="What is new in this version.")
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
            models.UniqueConstraint(
                fields=["project", "family", "version"],
                name="annotator_version_once",
                condition=~Q(family=""),
            ),
        ]

    FIXED = (
        "model_id",
        "criteria",
        "rubric",
        "sampling",
        "template_version",
        "template",
        "asking",
        "family",
        "version",
        "parent_id",
    )
    """What a judge is: of one that can be asked these stay as they were made."""

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None and self.model_id:
            kept = Annotator.objects.filter(pk=self.pk).values(*self.FIXED).first()
            if kept is not None and any(getattr(self, name) != kept[name] for name in self.FIXED):
                raise TypeError("A judge never changes; make its next version.")
        super().save(*args, **kwargs)

    @property
    def line(self) -> models.QuerySet[Annotator]:
        """All versions of this judge, the newest first."""
        named = self.family or self.name
        rows = Annotator.objects.filter(project=self.project_id, family=named)
        return rows.order_by("-version") if self.family else Annotator.objects.filter(pk=self.pk)

    @property
    def spent(self) -> list[float]:
        """Calls, tokens and money of all its runs."""
        sums = self.spendings.aggregate(
            calls=Sum("calls"), tokens=Sum(F("tokens_in") + F("tokens_out")), cost=Sum("cost")
        )
        return [sums[name] or 0 for name in ("calls", "tokens", "cost")]

    @property
    def can_be_asked(self) -> bool:
        """Whether it is a judge that was made here; of others the votes came from a file."""
        made_here = bool(self.model_id or self.scorer or self.is_jury)
        return self.kind == self.Kind.JUDGE and made_here

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


class JudgeSpending(models.Model):
    """What one run of a judge has used up; calls answered from the cache cost nothing."""

    judge = models.ForeignKey(Annotator, models.CASCADE, related_name="spendings")
    run = models.OneToOneField("runs.Run", models.CASCADE, related_name="spending")
    calls = models.PositiveIntegerField(default=0, help_text="Answers that were paid for.")
    cached = models.PositiveIntegerField(default=0, help_text="Answers known from before.")
    tokens_in = models.PositiveBigIntegerField(default=0)
    tokens_out = models.PositiveBigIntegerField(default=0)
    cost = models.FloatField(default=0, help_text="By the judge's prices, in the currency set.")
    seconds = models.FloatField(default=0, help_text="Waited for the paid answers, all together.")

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.calls} calls of {self.judge}"


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
