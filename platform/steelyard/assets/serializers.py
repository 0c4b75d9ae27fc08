from __future__ import annotations

from rest_framework import serializers

from steelyard.assets.models import Asset, Rendition
from steelyard.web.api import StrictSerializer


class AssetUpload(StrictSerializer):
    """What ``POST assets`` takes, as multipart/form-data."""

    file = serializers.FileField(help_text="PNG, JPEG, WebP, MP4 or WebM; told by its bytes.")


class RenditionSerializer(serializers.ModelSerializer):
    url = serializers.CharField(
        read_only=True, help_text="Where a signed-in browser reads the copy."
    )

    class Meta:
        model = Rendition
        fields = [
            "kind",
            "sha256",
            "mime",
            "size",
            "width",
            "height",
            "duration",
            "frame_rate",
            "url",
        ]
        read_only_fields = fields


class AssetSerializer(serializers.ModelSerializer):
    url = serializers.CharField(
        read_only=True, help_text="Where a signed-in browser reads the file."
    )
    renditions = RenditionSerializer(
        many=True, read_only=True, help_text="Copies for looking at; training reads the file."
    )

    class Meta:
        model = Asset
        fields = [
            "sha256",
            "kind",
            "mime",
            "size",
            "width",
            "height",
            "duration",
            "frame_rate",
            "url",
            "renditions_state",
            "renditions_problem",
            "renditions",
            "created_at",
        ]
        read_only_fields = fields
