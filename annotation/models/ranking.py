from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q

from annotation.models.material import Output, Prompt
from annotation.models.people import Annotator, Group
from annotation.querysets import (
    QUEUE_ORDERS,
    OutputSetQuerySet,
    RankingLeaseQuerySet,
    RankingQuerySet,
)


class OutputSet(models.Model):
    """Two to nine outputs of one prompt that people put in order. The same outputs are the same
    set, wherever they come from."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="output_sets")
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="output_sets")
    outputs = models.ManyToManyField(Output, related_name="output_sets")
    key = models.CharField(max_length=64, help_text="SHA-256 of the prompt and all outputs")
    priority = models.SmallIntegerField(default=0, help_text="Higher is ranked first.")
    wanted = models.PositiveSmallIntegerField(default=1, help_text="How many people are to rank.")
    judged = models.PositiveSmallIntegerField(
        default=0, help_text="How many people have ranked it; a skip leaves it to others."
    )
    closed = models.BooleanField(default=False, help_text="Taken out of the queue by the owner.")
    group = models.ForeignKey(
        Group,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="output_sets",
        help_text="Whose people alone are given it; empty for everybody.",
    )
    is_training = models.BooleanField(
        default=False,
        help_text="Only for the training round: has a known order, takes no rankings.",
    )
    known_tiers = models.JSONField(
        default=list, blank=True, help_text="The right order, as a ranking's tiers."
    )
    known_reason = models.TextField(blank=True, help_text="Why it is right; told in training.")
    known_shown = models.JSONField(
        default=list,
        blank=True,
        help_text="Numbers of the outputs in the order that the reason calls A, B, C; empty "
        "without a reason.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OutputSetQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["project", "key"], name="output_set_once"),
            models.CheckConstraint(
                condition=Q(judged__lte=F("wanted")), name="output_set_within_overlap"
            ),
            models.CheckConstraint(
                condition=Q(is_training=False, known_tiers=[])
                | (Q(is_training=True, judged=0) & ~Q(known_tiers=[])),
                name="output_set_known_in_training",
            ),
        ]
        # read by the queue: the open sets of a group, in each order that a project may choose
        indexes = [
            models.Index(
                fields=["project", "group", "-priority", *order],
                name=f"output_set_{name}",
                condition=Q(judged__lt=F("wanted"), closed=False, is_training=False),
            )
            for name, order in QUEUE_ORDERS.items()
        ] + [
            # read whenever somebody who has not passed the round asks for a set
            models.Index(
                fields=["project", "id"],
                name="output_set_training",
                condition=Q(is_training=True),
            )
        ]

    def __str__(self) -> str:
        return str(self.prompt)


class RankingLease(models.Model):
    """A set that is kept for one annotator until it expires. The order on the screen is drawn here
    and carried into the ranking."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="+")
    output_set = models.ForeignKey(OutputSet, models.CASCADE, related_name="leases")
    annotator = models.ForeignKey(Annotator, models.CASCADE, related_name="ranking_leases")
    shown = models.JSONField(help_text="Numbers of the outputs in the order of the screen.")
    draft = models.JSONField(
        default=dict, blank=True, help_text="Fields of the ranking page, as far as filled in."
    )
    leased_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = RankingLeaseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["output_set", "annotator"], name="ranking_lease_once")
        ]
        indexes = [models.Index(fields=["annotator", "expires_at"], name="ranking_lease_of")]

    def __str__(self) -> str:
        return f"{self.output_set} for {self.annotator}"


class Ranking(models.Model):
    """One annotator's order of one set's outputs; what it says of each two of them is a Judgment.

    Append-only: a correction is a new row that supersedes, and the old one only loses
    ``is_current``.
    """

    uuid = models.UUIDField(
        default=uuid.uuid4, unique=True, help_text="Made by the client: a retry is the same row."
    )
    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="rankings")
    output_set = models.ForeignKey(OutputSet, models.PROTECT, related_name="rankings")
    annotator = models.ForeignKey(Annotator, models.PROTECT, related_name="rankings")
    tiers = models.JSONField(
        default=list,
        blank=True,
        help_text="Lists of numbers of outputs, the best first; those in one list are tied. "
        "Empty for a skip.",
    )
    skipped = models.BooleanField(default=False)
    skip_reason = models.CharField(max_length=100, blank=True)
    rationale = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    evidence = models.JSONField(
        default=list,
        blank=True,
        help_text="As of a judgment, with the number of an output in place of a side.",
    )
    shown = models.JSONField(help_text="Numbers of the outputs in the order of the screen.")
    exposure = models.JSONField(
        default=dict, blank=True, help_text="As of a judgment; outputs by number under “outputs”."
    )
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    supersedes = models.OneToOneField(
        "self", models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )
    is_current = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RankingQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["output_set", "annotator"],
                name="ranking_current_once",
                condition=Q(is_current=True),
            ),
            models.CheckConstraint(
                condition=Q(skipped=True, tiers=[]) | (Q(skipped=False) & ~Q(tiers=[])),
                name="ranking_or_skip",
            ),
        ]
        indexes = [
            # read by the queue: how many an annotator has ranked, in all and today
            models.Index(
                fields=["annotator", "created_at"],
                name="ranking_of",
                condition=Q(is_current=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.output_set} by {self.annotator}"
