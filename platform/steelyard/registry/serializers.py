from __future__ import annotations

from rest_framework import serializers

from steelyard.registry.models import (
    DatasetVersion,
    ModelFamily,
    ModelVersion,
    VersionNote,
    VersionTag,
)
from steelyard.registry.revised import MOST_REVISIONS
from steelyard.registry.words import warning_of
from steelyard.web.api import StrictSerializer


class DatasetVersionSerializer(serializers.ModelSerializer):
    dataset = serializers.CharField(source="dataset.name")
    parent = serializers.IntegerField(  # type: ignore[assignment]
        source="parent_id", allow_null=True
    )
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Rows and votes.")
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)
    tags = serializers.SerializerMethodField()
    warning = serializers.SerializerMethodField()

    class Meta:
        model = DatasetVersion
        fields = [
            "id",
            "dataset",
            "number",
            "tags",
            "digest",
            "parent",
            "counts",
            "warning",
            "recipe",
            "note",
            "created_by",
            "created_at",
        ]
        read_only_fields = fields

    def get_warning(self, version: DatasetVersion) -> str:
        """What is odd about it, such as an empty test part; empty where nothing is."""
        return warning_of(version.recipe, version.counts)

    def get_tags(self, version: DatasetVersion) -> list[str]:
        """Names that it has at this moment."""
        return [tag.name for tag in version.tags.all()]


class VersionQuery(serializers.Serializer):
    """Filters of ``GET versions``."""

    dataset = serializers.CharField(required=False, help_text="Name of a dataset.")
    tag = serializers.CharField(required=False, help_text="Only versions that have it.")


class DatasetVersionDetailSerializer(DatasetVersionSerializer):
    class Meta(DatasetVersionSerializer.Meta):
        fields = [*DatasetVersionSerializer.Meta.fields, "manifest"]
        read_only_fields = fields


class RowsSerializer(serializers.Serializer):
    """A page of a version's rows, in the order of the version."""

    count = serializers.IntegerField(help_text="Rows in the version.")
    offset = serializers.IntegerField(help_text="The first row's place, from 0.")
    rows = serializers.ListField(
        child=serializers.DictField(), help_text="Preference records, as in the JSONL file."
    )


class ModelVersionSerializer(serializers.ModelSerializer):
    base = serializers.CharField(source="base.name", allow_null=True, default=None)
    endpoint_model = serializers.CharField(
        source="options.model", default="", help_text="What an endpoint calls the model."
    )
    can_train = serializers.SerializerMethodField(
        help_text="null where the hub could not be asked about a model of that name."
    )
    price_in = serializers.FloatField(
        source="options.price_in",
        default=None,
        allow_null=True,
        help_text="What an endpoint's million tokens asked cost.",
    )
    price_out = serializers.FloatField(
        source="options.price_out", default=None, allow_null=True, help_text="Of tokens answered."
    )
    has_key = serializers.BooleanField(help_text="Whether an endpoint's key is kept here.")
    step = serializers.IntegerField(
        allow_null=True,
        help_text="Of the run that made it, where it is a checkpoint of that; else null.",
    )
    can_revise = serializers.BooleanField(
        help_text="Whether it has learnt to improve its answers: revisions can be asked for."
    )
    revisions = serializers.IntegerField(
        help_text="How often it improves its last answer; 0 for a model as it is."
    )
    label_control = serializers.CharField(
        help_text="random or reversed where it is a control, trained on such labels; else empty."
    )
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)

    class Meta:
        model = ModelVersion
        fields = [
            "id",
            "name",
            "modality",
            "family",
            "source",
            "adapter",
            "endpoint_model",
            "has_key",
            "price_in",
            "price_out",
            "label_control",
            "base",
            "made_by",
            "step",
            "trained_on",
            "digest",
            "can_generate",
            "can_train",
            "can_revise",
            "revisions",
            "created_by",
            "created_at",
        ]
        read_only_fields = fields

    def get_can_train(self, model: ModelVersion) -> bool | None:
        return None if model.is_unsure else model.can_train


class RevisedRequest(StrictSerializer):
    """What ``POST models/{id}/revised`` takes."""

    revisions = serializers.IntegerField(
        min_value=1, max_value=MOST_REVISIONS, help_text="How often it improves its last answer."
    )


class ModelRequest(StrictSerializer):
    """What ``POST models`` takes."""

    name = serializers.CharField(max_length=200)
    family = serializers.ChoiceField(
        choices=ModelFamily.choices,
        required=False,
        allow_blank=True,
        default="",
        help_text="Without it the files of an image or video model say it.",
    )
    source = serializers.CharField(  # type: ignore[assignment]
        max_length=500,
        help_text="A hub name, a folder on the server (admins only), or an endpoint's base URL.",
    )
    endpoint_model = serializers.CharField(
        max_length=200, required=False, allow_blank=True, default=""
    )
    api_key = serializers.CharField(
        max_length=500,
        required=False,
        allow_blank=True,
        default="",
        write_only=True,
        help_text="An endpoint's key; no answer ever shows it.",
    )
    price_in = serializers.FloatField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=10**6,
        help_text="What an endpoint's million tokens asked cost.",
    )
    price_out = serializers.FloatField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=10**6,
        help_text="Of tokens answered.",
    )


class TagSerializer(serializers.ModelSerializer):
    moved_by = serializers.CharField(source="moved_by.username", allow_null=True, default=None)

    class Meta:
        model = VersionTag
        fields = ["name", "version", "moved_by", "moved_at"]
        read_only_fields = fields


class TagRequest(StrictSerializer):
    """What ``POST tags`` takes."""

    name = serializers.CharField(max_length=60)


class NoteSerializer(serializers.ModelSerializer):
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)

    class Meta:
        model = VersionNote
        fields = ["id", "text", "created_by", "created_at"]
        read_only_fields = fields


class NoteRequest(StrictSerializer):
    """What ``POST notes`` takes."""

    text = serializers.CharField(max_length=5000)


class DiffRowSerializer(serializers.Serializer):
    old = serializers.DictField(allow_null=True, help_text="The row there; null where added.")
    new = serializers.DictField(allow_null=True, help_text="The row here; null where removed.")


class DiffSerializer(serializers.Serializer):
    """What two versions differ in."""

    counts = serializers.DictField(
        child=serializers.IntegerField(), help_text="added, removed, relabelled, changed and same"
    )
    kind = serializers.CharField(help_text="Which rows these are.")
    offset = serializers.IntegerField(help_text="The first one's place among them.")
    rows = DiffRowSerializer(many=True)


class StatisticsSerializer(serializers.Serializer):
    """What a version's rows are like."""

    by = serializers.DictField(help_text="[value, rows] by category, split and outcome.")
    agreement = serializers.ListField(
        child=serializers.ListField(), help_text="[least share of votes that agree, rows]"
    )
    strength = serializers.ListField(
        child=serializers.ListField(), help_text="[least strength, rows with a winner]"
    )
    length = serializers.DictField(
        allow_null=True,
        help_text="Of rows with a winner whose answers differ in length: rows, longer (in how many "
        "the longer won), and mean characters of chosen and rejected.",
    )
    position = serializers.DictField(
        allow_null=True,
        help_text="Of people's votes for a side: of how many, and first: for the one shown first; "
        "unknown: how many more there are of which it is not known which was shown first.",
    )
    leaks = serializers.IntegerField(
        help_text="Prompts to test on that, but for case, spaces and punctuation, say the same as "
        "one to train on."
    )
    wins = serializers.ListField(
        child=serializers.ListField(), help_text="[winning model, losing model, rows]"
    )
    ties = serializers.ListField(
        child=serializers.ListField(), help_text="[model, model, rows without a winner]"
    )
    annotators = serializers.ListField(
        child=serializers.ListField(), help_text="[annotator, votes], the busiest first"
    )


class CardSerializer(serializers.Serializer):
    readme = serializers.CharField(help_text="Markdown with YAML before it.")
    croissant = serializers.DictField(help_text="JSON-LD of Croissant 1.0.")


class ModelFileSerializer(serializers.Serializer):
    """A file of a model that was made here."""

    name = serializers.CharField(help_text="Its path within the model's folder.")
    size = serializers.IntegerField(help_text="In bytes.")
