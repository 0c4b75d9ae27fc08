from __future__ import annotations

from rest_framework import serializers

from annotation.models import Flag, OutputSet
from annotation.services.flags import NOTE_LIMIT
from steelyard.web.api import StrictSerializer


class FlagRequest(StrictSerializer):
    uuid = serializers.UUIDField(
        help_text="Made by you, new for each flag: sent again, it is the same flag."
    )
    reason = serializers.CharField(
        max_length=100, help_text="One of the label scheme's flag_reasons."
    )
    note = serializers.CharField(allow_blank=True, default="", max_length=NOTE_LIMIT)


class ResolveRequest(StrictSerializer):
    remove = serializers.BooleanField(
        help_text="true takes the pair or set out of the queue, false keeps it."
    )


class RaisedSerializer(serializers.ModelSerializer):
    """A flag for the one who raised it."""

    set = serializers.PrimaryKeyRelatedField[OutputSet](
        source="output_set",
        read_only=True,
        allow_null=True,
        help_text="The set to rank that it is about, or null.",
    )

    class Meta:
        model = Flag
        fields = ["uuid", "pair", "set", "reason", "note", "state", "created_at"]
        read_only_fields = fields


class FlagSerializer(RaisedSerializer):
    annotator = serializers.CharField(source="annotator.name")
    resolved_by = serializers.CharField(
        source="resolved_by.username", allow_null=True, default=None
    )

    class Meta:
        model = Flag
        fields = [
            "id",
            "uuid",
            "pair",
            "set",
            "annotator",
            "reason",
            "note",
            "state",
            "resolved_by",
            "resolved_at",
            "created_at",
        ]
        read_only_fields = fields


class FlagQuery(serializers.Serializer):
    """Filters of ``GET flags``."""

    state = serializers.ChoiceField(choices=Flag.State.choices, required=False)
    pair = serializers.IntegerField(required=False)
