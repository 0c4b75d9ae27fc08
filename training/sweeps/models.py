from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from steelyard.runs.models import RunState
from training.sweeps.querysets import SweepQuerySet, TrialQuerySet, TrialRunQuerySet

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
"""States of a run that has ended; one that somebody has paused has not."""


class SweepState(models.TextChoices):
    TUNING = "tuning", _("Searching")
    TESTING = "testing", _("Testing the best")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class Sampler(models.TextChoices):
    TPE = "tpe", _("TPE (Parzen estimators)")
    GP = "gp", _("Gaussian process")


class Keep(models.TextChoices):
    WINNERS = "winners", _("One model of each winner")
    TESTS = "tests", _("Every model of the winners")
    ALL = "all", _("The model of every run")


class Sweep(models.Model):
    """A search for good settings. Its rows are all there is: Optuna's study is made anew from them
    at every question, so that a worker that dies loses nothing."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="sweeps")
    name = models.CharField(max_length=120)
    version = models.ForeignKey("registry.DatasetVersion", models.PROTECT, related_name="sweeps")
    base = models.ForeignKey("registry.ModelVersion", models.PROTECT, related_name="sweeps")
    recipe = models.CharField(max_length=40)
    fixed = models.JSONField(help_text="What is the same in every run, by name.")
    space = models.JSONField(help_text="What is searched; see training.engine.sweep_space.")
    objectives = models.JSONField(help_text="A list of measure and direction.")
    judge = models.ForeignKey(
        "registry.ModelVersion",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Says whose answer is better, where the win rate is aimed at.",
    )
    criteria = models.TextField(blank=True, help_text="What the judge is told to look for.")
    sampler = models.CharField(max_length=10, choices=Sampler.choices, default=Sampler.TPE)
    seed = models.PositiveIntegerField(default=0, help_text="Decides what the sampler draws.")
    tuning_seeds = ArrayField(
        models.PositiveIntegerField(), help_text="Every trial is trained once with each."
    )
    test_seeds = ArrayField(
        models.PositiveIntegerField(), help_text="Winners are trained again with each."
    )
    split_held_out = models.BooleanField(
        default=True,
        help_text="Tune on one half of the held-out prompts and test on the other.",
    )
    trials_wanted = models.PositiveIntegerField()
    hours_wanted = models.FloatField(
        null=True, blank=True, help_text="No trial begins after so many hours of runs."
    )
    at_once = models.PositiveSmallIntegerField(default=1, help_text="Runs at a time, at most.")
    winners_wanted = models.PositiveSmallIntegerField(
        default=3, help_text="Of several objectives' front, so many are tested at most."
    )
    with_usual = models.BooleanField(
        default=True, help_text="The usual settings are tested beside the winners."
    )
    prune = models.BooleanField(
        default=False, help_text="Stop trials early that are behind (successive halving)."
    )
    keep = models.CharField(max_length=10, choices=Keep.choices, default=Keep.WINNERS)
    model_name = models.CharField(max_length=150)
    state = models.CharField(
        max_length=10, choices=SweepState.choices, default=SweepState.TUNING, db_index=True
    )
    paused = models.BooleanField(default=False)
    why_ended = models.CharField(
        max_length=300, blank=True, help_text="Why no more trials were asked for."
    )
    importances = models.JSONField(
        default=list, blank=True, help_text="For each objective, settings and their shares."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = SweepQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="sweep_name_once"),
            models.CheckConstraint(
                condition=~Q(tuning_seeds__overlap=F("test_seeds")), name="sweep_seeds_disjoint"
            ),
            models.CheckConstraint(condition=Q(at_once__gte=1), name="sweep_runs_at_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("training:sweep-detail", args=[self.project.slug, self.pk])

    @property
    def is_active(self) -> bool:
        return self.state in (SweepState.TUNING, SweepState.TESTING)

    @property
    def measures(self) -> list[str]:
        return [objective["measure"] for objective in self.objectives]

    @property
    def directions(self) -> list[str]:
        return [objective["direction"] for objective in self.objectives]


class TrialState(models.TextChoices):
    RUNNING = "running", _("Running")
    COMPLETE = "complete", _("Complete")
    PRUNED = "pruned", _("Stopped early")
    FAILED = "failed", _("Failed")


class Trial(models.Model):
    """One choice of settings, and what the tuning seeds say of it. Number 0 has the usual ones."""

    sweep = models.ForeignKey(Sweep, models.CASCADE, related_name="trials")
    number = models.PositiveIntegerField()
    params = models.JSONField()
    state = models.CharField(max_length=10, choices=TrialState.choices, default=TrialState.RUNNING)
    values = models.JSONField(
        null=True, blank=True, help_text="Means over the tuning seeds, one an objective."
    )
    reached = models.JSONField(
        null=True, blank=True, help_text="Of a trial stopped early: the step and the value there."
    )
    error = models.TextField(blank=True)
    is_winner = models.BooleanField(default=False)
    asked_at = models.DateTimeField(auto_now_add=True)
    told_at = models.DateTimeField(null=True, blank=True)

    objects = TrialQuerySet.as_manager()

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["sweep", "number"], name="trial_number_once")
        ]

    def __str__(self) -> str:
        return f"{self.sweep} · {self.number}"


class Purpose(models.TextChoices):
    TUNING = "tuning", _("Tuning")
    TEST = "test", _("Test")


class TrialRunState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    STARTED = "started", _("Started")
    DONE = "done", _("Done")
    STOPPED = "stopped", _("Stopped early")
    FAILED = "failed", _("Failed")


class TrialRun(models.Model):
    """A trial with one seed: the training job that does it, and the numbers that came of it."""

    trial = models.ForeignKey(Trial, models.CASCADE, related_name="runs")
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    seed = models.PositiveIntegerField()
    keeps_model = models.BooleanField(default=False)
    job = models.OneToOneField(
        "training.TrainingJob",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="trial_run",
    )
    state = models.CharField(
        max_length=10, choices=TrialRunState.choices, default=TrialRunState.WAITING
    )
    measured = models.JSONField(default=dict, blank=True, help_text="Numbers by measure.")
    hours = models.FloatField(null=True, blank=True)
    error = models.TextField(blank=True)

    objects = TrialRunQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["trial", "purpose", "seed"], name="trial_run_seed_once")
        ]

    def __str__(self) -> str:
        return f"{self.trial} · {self.purpose} {self.seed}"
