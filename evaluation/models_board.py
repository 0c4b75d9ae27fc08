from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse


class OutputMeasure(models.Model):
    """How an output's text is written, measured once: what style control compares."""

    output = models.OneToOneField(
        "annotation.Output", models.CASCADE, primary_key=True, related_name="measure"
    )
    length = models.PositiveIntegerField(help_text="characters")
    headers = models.PositiveIntegerField()
    bold = models.PositiveIntegerField(help_text="passages")
    list_items = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.length} characters"


class OutputUsage(models.Model):
    """What an endpoint took to make an output."""

    output = models.OneToOneField(
        "annotation.Output", models.CASCADE, primary_key=True, related_name="usage"
    )
    tokens_in = models.PositiveIntegerField(help_text="Asked, of all turns.")
    tokens_out = models.PositiveIntegerField(help_text="Answered.")
    counted = models.BooleanField(
        help_text="Whether the endpoint said them; else they are guessed from the characters."
    )

    def __str__(self) -> str:
        return f"{self.tokens_in} + {self.tokens_out} tokens"


class PublishedBoard(models.Model):
    """A leaderboard as it stood at one moment. There is no way to change one."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="published_boards")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=200)
    note = models.TextField(blank=True)
    options = models.JSONField(help_text="Which votes were counted, and by which rule.")
    result = models.JSONField(help_text="Rows, and all that was said of them, as the API has it.")
    votes = models.PositiveIntegerField(help_text="How many votes it was made of.")
    digest = models.CharField(
        max_length=64, help_text="SHA-256 of the sorted UUIDs of those votes, one a line."
    )
    ballots = models.BinaryField(help_text="Primary keys of those votes, packed.")
    code_version = models.CharField(max_length=64)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="published_board_once")
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("A published leaderboard never changes; publish a new one.")
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("evaluation:leaderboard-published", args=[self.project.slug, self.number])
