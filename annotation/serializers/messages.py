from __future__ import annotations

from typing import Any

from rest_framework import serializers

from steelyard.web.api import StrictSerializer

ROLES = ["system", "user", "assistant"]


class MessageSerializer(StrictSerializer):
    """One chat message."""

    role = serializers.ChoiceField(choices=ROLES)
    content = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=200_000)


class Messages(serializers.ListSerializer):
    """A conversation that ends with what the user asks."""

    def validate(self, attrs: list[dict[str, str]]) -> list[dict[str, str]]:
        if attrs[-1]["role"] != "user" or not attrs[-1]["content"].strip():
            raise serializers.ValidationError("The last message must be the user's, and not blank.")
        return [dict(message) for message in attrs]


def messages(**kwargs: Any) -> Messages:
    return Messages(child=MessageSerializer(), allow_empty=False, **kwargs)
