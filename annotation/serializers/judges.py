from __future__ import annotations

from typing import Any

from rest_framework import serializers

from annotation.models import Annotator
from annotation.scores import TIE_BAND
from annotation.services.judge_checks import (
    ASKING,
    MAX_NEW_TOKENS,
    MOST_AT_ONCE,
    MOST_SAMPLES,
    MOST_SIDE,
    ORDERS,
    SAMPLING,
)
from annotation.services.judge_checks import MOST_FRAMES as MOST_JUDGED_FRAMES
from annotation.services.judging import DEFAULT_CRITERIA, PROMPTS, WHICH
from annotation.services.rewards import CHOOSE, MOST_TOP_K, READS
from annotation.services.scoring import MOST_FRAMES, MOST_TIE_BAND
from steelyard.inference.judging.prompting import LONGEST_TEMPLATE
from steelyard.inference.scorers.base import FRAMES, KINDS, OF_TEXTS
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
            "rubric",
            "sampling",
            "asking",
            "template_version",
            "template",
            "limits",
            "checks",
            "family",
            "version",
            "parent",
            "note",
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


class JudgedAspectSerializer(StrictSerializer):
    name = serializers.CharField(max_length=100, help_text="An aspect of the label scheme.")
    text = serializers.CharField(
        max_length=2000, allow_blank=True, default="", help_text="What it is to mean to the judge."
    )


class LimitsSerializer(StrictSerializer):
    """How fast a judge asks and what it may cost; what is not said is not limited."""

    at_once = serializers.IntegerField(
        required=False, min_value=1, max_value=MOST_AT_ONCE, help_text="Questions; 4 if not said."
    )
    requests_per_minute = serializers.IntegerField(required=False, min_value=1, max_value=10**6)
    tokens_per_minute = serializers.IntegerField(required=False, min_value=1, max_value=10**9)
    max_calls = serializers.IntegerField(
        required=False, min_value=1, max_value=10**9, help_text="Of all its runs together."
    )
    max_tokens = serializers.IntegerField(required=False, min_value=1, max_value=10**12)
    max_cost = serializers.FloatField(
        required=False, min_value=0, max_value=10**9, help_text="By the prices."
    )
    price_in = serializers.FloatField(
        required=False, min_value=0, max_value=10**6, help_text="Of a million tokens asked."
    )
    price_out = serializers.FloatField(
        required=False, min_value=0, max_value=10**6, help_text="Of a million tokens answered."
    )


class _Asked(StrictSerializer):
    """What a judge and its next version have in common; nothing is filled in."""

    rubric = JudgedAspectSerializer(many=True, required=False)
    template = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=LONGEST_TEMPLATE,
        help_text="The project's own wording, with {request}, {answer_a} and {answer_b}; empty for "
        "the shipped one.",
    )
    temperature = serializers.FloatField(required=False, min_value=0, max_value=2)
    max_new_tokens = serializers.IntegerField(required=False, min_value=1, max_value=MAX_NEW_TOKENS)
    orders = serializers.ChoiceField(
        choices=ORDERS, required=False, help_text="random: one of the two, by pair and judge."
    )
    samples = serializers.IntegerField(
        required=False, min_value=1, max_value=MOST_SAMPLES, help_text="Of each order."
    )
    max_side = serializers.IntegerField(
        required=False, min_value=64, max_value=MOST_SIDE, help_text="Pixels of a picture."
    )
    frames = serializers.IntegerField(
        required=False, min_value=1, max_value=MOST_JUDGED_FRAMES, help_text="Of a clip."
    )
    limits = LimitsSerializer(required=False)
    note = serializers.CharField(required=False, allow_blank=True, max_length=300)

    def as_request(self) -> dict[str, Any]:
        """For the service: what is said, in its groups."""
        said = self.validated_data
        groups: dict[str, dict[str, Any]] = {
            "sampling": {name: said[name] for name in SAMPLING if name in said},
            "asking": {name: said[name] for name in ASKING if name in said},
        }
        plain = ("criteria", "rubric", "template", "limits", "note")
        return {**{name: said[name] for name in plain if name in said}, **groups}


class NewJudgeRequest(_Asked):
    """What ``POST judges`` takes."""

    name = serializers.CharField(max_length=150)
    model = serializers.CharField(help_text="Name of a language model or endpoint.")
    criteria = serializers.CharField(default=DEFAULT_CRITERIA, max_length=10_000)


class JudgeVersionRequest(_Asked):
    """What ``POST judges/{id}/versions`` takes: what is not said stays as it is."""

    model = serializers.CharField(required=False, help_text="Name of another model.")
    criteria = serializers.CharField(required=False, max_length=10_000)


class AskingEstimateSerializer(serializers.Serializer):
    """About what asking will come to."""

    pairs = serializers.IntegerField()
    calls = serializers.IntegerField()
    tokens_in = serializers.IntegerField()
    tokens_out = serializers.IntegerField()
    cost = serializers.FloatField(allow_null=True, help_text="Null where no prices are known.")
    minutes = serializers.FloatField(allow_null=True, help_text="Null where no pace is known.")
    known = serializers.BooleanField(help_text="Whether earlier calls tell how long answers are.")


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
        help_text="CLIP model (folder or hub name), address, or name of an operator's command; of "
        "answer_probability the name of a language model of the project.",
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
        required=False,
        min_value=0,
        max_value=MOST_TIE_BAND,
        help_text=f"In usual differences (their root mean square); {TIE_BAND} where it is not "
        "said, 0 of answer_probability.",
    )
    frames = serializers.IntegerField(
        default=FRAMES, min_value=1, max_value=MOST_FRAMES, help_text="Of a clip."
    )
    reads = serializers.ChoiceField(
        choices=list(READS), required=False, help_text="Of answer_probability: before the answer."
    )
    choose = serializers.ChoiceField(
        choices=list(CHOOSE), required=False, help_text="Of it: pairs that get a verdict."
    )
    margin = serializers.FloatField(
        required=False, min_value=0, max_value=1000, help_text="Of it: less is no verdict."
    )
    top_k = serializers.IntegerField(
        required=False, min_value=1, max_value=MOST_TOP_K, help_text="Of it: passages that count."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        stray = _OF_PICTURES if attrs["kind"] in OF_TEXTS else _OF_TEXTS
        for name in stray:
            if attrs.get(name):
                raise serializers.ValidationError({name: f"Not for a scorer {attrs['kind']}."})
            attrs.pop(name, None)
        return attrs


_OF_TEXTS = ("reads", "choose", "margin", "top_k")
_OF_PICTURES = ("weights", "api_key")
