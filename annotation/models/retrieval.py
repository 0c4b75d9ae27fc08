from __future__ import annotations

from django.db import models

from annotation.models.material import Output


class Retrieved(models.Model):
    """What a search has found for an output that is a query: passages with their scores."""

    output = models.OneToOneField(Output, models.CASCADE, related_name="retrieved")
    passages = models.JSONField(help_text="[{text, score}], the best first.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{len(self.passages)} passages for {self.output}"
