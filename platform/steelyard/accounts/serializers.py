from __future__ import annotations

from rest_framework import serializers

from steelyard.accounts.models import ApiToken
from steelyard.web.api import StrictSerializer


class TokenSerializer(StrictSerializer, serializers.ModelSerializer):
    """A token as its owner sees it again: without the key."""

    class Meta:
        model = ApiToken
        fields = ["id", "name", "prefix", "created_at", "last_used_at"]
        read_only_fields = ["id", "prefix", "created_at", "last_used_at"]


class NewTokenSerializer(TokenSerializer):
    """A token just made, with its key, which is never shown again."""

    key = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "key"]
