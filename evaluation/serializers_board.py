"""Leaderboards as the API and a published one say them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from evaluation.board_votes import SOURCES
from evaluation.features import costs_of, lengths_of
from evaluation.leaderboard import Standings
from evaluation.models_board import PublishedBoard
from steelyard.web.api import StrictSerializer


class ExpectedSerializer(serializers.Serializer):
    """Shares that sum to 1."""

    win = serializers.FloatField()
    tie = serializers.FloatField()
    loss = serializers.FloatField()


class StandingSerializer(serializers.Serializer):
    """One row of a leaderboard."""

    group = serializers.IntegerField(
        help_text="Ratings and ranks of two groups cannot be compared; 1 is the largest."
    )
    model = serializers.CharField()
    rank_lo = serializers.IntegerField()
    rank_hi = serializers.IntegerField()
    rating = serializers.FloatField()
    lo = serializers.FloatField(
        allow_null=True,
        help_text="95 % interval clustered by prompt; null on one prompt alone, where combined on "
        "one with votes of people.",
    )
    hi = serializers.FloatField(allow_null=True)
    win_rate = serializers.FloatField(
        allow_null=True, help_text="Of its own votes, ties as half; people's where combined."
    )
    votes = serializers.IntegerField(help_text="Of people alone where combined.")
    prompts = serializers.IntegerField()
    judged_pairs = serializers.IntegerField(
        allow_null=True, help_text="Where combined: its pairs that judges alone have judged."
    )
    expected = ExpectedSerializer(
        allow_null=True,
        help_text="Against the mean opponent of its group, by Davidson's model; null where every "
        "vote is a tie.",
    )
    mean_length = serializers.FloatField(
        allow_null=True, help_text="Of its outputs: characters of texts, seconds of clips."
    )
    median_length = serializers.FloatField(
        allow_null=True, required=False, help_text="Likewise; not on boards published before."
    )
    cost = serializers.FloatField(
        allow_null=True,
        required=False,
        help_text="Of a thousand of its outputs, by the tokens and prices of its endpoint; null "
        "where either is not known.",
    )


class UnratedSerializer(serializers.Serializer):
    """A model for which no finite rating exists."""

    model = serializers.CharField()
    reason = serializers.CharField()
    win_rate = serializers.FloatField(allow_null=True)
    votes = serializers.IntegerField()


class ControlSerializer(serializers.Serializer):
    """What a part of style does."""

    group = serializers.IntegerField()
    name = serializers.CharField(
        help_text="length, headers, bold, list_items; resolution, duration, file_size"
    )
    elo = serializers.FloatField(help_text="Points for a usual difference of two outputs.")
    lo = serializers.FloatField()
    hi = serializers.FloatField()


class CombinedSerializer(serializers.Serializer):
    """How few votes of people and many of judges came together."""

    labelled = serializers.IntegerField(help_text="Prompts with votes of people and of a judge.")
    labelled_pairs = serializers.IntegerField()
    judged_pairs = serializers.IntegerField(help_text="Pairs that judges alone have judged.")
    left_out = serializers.IntegerField(
        help_text="Pairs with votes of people that no judge has judged."
    )
    drawn = serializers.IntegerField(
        help_text="Labelled pairs that a draw was about, weighed by their probability."
    )
    passed_by = serializers.IntegerField(
        help_text="Pairs whose votes of people are not taken, for a draw had passed them by."
    )
    unknown = serializers.IntegerField(
        help_text="Pairs left out: people have judged none of a draw, or none outside of it."
    )
    weight = serializers.FloatField(help_text="How much the judges count, 0 to 1.")
    effective = serializers.FloatField(
        help_text="Prompts with votes of people alone that would know as much."
    )


class LeaderboardSerializer(serializers.Serializer):
    by = serializers.CharField()
    judge = serializers.CharField(allow_null=True)
    category = serializers.CharField(allow_blank=True)
    until = serializers.CharField(allow_null=True, help_text="Votes before this moment.")
    without = serializers.ListField(
        child=serializers.CharField(), help_text="Annotators whose votes are left out."
    )
    style = serializers.BooleanField(  # type: ignore[assignment]
        help_text="Whether ratings are those at equal style."
    )
    equal = serializers.BooleanField(
        help_text="Whether every two models count equally, however often they met."
    )
    votes = serializers.IntegerField()
    prompts = serializers.IntegerField()
    annotators = serializers.IntegerField()
    others = serializers.IntegerField(help_text="Votes that no rating takes in.")
    withdrawn = serializers.IntegerField(
        help_text="Votes that have been withdrawn and count for nothing here."
    )
    refused = serializers.CharField(
        allow_blank=True, help_text="Why there are no ratings by this rule."
    )
    standings = StandingSerializer(many=True)
    unrated = UnratedSerializer(many=True)
    controls = ControlSerializer(many=True)
    combined = CombinedSerializer(allow_null=True)


def board_as_json(board: Standings) -> dict[str, Any]:
    """A leaderboard as plain values, always in English."""
    models = board.tables.models
    lengths = lengths_of(models[0].project) if models else {}
    costs = costs_of(models[0].project) if models else {}
    together = board.assisted

    def row_of(number: int, standing: Any) -> dict[str, Any]:
        row, length = standing.row, lengths.get(standing.model.pk)
        return {
            "group": number,
            "model": standing.model.name,
            "rank_lo": row.rank_lo,
            "rank_hi": row.rank_hi,
            "rating": row.rating,
            "lo": row.lo,
            "hi": row.hi,
            "win_rate": row.win_rate,
            "votes": row.votes,
            "prompts": standing.prompts,
            "judged_pairs": standing.judged,
            "expected": dict(zip(("win", "tie", "loss"), standing.expected, strict=True))
            if standing.expected
            else None,
            "mean_length": length.mean if length else None,
            "median_length": length.median if length else None,
            "cost": costs.get(standing.model.pk),
        }

    return {
        **board.options.as_json(),
        "votes": board.votes,
        "prompts": board.prompts,
        "annotators": board.annotators,
        "others": board.others,
        "withdrawn": board.withdrawn,
        "refused": str(board.refused),
        "standings": [
            row_of(number, standing)
            for number, group in enumerate(board.groups, 1)
            for standing in group
        ],
        "unrated": [
            {
                "model": left.model.name,
                "reason": left.row.reason,
                "win_rate": left.row.win_rate,
                "votes": left.row.votes,
            }
            for left in board.unrated
        ],
        "controls": [
            {
                "group": number,
                "name": one.name,
                "elo": one.effect.elo,
                "lo": one.effect.lo,
                "hi": one.effect.hi,
            }
            for number, controls in enumerate(board.controls, 1)
            for one in controls
        ],
        "combined": {
            "labelled": together.labelled,
            "labelled_pairs": together.labelled_pairs,
            "judged_pairs": together.judged_pairs,
            "left_out": together.left_out,
            "drawn": together.drawn,
            "passed_by": together.passed_by,
            "unknown": together.unknown,
            "weight": together.weight,
            "effective": together.effective,
        }
        if together
        else None,
    }


class BoardRequest(StrictSerializer):
    """Which votes a leaderboard counts, and how."""

    by = serializers.ChoiceField(choices=list(SOURCES), required=False)
    judge = serializers.CharField(required=False, allow_blank=True, default="")
    category = serializers.CharField(required=False, allow_blank=True, default="")
    until = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        help_text="A day, counted to its end, or a moment in ISO 8601.",
    )
    without = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        default=list,
        help_text="Names of annotators whose votes are left out.",
    )
    style = serializers.BooleanField(  # type: ignore[assignment]
        required=False, default=False
    )
    equal = serializers.BooleanField(required=False, default=False)


class LeaderboardPublishRequest(BoardRequest):
    """What ``POST leaderboards`` takes."""

    title = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    note = serializers.CharField(required=False, allow_blank=True, default="")


class PublishedSerializer(serializers.ModelSerializer):
    """A published leaderboard, without its rows."""

    url = serializers.SerializerMethodField(help_text="Its page.")

    class Meta:
        model = PublishedBoard
        fields = [
            "number",
            "title",
            "note",
            "options",
            "votes",
            "digest",
            "code_version",
            "created_at",
            "url",
        ]
        read_only_fields = fields

    def get_url(self, published: PublishedBoard) -> str:
        return published.get_absolute_url()


class SinceSerializer(serializers.Serializer):
    """What has become of the votes of a published leaderboard."""

    withdrawn = serializers.IntegerField(help_text="Withdrawn since.")
    corrected = serializers.IntegerField(help_text="Replaced by their annotators since.")
    added = serializers.IntegerField(help_text="That the same options would count besides.")


class ChangeSerializer(serializers.Serializer):
    """A model's place as published and by the same options today."""

    model = serializers.CharField()
    rating = serializers.FloatField(allow_null=True)
    rating_now = serializers.FloatField(allow_null=True)
    ranks = serializers.CharField(allow_blank=True)
    ranks_now = serializers.CharField(allow_blank=True)


class PublishedDetailSerializer(PublishedSerializer):
    result = LeaderboardSerializer()
    since = SinceSerializer()
    now = ChangeSerializer(many=True, allow_null=True, help_text="With recompute=true alone.")

    class Meta(PublishedSerializer.Meta):
        fields = [*PublishedSerializer.Meta.fields, "result", "since", "now"]
        read_only_fields = fields


class MatrixCellSerializer(serializers.Serializer):
    """Two models that met or that are rated together, seen from the first."""

    model = serializers.CharField()
    other = serializers.CharField()
    votes = serializers.IntegerField()
    wins = serializers.IntegerField()
    ties = serializers.IntegerField()
    losses = serializers.IntegerField()
    observed = serializers.FloatField(
        allow_null=True, help_text="Share won, ties as half; null under 5 votes."
    )
    predicted = serializers.FloatField(
        allow_null=True, help_text="By the ratings; null where nothing ties the two together."
    )
    residual = serializers.FloatField(allow_null=True)


class MatrixSerializer(serializers.Serializer):
    models = serializers.ListField(
        child=serializers.CharField(), help_text="In the order of the leaderboard."
    )
    cells = MatrixCellSerializer(many=True)


class CategoryRowSerializer(serializers.Serializer):
    model = serializers.CharField()
    rank_lo = serializers.IntegerField()
    rank_hi = serializers.IntegerField()
    rating = serializers.FloatField()
    lo = serializers.FloatField(allow_null=True)
    hi = serializers.FloatField(allow_null=True)
    win_rate = serializers.FloatField(allow_null=True)
    votes = serializers.IntegerField()


class LeaderboardCategorySerializer(serializers.Serializer):
    """The leaderboard of one category; its claims hold with 95 % by themselves, not for all
    categories together."""

    category = serializers.CharField(allow_blank=True)
    votes = serializers.IntegerField()
    prompts = serializers.IntegerField()
    apart = serializers.IntegerField(help_text="Models with votes that its group does not hold.")
    standings = CategoryRowSerializer(many=True)
