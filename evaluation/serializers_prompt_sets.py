from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from evaluation.models import GamedFile, PromptSet
from evaluation.prompt_sets import categories_of
from steelyard.web.api import StrictSerializer


class PromptSetRequest(StrictSerializer):
    """What ``POST prompt-sets`` takes: a filter, or the text of a file in ``lines``."""

    name = serializers.CharField(max_length=150)
    note = serializers.CharField(required=False, allow_blank=True, default="")
    held_out = serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Prompts that are held out, or that are not; both where nothing is said.",
    )
    version = serializers.IntegerField(
        required=False, help_text="Id of a dataset version: those that it tests with."
    )
    category = serializers.CharField(required=False, allow_blank=True, default="")
    draw = serializers.IntegerField(
        required=False, min_value=0, default=0, help_text="So many, by the seed; 0 for all."
    )
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1, default=0)
    lines = serializers.CharField(
        required=False,
        trim_whitespace=False,
        help_text="JSON Lines with prompt or turns, category, reference_answer, media, instead of "
        "a filter. New prompts are held out.",
    )


class NamedSetSerializer(serializers.ModelSerializer):
    """A prompt set."""

    size = serializers.IntegerField(help_text="How many prompts it has.")

    class Meta:
        model = PromptSet
        fields = ["id", "name", "note", "made_from", "size", "created_at"]
        read_only_fields = fields


class CategorySerializer(serializers.Serializer):
    category = serializers.CharField()
    prompts = serializers.IntegerField()


class GamedRowsRequest(StrictSerializer):
    """What ``PUT prompt-sets/{id}/gamed-rows`` takes."""

    lines = serializers.CharField(
        trim_whitespace=False,
        help_text="The text of AlpacaEval's df_gamed.csv: preference, index, std_delta_len, "
        "instruction_difficulty; index is a prompt's place in the set, from 0.",
    )
    name = serializers.CharField(
        required=False, default="df_gamed.csv", max_length=200, help_text="The file's name."
    )


class GamedFileSerializer(serializers.ModelSerializer):
    """The file of gamed rows that was given for a set."""

    rows = serializers.SerializerMethodField(help_text="How many rows it has.")

    def get_rows(self, found: GamedFile) -> int:
        return len(found.rows["score"])

    class Meta:
        model = GamedFile
        fields = ["name", "versions", "rows", "created_at"]
        read_only_fields = fields


class NamedSetDetailSerializer(NamedSetSerializer):
    gamed_rows = serializers.SerializerMethodField(
        help_text="AlpacaEval's file of gamed rows, where an admin has given it; else null."
    )
    prompts = serializers.SerializerMethodField(help_text="Keys of its prompts, in its order.")
    categories = serializers.SerializerMethodField()

    @extend_schema_field(GamedFileSerializer(allow_null=True))
    def get_gamed_rows(self, found: PromptSet) -> dict[str, Any] | None:
        file = GamedFile.objects.filter(prompt_set=found).first()
        return dict(GamedFileSerializer(file).data) if file else None

    def get_prompts(self, found: PromptSet) -> list[str]:
        return list(found.items.values_list("prompt__key", flat=True))

    @extend_schema_field(CategorySerializer(many=True))
    def get_categories(self, found: PromptSet) -> list[dict[str, Any]]:
        counted = categories_of(item.prompt for item in found.items.select_related("prompt"))
        return [{"category": name, "prompts": number} for name, number in counted]

    class Meta(NamedSetSerializer.Meta):
        fields = [*NamedSetSerializer.Meta.fields, "gamed_rows", "prompts", "categories"]
        read_only_fields = fields
