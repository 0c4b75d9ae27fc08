from __future__ import annotations

from django.conf import settings
from django.db import models


class GamedFile(models.Model):
    """AlpacaEval's rows of a brief and a wordy baseline, given for the prompt set that they are of:
    with them its length-controlled win rate is the one that its authors publish."""

    prompt_set = models.OneToOneField(
        "evaluation.PromptSet", models.CASCADE, related_name="gamed_file"
    )
    name = models.CharField(max_length=200, help_text="The file's name.")
    versions = models.JSONField(help_text="Names of the gamed versions, where the file has them.")
    rows = models.JSONField(
        help_text="Columns in the file's order: score (null where the judge gave none), length, "
        "difficulty"
    )
    difficulty = models.JSONField(help_text="Of each prompt, by its place in the set.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name
