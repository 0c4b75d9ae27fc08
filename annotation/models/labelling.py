from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from annotation.models.battle import packed_battle
from annotation.models.material import Output, Pair
from annotation.models.outcome import Outcome
from annotation.models.people import Annotator
from annotation.querysets import AssignmentQuerySet, JudgmentQuerySet


class Assignment(models.Model):
    """A lease: the pair is kept for one annotator until it expires. Sides are drawn here and
    carried into the judgment."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="+")
    pair = models.ForeignKey(Pair, models.CASCADE, related_name="assignments")
    annotator = models.ForeignKey(Annotator, models.CASCADE, related_name="assignments")
    swapped = models.BooleanField(help_text="Whether output b is shown first.")
    draft = models.JSONField(
        default=dict, blank=True, help_text="Fields of the labelling page, as far as filled in."
    )
    prelabel = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        help_text="What a judge had said and whether it was shown; carried into the judgment.",
    )
    leased_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    told: Any = None
    """What a judge has said of the pair, where the annotator is shown it."""

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


class Judgment(models.Model):
    """One annotator's verdict on one pair, against item identity (a, b), never screen side.

    Append-only: a correction is a new row that supersedes, and the old one only loses
    ``is_current``.
    """

    uuid = models.UUIDField(
        default=uuid.uuid4, unique=True, help_text="Made by the client: a retry is the same row."
    )
    project = models.ForeignKey(
        "projects.Project", models.CASCADE, related_name="judgments", db_index=False
    )
    pair = models.ForeignKey(Pair, models.PROTECT, related_name="judgments")
    annotator = models.ForeignKey(Annotator, models.PROTECT, related_name="judgments")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    strength = models.SmallIntegerField(
        default=0, help_text="-3 to 3; negative means a is better, 0 a tie or not said."
    )
    aspects = models.JSONField(default=dict, blank=True, help_text="{name: signed strength}")
    rationale = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    evidence = models.JSONField(
        default=list,
        blank=True,
        help_text="[{side, kind: span|box|time, …}], against canonical sides.",
    )
    segments = models.JSONField(
        default=list,
        blank=True,
        help_text="[{start, end, outcome, strength}]: verdicts on parts of a video, in seconds.",
    )
    correction = models.ForeignKey(
        Output,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The better answer that the annotator wrote.",
    )
    skip_reason = models.CharField(max_length=100, blank=True)
    swapped = models.BooleanField(
        null=True,
        help_text="Whether output b was shown first; null where that is not known, as of votes "
        "that came in a file.",
    )
    exposure = models.JSONField(default=dict, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    run = models.ForeignKey(
        "runs.Run", models.PROTECT, null=True, blank=True, related_name="judgments"
    )
    details = models.JSONField(
        default=dict, blank=True, help_text="A judge's raw answers, one an order."
    )
    prelabel = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        help_text="Of a person's: judge, judgment (UUID), outcome and strength of the judge's "
        "verdict on the pair, whether it was shown, at which share, and at what time. Empty where "
        "there was none to show.",
    )
    supersedes = models.OneToOneField(
        "self", models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )
    is_current = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # what a leaderboard counts by, written by a trigger from the pair, so that it need not join a
    # million rows with three tables; nothing that they say ever changes
    battle_prompt = models.BigIntegerField(default=0, db_default=0, editable=False)
    battle_a = models.BigIntegerField(default=0, db_default=0, editable=False)
    battle_b = models.BigIntegerField(default=0, db_default=0, editable=False)
    # the same and the outcome in one number, which follows a change of any of them
    battle = packed_battle()

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
        indexes = [
            # read by the queue: how many an annotator has judged, in all and today
            models.Index(
                fields=["annotator", "created_at"],
                include=["outcome"],
                name="judgment_of",
                condition=Q(is_current=True),
            ),
            # read by lists of the API, newest first
            models.Index(fields=["project", "id"], name="judgment_listed"),
            # read by leaderboards, all of it and nothing else of the row; what has no fixed width
            # stands last, or the places of all after it had to be worked out in each row
            models.Index(
                fields=["project", "battle"],
                include=[
                    "annotator",
                    "battle_prompt",
                    "battle_a",
                    "battle_b",
                    "created_at",
                    "outcome",
                ],
                name="judgment_battles",
                condition=Q(is_current=True) & ~Q(outcome="skip") & ~Q(battle_a=F("battle_b")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} by {self.annotator}"


class Flag(models.Model):
    """An annotator's word to the owner that something is wrong with a pair or a set to rank."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        KEPT = "kept", _("Pair kept")
        REMOVED = "removed", _("Pair taken out")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, help_text="Made by the client.")
    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="flags")
    pair = models.ForeignKey(Pair, models.CASCADE, null=True, blank=True, related_name="flags")
    output_set = models.ForeignKey(
        "annotation.OutputSet", models.CASCADE, null=True, blank=True, related_name="flags"
    )
    annotator = models.ForeignKey(Annotator, models.PROTECT, related_name="flags")
    reason = models.CharField(max_length=100)
    note = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["pair", "annotator", "reason"], name="flag_once"),
            models.UniqueConstraint(
                fields=["output_set", "annotator", "reason"], name="flag_of_set_once"
            ),
            models.CheckConstraint(
                condition=Q(pair=None) ^ Q(output_set=None), name="flag_of_pair_or_set"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason}: {self.pair or self.output_set}"


class TrainingAnswer(models.Model):
    """What an annotator said of a training pair, or in which order they put a training set; never
    a judgment nor a ranking, so never in a version or a leaderboard."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="+")
    pair = models.ForeignKey(
        Pair, models.CASCADE, null=True, blank=True, related_name="training_answers"
    )
    output_set = models.ForeignKey(
        "annotation.OutputSet",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="training_answers",
    )
    annotator = models.ForeignKey(Annotator, models.CASCADE, related_name="training_answers")
    attempt = models.PositiveSmallIntegerField()
    outcome = models.CharField(max_length=10, blank=True, choices=Outcome.choices)
    strength = models.SmallIntegerField(default=0)
    tiers = models.JSONField(default=list, blank=True, help_text="Of a set, as a ranking's.")
    correct = models.BooleanField(help_text="Of a set: whether it is the known order throughout.")
    agreed = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Of a set: comparisons of two that are as known."
    )
    compared = models.PositiveSmallIntegerField(
        default=1, help_text="Comparisons of two that there are in it."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["pair", "annotator", "attempt"], name="training_answer_once"
            ),
            models.UniqueConstraint(
                fields=["output_set", "annotator", "attempt"], name="training_answer_of_set_once"
            ),
            models.CheckConstraint(
                condition=Q(pair=None) ^ Q(output_set=None),
                name="training_answer_of_pair_or_set",
            ),
        ]

    def __str__(self) -> str:
        said = self.outcome or self.tiers
        return f"{said} by {self.annotator} in training"
