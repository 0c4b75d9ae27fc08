from __future__ import annotations

from rest_framework import serializers

from annotation.models import Annotator
from steelyard.web.api import StrictSerializer


class JurorSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    votes = serializers.IntegerField(help_text="On pairs that another member has judged too.")
    right = serializers.FloatField(
        required=False, help_text="How probably it is right, by the members' agreement."
    )
    weight = serializers.FloatField(
        required=False, help_text="What its vote adds to an outcome's log odds."
    )


class JurySerializer(serializers.ModelSerializer):
    """A jury is an annotator, asked and counted as any judge is."""

    members = JurorSerializer(many=True, source="checks.jury.members")
    pairs = serializers.IntegerField(source="checks.jury.pairs", help_text="That it has judged.")

    class Meta:
        model = Annotator
        fields = ["id", "kind", "name", "note", "members", "pairs", "created_at"]
        read_only_fields = fields


class JuryRequest(StrictSerializer):
    """What ``POST juries`` takes."""

    name = serializers.CharField(max_length=150)
    members = serializers.ListField(
        child=serializers.CharField(max_length=150),
        min_length=2,
        max_length=20,
        help_text="Names of judges and scorers of the project.",
    )
    note = serializers.CharField(max_length=300, allow_blank=True, default="")
