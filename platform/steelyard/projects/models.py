from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

# by name, because the models of a project are `Project.models` and hide the module there
from django.db.models import PROTECT, ForeignKey, JSONField

from steelyard.projects.querysets import ProjectQuerySet


class Modality(models.TextChoices):
    TEXT = "text", "Text"
    IMAGE = "image", "Image"
    VIDEO = "video", "Video"


class Role(models.TextChoices):
    ANNOTATOR = "annotator", "Annotator"
    RESEARCHER = "researcher", "Researcher"
    ADMIN = "admin", "Admin"


class Project(models.Model):
    """One labelling effort: modality, guidelines, label scheme, overlap, policy."""

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=200)
    modality = models.CharField(max_length=10, choices=Modality.choices)
    guidelines = models.TextField(blank=True, help_text="Markdown, shown beside every pair.")
    label_scheme = JSONField(
        default=dict,
        blank=True,
        help_text="tie, both_bad, rationale_required, tags, aspects; what is absent has a default.",
    )
    overlap = models.PositiveSmallIntegerField(
        default=1, help_text="How many people judge each pair."
    )
    lease_seconds = models.PositiveIntegerField(
        default=600, help_text="How long a pair is kept for the annotator who was given it."
    )
    created_by = ForeignKey(
        settings.AUTH_USER_MODEL, PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(overlap__gte=1), name="project_overlap_min_1")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scheme(self) -> dict[str, Any]:
        """The label scheme with its defaults filled in."""
        defaults = {
            "tie": True,
            "both_bad": True,
            "rationale_required": False,
            "tags": ["accurate", "clear", "helpful", "too long", "wrong", "unsafe"],
            "aspects": [],
        }
        return {**defaults, **self.label_scheme}


class Membership(models.Model):
    """What one person may do in one project."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} {self.role} in {self.project}"
