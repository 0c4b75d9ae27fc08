from __future__ import annotations

from typing import Any

from rest_framework import serializers

from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion, ModelVersion
from steelyard.runs.models import Run, RunState
from steelyard.web.api import StrictSerializer
from training.engine.config import RECIPES, form_fields
from training.models import TrainingJob
from training.presets import WHEN, presets_of
from training.services import RECIPES_OF, offered_settings, summary_of


class PreflightRequest(StrictSerializer):
    """What ``POST preflights`` takes."""

    version = serializers.IntegerField(help_text="Id of a dataset version of the project.")
    base = serializers.CharField(help_text="Name of the model version to start from.")
    recipe = serializers.ChoiceField(choices=sorted(RECIPES))
    config = serializers.DictField(
        required=False, default=dict, help_text="Settings by name; see /api/v1/recipes."
    )


class TrainingJobRequest(PreflightRequest):
    """What ``POST training-jobs`` takes."""

    model_name = serializers.CharField(max_length=200, help_text="What the new model is called.")
    preflight = serializers.IntegerField(
        required=False,
        help_text="Id of a preflight of these settings; a stop in it refuses the job.",
    )


class RowOfFindingSerializer(serializers.Serializer):
    """A row that a finding is about."""

    number = serializers.IntegerField(help_text="In its version, from 1.")
    pair = serializers.CharField(help_text="Key of its pair.")


class RemedySerializer(serializers.Serializer):
    """What would mend a finding."""

    code = serializers.CharField()
    text = serializers.CharField()
    set = serializers.JSONField(help_text="Settings by name; empty for advice alone.")


class FindingSerializer(serializers.Serializer):
    """One thing that a preflight looked at."""

    code = serializers.CharField()
    level = serializers.CharField(help_text="fine, look or stop; a stop would end the run.")
    title = serializers.CharField()
    text = serializers.CharField()
    rows = RowOfFindingSerializer(many=True, help_text="The first of the rows that it is about.")
    more = serializers.IntegerField(
        required=False, help_text="How many rows it is about besides those that are named."
    )
    remedies = RemedySerializer(many=True)


class ModelTokenSerializer(serializers.Serializer):
    """One token as it is decoded, or how many are left out in between."""

    text = serializers.CharField(trim_whitespace=False)
    special = serializers.BooleanField()
    left_out = serializers.BooleanField()


class TokenPreviewSerializer(serializers.Serializer):
    """A row as the model reads it: the prompt, then an answer."""

    number = serializers.IntegerField()
    pair = serializers.CharField()
    prompt = ModelTokenSerializer(many=True)
    chosen = ModelTokenSerializer(many=True)
    rejected = ModelTokenSerializer(many=True)


class ReportSerializer(serializers.Serializer):
    """What a preflight found."""

    level = serializers.CharField(help_text="The worst of its findings'.")
    findings = FindingSerializer(many=True)
    preview = TokenPreviewSerializer(many=True)
    figures = serializers.JSONField(help_text="Rows, tokens, steps and parameters.")


class PreflightSerializer(serializers.Serializer):
    """A preflight, which is a run of its own."""

    id = serializers.IntegerField(help_text="Of its run.")
    state = serializers.ChoiceField(choices=RunState.choices)
    error = serializers.CharField(help_text="Why the look itself failed; empty else.")
    report = ReportSerializer(allow_null=True, help_text="Null until it is there.")


class TrainingJobSerializer(serializers.ModelSerializer):
    base = serializers.CharField(source="base.name")
    state = serializers.CharField(source="run.state")
    result = serializers.CharField(source="result.name", allow_null=True, default=None)
    created_at = serializers.DateTimeField(source="run.created_at")

    class Meta:
        model = TrainingJob
        fields = [
            "id",
            "run",
            "state",
            "version",
            "base",
            "recipe",
            "config",
            "model_name",
            "result",
            "created_at",
        ]
        read_only_fields = fields


class SampleMessageSerializer(serializers.Serializer):
    """A message of a sample's prompt."""

    role = serializers.CharField()
    content = serializers.CharField(trim_whitespace=False)


class SampleSerializer(serializers.Serializer):
    """What the model wrote or painted after so many steps."""

    step = serializers.IntegerField()
    prompt = SampleMessageSerializer(many=True)
    text = serializers.CharField(trim_whitespace=False, help_text="Empty for pictures and clips.")
    reference_text = serializers.CharField(
        trim_whitespace=False, help_text="What it wrote before training."
    )
    seed = serializers.IntegerField(default=None, help_text="Null for texts, as what follows.")
    seeds = serializers.CharField(
        default=None, help_text="fixed: the same at every step; fresh: new at each."
    )
    file = serializers.CharField(default=None, help_text="Address of the picture or clip.")
    reference_file = serializers.CharField(
        default=None, help_text="Address of what it made of the seed before training."
    )


class TryRequest(StrictSerializer):
    """What ``POST models/{id}/tries`` takes."""

    prompt = serializers.CharField(max_length=8000)
    beside_base = serializers.BooleanField(
        default=True, help_text="Ask the model that it was trained from as well."
    )


class AnswerSerializer(serializers.Serializer):
    """One model's answer."""

    model = serializers.CharField()
    text = serializers.CharField(trim_whitespace=False)
    seconds = serializers.FloatField()


class TrySerializer(serializers.Serializer):
    """A question to a model, which is a run of its own."""

    id = serializers.IntegerField(help_text="Of its run.")
    state = serializers.ChoiceField(choices=RunState.choices)
    error = serializers.CharField()
    answers = AnswerSerializer(
        many=True, source="result.answers", default=list, help_text="Empty until they are there."
    )


class SettingSerializer(serializers.Serializer):
    """One setting of a recipe."""

    name = serializers.CharField()
    type = serializers.CharField(help_text="int, float, bool or str")
    default = serializers.JSONField(help_text="What a job has that does not name it.")
    offered = serializers.JSONField(
        help_text="What this server's form is filled with: less than the default without a GPU."
    )
    help = serializers.CharField()
    choices = serializers.ListField(
        child=serializers.CharField(), help_text="The allowed words; empty where any value goes."
    )
    min = serializers.FloatField(allow_null=True, help_text="The least number allowed.")
    max = serializers.FloatField(allow_null=True, help_text="The greatest number allowed.")


class PresetSerializer(serializers.Serializer):
    """Settings of a recipe that go together."""

    key = serializers.CharField()
    name = serializers.CharField()
    about = serializers.CharField()
    source = serializers.CharField(  # type: ignore[assignment]
        help_text="Where the numbers come from."
    )
    settings = serializers.DictField(help_text="What differs from the defaults.")


class RecipeSerializer(serializers.Serializer):
    """A way to train, with all that it can be told."""

    name = serializers.CharField()
    summary = serializers.CharField()
    when = serializers.CharField(help_text="When to choose it.")
    presets = PresetSerializer(many=True)
    modality = serializers.CharField()
    families = serializers.ListField(child=serializers.CharField())
    settings = SettingSerializer(many=True)


def recipes_in_words() -> list[dict[str, Any]]:
    """Every recipe that a modality has, as :class:`RecipeSerializer` shows it."""
    return [
        {
            "name": name,
            "summary": summary_of(name),
            "when": str(WHEN.get(name, "")),
            "presets": presets_of(name),
            "modality": str(modality),
            "families": [str(family) for family in families],
            "settings": _settings(name),
        }
        for modality, recipes in RECIPES_OF.items()
        for name, families in recipes.items()
    ]


def named(project: Project, data: dict[str, Any]) -> dict[str, Any]:
    """The request with version and base found.

    Raises:
        ValidationError: the project has no such version or model.
    """
    version = DatasetVersion.objects.filter(project=project, pk=data["version"]).first()
    base = ModelVersion.objects.filter(project=project, name=data["base"]).first()
    wrong = {}
    if version is None:
        wrong["version"] = [
            f"No dataset version of this project has the id {data['version']}; GET versions tells "
            "their ids, which are not the numbers in their names."
        ]
    if base is None:
        wrong["base"] = [f"This project has no model named {data['base']!r}."]
    preflight = Run.objects.filter(project=project, pk=data.get("preflight", 0)).first()
    if "preflight" in data and preflight is None:
        wrong["preflight"] = [f"This project has no preflight {data['preflight']}."]
    if wrong:
        raise serializers.ValidationError(wrong)
    found = {**data, "version": version, "base": base}
    return {**found, "preflight": preflight} if preflight else found


def _settings(recipe: str) -> list[dict[str, Any]]:
    offered = offered_settings(recipe)
    return [
        {**setting._asdict(), "type": setting.type.__name__, "offered": offered[setting.name]}
        for setting in form_fields(RECIPES[recipe])
    ]
