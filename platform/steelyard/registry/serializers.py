from __future__ import annotations

from rest_framework import serializers

from steelyard.registry.models import DatasetVersion, ModelFamily, ModelVersion
from steelyard.web.api import StrictSerializer


class DatasetVersionSerializer(serializers.ModelSerializer):
    dataset = serializers.CharField(source="dataset.name")
    parent = serializers.IntegerField(  # type: ignore[assignment]
        source="parent_id", allow_null=True
    )
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Rows and votes.")
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)

    class Meta:
        model = DatasetVersion
        fields = [
            "id",
            "dataset",
            "number",
            "digest",
            "parent",
            "counts",
            "recipe",
            "note",
            "created_by",
            "created_at",
        ]
        read_only_fields = fields


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
    has_key = serializers.BooleanField(help_text="Whether an endpoint's key is kept here.")
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
            "base",
            "made_by",
            "trained_on",
            "digest",
            "can_generate",
            "can_train",
            "created_by",
            "created_at",
        ]
        read_only_fields = fields


class ModelRequest(StrictSerializer):
    """What ``POST models`` takes."""

    name = serializers.CharField(max_length=200)
    family = serializers.ChoiceField(choices=ModelFamily.choices)
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
