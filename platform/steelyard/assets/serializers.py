from __future__ import annotations

from rest_framework import serializers

from steelyard.assets.models import Asset
from steelyard.web.api import StrictSerializer


class AssetUpload(StrictSerializer):
    """What ``POST assets`` takes, as multipart/form-data."""

    file = serializers.FileField(help_text="PNG, JPEG, WebP, MP4 or WebM; told by its bytes.")


class AssetSerializer(serializers.ModelSerializer):
    url = serializers.CharField(
        read_only=True, help_text="Where a signed-in browser reads the file."
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
            "created_at",
        ]
        read_only_fields = fields
