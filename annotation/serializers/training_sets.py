from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.models import OutputSet
from annotation.serializers.ranking import SetLeaseSerializer, tiers
from annotation.serializers.shown import TOP_ID
from annotation.serializers.training import TrainingStatusSerializer
from annotation.services.known_orders import REASON_LIMIT
from steelyard.web.api import StrictSerializer


class SetTrainingStatusSerializer(TrainingStatusSerializer):
    """Where you stand in a training round of sets."""

    right = serializers.IntegerField(
        help_text="Comparisons of two outputs that are as known, in this attempt."
    )
    compared = serializers.IntegerField(help_text="Of how many.")


class TrainingSetSerializer(SetLeaseSerializer):
    """A set of the training round; nothing of its known order is in it."""

    training = serializers.SerializerMethodField()

    class Meta(SetLeaseSerializer.Meta):
        fields = ["set", "prompt", "outputs", "scheme", "guidelines", "training"]
        read_only_fields = fields

    @extend_schema_field(SetTrainingStatusSerializer)
    def get_training(self, _lease: Any) -> Any:
        return SetTrainingStatusSerializer(self.context["at"]).data


class SetAnswerRequest(StrictSerializer):
    set = serializers.IntegerField(min_value=1, max_value=TOP_ID)
    tiers = tiers(help_text="Numbers of outputs, the best first; ties in one list.")
    attempt = serializers.IntegerField(
        min_value=1,
        max_value=32_767,
        required=False,
        allow_null=True,
        default=None,
        help_text="As training/sets/next told it, so that an answer sent again is not another one.",
    )


class DifferenceSerializer(serializers.Serializer):
    """Two outputs in another order than is known: -1 the one before the other, 1 behind, 0 tied."""

    one = serializers.IntegerField(help_text="Number of an output.")
    other = serializers.IntegerField()
    said = serializers.IntegerField()
    known = serializers.IntegerField()


class OrderFeedbackSerializer(serializers.Serializer):
    correct = serializers.BooleanField(help_text="Whether it is the known order throughout.")
    known_tiers = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField())
    )
    known_reason = serializers.CharField(help_text="Markdown")
    tiers = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()), help_text="What you said."
    )
    agreed = serializers.IntegerField(help_text="Comparisons of two that are as known.")
    compared = serializers.IntegerField()
    differences = DifferenceSerializer(many=True)
    training = SetTrainingStatusSerializer(source="status")


class KnownOrderRequest(StrictSerializer):
    tiers = tiers(help_text="Numbers of outputs, the best first; ties in one list.")
    reason = serializers.CharField(
        required=False, allow_blank=True, max_length=REASON_LIMIT, help_text="Markdown"
    )


class KnownOrderSerializer(serializers.ModelSerializer):
    tiers = serializers.JSONField(source="known_tiers", help_text="Empty where none is known.")
    reason = serializers.CharField(source="known_reason", help_text="Markdown")

    shown = serializers.JSONField(
        source="known_shown",
        help_text="The outputs in the order that the reason calls A, B, C; empty without one.",
    )

    class Meta:
        model = OutputSet
        fields = ["is_training", "tiers", "reason", "shown"]
        read_only_fields = fields
