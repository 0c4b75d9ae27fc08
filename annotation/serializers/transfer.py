from __future__ import annotations

from typing import Any

from rest_framework import serializers

from annotation.formats import FORMATS
from annotation.formats.mapped import KINDS
from annotation.transfer.incoming import MODES
from annotation.transfer.outgoing import FOLDER, SHARDS, SPLITS
from steelyard.runs.serializers import RunSerializer
from steelyard.web.api import StrictSerializer

READABLE = [name for name, each in FORMATS.items() if each.reads]
WRITABLE = [name for name, each in FORMATS.items() if each.writes]
CONTAINERS = ["jsonl", "json", "csv", "parquet", FOLDER, SHARDS]


class FileImportRequest(StrictSerializer):
    """A file of any format, and how it is to be read."""

    file = serializers.FileField(help_text="JSON Lines, JSON, CSV, Parquet, or a ZIP or TAR.")
    format = serializers.ChoiceField(
        READABLE,
        required=False,
        help_text="Guessed from the first row without it; but for `mapped`, which must be named.",
    )
    mapping = serializers.JSONField(
        required=False, help_text="Which column is what, as JSON; the format is `mapped` then."
    )
    mode = serializers.ChoiceField(
        MODES,
        default="all",
        help_text="all: nothing unless every row is right; good: those that are.",
    )
    annotator = serializers.CharField(
        default="", allow_blank=True, max_length=150, help_text="Who chose, if no row says."
    )
    annotator_kind = serializers.ChoiceField(KINDS, required=False)
    background = serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Whether to wait; decided by the size.",
    )

    def validate_mapping(self, value: Any) -> dict[str, Any]:
        words = value.get("words", {}) if isinstance(value, dict) else None
        if not isinstance(words, dict):
            raise serializers.ValidationError(
                'It must be an object such as {"prompt": "question"}.'
            )
        texts = [*(value[key] for key in value if key != "words"), *words.values()]
        if not all(isinstance(text, str) for text in texts):
            raise serializers.ValidationError("Each part must be the name of a column, a text.")
        return value


class RowFaultSerializer(serializers.Serializer):
    """What is wrong with a row."""

    row = serializers.IntegerField()
    place = serializers.CharField()
    column = serializers.CharField(help_text="Empty where it is no column's fault.")
    what = serializers.CharField()
    right = serializers.CharField(help_text="What would be right, where that can be said.")
    code = serializers.CharField()


class FileImportSerializer(serializers.Serializer):
    """What came in and what did not; of an import that goes on, so far."""

    run = RunSerializer()
    format = serializers.CharField()
    mapping = serializers.DictField(help_text="Of plain columns, which was read as what.")
    mode = serializers.CharField()
    rows = serializers.IntegerField(help_text="Rows read.")
    records = serializers.IntegerField(help_text="Prompts with two answers in them.")
    stored = serializers.IntegerField(help_text="Those that are in; new ones or not.")
    prompts = serializers.IntegerField(help_text="New ones.")
    pairs = serializers.IntegerField(help_text="New ones.")
    judgments = serializers.IntegerField(help_text="New ones.")
    wrong = serializers.IntegerField(help_text="Rows that are wrong.")
    left = serializers.DictField(
        child=serializers.IntegerField(), help_text="Left out without being wrong, by reason."
    )
    stored_to_row = serializers.IntegerField(help_text="Up to where the file is in.")
    faults = RowFaultSerializer(many=True, help_text="The first of them; a file has them all.")


class ExportRequest(StrictSerializer):
    """In what form a version is to be written."""

    format = serializers.ChoiceField(WRITABLE)
    container = serializers.ChoiceField(
        CONTAINERS, required=False, help_text="The format's own without it."
    )
    options = serializers.DictField(child=serializers.CharField(), required=False)
    split = serializers.ChoiceField(SPLITS, default="all")
    background = serializers.BooleanField(required=False, allow_null=True, default=None)


class ExportFileSerializer(serializers.Serializer):
    name = serializers.CharField()
    size = serializers.IntegerField()
    sha256 = serializers.CharField()


class ExportSerializer(serializers.Serializer):
    """What was written, and what was left out; empty while the run goes on."""

    run = RunSerializer()
    format = serializers.CharField()
    container = serializers.CharField()
    split = serializers.CharField()
    options = serializers.DictField(child=serializers.CharField())
    records = serializers.IntegerField(help_text="Of the version.")
    rows = serializers.IntegerField(help_text="Written.")
    left_out = serializers.DictField(
        child=serializers.IntegerField(), help_text="Records that were not written, by reason."
    )
    written_without = serializers.DictField(
        child=serializers.IntegerField(), help_text="Records written without something, by what."
    )
    ties = serializers.CharField(help_text="What becomes of ties.")
    cannot_carry = serializers.CharField()
    files = ExportFileSerializer(many=True)


class OptionSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    choices = serializers.DictField(
        child=serializers.CharField(), help_text="Value to meaning; the first is the default."
    )


class FormatSerializer(serializers.Serializer):
    """A format that files come in and go out in."""

    name = serializers.CharField()
    title = serializers.CharField()
    modalities = serializers.ListField(child=serializers.CharField())
    containers = serializers.ListField(child=serializers.CharField())
    columns = serializers.ListField(child=serializers.CharField())
    reads = serializers.BooleanField()
    writes = serializers.BooleanField()
    ties = serializers.CharField()
    cannot_carry = serializers.CharField()
    options = OptionSerializer(many=True)
