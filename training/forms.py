"""The form to start a training run, made from the recipe's config dataclass."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion, ModelVersion
from training.engine.config import RECIPES, FormField, config_of, form_fields
from training.services import RECIPES_OF, checked_name, offered_settings, trainable_bases

MAIN = ("beta", "learning_rate", "epochs", "max_steps", "batch_size", "lora_rank")
"""Settings that stand first; the others are behind “More settings”."""


class VersionField(forms.ModelChoiceField):
    def label_from_instance(self, version: DatasetVersion) -> str:
        counts = version.counts
        return f"{version} · " + gettext("%(train)s rows to train on, %(test)s to test") % {
            "train": counts.get("train", 0),
            "test": counts.get("test", 0),
        }


class TrainingForm(forms.Form):
    """Version, base and name, then the settings of the recipe that fits the project."""

    version = VersionField(
        DatasetVersion.objects.none(),
        label=_("Dataset version"),
        help_text=_("What is learnt from."),
    )
    base = forms.ModelChoiceField(
        ModelVersion.objects.none(),
        label=_("Base model"),
        help_text=_("Where training starts, and what the new model is held near to."),
    )
    model_name = forms.CharField(
        max_length=200,
        label=_("Name of the new model"),
        help_text=_("One that is free in this project."),
    )

    def __init__(self, *args: Any, project: Project, recipe: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.recipe = recipe
        versions = DatasetVersion.objects.filter(project=project).select_related("dataset")
        self.fields["version"].queryset = versions  # type: ignore[attr-defined]
        self.fields["base"].queryset = trainable_bases(project)  # type: ignore[attr-defined]
        self.project = project
        offered = offered_settings(recipe)
        for setting in form_fields(RECIPES[recipe]):
            self.fields[setting.name] = _field(setting, offered[setting.name])

    def clean_model_name(self) -> str:
        """Told here and not by ``start_training`` alone, so that it stands beside other errors."""
        try:
            return checked_name(self.project, self.cleaned_data["model_name"])
        except UserError as error:
            raise forms.ValidationError(error.message, code=error.code) from error

    def clean(self) -> dict[str, Any]:
        """What the settings mean together."""
        data = self.cleaned_data
        names = [setting.name for setting in form_fields(RECIPES[self.recipe])]
        if all(name in data for name in names):
            try:
                config_of(self.recipe, {name: data[name] for name in names})
            except UserError as error:
                self.add_error(error.field, error.message)
        return data

    @property
    def about(self) -> list[forms.BoundField]:
        return [self[name] for name in ("version", "base", "model_name")]

    @property
    def main(self) -> list[forms.BoundField]:
        return [self[name] for name in MAIN if name in self.fields]

    @property
    def more(self) -> list[forms.BoundField]:
        first = {"version", "base", "model_name", *MAIN}
        return [self[name] for name in self.fields if name not in first]

    @property
    def more_is_open(self) -> bool:
        """An error must not hide behind a closed “More settings”."""
        return any(field.errors for field in self.more)

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``start_training``."""
        data = self.cleaned_data
        settings = [setting.name for setting in form_fields(RECIPES[self.recipe])]
        return {
            "version": data["version"],
            "base": data["base"],
            "model_name": data["model_name"],
            "recipe": self.recipe,
            "config": {name: data[name] for name in settings},
        }


def recipe_of(project: Project) -> str | None:
    """The recipe that a project's form is for; None where nothing can be trained."""
    return next(iter(RECIPES_OF[project.modality]), None)


def label_of(setting: FormField) -> str:
    """A setting's name as a label; English, as all that the engine says."""
    return setting.name.replace("_", " ").capitalize().replace("Lora", "LoRA")


def _field(setting: FormField, default: Any) -> forms.Field:
    shown: dict[str, Any] = {
        "initial": default,
        "label": gettext(label_of(setting)),
        "help_text": f"{gettext(setting.help)} {_usual(setting, default)}",
    }
    limits: dict[str, Any] = {"min_value": setting.min, "max_value": setting.max}
    if setting.choices:
        return forms.ChoiceField(choices=[(word, word) for word in setting.choices], **shown)
    if setting.type is bool:
        return forms.BooleanField(required=False, **shown)
    if setting.type is int:
        return forms.IntegerField(**limits, **shown)
    if setting.type is float:
        widget = forms.NumberInput(attrs={"step": "any"})
        return forms.FloatField(widget=widget, **limits, **shown)
    return forms.CharField(**shown)


def _usual(setting: FormField, offered: Any) -> str:
    if offered == setting.default:
        return gettext("Default: %(value)s.") % {"value": _word(setting.default)}
    return gettext("Usually %(usual)s; %(offered)s is offered without a GPU.") % {
        "usual": _word(setting.default),
        "offered": _word(offered),
    }


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return gettext("on") if value else gettext("off")
    return f"{value:g}" if isinstance(value, int | float) else str(value)
