from __future__ import annotations

from rest_framework import serializers

from annotation.models import Group, Pair
from annotation.services.groups import ANYBODY, EVERYBODY, MAX_NAME, MOST_PRIORITY
from steelyard.web.api import StrictSerializer


class GroupSerializer(serializers.ModelSerializer[Group]):
    members = serializers.SerializerMethodField()
    open_pairs = serializers.IntegerField(
        source="n_open", help_text="Pairs, or sets to rank, that it has yet to judge."
    )

    class Meta:
        model = Group
        fields = ["id", "name", "members", "open_pairs", "created_at"]
        read_only_fields = fields

    def get_members(self, group: Group) -> list[str]:
        """User names, in order."""
        return sorted(one.user.username for one in group.members.all() if one.user)


class GroupRequest(StrictSerializer):
    """What ``POST groups`` takes."""

    name = serializers.CharField(max_length=MAX_NAME)
    members = serializers.ListField(
        child=serializers.CharField(max_length=150),
        default=list,
        max_length=1000,
        help_text="User names of members of the project.",
    )


class GroupChange(StrictSerializer):
    """What ``PATCH groups/ID`` takes: any of these."""

    name = serializers.CharField(max_length=MAX_NAME, required=False)
    members = serializers.ListField(
        child=serializers.CharField(max_length=150),
        required=False,
        max_length=1000,
        help_text="All who are to be in it.",
    )


class PairsRequest(StrictSerializer):
    """Which of the pairs that still want a verdict are given to the group; of a project that
    asks for rankings, which of its sets."""

    whose = serializers.ChoiceField(
        choices=[EVERYBODY, ANYBODY],
        default=EVERYBODY,
        help_text="Pairs that no group has, or pairs whosever they are.",
    )
    category = serializers.CharField(default="", allow_blank=True, max_length=100)
    model = serializers.CharField(
        default="", allow_blank=True, help_text="Name of a model on either side."
    )
    origin = serializers.ChoiceField(choices=Pair.Origin.choices, default="", allow_blank=True)
    unlabelled = serializers.BooleanField(
        default=False, help_text="Only those that nobody has judged."
    )
    limit = serializers.IntegerField(
        default=0, min_value=0, help_text="At most so many, the first of the queue; 0 for all."
    )
    priority = serializers.IntegerField(
        default=None,
        allow_null=True,
        min_value=-MOST_PRIORITY,
        max_value=MOST_PRIORITY,
        help_text="What their priority becomes.",
    )
    only_count = serializers.BooleanField(default=False, help_text="Count, and do nothing.")


class PairsGivenSerializer(serializers.Serializer):
    pairs = serializers.IntegerField(
        help_text="How many pairs, or sets to rank, it were or would be."
    )
