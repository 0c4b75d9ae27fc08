from __future__ import annotations

from rest_framework import serializers

from steelyard.runs.models import MetricPoint, Run


class RunSerializer(serializers.ModelSerializer):
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)
    devices = serializers.ListField(
        child=serializers.IntegerField(), help_text="Numbers of the GPUs that it was given."
    )
    seconds = serializers.FloatField(
        allow_null=True, help_text="How long it has been at work, pauses left out."
    )
    cost = serializers.FloatField(
        allow_null=True,
        help_text="Hours times GPUs times this server's price of an hour; null without either.",
    )

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
            "devices",
            "seconds",
            "cost",
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


class WaitingSerializer(serializers.Serializer):
    """A run that waits."""

    place = serializers.IntegerField(
        help_text="1 is next; runs of other projects that wait for such places count."
    )
    run = RunSerializer()


class QueueSerializer(serializers.Serializer):
    """The server's queue as one project sees it."""

    places = serializers.IntegerField(help_text="Runs that load models and may be at work at once.")
    busy = serializers.IntegerField(help_text="Places that are taken, by any project.")
    light_places = serializers.IntegerField(
        help_text="Imports, exports and freezes that may be at work at once, besides those."
    )
    light_busy = serializers.IntegerField(help_text="Such places that are taken.")
    arena_places = serializers.IntegerField(
        help_text="Engines of arenas that may be at work at once, besides all others."
    )
    arena_busy = serializers.IntegerField(help_text="Such places that are taken.")
    queued = serializers.IntegerField(help_text="Runs that wait, of any project.")
    others_at_work = serializers.IntegerField(help_text="Runs of other projects at work.")
    at_work = RunSerializer(many=True)
    waiting = WaitingSerializer(many=True)
    paused = RunSerializer(many=True)
