from __future__ import annotations

from rest_framework import serializers

from annotation.models import Outcome
from annotation.serializers.shown import TOP_ID, ShownPairSerializer
from steelyard.web.api import StrictSerializer


class TrainingStatusSerializer(serializers.Serializer):
    """Where you stand in the training round."""

    needed = serializers.BooleanField(help_text="Whether it comes before the real pairs.")
    number = serializers.IntegerField(help_text="Which pair of the round comes next, from 1.")
    total = serializers.IntegerField()
    right = serializers.IntegerField(help_text="Right answers in this attempt.")
    attempt = serializers.IntegerField()
    pass_percent = serializers.IntegerField(help_text="Percent of right answers to pass.")
    failed_last = serializers.BooleanField(help_text="Whether the last attempt was not passed.")


class TrainingPairSerializer(ShownPairSerializer):
    """A pair of the training round; nothing of its known answer is in it."""

    training = TrainingStatusSerializer()


class TrainingAnswerRequest(StrictSerializer):
    pair = serializers.IntegerField(min_value=1, max_value=TOP_ID)
    outcome = serializers.ChoiceField(choices=Outcome.choices, help_text="Any but skip.")
    strength = serializers.IntegerField(min_value=-3, max_value=3, default=0)
    attempt = serializers.IntegerField(
        min_value=1,
        max_value=32_767,
        required=False,
        allow_null=True,
        default=None,
        help_text="As training/next told it, so that an answer sent again is not another one.",
    )


class TrainingFeedbackSerializer(serializers.Serializer):
    correct = serializers.BooleanField()
    known_outcome = serializers.ChoiceField(choices=Outcome.known())
    known_reason = serializers.CharField(
        help_text="Why it is right; its A is the first of the outputs as training/next gave them."
    )
    training = TrainingStatusSerializer(source="status")
