from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from steelyard.web.scopes import SCOPES


class User(AbstractUser):
    """A person who signs in. What they may do in a project is their Membership's role;
    ``is_superuser`` makes a site admin, who may do everything and makes projects."""

    must_change_password = models.BooleanField(
        default=False, help_text="The password was given by a site admin and is for one sign-in."
    )
    language = models.CharField(
        max_length=10, blank=True, help_text="Of the pages; the browser's where empty."
    )
    preferences = models.JSONField(
        default=dict, blank=True, help_text="What the person has set for pages: label_keys."
    )

    class Meta:
        ordering = ["username"]


def _all_scopes() -> list[str]:
    return list(SCOPES)


class ApiToken(models.Model):
    """A key for the API. Only its SHA-256 is kept; the key itself is shown once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(
        models.CharField(max_length=10), default=_all_scopes, help_text="What it is good for."
    )
    project = models.ForeignKey(
        "projects.Project",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="The one project that it opens; all of its person's where empty.",
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="From when it opens nothing."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()


class AuditEvent(models.Model):
    """Who did what to which thing, written by services and never changed."""

    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True)
    action = models.CharField(max_length=80)
    target = models.CharField(max_length=200)
    data = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            # read at each sign-in, to count the latest failures of that name
            models.Index(fields=["action", "target", "created_at"], name="audit_of_target")
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
