"""What annotators are given and what they say; no model's name is in it but for staff."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.models import Assignment, Judgment, Outcome
from annotation.serializers.messages import MessageSerializer
from steelyard.web.api import StrictSerializer


class MediaSerializer(serializers.Serializer):
    """A picture or a video; the bytes are at ``assets/<sha256>/file`` too."""

    sha256 = serializers.CharField()
    kind = serializers.CharField()
    mime = serializers.CharField()
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    duration = serializers.FloatField(allow_null=True, help_text="seconds")
    url = serializers.CharField(help_text="Where a signed-in browser reads the file.")


class ShownOutputSerializer(serializers.Serializer):
    """An output without what made it."""

    side = serializers.ChoiceField(
        choices=["a", "b"], help_text="What a verdict calls this output."
    )
    text = serializers.CharField()
    media = MediaSerializer(allow_null=True)


class ShownPromptSerializer(serializers.Serializer):
    messages = MessageSerializer(many=True)
    category = serializers.CharField()


class ProgressSerializer(serializers.Serializer):
    done = serializers.IntegerField(help_text="Pairs that you have judged.")
    left = serializers.IntegerField(help_text="Pairs that still want a verdict and may be yours.")
    total = serializers.IntegerField()


class LeaseSerializer(serializers.Serializer):
    """A pair that is kept for you until the lease runs out."""

    pair = serializers.IntegerField(source="pair_id")
    leased_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    prompt = ShownPromptSerializer(source="pair.prompt")
    outputs = serializers.SerializerMethodField(help_text="In the order in which to show them.")
    scheme = serializers.DictField(
        source="project.scheme", help_text="tie, both_bad, rationale_required, tags, aspects"
    )
    guidelines = serializers.CharField(source="project.guidelines", help_text="Markdown")

    @extend_schema_field(ShownOutputSerializer(many=True))
    def get_outputs(self, lease: Assignment) -> Any:
        sides = "ba" if lease.swapped else "ab"
        shown = [
            {"side": side, "text": output.text, "media": output.asset}
            for side, output in zip(sides, lease.shown, strict=True)
        ]
        return ShownOutputSerializer(shown, many=True).data


class SeenSerializer(StrictSerializer):
    ms = serializers.IntegerField(min_value=0, required=False, help_text="Time in view.")
    watched = serializers.FloatField(
        min_value=0, max_value=1, required=False, help_text="Share of a video that was played."
    )


class ExposureSerializer(StrictSerializer):
    """What the annotator saw, if the client measures it."""

    visible_ms = serializers.IntegerField(min_value=0, required=False)
    device = serializers.ChoiceField(choices=["touch", "pointer"], required=False)
    a = SeenSerializer(required=False)
    b = SeenSerializer(required=False)


class JudgmentRequest(StrictSerializer):
    """What ``POST judgments`` takes. Sides are those that ``next`` names, whatever the order in
    which the outputs were shown."""

    uuid = serializers.UUIDField(
        help_text="Made by you, new for each verdict: sent again, it is the same judgment."
    )
    pair = serializers.IntegerField()
    outcome = serializers.ChoiceField(choices=Outcome.choices)
    strength = serializers.IntegerField(
        min_value=-3,
        max_value=3,
        default=0,
        help_text="Negative where a is better; left out with outcome a or b it is one step.",
    )
    rationale = serializers.CharField(allow_blank=True, default="", max_length=20_000)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=100), default=list, max_length=50
    )
    aspects = serializers.DictField(
        child=serializers.IntegerField(min_value=-3, max_value=3),
        default=dict,
        help_text="{name: strength} for aspects of the project's label scheme.",
    )
    exposure = ExposureSerializer(required=False)
    duration_ms = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=0, max_value=24 * 3600 * 1000
    )


class RecordedSerializer(serializers.ModelSerializer):
    """A verdict as it was stored, for the one who gave it."""

    class Meta:
        model = Judgment
        fields = [
            "uuid",
            "pair",
            "outcome",
            "strength",
            "aspects",
            "rationale",
            "tags",
            "duration_ms",
            "created_at",
        ]
        read_only_fields = fields


class JudgmentSerializer(serializers.ModelSerializer):
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
            "outcome",
            "strength",
            "aspects",
            "rationale",
            "tags",
            "swapped",
            "exposure",
            "duration_ms",
            "model_a",
            "model_b",
            "category",
            "run",
            "details",
            "created_at",
        ]
        read_only_fields = fields


class JudgmentQuery(serializers.Serializer):
    """Filters of ``GET judgments``."""

    by = serializers.ChoiceField(choices=["people", "judges"], required=False)
    annotator = serializers.CharField(required=False, help_text="Name of an annotator.")
    model = serializers.CharField(required=False, help_text="Name of a model on either side.")
    category = serializers.CharField(required=False)
    outcome = serializers.ChoiceField(choices=Outcome.choices, required=False)
    run = serializers.IntegerField(required=False, help_text="Number of a judging run.")
    pair = serializers.IntegerField(required=False)
