from __future__ import annotations

from rest_framework import serializers

from annotation.models import Withdrawal
from steelyard.web.api import StrictSerializer


class WithdrawalSerializer(serializers.ModelSerializer):
    """Votes that do not count in versions frozen while it is in force."""

    annotator = serializers.CharField(source="annotator.name", allow_null=True, default=None)
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)

    class Meta:
        model = Withdrawal
        fields = [
            "id",
            "key",
            "annotator",
            "run",
            "since",
            "until",
            "reason",
            "created_by",
            "created_at",
            "lifted_at",
        ]
        read_only_fields = fields


class WithdrawalRequest(StrictSerializer):
    """What ``POST withdrawals`` takes: an annotator, a run or both."""

    annotator = serializers.CharField(
        default="", allow_blank=True, help_text="The annotator's name."
    )
    run = serializers.IntegerField(default=None, allow_null=True, help_text="A judging run's id.")
    since = serializers.DateTimeField(
        default=None, allow_null=True, help_text="Votes from this moment on."
    )
    until = serializers.DateTimeField(
        default=None, allow_null=True, help_text="Votes before this moment."
    )
    reason = serializers.CharField(max_length=2000)


class TouchedSerializer(serializers.Serializer):
    """A version that holds some of the votes."""

    project = serializers.CharField(
        source="version.project.slug",
        help_text="The version's home; another project where it is drawn from this one as well.",
    )
    version = serializers.IntegerField(source="version.pk")
    name = serializers.CharField(source="version")
    votes = serializers.IntegerField()
    rows = serializers.IntegerField()
    models = serializers.SerializerMethodField(
        help_text="Trained on the version, by name; none where its home is closed to you."
    )
    runs = serializers.SerializerMethodField(help_text="The runs that trained them.")

    def get_models(self, touched: object) -> list[str]:
        return [model.name for model in touched.models]  # type: ignore[attr-defined]

    def get_runs(self, touched: object) -> list[int]:
        made = (model.made_by_id for model in touched.models)  # type: ignore[attr-defined]
        return sorted({run for run in made if run})


class WithdrawalDetailSerializer(WithdrawalSerializer):
    """With what the votes are in."""

    votes = serializers.IntegerField(source="reach.votes")
    ranked = serializers.IntegerField(
        source="reach.ranked",
        help_text="Votes of the kind that the leaderboard counts: it leaves them out while the "
        "withdrawal is in force, and counts them when it is lifted.",
    )
    versions = TouchedSerializer(source="reach.versions", many=True)

    class Meta(WithdrawalSerializer.Meta):
        fields = [*WithdrawalSerializer.Meta.fields, "votes", "ranked", "versions"]
        read_only_fields = fields
