from __future__ import annotations

from rest_framework import serializers

from annotation.models import Annotator
from annotation.scores import TIE_BAND
from annotation.services.judge_checks import MAX_NEW_TOKENS
from annotation.services.judging import DEFAULT_CRITERIA, PROMPTS, WHICH
from annotation.services.scoring import MOST_FRAMES, MOST_TIE_BAND
from steelyard.inference.scorers.base import FRAMES, KINDS
from steelyard.web.api import StrictSerializer


class AnnotatorSerializer(serializers.ModelSerializer):
    model = serializers.CharField(source="model.name", allow_null=True, default=None)
    scorer = serializers.DictField(
        source="scorer_shown", help_text="Empty where it is no scorer; a key is never shown."
    )

    class Meta:
        model = Annotator
        fields = [
            "id",
            "kind",
            "name",
            "model",
            "scorer",
            "criteria",
            "sampling",
            "template_version",
            "created_at",
        ]
        read_only_fields = fields


class AgreementSerializer(serializers.Serializer):
    equal = serializers.IntegerField()
    n = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True)


class JudgeReportSerializer(serializers.Serializer):
    """A judge, and how far it agrees with people and with itself."""

    judge = AnnotatorSerializer()
    votes = serializers.IntegerField()
    unreadable = serializers.IntegerField(help_text="Answers without a verdict, kept as skips.")
    with_people = AgreementSerializer(
        help_text="Over people's votes on pairs that it has judged: the same outcome."
    )
    between_orders = AgreementSerializer(help_text="Over pairs asked in both orders.")


class JudgeRequest(StrictSerializer):
    """What ``POST judges`` takes."""

    name = serializers.CharField(max_length=150)
    model = serializers.CharField(help_text="Name of a language model or endpoint.")
    criteria = serializers.CharField(default=DEFAULT_CRITERIA, max_length=10_000)
    temperature = serializers.FloatField(default=0.0, min_value=0, max_value=2)
    max_new_tokens = serializers.IntegerField(default=256, min_value=1, max_value=MAX_NEW_TOKENS)


class JudgeRunRequest(StrictSerializer):
    """Which pairs a judge is to be shown."""

    which = serializers.ChoiceField(choices=list(WHICH.items()), default="unjudged")
    category = serializers.CharField(allow_blank=True, default="")
    prompts = serializers.ChoiceField(
        choices=list(PROMPTS.items()), default="", help_text="Empty for all."
    )
    limit = serializers.IntegerField(default=0, min_value=0, help_text="0 for all.")


class ScorerRequest(StrictSerializer):
    """What ``POST scorers`` takes."""

    name = serializers.CharField(max_length=150)
    kind = serializers.ChoiceField(choices=list(KINDS))
    source = serializers.CharField(  # type: ignore[assignment]
        max_length=500,
        help_text="CLIP model (folder or hub name), address, or name of an operator's command.",
    )
    weights = serializers.CharField(
        max_length=500, allow_blank=True, default="", help_text="Of hpsv2 and aesthetics."
    )
    api_key = serializers.CharField(
        max_length=500, allow_blank=True, default="", write_only=True, help_text="Over HTTP."
    )
    dimension = serializers.CharField(
        max_length=60, allow_blank=True, default="", help_text="Empty for the scorer's first."
    )
    tie_band = serializers.FloatField(
        default=TIE_BAND,
        min_value=0,
        max_value=MOST_TIE_BAND,
        help_text="In usual differences (their root mean square).",
    )
    frames = serializers.IntegerField(
        default=FRAMES, min_value=1, max_value=MOST_FRAMES, help_text="Of a clip."
    )
