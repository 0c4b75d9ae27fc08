"""What annotators are given; no model's name is in it."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import prefetch_related_objects
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.models import Assignment, Prompt
from annotation.serializers.messages import MessageSerializer
from steelyard.assets.models import Asset
from steelyard.projects.models import Project
from steelyard.web.api import StrictSerializer, shown_by

TOP_ID = 2**63 - 1
"""The largest number that names a row."""


class MediaSerializer(serializers.Serializer):
    """A picture or a video; the bytes are at ``assets/<sha256>/file`` too."""

    sha256 = serializers.CharField()
    kind = serializers.CharField()
    mime = serializers.CharField()
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    duration = serializers.FloatField(allow_null=True, help_text="seconds")
    frame_rate = serializers.FloatField(allow_null=True, help_text="frames a second")
    url = serializers.CharField(help_text="Where a signed-in browser reads the file.")
    preview_url = serializers.CharField(help_text="A picture no larger than a screen.")
    poster_url = serializers.CharField(help_text="A video's first frame; may be empty.")
    playable_url = serializers.CharField(help_text="A video that starts at once.")


class ShownOutputSerializer(serializers.Serializer):
    """An output without what made it."""

    side = serializers.ChoiceField(
        choices=["a", "b"], help_text="What a verdict calls this output."
    )
    text = serializers.CharField(help_text="Markdown; spans of evidence count its code points.")
    media = MediaSerializer(allow_null=True)


class ShownPromptSerializer(serializers.Serializer):
    messages = MessageSerializer(many=True)
    media = serializers.SerializerMethodField(
        help_text="Pictures and clips that the last message asks about."
    )
    category = serializers.CharField()

    @extend_schema_field(MediaSerializer(many=True))
    def get_media(self, prompt: Prompt) -> Any:
        if not prompt.media:
            return []
        project = self.context["project"]
        found = Asset.objects.filter(project=project, sha256__in=prompt.media)
        known = {asset.sha256: asset for asset in found}
        return media_of(project, [known[sha] for sha in prompt.media if sha in known])


def media_of(project: Project, assets: list[Asset]) -> Any:
    """What is told of files of the project."""
    prefetch_related_objects(assets, "renditions")
    for asset in assets:
        asset.project = project  # its URL names the project
    return MediaSerializer(assets, many=True).data


class ProgressSerializer(serializers.Serializer):
    done = serializers.IntegerField(help_text="Pairs that you have judged.")
    left = serializers.IntegerField(help_text="Pairs that still want a verdict and may be yours.")
    total = serializers.IntegerField()
    quota = serializers.IntegerField(
        allow_null=True, help_text="How many verdicts are expected of you, where somebody said."
    )


class ShownPairSerializer(serializers.Serializer):
    """A pair as its annotator is to see it: made of a lease, or of what stands for one."""

    pair = serializers.IntegerField(source="pair_id")
    prompt = serializers.SerializerMethodField()
    outputs = serializers.SerializerMethodField(help_text="In the order in which to show them.")
    scheme = serializers.DictField(
        source="project.scheme",
        help_text="What a verdict consists of: task, tie, both_bad, steps, aspects, tags, "
        "rationale_required, rationale_min, evidence, correction, segments, skip_reasons, "
        "flag_reasons.",
    )
    guidelines = serializers.CharField(source="project.guidelines", help_text="Markdown")

    @extend_schema_field(ShownPromptSerializer)
    def get_prompt(self, lease: Assignment) -> Any:
        prompt = lease.pair.prompt
        if not prompt.media:  # so nothing is read of the project
            return shown_by(ShownPromptSerializer, prompt)
        return ShownPromptSerializer(prompt, context={"project": lease.project}).data

    @extend_schema_field(ShownOutputSerializer(many=True))
    def get_outputs(self, lease: Assignment) -> Any:
        shown = list(zip("ba" if lease.swapped else "ab", lease.shown, strict=True))
        files = [output.asset for _, output in shown if output.asset]
        media = {m["sha256"]: m for m in media_of(lease.project, files)} if files else {}
        return [
            {
                "side": side,
                "text": output.text,
                "media": media[output.asset.sha256] if output.asset else None,
            }
            for side, output in shown
        ]


class PrelabelSerializer(serializers.Serializer):
    """A judge's verdict; show it as a machine's."""

    judge = serializers.CharField()
    outcome = serializers.CharField(
        source="verdict.outcome", help_text="Of the sides that the outputs name."
    )
    strength = serializers.IntegerField(source="verdict.strength")
    reason = serializers.CharField()
    letters = serializers.ChoiceField(
        choices=["same", "turned", "unknown"],
        help_text="Whether the reason calls A what stands first in outputs.",
    )


class LeaseSerializer(ShownPairSerializer):
    """A pair that is kept for you until the lease runs out."""

    prelabel = PrelabelSerializer(
        source="told",
        allow_null=True,
        help_text="What a judge has said, where the project wants you to see it; the judgment "
        "notes that it was shown.",
    )

    leased_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class HoldingField(serializers.CharField):
    """Numbers of pairs with commas between."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data).replace(" ", "")
        if not re.fullmatch(r"[0-9]{1,18}(,[0-9]{1,18}){0,49}", text):
            raise serializers.ValidationError(
                "These must be numbers of pairs with commas between, such as 12,31; at most 50."
            )
        return [int(number) for number in text.split(",")]


class NextQuery(serializers.Serializer):
    holding = HoldingField(
        required=False,
        help_text="Pairs that you hold already, with commas between: the answer is another one.",
    )


class RenewRequest(StrictSerializer):
    pairs = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=TOP_ID), min_length=1, max_length=50
    )


class HeldSerializer(serializers.Serializer):
    held = serializers.ListField(
        child=serializers.IntegerField(), help_text="Those of the pairs that are kept for you now."
    )
