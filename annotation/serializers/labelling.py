"""What annotators say, for themselves and for staff."""

from __future__ import annotations

import math
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.evidence import MAX_ITEMS, MAX_SEGMENTS, NOTE_LIMIT
from annotation.models import Judgment, Outcome
from annotation.serializers.shown import TOP_ID
from annotation.services.checking import CORRECTION_LIMIT, RATIONALE_LIMIT
from steelyard.web.api import StrictSerializer

DAY_MS = 24 * 3600 * 1000


class ShareField(serializers.FloatField):
    """A number from 0 to 1; NaN, which is neither smaller nor larger than these, is none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=1, **options)

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class SeenSerializer(StrictSerializer):
    ms = serializers.IntegerField(
        min_value=0, max_value=DAY_MS, required=False, help_text="Time in view."
    )
    watched = ShareField(required=False, help_text="Share of a video that was played.")
    plays = serializers.IntegerField(
        min_value=0, max_value=100_000, required=False, help_text="How often it was set going."
    )
    seeks = serializers.IntegerField(min_value=0, max_value=100_000, required=False)
    zoomed = serializers.BooleanField(
        required=False, help_text="Whether a picture was seen enlarged."
    )


class ExposureSerializer(StrictSerializer):
    """What the annotator saw, if the client measures it."""

    visible_ms = serializers.IntegerField(min_value=0, max_value=DAY_MS, required=False)
    device = serializers.ChoiceField(choices=["touch", "pointer"], required=False)
    width = serializers.IntegerField(
        min_value=1, max_value=100_000, required=False, help_text="Of the window, in pixels."
    )
    height = serializers.IntegerField(
        min_value=1, max_value=100_000, required=False, help_text="Of the window, in pixels."
    )
    a = SeenSerializer(required=False)
    b = SeenSerializer(required=False)


_NUMBER = {"type": "number", "minimum": 0}


def _evidence(where: str, values: dict[str, Any]) -> dict[str, Any]:
    """Of evidence whose items say under ``where`` in which answer it is."""
    return {
        "type": "array",
        "maxItems": MAX_ITEMS,
        "items": {
            "type": "object",
            "required": [where, "kind"],
            "properties": {
                where: values,
                "kind": {"enum": ["span", "box", "time"]},
                "start": {**_NUMBER, "description": "span: code points; time: seconds"},
                "end": {**_NUMBER, "description": "span: code points; time: seconds"},
                "quote": {"type": "string", "description": "span: what stands there"},
                "x": {**_NUMBER, "maximum": 1, "description": "box: fractions of the picture"},
                "y": {**_NUMBER, "maximum": 1},
                "width": {**_NUMBER, "maximum": 1},
                "height": {**_NUMBER, "maximum": 1},
                "at": {**_NUMBER, "description": "box on a clip: seconds"},
                "note": {"type": "string", "maxLength": NOTE_LIMIT},
                "says": {"enum": ["good", "bad"]},
            },
        },
    }


@extend_schema_field(_evidence("side", {"enum": ["a", "b"]}))
class EvidenceField(serializers.ListField):
    """Any list; annotation.evidence says of each item what is wrong with it."""

    child = serializers.JSONField()


@extend_schema_field(_evidence("output", {"type": "integer", "description": "its number"}))
class EvidenceInSetField(EvidenceField):
    """The same of a set's outputs."""


@extend_schema_field(
    {
        "type": "array",
        "maxItems": MAX_SEGMENTS,
        "items": {
            "type": "object",
            "required": ["start", "end", "outcome"],
            "properties": {
                "start": {**_NUMBER, "description": "seconds"},
                "end": {**_NUMBER, "description": "seconds"},
                "outcome": {"enum": ["a", "b", "tie"]},
                "strength": {"type": "integer", "minimum": -3, "maximum": 3},
            },
        },
    }
)
class SegmentsField(EvidenceField):
    pass


class VerdictRequest(StrictSerializer):
    """A verdict. Sides are those that ``next`` names, whatever the order in which the outputs were
    shown."""

    uuid = serializers.UUIDField(
        help_text="Made by you, new for each verdict: sent again, it is the same judgment."
    )
    outcome = serializers.ChoiceField(choices=Outcome.choices)
    strength = serializers.IntegerField(
        min_value=-3,
        max_value=3,
        default=0,
        help_text="Negative where a is better, at most (steps - 1) / 2; left out with outcome a or "
        "b it is one step.",
    )
    rationale = serializers.CharField(allow_blank=True, default="", max_length=RATIONALE_LIMIT)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=100),
        default=list,
        max_length=50,
        help_text="Of the label scheme's.",
    )
    aspects = serializers.DictField(
        child=serializers.IntegerField(min_value=-3, max_value=3),
        default=dict,
        help_text="{name: strength} for aspects of the project's label scheme.",
    )
    evidence = EvidenceField(
        default=list, max_length=MAX_ITEMS, help_text="What the rationale points at."
    )
    segments = SegmentsField(
        default=list,
        max_length=MAX_SEGMENTS,
        help_text="Verdicts on parts of a video, one after the other.",
    )
    correction = serializers.CharField(
        allow_blank=True,
        default="",
        max_length=CORRECTION_LIMIT,
        help_text="A better answer, where the scheme takes one.",
    )
    skip_reason = serializers.CharField(
        allow_blank=True, default="", max_length=100, help_text="With outcome skip alone."
    )
    exposure = ExposureSerializer(required=False)
    duration_ms = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=0, max_value=DAY_MS
    )


class JudgmentRequest(VerdictRequest):
    """What ``POST judgments`` takes."""

    pair = serializers.IntegerField(min_value=1, max_value=TOP_ID)


_SAID = [
    "outcome",
    "strength",
    "aspects",
    "rationale",
    "tags",
    "evidence",
    "segments",
    "correction",
    "skip_reason",
]


class RecordedSerializer(serializers.ModelSerializer):
    """A verdict as it was stored, for the one who gave it."""

    correction = serializers.CharField(source="correction.text", default="")
    supersedes = serializers.UUIDField(
        source="supersedes.uuid",
        allow_null=True,
        default=None,
        help_text="The verdict that it replaces.",
    )

    class Meta:
        model = Judgment
        fields = [
            "uuid",
            "pair",
            *_SAID,
            "duration_ms",
            "supersedes",
            "is_current",
            "created_at",
        ]
        read_only_fields = fields


class PrelabelOfSerializer(serializers.Serializer):
    """What a judge had said of the pair before, and whether the annotator was shown it."""

    judge = serializers.IntegerField(help_text="Number of an annotator.")
    judgment = serializers.UUIDField()
    outcome = serializers.CharField()
    strength = serializers.IntegerField()
    shown = serializers.BooleanField()
    share = serializers.IntegerField(help_text="Per cent that were shown at that time.")
    at = serializers.DateTimeField()


class JudgmentSerializer(RecordedSerializer):
    prelabel = serializers.SerializerMethodField(help_text="Null where there was none to show.")
    annotator = serializers.CharField(source="annotator.name")
    kind = serializers.CharField(source="annotator.kind", help_text="person or judge")
    model_a = serializers.CharField(source="pair.output_a.model.name")
    model_b = serializers.CharField(source="pair.output_b.model.name")
    category = serializers.CharField(source="pair.prompt.category")

    class Meta:
        model = Judgment
        fields = [
            "uuid",
            "pair",
            "annotator",
            "kind",
            *_SAID,
            "swapped",
            "exposure",
            "duration_ms",
            "model_a",
            "model_b",
            "category",
            "run",
            "details",
            "prelabel",
            "supersedes",
            "is_current",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field(PrelabelOfSerializer(allow_null=True))
    def get_prelabel(self, judgment: Judgment) -> dict[str, Any] | None:
        return judgment.prelabel or None


class JudgmentQuery(serializers.Serializer):
    """Filters of ``GET judgments``."""

    by = serializers.ChoiceField(choices=["people", "judges"], required=False)
    annotator = serializers.CharField(required=False, help_text="Name of an annotator.")
    model = serializers.CharField(required=False, help_text="Name of a model on either side.")
    category = serializers.CharField(required=False)
    outcome = serializers.ChoiceField(choices=Outcome.choices, required=False)
    run = serializers.IntegerField(required=False, help_text="Number of a judging run.")
    pair = serializers.IntegerField(required=False)
    all = serializers.BooleanField(
        default=False, help_text="Superseded ones too; is_current tells them apart."
    )
