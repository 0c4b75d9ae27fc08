from __future__ import annotations

from rest_framework import serializers

from evaluation.models import Routed, Routing
from evaluation.services_routing import LEAST
from steelyard.web.api import StrictSerializer


class RoutedSerializer(serializers.ModelSerializer):
    class Meta:
        model = Routed
        fields = ["pair", "p_a", "probability", "drawn", "at"]
        read_only_fields = fields


class RoutingSerializer(serializers.ModelSerializer):
    judges: serializers.Field = serializers.SlugRelatedField(
        slug_field="name", many=True, read_only=True
    )
    pairs = serializers.SerializerMethodField(help_text="How many were decided on.")
    drawn = serializers.SerializerMethodField(help_text="How many of them for people.")
    covered = serializers.DictField(
        child=serializers.IntegerField(),
        read_only=True,
        help_text="On how many of the pairs each judge had a verdict, by its name.",
    )

    class Meta:
        model = Routing
        fields = [
            "id",
            "evaluation",
            "judges",
            "base",
            "slope",
            "seed",
            "pairs",
            "drawn",
            "covered",
            "created_at",
        ]
        read_only_fields = fields

    def get_pairs(self, routing: Routing) -> int:
        return routing.pairs.count()

    def get_drawn(self, routing: Routing) -> int:
        return routing.pairs.filter(drawn=True).count()


class RoutingRequest(StrictSerializer):
    """What ``POST routings`` takes."""

    evaluation = serializers.IntegerField(
        required=False, help_text="Its comparisons; else the project's pairs."
    )
    judges = serializers.ListField(
        child=serializers.CharField(max_length=150), min_length=1, help_text="Names."
    )
    base = serializers.FloatField(
        default=0.05,
        min_value=LEAST,
        max_value=1,
        help_text="The probability of a pair on which they are sure.",
    )
    slope = serializers.FloatField(
        default=0.6, min_value=0, max_value=1, help_text="More where they are wholly unsure."
    )
    seed = serializers.IntegerField(default=0, min_value=0, max_value=2**31 - 1)
