from __future__ import annotations

from django.db import models

from training.querysets import TrainingJobQuerySet
from training.sweeps.models import Sweep, Trial, TrialRun

__all__ = ["Sweep", "TrainingJob", "Trial", "TrialRun"]


class TrainingJob(models.Model):
    """What a training run reads and makes: dataset version + base model + recipe → model."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="training_jobs")
    run = models.OneToOneField("runs.Run", models.CASCADE, related_name="training_job")
    version = models.ForeignKey(
        "registry.DatasetVersion", models.PROTECT, related_name="training_jobs"
    )
    base = models.ForeignKey("registry.ModelVersion", models.PROTECT, related_name="training_jobs")
    recipe = models.CharField(max_length=40)
    config = models.JSONField()
    model_name = models.CharField(max_length=200, help_text="What the new model is to be called.")
    result = models.ForeignKey(
        "registry.ModelVersion",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="training_job_made",
    )

    objects = TrainingJobQuerySet.as_manager()

    class Meta:
        ordering = ["-run__created_at"]

    def __str__(self) -> str:
        return f"{self.recipe} of {self.base} on {self.version}"
