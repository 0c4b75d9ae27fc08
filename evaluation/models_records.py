from __future__ import annotations

from django.db import models


class OutputRecord(models.Model):
    """How a pipeline came to an output: who said what in which layer."""

    output = models.OneToOneField("annotation.Output", models.CASCADE, related_name="record")
    turns = models.JSONField(help_text="A record a turn of the prompt.")

    def __str__(self) -> str:
        return f"record of output {self.output_id}"
