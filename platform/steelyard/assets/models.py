from __future__ import annotations

from django.db import models
from django.urls import reverse


class Asset(models.Model):
    """A file known by its content. The bytes lie once under their SHA-256; a row says that a
    project has them, so that access is decided by project."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="assets")
    sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=10, choices=[("image", "Image"), ("video", "Video")])
    mime = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField(help_text="bytes")
    width = models.PositiveIntegerField(null=True, blank=True, help_text="pixels")
    height = models.PositiveIntegerField(null=True, blank=True, help_text="pixels")
    duration = models.FloatField(null=True, blank=True, help_text="seconds")
    frame_rate = models.FloatField(null=True, blank=True, help_text="frames a second")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "sha256"], name="asset_once_per_project")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.sha256[:12]}"

    @property
    def url(self) -> str:
        """Where the project's people read the file."""
        return reverse("assets:asset-file", args=[self.project.slug, self.sha256])
