from __future__ import annotations

from typing import Any

from rest_framework import serializers

from annotation.formats.pairs_jsonl import MAX_MEDIA
from annotation.formats.records import Known
from annotation.models import Outcome, Output, Pair, Prompt
from annotation.serializers.messages import MessageSerializer, messages
from annotation.services.files import KINDS
from annotation.services.material import Answer
from steelyard.web.api import StrictSerializer


def media() -> serializers.ListField:
    """What a prompt is about."""
    return serializers.ListField(
        child=serializers.RegexField(r"^[0-9a-f]{64}$"),
        default=list,
        max_length=MAX_MEDIA,
        help_text="SHA-256 of files of the project that the prompt is about, in order.",
    )


class PromptSerializer(serializers.ModelSerializer):
    messages = MessageSerializer(many=True, read_only=True)
    media = serializers.ListField(
        child=serializers.CharField(),
        read_only=True,
        help_text="SHA-256 of the files that the prompt is about.",
    )

    class Meta:
        model = Prompt
        fields = [
            "id",
            "messages",
            "media",
            "category",
            "reference_answer",
            "held_out",
            "key",
            "created_at",
        ]
        read_only_fields = fields


class PromptRequest(StrictSerializer):
    """What ``POST prompts`` takes."""

    messages = messages(help_text="Ends with a user's message.")
    media = media()
    category = serializers.CharField(max_length=100, allow_blank=True, default="")
    reference_answer = serializers.CharField(allow_blank=True, default="", max_length=200_000)
    held_out = serializers.BooleanField(
        default=False, help_text="Kept for evaluation, never in a dataset version."
    )


class PromptQuery(serializers.Serializer):
    """Filters of ``GET prompts``."""

    category = serializers.CharField(required=False)
    held_out = serializers.BooleanField(required=False, allow_null=True, default=None)


class OutputSerializer(serializers.ModelSerializer):
    model = serializers.CharField(source="model.name")
    asset = serializers.CharField(
        source="asset.sha256", allow_null=True, default=None, help_text="SHA-256 of the file."
    )

    class Meta:
        model = Output
        fields = ["id", "prompt", "model", "text", "asset", "seed", "parameters", "created_at"]
        read_only_fields = fields


class AnswerRequest(StrictSerializer):
    """One answer and what made it."""

    model = serializers.CharField(
        max_length=200, help_text="Name of a model version; made as imported where it is not there."
    )
    text = serializers.CharField(
        allow_blank=True, default="", trim_whitespace=False, max_length=200_000
    )
    asset = serializers.CharField(
        allow_blank=True, default="", max_length=64, help_text="SHA-256 of a file of the project."
    )
    seed = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=-(2**63), max_value=2**63 - 1
    )
    parameters = serializers.DictField(default=dict, help_text="Sampling and the like.")


def answer_of(data: dict[str, Any]) -> Answer:
    return Answer(**{key: data[key] for key in ("model", "text", "asset", "seed", "parameters")})


class OutputRequest(AnswerRequest):
    """What ``POST outputs`` takes."""

    prompt = serializers.IntegerField(help_text="Number of a prompt of the project.")


class OutputQuery(serializers.Serializer):
    """Filters of ``GET outputs``."""

    prompt = serializers.IntegerField(required=False)
    model = serializers.CharField(required=False, help_text="Name of a model version.")


class KnownSerializer(StrictSerializer):
    """A right answer."""

    outcome = serializers.ChoiceField(choices=Outcome.known())
    reason = serializers.CharField(
        allow_blank=True, default="", max_length=5000, help_text="Why; told in the training round."
    )


def known_of(data: dict[str, Any] | None) -> Known | None:
    return Known(**data) if data else None


class PairSerializer(serializers.ModelSerializer):
    prompt = PromptSerializer()
    output_a = OutputSerializer()
    output_b = OutputSerializer()
    known_outcome = serializers.CharField(help_text="The right answer; empty where none is known.")

    class Meta:
        model = Pair
        fields = [
            "id",
            "key",
            "origin",
            "priority",
            "wanted",
            "judged",
            "closed",
            "is_training",
            "known_outcome",
            "known_reason",
            "prompt",
            "output_a",
            "output_b",
            "created_at",
        ]
        read_only_fields = fields


class PairRequest(StrictSerializer):
    """What ``POST pairs`` takes: a prompt and two answers. Which of them becomes side a, their
    content decides; read it in the answer."""

    messages = messages(help_text="Ends with a user's message.")
    media = media()
    category = serializers.CharField(max_length=100, allow_blank=True, default="")
    first = AnswerRequest()
    second = AnswerRequest()
    priority = serializers.IntegerField(
        default=0, min_value=-1000, max_value=1000, help_text="Higher is labelled first."
    )
    wanted = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=1000,
        help_text="How many people are to judge it; the project's overlap where not said.",
    )
    known = KnownSerializer(
        required=False,
        allow_null=True,
        default=None,
        help_text="The right answer; a is `first`, b is `second`.",
    )
    training = serializers.BooleanField(
        default=False, help_text="Shown in the training round alone; needs `known`."
    )


class PairQuery(serializers.Serializer):
    """Filters of ``GET pairs``."""

    category = serializers.CharField(required=False)
    model = serializers.CharField(required=False, help_text="Name of a model on either side.")
    state = serializers.ChoiceField(choices=["open", "complete"], required=False)
    origin = serializers.ChoiceField(choices=Pair.Origin.choices, required=False)


class ImportRequest(StrictSerializer):
    """What ``POST import`` takes: a file (multipart) or its lines as text (JSON)."""

    kind = serializers.ChoiceField(choices=list(KINDS.items()))
    file = serializers.FileField(
        required=False, help_text="JSON Lines, UTF-8, or a .zip with one such file and its media."
    )
    text = serializers.CharField(required=False, trim_whitespace=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("file" in attrs) == ("text" in attrs):
            raise serializers.ValidationError("Give either file or text.")
        return attrs


class ImportedSerializer(serializers.Serializer):
    """What was new; what was there already is not counted."""

    records = serializers.IntegerField(help_text="Lines read.")
    prompts = serializers.IntegerField()
    pairs = serializers.IntegerField()
    judgments = serializers.IntegerField(help_text="Those of rankings too.")
    sets = serializers.IntegerField(help_text="Sets to rank.")
    rankings = serializers.IntegerField()
    searched = serializers.IntegerField(help_text="Outputs for which passages were found.")
