from __future__ import annotations

from rest_framework import serializers

from steelyard.web.api import StrictSerializer


class KeepCheckpointsRequest(StrictSerializer):
    """What ``POST training-jobs/{id}/checkpoints`` takes."""

    steps = serializers.ListField(
        child=serializers.IntegerField(min_value=1),
        min_length=1,
        max_length=1000,
        help_text="Which checkpoints to keep as models; one that is kept already stays as it is.",
    )


class CheckpointSerializer(serializers.Serializer):
    """A checkpoint of a training run."""

    step = serializers.IntegerField(help_text="After how many steps of training.")
    size = serializers.IntegerField(help_text="Bytes on disk.")
    model = serializers.CharField(
        source="model.name",
        default=None,
        allow_null=True,
        help_text="Name of its model version; null where it is not kept.",
    )
