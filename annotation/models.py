from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from annotation.querysets import (
    AssignmentQuerySet,
    JudgmentQuerySet,
    PairQuerySet,
    PromptQuerySet,
)


class Prompt(models.Model):
    """What was asked: chat messages, with a category and perhaps a reference answer."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="prompts")
    messages = models.JSONField(help_text="[{role, content}]")
    category = models.CharField(max_length=100, blank=True)
    reference_answer = models.TextField(blank=True)
    held_out = models.BooleanField(
        default=False, help_text="Kept for evaluation: never in a dataset version."
    )
    key = models.CharField(max_length=64, help_text="SHA-256 of the messages")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PromptQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="prompt_once")]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def text(self) -> str:
        """The last thing the user said."""
        asked = [m["content"] for m in self.messages if m["role"] == "user"]
        return asked[-1] if asked else ""


class Output(models.Model):
    """One answer to a prompt: text or a file, with the model version that made it."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="outputs")
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="outputs")
    model = models.ForeignKey("registry.ModelVersion", models.PROTECT, related_name="outputs")
    text = models.TextField(blank=True)
    asset = models.ForeignKey(
        "assets.Asset", models.PROTECT, null=True, blank=True, related_name="outputs"
    )
    seed = models.BigIntegerField(null=True, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    key = models.CharField(
        max_length=64, help_text="SHA-256 of model name, seed, parameters and content"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt", "key"], name="output_once"),
        ]

    def __str__(self) -> str:
        return self.text[:80] or str(self.asset)


class Pair(models.Model):
    """Two outputs of one prompt. Side a is the one with the smaller key, so that the same two
    outputs are the same pair wherever they come from."""

    class Origin(models.TextChoices):
        IMPORT = "import", "Imported"
        EVALUATION = "evaluation", "Evaluation"

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="pairs")
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="pairs")
    output_a = models.ForeignKey(Output, models.PROTECT, related_name="+")
    output_b = models.ForeignKey(Output, models.PROTECT, related_name="+")
    key = models.CharField(max_length=64, help_text="SHA-256 of the prompt and both outputs")
    origin = models.CharField(max_length=12, choices=Origin.choices, default=Origin.IMPORT)
    priority = models.SmallIntegerField(default=0, help_text="Higher is labelled first.")
    wanted = models.PositiveSmallIntegerField(
        default=1, help_text="How many people's judgments it is to get."
    )
    judged = models.PositiveSmallIntegerField(
        default=0, help_text="How many people have judged it; a skip leaves it to others."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PairQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "key"], name="pair_once"),
            models.CheckConstraint(
                condition=~Q(output_a=F("output_b")), name="pair_of_two_outputs"
            ),
            models.CheckConstraint(
                condition=Q(judged__lte=F("wanted")), name="pair_within_overlap"
            ),
        ]
        indexes = [
            # read by PairQuerySet.next_for: the open pairs of a project in their order
            models.Index(
                fields=["project", "-priority", "id"],
                name="pair_open",
                condition=Q(judged__lt=F("wanted")),
            )
        ]

    def __str__(self) -> str:
        return f"pair {self.pk}"


class Annotator(models.Model):
    """Who judges in a project: a person, or a judge (a model with its instructions)."""

    class Kind(models.TextChoices):
        PERSON = "person", "Person"
        JUDGE = "judge", "AI judge"

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="annotators")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="annotators"
    )
    model = models.ForeignKey(
        "registry.ModelVersion", models.PROTECT, null=True, blank=True, related_name="judges"
    )
    criteria = models.TextField(blank=True, help_text="What the judge is told to look for.")
    sampling = models.JSONField(default=dict, blank=True)
    template_version = models.PositiveSmallIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="annotator_name_once"),
            models.UniqueConstraint(
                fields=["project", "user"],
                name="annotator_user_once",
                condition=Q(user__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Assignment(models.Model):
    """A lease: the pair is kept for one annotator until it expires. Sides are drawn here and
    carried into the judgment."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="+")
    pair = models.ForeignKey(Pair, models.CASCADE, related_name="assignments")
    annotator = models.ForeignKey(Annotator, models.CASCADE, related_name="assignments")
    swapped = models.BooleanField(help_text="Whether output b is shown first.")
    leased_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pair", "annotator"], name="assignment_once")
        ]
        indexes = [models.Index(fields=["annotator", "expires_at"], name="assignment_of")]

    def __str__(self) -> str:
        return f"{self.pair} for {self.annotator}"

    @property
    def shown(self) -> tuple[Output, Output]:
        """The outputs in the order of the screen."""
        a, b = self.pair.output_a, self.pair.output_b
        for output in (a, b):
            if output.asset:
                output.asset.project = self.project  # its URL names the project
        return (b, a) if self.swapped else (a, b)


class Outcome(models.TextChoices):
    A = "a", "A is better"
    B = "b", "B is better"
    TIE = "tie", "Tie"
    BOTH_BAD = "both_bad", "Both bad"
    SKIP = "skip", "Skip"


class Judgment(models.Model):
    """One annotator's verdict on one pair, against item identity (a, b), never screen side.

    Append-only: a correction is a new row that supersedes, and the old one only loses
    ``is_current``.
    """

    uuid = models.UUIDField(
        default=uuid.uuid4, unique=True, help_text="Made by the client: a retry is the same row."
    )
    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="judgments")
    pair = models.ForeignKey(Pair, models.PROTECT, related_name="judgments")
    annotator = models.ForeignKey(Annotator, models.PROTECT, related_name="judgments")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    strength = models.SmallIntegerField(
        default=0, help_text="-3 to 3; negative means a is better, 0 a tie or not said."
    )
    aspects = models.JSONField(default=dict, blank=True, help_text="{name: signed strength}")
    rationale = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    evidence = models.JSONField(default=list, blank=True)
    swapped = models.BooleanField(help_text="Whether output b was shown first.")
    exposure = models.JSONField(default=dict, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    run = models.ForeignKey(
        "runs.Run", models.PROTECT, null=True, blank=True, related_name="judgments"
    )
    details = models.JSONField(
        default=dict, blank=True, help_text="A judge's raw answers, one an order."
    )
    supersedes = models.OneToOneField(
        "self", models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )
    is_current = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = JudgmentQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["pair", "annotator"],
                name="judgment_current_once",
                condition=Q(is_current=True),
            ),
            models.CheckConstraint(
                condition=Q(strength__gte=-3, strength__lte=3), name="judgment_strength_range"
            ),
            models.CheckConstraint(
                condition=(
                    Q(outcome="a", strength__lt=0)
                    | Q(outcome="b", strength__gt=0)
                    | Q(outcome__in=["tie", "both_bad", "skip"], strength=0)
                ),
                name="judgment_strength_agrees",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} by {self.annotator}"
