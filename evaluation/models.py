from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from evaluation.models_arena import Arena as Arena
from evaluation.models_arena import Battle as Battle
from evaluation.models_arena import Turn as Turn
from evaluation.models_arena import Visitor as Visitor
from evaluation.models_board import OutputMeasure as OutputMeasure
from evaluation.models_board import OutputUsage as OutputUsage
from evaluation.models_board import PublishedBoard as PublishedBoard
from evaluation.models_length import GamedFile as GamedFile
from evaluation.models_records import OutputRecord as OutputRecord
from evaluation.models_routing import Routed as Routed
from evaluation.models_routing import Routing as Routing
from evaluation.querysets import ComparisonQuerySet, EvaluationQuerySet


class Evaluation(models.Model):
    """Model versions against a baseline on a prompt set, compared blind by people, by judges and
    scorers, or by any of them beside each other; their votes are never mixed."""

    class State(models.TextChoices):
        GENERATING = "generating", _("Generating outputs")
        COMPARING = "comparing", _("Outputs are there")
        FAILED = "failed", _("Failed")

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="evaluations")
    name = models.CharField(max_length=200)
    baseline = models.ForeignKey("registry.ModelVersion", models.PROTECT, related_name="+")
    candidates = models.ManyToManyField("registry.ModelVersion", related_name="evaluations")
    ask_people = models.BooleanField(
        default=True, db_default=True, help_text="Whether its pairs come into the labelling queue."
    )
    preset = models.CharField(
        max_length=20, blank=True, db_default="", help_text="The protocol that it was set up by."
    )
    questions = models.JSONField(
        default=list,
        blank=True,
        db_default=[],
        help_text="Aspects that are asked besides the overall verdict: [{name, text}]",
    )
    plan = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        help_text="Which pairs people are asked about and when that stops: {pairs, budget, "
        "random_share, stop, alpha, delta}; all pairs and no stop where it is empty.",
    )
    stopped_at = models.DateTimeField(null=True, blank=True)
    stop_reason = models.CharField(max_length=200, blank=True, db_default="")
    decisions = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        help_text="By candidate's id, what was sure and when: {decision, rate, lo, hi, log_e, "
        "prompts, votes, at}. Votes that come later change nothing of it.",
    )
    state = models.CharField(max_length=12, choices=State.choices, default=State.GENERATING)
    prompt_set = models.JSONField(
        help_text="Which prompts: {source, version, set, category, limit}"
    )
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
    counts = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        help_text="By model: outputs that were reused, and prompts without one.",
    )
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
    def seats(self) -> list[EvaluationJudge]:
        """Its judges and scorers by name, each with its run."""
        return sorted(self.panel.all(), key=lambda seat: seat.judge.name)

    @property
    def has_failed_judge(self) -> bool:
        return any(seat.has_failed for seat in self.panel.all())

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to wait for: it failed, or its judges are done and people
        have given each comparison the votes that it wants or need give no more."""
        if self.state != self.State.COMPARING:
            return self.state == self.State.FAILED
        if any(seat.is_active for seat in self.panel.all()):
            return False
        if not self.ask_people or self.stopped_at is not None:
            return True
        if self.plan:
            return False  # between two batches nothing may be open
        return not self.comparisons.filter(pair__judged__lt=models.F("pair__wanted")).exists()

    @property
    def is_voting(self) -> bool:
        """Whether people are asked, or were."""
        return self.ask_people and self.state == self.State.COMPARING

    @property
    def is_working(self) -> bool:
        """Whether a run of it is still under way, so that the page keeps itself fresh."""
        if self.generation is not None and self.generation.is_active:
            return True
        return any(seat.is_active for seat in self.panel.all())


class EvaluationJudge(models.Model):
    """A judge's or a scorer's seat in an evaluation."""

    evaluation = models.ForeignKey(Evaluation, models.CASCADE, related_name="panel")
    judge = models.ForeignKey("annotation.Annotator", models.PROTECT, related_name="+")
    run = models.ForeignKey(
        "runs.Run",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The last in which it was asked; none where nothing was left to ask it.",
    )

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["evaluation", "judge"], name="judge_once")]

    def __str__(self) -> str:
        return f"{self.judge} in {self.evaluation}"

    @property
    def is_active(self) -> bool:
        return self.run is not None and self.run.is_active

    @property
    def has_failed(self) -> bool:
        """Whether it can be asked for the rest: its run ended before all was judged."""
        return self.run is not None and self.run.state in {"failed", "cancelled"}


class PromptSet(models.Model):
    """Prompts that evaluations come back to, by name and in an order."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="prompt_sets")
    name = models.CharField(max_length=150)
    note = models.TextField(blank=True)
    made_from = models.JSONField(
        default=dict, blank=True, help_text="How its prompts were chosen: a filter, file or version"
    )
    prompts = models.ManyToManyField(
        "annotation.Prompt", through="PromptSetItem", related_name="prompt_sets"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="prompt_set_name_once")
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("evaluation:prompt-set-detail", args=[self.project.slug, self.pk])


class PromptSetItem(models.Model):
    """A prompt's place in a set."""

    prompt_set = models.ForeignKey(PromptSet, models.CASCADE, related_name="items")
    prompt = models.ForeignKey("annotation.Prompt", models.PROTECT, related_name="+")
    order = models.PositiveIntegerField()

    class Meta:
        ordering = ["order"]
        constraints = [
            models.UniqueConstraint(fields=["prompt_set", "prompt"], name="prompt_in_set_once")
        ]

    def __str__(self) -> str:
        return f"{self.prompt} in {self.prompt_set}"


class Comparison(models.Model):
    """One pair of an evaluation: a candidate's output against the baseline's, or another
    candidate's."""

    evaluation = models.ForeignKey(Evaluation, models.CASCADE, related_name="comparisons")
    pair = models.ForeignKey("annotation.Pair", models.PROTECT, related_name="comparisons")
    candidate = models.ForeignKey("registry.ModelVersion", models.PROTECT, related_name="+")
    candidate_is_a = models.BooleanField(help_text="Which canonical side the candidate has.")
    opponent = models.ForeignKey(
        "registry.ModelVersion",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The other candidate, where active pairs let two of them meet; none for the "
        "baseline.",
    )
    probability = models.FloatField(
        null=True,
        blank=True,
        help_text="With which people were asked about it; none where all pairs are asked.",
    )
    by_chance = models.BooleanField(
        null=True, blank=True, help_text="Whether the random share of the plan drew it."
    )
    asked_at = models.DateTimeField(null=True, blank=True)

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
