from __future__ import annotations

from typing import Any

from rest_framework import serializers

from annotation.models import Annotator
from annotation.services.people import MOST
from steelyard.web.api import StrictSerializer


class TallySerializer(serializers.Serializer):
    """Pairs by how far they are; training pairs are left out."""

    pairs = serializers.IntegerField()
    complete = serializers.IntegerField()
    open = serializers.IntegerField(help_text="Want more verdicts.")
    begun = serializers.IntegerField(help_text="Open ones with a verdict.")
    closed = serializers.IntegerField(help_text="Taken out, complete or not.")
    raised = serializers.IntegerField(help_text="Want more verdicts than the project's overlap.")
    verdicts = serializers.IntegerField()
    wanted = serializers.IntegerField()
    share = serializers.FloatField(
        allow_null=True, help_text="Complete ones of those that are not taken out."
    )


class CategoryTallySerializer(TallySerializer):
    category = serializers.CharField()


class ByVerdictsSerializer(serializers.Serializer):
    judged = serializers.IntegerField()
    wanted = serializers.IntegerField()
    pairs = serializers.IntegerField()


class AtWorkSerializer(serializers.Serializer):
    """Somebody who holds pairs at this moment."""

    annotator = serializers.CharField(source="annotator.name")
    leases = serializers.IntegerField()
    since = serializers.DateTimeField()
    last_hour = serializers.IntegerField(help_text="Verdicts in the last sixty minutes.")
    last_verdict = serializers.DateTimeField(allow_null=True)


class PersonSerializer(serializers.Serializer):
    """What one person has done, and what is settled for them."""

    id = serializers.IntegerField(source="annotator.pk")
    name = serializers.CharField(source="annotator.name")
    verdicts = serializers.IntegerField()
    skips = serializers.IntegerField()
    amended = serializers.IntegerField()
    median_seconds = serializers.FloatField(
        source="seconds", allow_null=True, help_text="Of the last 14 days."
    )
    known = serializers.IntegerField(help_text="Verdicts on pairs with a known answer.")
    known_right = serializers.IntegerField()
    last_verdict = serializers.DateTimeField(source="last", allow_null=True)
    leases = serializers.IntegerField()
    trained_at = serializers.DateTimeField(source="annotator.trained_at", allow_null=True)
    training_attempt = serializers.IntegerField(source="annotator.training_attempt")
    paused = serializers.BooleanField(source="annotator.paused")
    cap = serializers.IntegerField(source="annotator.cap", allow_null=True)
    quota = serializers.IntegerField(source="annotator.quota", allow_null=True)


class LabellingSerializer(serializers.Serializer):
    """Coverage and people of a project."""

    paused = serializers.BooleanField()
    counted_at = serializers.DateTimeField(
        help_text="Of large projects, counts are kept for about a minute."
    )
    total = TallySerializer()
    by_verdicts = ByVerdictsSerializer(many=True)
    by_category = CategoryTallySerializer(many=True)
    today = serializers.IntegerField(help_text="Verdicts since midnight UTC.")
    fortnight = serializers.IntegerField(help_text="Verdicts of the last 14 days.")
    at_work = AtWorkSerializer(many=True)
    people = PersonSerializer(many=True)
    flagged = serializers.IntegerField(help_text="Pairs that wait for the owner's word.")
    flagged_sets = serializers.IntegerField(help_text="Sets to rank that wait for it.")


class PauseRequest(StrictSerializer):
    """What ``POST labelling/pause`` takes."""

    paused = serializers.BooleanField()


class PausedSerializer(serializers.Serializer):
    paused = serializers.BooleanField()


class PersonRequest(StrictSerializer):
    """What ``PATCH annotators/ID`` takes: any of these."""

    cap = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=MOST, help_text="null for none."
    )
    quota = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=MOST, help_text="null for none."
    )
    paused = serializers.BooleanField(required=False)


class SettledSerializer(serializers.ModelSerializer[Annotator]):
    """What is settled for one person."""

    class Meta:
        model = Annotator
        fields = ["id", "name", "cap", "quota", "paused", "trained_at", "training_attempt"]
        read_only_fields = fields


class ReleasedSerializer(serializers.Serializer[dict[str, Any]]):
    released = serializers.IntegerField(help_text="Leases that were taken back.")
