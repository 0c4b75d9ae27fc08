from __future__ import annotations

from rest_framework import serializers

from steelyard.web.api import StrictSerializer
from steelyard.webhooks.models import Delivery, Endpoint, Event


class EndpointSerializer(serializers.ModelSerializer):
    """A webhook without its secret."""

    events = serializers.ListField(child=serializers.ChoiceField(Event.values), read_only=True)

    class Meta:
        model = Endpoint
        fields = [
            "id",
            "url",
            "events",
            "enabled",
            "disabled_because",
            "failing_since",
            "created_at",
        ]
        read_only_fields = fields


class EndpointSecretSerializer(EndpointSerializer):
    """A webhook with the secret that signs what is sent; it is never shown again."""

    class Meta(EndpointSerializer.Meta):
        fields = [*EndpointSerializer.Meta.fields, "secret"]
        read_only_fields = fields


class EndpointRequest(StrictSerializer):
    """What ``POST webhooks`` takes."""

    url = serializers.CharField(max_length=1000, help_text="https:// or http://")
    events = serializers.ListField(
        child=serializers.ChoiceField(Event.values), allow_empty=False, max_length=20
    )


class EndpointChange(EndpointRequest):
    """What ``PATCH`` of one takes; what is left out stays."""

    enabled = serializers.BooleanField(help_text="Off: it is told nothing.")


class DeliverySerializer(serializers.ModelSerializer):
    class Meta:
        model = Delivery
        fields = [
            "id",
            "key",
            "event",
            "body",
            "state",
            "attempts",
            "due_at",
            "last_status",
            "last_error",
            "created_at",
            "delivered_at",
        ]
        read_only_fields = fields
