from __future__ import annotations

import uuid
from pathlib import Path

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from steelyard.lib.rundir import RunDir, seconds_left
from steelyard.lib.said import coded
from steelyard.runs.querysets import RunQuerySet
from steelyard.runs.said import counted, said


class RunState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    PAUSING = "pausing", _("Pausing")
    PAUSED = "paused", _("Paused")
    CANCELLING = "cancelling", _("Cancelling")
    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


ACTIVE = [RunState.QUEUED, RunState.RUNNING, RunState.PAUSING, RunState.CANCELLING]
"""What the reconciler looks after. A paused run waits for a person, however long."""


class Run(models.Model):
    """One background execution. The row is the truth; the run directory holds what it made."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="runs")
    kind = models.CharField(max_length=20, help_text="A key of settings.RUN_KINDS.")
    title = models.CharField(max_length=200)
    state = models.CharField(
        max_length=12, choices=RunState.choices, default=RunState.QUEUED, db_index=True
    )
    spec = models.JSONField(default=dict, help_text="What run.json says, without the inputs.")
    attempt = models.PositiveIntegerField(default=0, help_text="How often it was started.")
    fruitless = models.PositiveSmallIntegerField(
        default=0, help_text="How often in a row it crashed without getting further."
    )
    done_at_start = models.PositiveIntegerField(
        default=0, help_text="How far it was when its process was last started."
    )
    pid = models.PositiveIntegerField(null=True, blank=True)
    pid_started = models.FloatField(
        null=True, blank=True, help_text="Start time of that process: a pid alone may be reused."
    )
    devices = models.JSONField(
        default=list, blank=True, help_text="Numbers of the GPUs that it was given."
    )
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    unit = models.CharField(max_length=20, blank=True)
    status_text = models.CharField(max_length=300, blank=True)
    said = models.JSONField(
        default=dict,
        blank=True,
        help_text="Code and values of title, status_text and error where they were said by code.",
    )
    metrics_offset = models.PositiveBigIntegerField(default=0)
    resources_offset = models.PositiveBigIntegerField(default=0)
    result = models.JSONField(null=True, blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    seconds_before = models.FloatField(
        default=0, help_text="How long it was at work before it was last started from the queue."
    )

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            # read by the reconciler every two seconds
            models.Index(
                fields=["created_at"],
                name="run_active",
                condition=models.Q(state__in=["queued", "running", "pausing", "cancelling"]),
            )
        ]

    def __str__(self) -> str:
        return self.called

    def get_absolute_url(self) -> str:
        return reverse("runs:run-detail", args=[self.project.slug, self.pk])

    @property
    def dir(self) -> RunDir:
        return RunDir(Path(settings.RUNS_DIR) / str(self.uuid))

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def warning(self) -> str:
        """What its engine warns of at the end, such as a model that became worse; else empty."""
        result = (self.result or {}) if self.state == RunState.SUCCEEDED else {}
        by_code = result.get("said", {}).get("warning")
        return said(self.kind, by_code, str(result.get("warning", "")))

    @property
    def why(self) -> str:
        """The error, in the reader's language where its engine said it by code."""
        if self.error and "error" in self.said:
            return said(self.kind, self.said["error"], self.error)
        result = (self.dir.result() or {}) if self.error else {}
        if result.get("message") != self.error:
            return self.error
        return said(self.kind, result.get("said", {}).get("message"), self.error)

    @property
    def called(self) -> str:
        """Its title in the reader's language."""
        return said(self.kind, self.said.get("title"), self.title)

    @property
    def doing(self) -> str:
        """What it is at, in the reader's language."""
        return said(self.kind, self.said.get("status_text"), self.status_text)

    @property
    def units(self) -> str:
        """What it counts, in the reader's language."""
        unit = counted(self.total, self.unit)
        return said(self.kind, coded(unit), unit)

    @property
    def may(self) -> set[str]:
        """What can be asked of it as it is: pause, resume, cancel, retry."""
        kind = self.kind in settings.PAUSABLE_RUNS
        return {
            RunState.QUEUED: {"cancel", "pause"} if kind else {"cancel"},
            RunState.RUNNING: {"cancel", "pause"} if kind else {"cancel"},
            RunState.PAUSING: {"cancel"},
            RunState.PAUSED: {"cancel", "resume"},
            RunState.FAILED: ({"retry"} if kind or self.kind in settings.RETRIABLE_RUNS else set()),
        }.get(RunState(self.state), set())

    @property
    def seconds(self) -> float | None:
        """How long it has been at work, pauses left out; None before its first start."""
        if self.started_at is None:
            return None
        if self.state in {RunState.QUEUED, RunState.PAUSED}:
            return self.seconds_before
        now = (self.finished_at or timezone.now()) - self.started_at
        return self.seconds_before + now.total_seconds()

    @property
    def seconds_left(self) -> float | None:
        """Until it is through at its recent pace; None where that is not known."""
        if self.state != RunState.RUNNING or not self.done or not self.total:
            return None
        try:
            progress = self.dir.read_progress()
        except (OSError, ValueError):
            return None
        return seconds_left(progress) if progress else None

    @property
    def cost(self) -> float | None:
        """Hours at work, times GPUs, times ``settings.GPU_HOUR_PRICE``; None without either."""
        if not (settings.GPU_HOUR_PRICE and self.devices and self.seconds):
            return None
        return self.seconds / 3600 * len(self.devices) * settings.GPU_HOUR_PRICE


class MetricPoint(models.Model):
    """One number of a run at a step. A step run again after a crash overwrites its number."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="points")
    name = models.CharField(max_length=60)
    step = models.PositiveIntegerField()
    value = models.FloatField(null=True)
    time = models.FloatField(help_text="seconds since the epoch")

    class Meta:
        ordering = ["step"]
        constraints = [
            models.UniqueConstraint(fields=["run", "name", "step"], name="metric_point_once")
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.step}={self.value}"
