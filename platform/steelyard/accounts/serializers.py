from __future__ import annotations

from typing import Any

from rest_framework import serializers

from steelyard.accounts.models import ApiToken
from steelyard.web.api import StrictSerializer
from steelyard.web.scopes import SCOPES

_HELP = "What it is good for: " + "; ".join(f"`{name}`: {what}" for name, what in SCOPES.items())


class TokenSerializer(serializers.ModelSerializer):
    """A token as its owner sees it again: without the key."""

    scopes = serializers.ListField(child=serializers.ChoiceField(list(SCOPES)), help_text=_HELP)
    project = serializers.CharField(
        source="project.slug", allow_null=True, default=None, help_text="The one that it opens."
    )

    class Meta:
        model = ApiToken
        fields = [
            "id",
            "name",
            "prefix",
            "scopes",
            "project",
            "expires_at",
            "created_at",
            "last_used_at",
        ]
        read_only_fields = fields


class TokenRequest(StrictSerializer):
    """What ``POST tokens`` takes."""

    name = serializers.CharField(max_length=100, help_text="What will use it.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(list(SCOPES)),
        default=lambda: list(SCOPES),
        allow_empty=False,
        max_length=len(SCOPES),
        help_text=f"{_HELP} All where not said.",
    )
    project = serializers.SlugField(
        max_length=80,
        default=None,
        allow_null=True,
        help_text="Its slug: the token opens this project alone.",
    )
    expires_at = serializers.DateTimeField(default=None, allow_null=True)

    def validate_scopes(self, scopes: list[str]) -> list[str]:
        return list(dict.fromkeys(scopes))


class NewTokenSerializer(TokenSerializer):
    """A token just made, with its key, which is never shown again."""

    key = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "key"]


def token_shown(token: ApiToken, key: str) -> Any:
    token.key = key  # type: ignore[attr-defined]
    return NewTokenSerializer(token).data
