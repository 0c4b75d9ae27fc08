from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from evaluation.querysets import ComparisonQuerySet, EvaluationQuerySet


class Evaluation(models.Model):
    """Model versions against a baseline on a prompt set, compared blind by people or a judge."""

    class State(models.TextChoices):
        GENERATING = "generating", _("Generating outputs")
        COMPARING = "comparing", _("Outputs are there")
        FAILED = "failed", _("Failed")

    class Method(models.TextChoices):
        PEOPLE = "people", _("People")
        JUDGE = "judge", _("AI judge")

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="evaluations")
    name = models.CharField(max_length=200)
    baseline = models.ForeignKey("registry.ModelVersion", models.PROTECT, related_name="+")
    candidates = models.ManyToManyField("registry.ModelVersion", related_name="evaluations")
    method = models.CharField(max_length=10, choices=Method.choices)
    judge = models.ForeignKey(
        "annotation.Annotator", models.PROTECT, null=True, blank=True, related_name="+"
    )
    state = models.CharField(max_length=12, choices=State.choices, default=State.GENERATING)
    prompt_set = models.JSONField(help_text="Which prompts: {held_out, category, limit}")
    sampling = models.JSONField(default=dict, blank=True)
    seed = models.BigIntegerField(default=0)
    same_seeds = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Whether all models draw from the same seeds; misleads with pictures and clips.",
    )
    error = models.TextField(blank=True)
    generation = models.ForeignKey(
        "runs.Run", models.PROTECT, null=True, blank=True, related_name="+"
    )
    judging = models.ForeignKey("runs.Run", models.PROTECT, null=True, blank=True, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = EvaluationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("evaluation:evaluation-detail", args=[self.project.slug, self.pk])

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to wait for: it failed, its judge is done, or people have
        given each comparison the votes that it wants."""
        if self.state != self.State.COMPARING:
            return self.state == self.State.FAILED
        if self.method == self.Method.JUDGE:
            return self.judging is None or not self.judging.is_active
        pairs = self.comparisons.filter(pair__judged__lt=models.F("pair__wanted"))
        return not pairs.exists()

    @property
    def is_working(self) -> bool:
        """Whether a run of it is still under way, so that the page keeps itself fresh."""
        runs = [run for run in (self.generation, self.judging) if run is not None]
        return any(run.is_active for run in runs)


class Comparison(models.Model):
    """One pair of an evaluation: a candidate's output against the baseline's."""

    evaluation = models.ForeignKey(Evaluation, models.CASCADE, related_name="comparisons")
    pair = models.ForeignKey("annotation.Pair", models.PROTECT, related_name="comparisons")
    candidate = models.ForeignKey("registry.ModelVersion", models.PROTECT, related_name="+")
    candidate_is_a = models.BooleanField(help_text="Which canonical side the candidate has.")

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["evaluation", "pair"], name="comparison_once")
        ]

    def __str__(self) -> str:
        return f"{self.candidate} in {self.evaluation}"

    @property
    def candidate_side(self) -> str:
        """The outcome that says the candidate is better."""
        return "a" if self.candidate_is_a else "b"

    @property
    def is_identical(self) -> bool:
        """Whether both models gave the same output: a tie that nobody is asked about."""
        a, b = self.pair.output_a, self.pair.output_b
        return a.text == b.text and a.asset_id == b.asset_id
