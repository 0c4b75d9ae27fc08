"""Sets of outputs to be put in order, and the orders that people give them."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.evidence import MAX_ITEMS
from annotation.models import Output, OutputSet, Ranking, RankingLease
from annotation.serializers.labelling import DAY_MS, EvidenceInSetField, SeenSerializer
from annotation.serializers.material import AnswerRequest, media
from annotation.serializers.messages import messages
from annotation.serializers.shown import TOP_ID, MediaSerializer, ShownPromptSerializer, media_of
from annotation.services.checking import RATIONALE_LIMIT
from annotation.tiers import LEAST, MOST
from steelyard.web.api import StrictSerializer


def tiers(**options: Any) -> serializers.ListField:
    """A field for an order: lists of numbers of outputs."""
    number = serializers.IntegerField(min_value=1, max_value=TOP_ID)
    tier = serializers.ListField(child=number, max_length=MOST)
    return serializers.ListField(child=tier, max_length=MOST, **options)


class SetRequest(StrictSerializer):
    """What ``POST sets`` takes: a prompt and its answers."""

    messages = messages(help_text="Ends with a user's message.")
    media = media()
    category = serializers.CharField(max_length=100, allow_blank=True, default="")
    answers = serializers.ListField(child=AnswerRequest(), min_length=LEAST, max_length=MOST)
    priority = serializers.IntegerField(
        default=0, min_value=-1000, max_value=1000, help_text="Higher is ranked first."
    )
    wanted = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=1000,
        help_text="How many people are to rank it; the project's overlap where not said.",
    )


class SetSerializer(serializers.ModelSerializer):
    outputs = serializers.SerializerMethodField(help_text="Numbers of the outputs.")

    class Meta:
        model = OutputSet
        fields = [
            "id",
            "key",
            "prompt",
            "outputs",
            "priority",
            "wanted",
            "judged",
            "closed",
            "is_training",
            "created_at",
        ]
        read_only_fields = fields

    def get_outputs(self, output_set: OutputSet) -> list[int]:
        return sorted(output.pk for output in output_set.outputs.all())


class SetQuery(serializers.Serializer):
    """Filters of ``GET sets``."""

    state = serializers.ChoiceField(choices=["open", "complete"], required=False)
    category = serializers.CharField(required=False)
    prompt = serializers.IntegerField(
        required=False, min_value=1, max_value=TOP_ID, help_text="Number of a prompt."
    )


class ShownInSetSerializer(serializers.Serializer):
    """An output without what made it."""

    output = serializers.IntegerField(help_text="What tiers call it.")
    letter = serializers.CharField(help_text="What the page calls it.")
    text = serializers.CharField(help_text="Markdown")
    media = MediaSerializer(allow_null=True)


class SetLeaseSerializer(serializers.ModelSerializer):
    """A set that is kept for you until the lease runs out."""

    set = serializers.IntegerField(source="output_set_id")
    prompt = serializers.SerializerMethodField()
    outputs = serializers.SerializerMethodField(help_text="In the order in which to show them.")
    scheme = serializers.DictField(source="project.scheme", help_text="As with a pair.")
    guidelines = serializers.CharField(source="project.guidelines", help_text="Markdown")

    class Meta:
        model = RankingLease
        fields = ["set", "prompt", "outputs", "scheme", "guidelines", "leased_at", "expires_at"]
        read_only_fields = fields

    @extend_schema_field(ShownPromptSerializer)
    def get_prompt(self, lease: RankingLease) -> Any:
        context = {"project": lease.project}
        return ShownPromptSerializer(lease.output_set.prompt, context=context).data

    @extend_schema_field(ShownInSetSerializer(many=True))
    def get_outputs(self, lease: RankingLease) -> Any:
        found = Output.objects.select_related("asset").in_bulk(lease.shown)
        shown = [found[pk] for pk in lease.shown]
        files = [output.asset for output in shown if output.asset]
        seen = {one["sha256"]: one for one in media_of(lease.project, files)} if files else {}
        return [
            {
                "output": output.pk,
                "letter": letter,
                "text": output.text,
                "media": seen[output.asset.sha256] if output.asset else None,
            }
            for letter, output in zip(ascii_uppercase, shown, strict=False)
        ]


class SetExposureSerializer(StrictSerializer):
    """What the annotator saw, if the client measures it."""

    visible_ms = serializers.IntegerField(min_value=0, max_value=DAY_MS, required=False)
    device = serializers.ChoiceField(choices=["touch", "pointer"], required=False)
    width = serializers.IntegerField(min_value=1, max_value=100_000, required=False)
    height = serializers.IntegerField(min_value=1, max_value=100_000, required=False)
    outputs = serializers.DictField(
        child=SeenSerializer(), required=False, help_text="By the number of the output."
    )


class OrderRequest(StrictSerializer):
    """An order of a set's outputs."""

    uuid = serializers.UUIDField(
        help_text="Made by you, new for each ranking: sent again, it is the same one."
    )
    tiers = tiers(
        default=list,
        help_text="Numbers of outputs, the best first; those in one list are tied. Each output of "
        "the set stands in one of them. Left out with skipped.",
    )
    skipped = serializers.BooleanField(default=False)
    skip_reason = serializers.CharField(allow_blank=True, default="", max_length=100)
    rationale = serializers.CharField(allow_blank=True, default="", max_length=RATIONALE_LIMIT)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=100), default=list, max_length=50
    )
    evidence = EvidenceInSetField(
        default=list, max_length=MAX_ITEMS, help_text="What the rationale points at."
    )
    exposure = SetExposureSerializer(required=False)
    duration_ms = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=0, max_value=DAY_MS
    )


class RankingRequest(OrderRequest):
    """What ``POST rankings`` takes."""

    set = serializers.IntegerField(min_value=1, max_value=TOP_ID)


class RankedSerializer(serializers.ModelSerializer):
    """A ranking as it was stored, for the one who gave it."""

    set = serializers.IntegerField(source="output_set_id")
    supersedes = serializers.UUIDField(source="supersedes.uuid", allow_null=True, default=None)
    tiers = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    tags = serializers.ListField(child=serializers.CharField())
    evidence = EvidenceInSetField()

    class Meta:
        model = Ranking
        fields = [
            "uuid",
            "set",
            "tiers",
            "skipped",
            "skip_reason",
            "rationale",
            "tags",
            "evidence",
            "duration_ms",
            "supersedes",
            "is_current",
            "created_at",
        ]
        read_only_fields = fields


class RankingSerializer(RankedSerializer):
    annotator = serializers.CharField(source="annotator.name")
    shown = serializers.ListField(
        child=serializers.IntegerField(), help_text="The order of the screen."
    )

    class Meta:
        model = Ranking
        fields = ["annotator", *RankedSerializer.Meta.fields, "shown", "exposure"]
        read_only_fields = fields


class RankingQuery(serializers.Serializer):
    """Filters of ``GET rankings``."""

    annotator = serializers.CharField(required=False, help_text="Name of an annotator.")
    set = serializers.IntegerField(required=False, min_value=1, max_value=TOP_ID)
    all = serializers.BooleanField(
        default=False, help_text="Superseded ones too; is_current tells them apart."
    )
