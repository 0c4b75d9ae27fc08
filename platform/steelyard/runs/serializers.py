from __future__ import annotations

from rest_framework import serializers

from steelyard.runs.models import MetricPoint, Run


class RunSerializer(serializers.ModelSerializer):
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)

    class Meta:
        model = Run
        fields = [
            "id",
            "uuid",
            "kind",
            "title",
            "state",
            "attempt",
            "done",
            "total",
            "unit",
            "status_text",
            "heartbeat_at",
            "error_code",
            "error",
            "result",
            "created_by",
            "created_at",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields


class MetricPointSerializer(serializers.ModelSerializer):
    """One number of a run; a value of null was not a number."""

    class Meta:
        model = MetricPoint
        fields = ["step", "name", "value", "time"]
        read_only_fields = fields


class LogLineSerializer(serializers.Serializer):
    """One line of a run's log."""

    time = serializers.FloatField(help_text="Seconds since the epoch.")
    level = serializers.CharField(help_text="info, warning or error")
    text = serializers.CharField()
