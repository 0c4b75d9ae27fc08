from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.models.people import Annotator


class Withdrawal(models.Model):
    """Votes that are no longer to count, and why: an annotator's, or those of a run.

    Nothing that is frozen changes by it. Versions frozen later leave the votes out and say so in
    their recipe by the key below.
    """

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="withdrawals")
    key = models.CharField(
        max_length=16, help_text="Start of the SHA-256 of what is withdrawn: who, when, which run."
    )
    annotator = models.ForeignKey(
        Annotator, models.PROTECT, null=True, blank=True, related_name="withdrawals"
    )
    run = models.ForeignKey(
        "runs.Run", models.PROTECT, null=True, blank=True, related_name="withdrawals"
    )
    since = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True, help_text="Votes before this moment.")
    reason = models.TextField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    lifted_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when the votes count again in new versions."
    )

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["project", "key"], name="withdrawal_once"),
            models.CheckConstraint(
                condition=Q(annotator__isnull=False) | Q(run__isnull=False),
                name="withdrawal_of_something",
            ),
        ]

    def __str__(self) -> str:
        return f"votes of {self.annotator or self.run}"

    def covers(self) -> Q:
        """The judgments that it is about."""
        said = Q(project=self.project_id)
        if self.annotator_id:
            said &= Q(annotator=self.annotator_id)
        if self.run_id:
            said &= Q(run=self.run_id)
        if self.since:
            said &= Q(created_at__gte=self.since)
        if self.until:
            said &= Q(created_at__lt=self.until)
        return said
