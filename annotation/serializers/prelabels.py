from __future__ import annotations

from rest_framework import serializers

from annotation.services.prelabels import DEFAULT_SHARE
from steelyard.web.api import StrictSerializer


class PrelabellingSerializer(serializers.Serializer):
    """Whose verdicts people see before they give theirs."""

    judge = serializers.CharField(
        source="judge.name", allow_null=True, default=None, help_text="Null where they see none."
    )
    share = serializers.IntegerField(
        default=None, allow_null=True, help_text="Per cent of the verdicts that are shown."
    )
    set_at = serializers.DateTimeField(default=None, allow_null=True)


class PrelabellingRequest(StrictSerializer):
    """What ``PATCH prelabelling`` takes."""

    judge = serializers.CharField(
        allow_null=True, max_length=150, help_text="Name of a judge or a jury; null for nobody's."
    )
    share = serializers.IntegerField(default=DEFAULT_SHARE, min_value=1, max_value=100)
