"""The arena: people ask, two contestants answer without their names, and one vote comes of it."""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from steelyard.registry.models import ModelVersion

SIDES = ("left", "right")


def new_token() -> str:
    return secrets.token_urlsafe(16)


class Arena(models.Model):
    """An open place in a project where contestants meet."""

    class Access(models.TextChoices):
        LINK = "link", _("Everybody who has the link")
        MEMBERS = "members", _("Members of the project")

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="arenas")
    name = models.CharField(max_length=200)
    contestants = models.ManyToManyField("registry.ModelVersion", related_name="arenas")
    access = models.CharField(max_length=10, choices=Access.choices, default=Access.LINK)
    token = models.CharField(
        max_length=40, unique=True, default=new_token, help_text="What its address ends in."
    )
    is_open = models.BooleanField(default=True)
    sampling = models.JSONField(default=dict, blank=True)
    longest_prompt = models.PositiveIntegerField(default=4000, help_text="In characters.")
    most_turns = models.PositiveSmallIntegerField(
        default=5, help_text="Questions in one conversation."
    )
    seed = models.BigIntegerField(default=0)
    run = models.ForeignKey("runs.Run", models.PROTECT, null=True, blank=True, related_name="+")
    """The engine that answers, or the last that did."""
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("evaluation:arena-detail", args=[self.project.slug, self.pk])

    @property
    def names(self) -> list[str]:
        """Of its contestants."""
        return sorted(model.name for model in self.contestants.all())

    @property
    def path(self) -> str:
        """Where people are invited to."""
        return reverse("arena:arena", args=[self.token])


class Visitor(models.Model):
    """Somebody in an arena: a member of the project, or a guest known by a cookie alone."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="visitors")
    key = models.UUIDField(default=uuid.uuid4, unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    annotator = models.ForeignKey(
        "annotation.Annotator",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="In whose name votes are kept; of a guest made with the first.",
    )
    agreed_at = models.DateTimeField(
        null=True, blank=True, help_text="When they agreed that what they write is kept."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["arena", "user"],
                name="arena_visitor_once",
                condition=Q(user__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return str(self.annotator or self.user or "guest")


class Battle(models.Model):
    """Two contestants and one visitor's conversation with both."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="battles")
    visitor = models.ForeignKey(Visitor, models.CASCADE, related_name="battles")
    uuid = models.UUIDField(default=uuid.uuid4, unique=True)
    left = models.ForeignKey("registry.ModelVersion", models.PROTECT, related_name="+")
    right = models.ForeignKey("registry.ModelVersion", models.PROTECT, related_name="+")
    probability = models.FloatField(help_text="Of these two, when they were drawn.")
    prompt = models.ForeignKey(
        "annotation.Prompt",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Where the question was taken from the project's.",
    )
    is_blind = models.BooleanField(
        default=True, help_text="Whether no answer gave away who wrote it before the vote."
    )
    given_away = models.JSONField(default=list, blank=True, help_text="[{side, words}]: what did.")
    judgment = models.OneToOneField(
        "annotation.Judgment",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="arena_battle",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=~Q(left=models.F("right")), name="battle_of_two")
        ]

    def __str__(self) -> str:
        return f"{self.left} against {self.right}"

    @property
    def is_voted(self) -> bool:
        return self.judgment_id is not None

    @property
    def winner(self) -> str:
        """The side that the vote says is better; empty where it says none."""
        if self.judgment is None or self.judgment.outcome not in ("a", "b"):
            return ""
        return "left" if (self.judgment.outcome == "a") != self.judgment.swapped else "right"

    def contestant(self, side: str) -> ModelVersion:
        return self.left if side == "left" else self.right

    def chat(self, side: str, *, upto: int) -> list[dict[str, Any]]:
        """The conversation with one side, up to the question of that number."""
        messages: list[dict[str, Any]] = []
        for turn in self.turns.filter(number__lte=upto).order_by("number"):
            if turn.number == 1 and self.prompt:
                messages += self.prompt.messages
            else:
                messages.append({"role": "user", "content": turn.question})
            if turn.number < upto:
                messages.append({"role": "assistant", "content": turn.text_of(side)})
        return messages


class Turn(models.Model):
    """One question of a battle and both answers to it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DONE = "done", _("Answered")
        FAILED = "failed", _("Failed")

    battle = models.ForeignKey(Battle, models.CASCADE, related_name="turns")
    number = models.PositiveSmallIntegerField()
    question = models.TextField()
    seed = models.BigIntegerField()
    run = models.ForeignKey("runs.Run", models.SET_NULL, null=True, blank=True, related_name="+")
    runs = models.PositiveSmallIntegerField(
        default=1, help_text="How many engines were asked: one that ends answers no more."
    )
    left = models.TextField(blank=True)
    right = models.TextField(blank=True)
    left_state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    right_state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    parameters = models.JSONField(
        default=dict, blank=True, help_text="By side, how the contestant was asked."
    )
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["battle", "number"], name="turn_once"),
        ]
        indexes = [
            # read when an engine has ended, and to say whether an arena is busy
            models.Index(
                fields=["run"],
                name="turn_waiting",
                condition=Q(left_state="waiting") | Q(right_state="waiting"),
            )
        ]

    def __str__(self) -> str:
        return self.question[:80]

    @property
    def state(self) -> str:
        """Waiting while one side is, failed where one has, else done."""
        states = {self.left_state, self.right_state}
        if self.State.FAILED in states:
            return self.State.FAILED
        return self.State.WAITING if self.State.WAITING in states else self.State.DONE

    def text_of(self, side: str) -> str:
        return str(getattr(self, side))

    def state_of(self, side: str) -> str:
        return str(getattr(self, f"{side}_state"))

    def request_name(self, side: str) -> str:
        """Of its files in the run's folder; another one each time an engine is asked."""
        return f"{self.battle.uuid}-{self.number}-{self.runs}-{side}"
