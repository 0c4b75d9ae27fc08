from __future__ import annotations

from rest_framework import serializers

from steelyard.web.api import StrictSerializer


class RevisionsRequest(StrictSerializer):
    """What ``POST runs/{id}/revisions`` takes."""

    judge = serializers.CharField(help_text="Name of the judge.")


class RevisedSerializer(serializers.Serializer):
    prompt = serializers.CharField(help_text="Its key.")
    messages = serializers.ListField(child=serializers.DictField())
    texts = serializers.ListField(
        child=serializers.CharField(), help_text="At place k the answer that was revised k times."
    )


class RevisionRateSerializer(serializers.Serializer):
    revision = serializers.IntegerField(help_text="How often the answer was revised.")
    invalid = serializers.IntegerField(help_text="Verdicts that could not be read.")
    rate = serializers.FloatField(
        allow_null=True, default=None, help_text="Win rate against the answer before any revision."
    )
    lo = serializers.FloatField(allow_null=True, default=None, help_text="Of its 95 % interval.")
    hi = serializers.FloatField(allow_null=True, default=None)
    prompts = serializers.IntegerField(default=0)
    wins = serializers.IntegerField(default=0)
    ties = serializers.IntegerField(default=0)
    losses = serializers.IntegerField(default=0)


class RevisionsToldSerializer(serializers.Serializer):
    run = serializers.IntegerField(source="run.pk")
    state = serializers.CharField(source="run.state")
    judge = serializers.CharField()
    rates = RevisionRateSerializer(many=True)


class RevisionsSerializer(serializers.Serializer):
    """What a training run has revised, and what judges say of it, the newest first."""

    answers = RevisedSerializer(many=True)
    judged = RevisionsToldSerializer(many=True)
