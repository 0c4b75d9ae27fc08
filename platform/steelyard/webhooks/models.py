from __future__ import annotations

import secrets

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Event(models.TextChoices):
    PAIR_COMPLETED = "pair.completed", _("A pair has all the verdicts that it wants")
    VERSION_PUBLISHED = "version.published", _("A dataset version is frozen")
    RUN_FINISHED = "run.finished", _("A run has succeeded, failed or been cancelled")


TEST_EVENT = "webhook.test"


class Endpoint(models.Model):
    """An address of somebody's that is told of what happens in a project."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=1000)
    events = ArrayField(models.CharField(max_length=40), help_text="What it is told of.")
    secret = models.CharField(max_length=100, help_text="Signs what is sent; shown once.")
    old_secret = models.CharField(max_length=100, blank=True)
    old_secret_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then both sign, so that nobody misses anything."
    )
    enabled = models.BooleanField(default=True)
    failing_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when nothing has arrived."
    )
    disabled_because = models.CharField(max_length=300, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.url

    @property
    def secrets(self) -> list[str]:
        """All that sign now, the newest first."""
        both = self.old_secret_until is not None and self.old_secret_until > timezone.now()
        return [self.secret, self.old_secret] if both else [self.secret]


def new_key() -> str:
    return f"msg_{secrets.token_urlsafe(18)}"


class Delivery(models.Model):
    """One event for one endpoint: written with what it tells of, sent after that."""

    class State(models.TextChoices):
        PENDING = "pending", _("Waiting")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="deliveries")
    key = models.CharField(
        max_length=40, unique=True, default=new_key, help_text="The same at each attempt."
    )
    event = models.CharField(max_length=40)
    body = models.TextField(help_text="JSON, to the byte as it is signed.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    last_status = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="HTTP status of the last answer."
    )
    last_error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            # read by beat every ten seconds
            models.Index(
                fields=["due_at"], name="delivery_due", condition=models.Q(state="pending")
            ),
            # read by the page and the API: the newest of an endpoint
            models.Index(fields=["endpoint", "-id"], name="delivery_newest"),
        ]

    def __str__(self) -> str:
        return self.key
