from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

# by name, because the models of a project are `Project.models` and hide the module there
from django.db.models import PROTECT, ForeignKey, JSONField
from django.utils.translation import gettext_lazy as _

from steelyard.projects.querysets import ProjectQuerySet


class Modality(models.TextChoices):
    TEXT = "text", _("Text")
    IMAGE = "image", _("Image")
    VIDEO = "video", _("Video")


class Role(models.TextChoices):
    ANNOTATOR = "annotator", _("Annotator")
    RESEARCHER = "researcher", _("Researcher")
    ADMIN = "admin", _("Admin")


class QueuePolicy(models.TextChoices):
    IN_ORDER = "in_order", _("In the order in which they came")
    SHUFFLED = "shuffled", _("Shuffled, the same shuffle for everybody")
    FINISH_FIRST = "finish_first", _("Begun pairs first, so that pairs are soon complete")
    SPREAD = "spread", _("Pairs with the fewest verdicts first")


class Project(models.Model):
    """One labelling effort: modality, guidelines, label scheme, overlap, policy."""

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=200)
    modality = models.CharField(max_length=10, choices=Modality.choices)
    guidelines = models.TextField(blank=True, help_text="Markdown, shown beside every pair.")
    label_scheme = JSONField(
        default=dict,
        blank=True,
        help_text="What a verdict consists of; what is absent has a default (see scheme).",
    )
    overlap = models.PositiveSmallIntegerField(
        default=1, help_text="How many people judge each pair."
    )
    lease_seconds = models.PositiveIntegerField(
        default=600, help_text="How long a pair is kept for the annotator who was given it."
    )
    overlap_max = models.PositiveSmallIntegerField(
        default=0,
        help_text="Up to how many people judge a pair on which no verdict has a majority; 0 for "
        "no more than the overlap.",
    )
    queue_policy = models.CharField(
        max_length=20,
        choices=QueuePolicy.choices,
        default=QueuePolicy.IN_ORDER,
        help_text="Which of the pairs of the same priority comes first.",
    )
    paused = models.BooleanField(default=False, help_text="Nobody is given a pair.")
    person_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text="Most verdicts of one person in all."
    )
    day_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text="Most verdicts of one person in a day (UTC)."
    )
    training_pass = models.PositiveSmallIntegerField(
        default=0,
        help_text="Percent of right answers in the training round that opens the real work.",
    )
    break_minutes = models.PositiveSmallIntegerField(
        default=50, help_text="After how long a break is offered; 0 for never."
    )
    license = models.CharField(
        max_length=60,
        blank=True,
        default="",
        help_text="Under which its data may be used, as the Hugging Face hub names it: cc-by-4.0.",
    )
    webhook_events = ArrayField(
        models.CharField(max_length=40),
        default=list,
        blank=True,
        help_text="What its webhooks want to know; kept by them, so that telling nobody is free.",
    )
    created_by = ForeignKey(
        settings.AUTH_USER_MODEL, PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(overlap__gte=1), name="project_overlap_min_1"
            ),
            models.CheckConstraint(
                condition=models.Q(training_pass__lte=100), name="project_training_pass_percent"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scheme(self) -> dict[str, Any]:
        """The label scheme with its defaults filled in.

        task: pair or ranking. tie, both_bad: whether they can be chosen. steps: 3, 5 or 7, the
        places of the scale with its middle. aspects: names of what is compared besides. tags:
        reasons to pick from. rationale_required, rationale_min (characters). evidence: off,
        optional or required. correction: whether a better answer may be written. segments: whether
        parts of a video get verdicts of their own. skip_reasons, flag_reasons: what to pick from.
        """
        defaults = {
            "task": "pair",
            "tie": True,
            "both_bad": True,
            "steps": 7,
            "rationale_required": False,
            "rationale_min": 0,
            "evidence": "optional",
            "correction": False,
            "segments": False,
            "tags": ["accurate", "clear", "helpful", "too long", "wrong", "unsafe"],
            "aspects": [],
            "skip_reasons": ["cannot judge this", "not my language", "broken"],
            "flag_reasons": ["harmful", "personal data", "makes no sense", "other"],
        }
        return {**defaults, **self.label_scheme}


TAGS = {
    Modality.IMAGE: ["as asked", "good composition", "artefacts", "wrong anatomy", "not as asked"],
    Modality.VIDEO: ["as asked", "smooth motion", "motion wrong", "flicker", "not as asked"],
}
"""Reasons that a new project offers where nobody names any; a text project has the scheme's."""


class Membership(models.Model):
    """What one person may do in one project."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} {self.role} in {self.project}"
