from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Annotator
from evaluation.engine.anchoring import Anchoring
from evaluation.engine.winrate import Clustered
from evaluation.judge_card import SOURCES, Card, card_of
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_visible


class EstimateSerializer(serializers.Serializer):
    """A figure with the ends of its 95 % interval; null where none can be given."""

    value = serializers.FloatField(allow_null=True)
    lo = serializers.FloatField(allow_null=True)
    hi = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(allow_null=True, help_text="Votes or pairs that it stands on.")


class CategoryAgreementSerializer(EstimateSerializer):
    category = serializers.CharField()
    stands_out = serializers.BooleanField()


class BinSerializer(serializers.Serializer):
    said = serializers.FloatField(help_text="Mean probability that a is better, by the judge.")
    true = serializers.FloatField(help_text="Share of a by people.")
    lo = serializers.FloatField(allow_null=True)
    hi = serializers.FloatField(allow_null=True)
    votes = serializers.IntegerField()


class CalibrationSerializer(serializers.Serializer):
    method = serializers.ChoiceField(["platt", "isotonic"])
    measured = serializers.BooleanField(help_text="Whether probabilities came of tokens.")
    source = serializers.ChoiceField(  # type: ignore[assignment]
        SOURCES,
        help_text="What probabilities came of: chances of tokens, the share of several answers, a "
        "jury's posterior, or a verdict and its strength; mixed where not the same of all pairs.",
    )
    brier = serializers.FloatField()
    brier_after = serializers.FloatField(help_text="Cross-fitted by prompt.")
    ece = serializers.FloatField()
    ece_after = serializers.FloatField()
    bins = BinSerializer(many=True)


class OwnMakerSerializer(serializers.Serializer):
    maker = serializers.CharField()
    pairs = serializers.IntegerField()
    by_judge = serializers.FloatField()
    by_people = serializers.FloatField()
    difference = EstimateSerializer()
    favours = serializers.BooleanField()


class AnchoringSerializer(serializers.Serializer):
    """Shares of people's votes that say what the judge says; intervals clustered by prompt."""

    shown = EstimateSerializer(allow_null=True, help_text="Where its verdict was in view.")
    hidden = EstimateSerializer(allow_null=True, help_text="Where the draw held it back.")
    difference = EstimateSerializer(allow_null=True, help_text="Shown less hidden.")


class FollowerSerializer(AnchoringSerializer):
    annotator = serializers.CharField()


class FollowedSerializer(AnchoringSerializer):
    by_annotator = FollowerSerializer(many=True)


class JudgeCardSerializer(serializers.Serializer):
    """What is known of a judge; null where nothing is."""

    judge = serializers.CharField()
    votes = serializers.IntegerField()
    invalid = serializers.IntegerField(help_text="Answers without a verdict that can be read.")
    people = serializers.IntegerField(help_text="Votes of people on pairs that it has judged.")
    agrees = EstimateSerializer(allow_null=True)
    kappa = EstimateSerializer(allow_null=True)
    ceiling_judge = EstimateSerializer(
        allow_null=True, help_text="With what most others say, each person left out in turn."
    )
    ceiling_people = EstimateSerializer(allow_null=True, help_text="The same of people.")
    by_category = CategoryAgreementSerializer(many=True)
    first_wins = EstimateSerializer(allow_null=True, help_text="What is shown first.")
    same_in_both_orders = EstimateSerializer(allow_null=True)
    sides_drawn = serializers.BooleanField(
        help_text="Whether sides were drawn by chance, so that first_wins is the judge's liking."
    )
    calibration = CalibrationSerializer(allow_null=True)
    own_maker = OwnMakerSerializer(allow_null=True)
    anchoring = FollowedSerializer(
        allow_null=True, help_text="How far people follow it; null where it was never to be shown."
    )
    calls = serializers.IntegerField()
    cached = serializers.IntegerField()
    tokens_in = serializers.IntegerField()
    tokens_out = serializers.IntegerField()
    cost = serializers.FloatField()
    seconds = serializers.FloatField()


class JudgeCard(APIView):
    """A judge's agreement with people, calibration, habits and cost."""

    @extend_schema(responses=JudgeCardSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = Annotator.objects.filter(kind=Annotator.Kind.JUDGE).select_related(
            "project", "model"
        )
        judge = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        return Response(JudgeCardSerializer(_body(card_of(judge))).data)


def _body(card: Card) -> dict[str, Any]:
    ceiling, habits = card.ceiling, card.habits
    items = ceiling.items if ceiling else 0
    return {
        "judge": card.judge.name,
        "votes": card.votes,
        "invalid": card.invalid,
        "people": card.people,
        "agrees": card.agrees
        and {
            "value": card.agrees.rate,
            "lo": card.agrees.lo,
            "hi": card.agrees.hi,
            "n": card.people,
        },
        "kappa": _estimate(card.kappa, card.people),
        "ceiling_judge": _estimate(ceiling.judge, items) if ceiling and items else None,
        "ceiling_people": _estimate(ceiling.people, items) if ceiling and items else None,
        "by_category": [
            {"category": one.name, "stands_out": one.stands_out, **(_rate(one.rate) or {})}
            for one in card.by_category
        ],
        "first_wins": _rate(habits.first) if habits else None,
        "same_in_both_orders": _rate(habits.consistency) if habits else None,
        "sides_drawn": card.drawn,
        "calibration": _calibration(card),
        "own_maker": _own(card),
        "anchoring": card.followed
        and {
            **_anchoring(card.followed.all),
            "by_annotator": [
                {"annotator": name, **_anchoring(one)} for name, one in card.followed.by_annotator
            ],
        },
        **card.spent,
    }


def _rate(rate: Any) -> dict[str, Any] | None:
    if rate is None:
        return None
    return {"value": rate.rate, "lo": rate.lo, "hi": rate.hi, "n": rate.votes}


def _estimate(one: Any, n: int) -> dict[str, Any] | None:
    return None if one is None else {"value": one.value, "lo": one.lo, "hi": one.hi, "n": n}


def _anchoring(one: Anchoring) -> dict[str, Any]:
    n = one.n_shown + one.n_hidden
    gap = {"value": one.difference, "lo": one.lo, "hi": one.hi, "n": n}
    return {
        "shown": _clustered(one.shown, one.n_shown),
        "hidden": _clustered(one.hidden, one.n_hidden),
        "difference": None if one.difference is None else gap,
    }


def _clustered(one: Clustered | None, n: int) -> dict[str, Any] | None:
    return None if one is None else {"value": one.rate, "lo": one.lo, "hi": one.hi, "n": n}


def _calibration(card: Card) -> dict[str, Any] | None:
    if card.calibrated is None:
        return None
    before, after = card.calibrated.before, card.calibrated.after
    return {
        "method": card.calibrated.method,
        "measured": card.source == "tokens",
        "source": card.source,
        "brier": before.brier,
        "brier_after": after.brier,
        "ece": before.ece,
        "ece_after": after.ece,
        "bins": before.bins,
    }


def _own(card: Card) -> dict[str, Any] | None:
    if card.own is None:
        return None
    value, lo, hi = card.own.difference
    votes = card.own.by_judge.votes
    return {
        "maker": card.own.maker,
        "pairs": votes,
        "by_judge": card.own.by_judge.rate,
        "by_people": card.own.by_people.rate,
        "difference": {"value": value, "lo": lo, "hi": hi, "n": votes},
        "favours": card.own.favours,
    }
