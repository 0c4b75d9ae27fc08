from __future__ import annotations

from typing import Any

from django.db import models
from django.urls import reverse
from django.utils.functional import cached_property

from steelyard.assets.probing import is_small_picture
from steelyard.assets.querysets import AssetQuerySet


class Asset(models.Model):
    """A file known by its content. The bytes lie once under their SHA-256; a row says that a
    project has them, so that access is decided by project."""

    class Renditions(models.TextChoices):
        PENDING = "pending", "To be made"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="assets")
    sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=10, choices=[("image", "Image"), ("video", "Video")])
    mime = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField(help_text="bytes")
    width = models.PositiveIntegerField(null=True, blank=True, help_text="pixels")
    height = models.PositiveIntegerField(null=True, blank=True, help_text="pixels")
    duration = models.FloatField(null=True, blank=True, help_text="seconds")
    frame_rate = models.FloatField(null=True, blank=True, help_text="frames a second")
    renditions_state = models.CharField(
        max_length=10,
        choices=Renditions.choices,
        default=Renditions.PENDING,
        help_text="Whether the copies for looking at are made; without them the file itself shows.",
    )
    renditions_problem = models.TextField(blank=True, help_text="Why they could not be made.")
    renditions_tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AssetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "sha256"], name="asset_once_per_project")
        ]
        indexes = [
            # read by AssetQuerySet.pending
            models.Index(
                fields=["renditions_tries", "id"],
                name="asset_renditions_pending",
                condition=models.Q(renditions_state="pending"),
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.sha256[:12]}"

    @property
    def url(self) -> str:
        """Where the project's people read the file."""
        return reverse("assets:asset-file", args=[self.project.slug, self.sha256])

    @property
    def preview_url(self) -> str:
        """A picture no larger than a screen; the file itself where that is small."""
        return self._rendition_url("preview") or self.url

    @property
    def poster_url(self) -> str:
        """A video's first frame as a picture; empty until it is made, and for pictures."""
        return self._rendition_url("poster")

    @property
    def playable_url(self) -> str:
        """A video that starts at once and is quick to step through; the file itself until it is
        made, and where it cannot be."""
        return self._rendition_url("proxy") or self.url

    @property
    def playable_frame_rate(self) -> float | None:
        """Of what ``playable_url`` plays: a proxy's frames come evenly where the file's do not."""
        proxy = self._copies.get("proxy")
        return proxy.frame_rate if proxy else self.frame_rate

    @property
    def is_small(self) -> bool:
        """Whether it is a picture that is shown itself, pixel by pixel."""
        return is_small_picture(self.kind, self.width, self.height)

    @cached_property
    def _copies(self) -> dict[str, Rendition]:
        """Renditions by kind, asked for once, and not at all where there are none."""
        if self.is_small or self.renditions_state != self.Renditions.READY:
            return {}
        return {rendition.kind: rendition for rendition in self.renditions.all()}

    def _rendition_url(self, kind: str) -> str:
        if kind not in self._copies:
            return ""
        return reverse("assets:rendition-file", args=[self.project.slug, self.sha256, kind])

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__.pop("_copies", None)
        super().refresh_from_db(*args, **kwargs)


class Rendition(models.Model):
    """A copy of an asset for looking at. Datasets and models read the asset itself."""

    class Kind(models.TextChoices):
        PREVIEW = "preview", "Preview"
        POSTER = "poster", "Poster"
        PROXY = "proxy", "Proxy"

    asset = models.ForeignKey(Asset, models.CASCADE, related_name="renditions")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    sha256 = models.CharField(max_length=64)
    mime = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField(help_text="bytes")
    width = models.PositiveIntegerField(help_text="pixels")
    height = models.PositiveIntegerField(help_text="pixels")
    duration = models.FloatField(null=True, blank=True, help_text="seconds")
    frame_rate = models.FloatField(null=True, blank=True, help_text="frames a second")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["kind"]
        constraints = [
            models.UniqueConstraint(fields=["asset", "kind"], name="rendition_once_per_asset")
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.asset}"

    @property
    def url(self) -> str:
        """Where the project's people read the copy."""
        asset = self.asset
        return reverse("assets:rendition-file", args=[asset.project.slug, asset.sha256, self.kind])
