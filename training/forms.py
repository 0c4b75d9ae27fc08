"""The form to start a training run, made from the recipe's config dataclass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion, ModelFamily, ModelVersion
from training.engine.config import RECIPES, FormField, config_of, form_fields
from training.services import (
    RECIPES_OF,
    SAMPLED,
    checked_name,
    offered_settings,
    trainable_bases,
)

ABOUT = ("version", "base", "model_name")
MAIN = (
    "beta",
    "gamma",
    "srpo_alpha",
    "visual_weight",
    "rationale_weight",
    "written_by",
    "loss_type",
    "sft_weight",
    "ground_truth_weight",
    "learning_rate",
    "epochs",
    "max_steps",
    "batch_size",
    "train",
    "lora_rank",
)
"""Settings that stand first; the others are behind “More settings”."""
GROUPS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (
        _("Length and batches"),
        (
            "accumulation",
            "tokens_per_pass",
            "max_length",
            "drop_too_long",
            "frames",
            "resolution",
        ),
    ),
    (
        _("What is trained"),
        ("lora_alpha", "lora_targets", "lora_dropout", "dora", "rslora"),
    ),
    (
        _("Optimiser and schedule"),
        (
            "optimiser",
            "warmup_ratio",
            "scheduler",
            "refined_from",
            "max_grad_norm",
            "weight_decay",
            "seed",
        ),
    ),
    (
        _("While it runs"),
        (
            "eval_every",
            "checkpoint_every",
            "keep_checkpoints",
            "sample_every",
            "sample_prompts",
            "sample_steps",
        ),
    ),
    (
        _("Machine"),
        (
            "dtype",
            "device",
            "threads",
            "share_prompt",
            "attention",
            "compile",
            "gradient_checkpointing",
            "halve_on_oom",
            "processes",
            "launcher",
            "shard",
        ),
    ),
)
"""Names of what stands behind “More settings”, in groups; a recipe's own stand before them."""
NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "lora_rank": ("train", ("lora",)),
    "lora_alpha": ("train", ("lora",)),
    "lora_targets": ("train", ("lora",)),
    "lora_dropout": ("train", ("lora",)),
    "dora": ("train", ("lora",)),
    "rslora": ("train", ("lora",)),
    "refined_from": ("scheduler", ("refined",)),
    "shard": ("train", ("all",)),
    "label_smoothing": ("loss_type", ("sigmoid", "sigmoid_norm", "robust", "exo")),
    "gamma": ("loss_type", ("sigmoid",)),
    "neighbours": ("negatives", ("retrieved",)),
    "most_alike": ("rejected", ("refilled",)),
    "alike_by": ("rejected", ("refilled",)),
    "revised_prompts": ("revisions", ("!0",)),
    "tie_share": ("ties", ("rao_kupper", "davidson")),
    "scheduler": ("optimiser", ("adamw", "adamw_8bit", "lion", "lion_8bit")),
    "sft_form": ("sft_weight", ("!0",)),
    "sample_prompts": ("sample_every", ("!0",)),
    "sample_steps": ("sample_every", ("!0",)),
}
"""Setting → another and its values with which this one means something; ``!0`` is any but 0.
A recipe that knows better says so in its ``needs``."""

LABELS = {
    "dtype": "Number format (dtype)",
    "device": "Device (CPU or GPU)",
    "compile": "Compile the model",
    "shard": "Spread weights over GPUs",
    "eval_every": "Test every so many steps",
    "checkpoint_every": "Save every so many steps",
    "keep_checkpoints": "Keep a model every so many steps",
    "sample_every": "Write samples every so many steps",
}
"""What a setting is called where its name alone says too little."""
WRITTEN = {
    "lora": "LoRA",
    "rslora": "rsLoRA",
    "dora": "DoRA",
    "srpo": "SRPO",
    "sft": "SFT",
    "ld": "LD",
    "oom": "out of memory",
}
"""Words of settings' names that are written otherwise."""
SEEING = ("frames",)
"""Settings that mean something to vision-language models alone."""


@dataclass(frozen=True)
class Shown:
    """A field as the page shows it."""

    field: forms.BoundField
    when: str
    """JSON of what it needs of another setting, empty where it always has a meaning."""


class VersionField(forms.ModelChoiceField):
    def label_from_instance(self, version: DatasetVersion) -> str:
        counts = version.counts
        return f"{version} · " + gettext("%(train)s rows to train on, %(test)s to test") % {
            "train": counts.get("train", 0),
            "test": counts.get("test", 0),
        }


class TrainingForm(forms.Form):
    """Version, base and name, then the settings of the recipe."""

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
        bases = trainable_bases(project).filter(family__in=RECIPES_OF[project.modality][recipe])
        self.fields["base"].queryset = bases  # type: ignore[attr-defined]
        self.project = project
        hidden = () if bases.filter(family=ModelFamily.VISION_LANGUAGE).exists() else SEEING
        shown = [one for one in form_fields(RECIPES[recipe]) if one.name not in hidden]
        self.settings = [setting.name for setting in shown]
        offered = offered_settings(recipe)
        for setting in shown:
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
        if all(name in data for name in self.settings):
            try:
                config_of(self.recipe, {name: data[name] for name in self.settings})
            except UserError as error:
                self.add_error(error.field, error.message)
        return data

    @property
    def about(self) -> list[forms.BoundField]:
        return [self[name] for name in ABOUT]

    @property
    def main(self) -> list[Shown]:
        return [self._shown(name) for name in self._first()]

    @property
    def more(self) -> list[tuple[str, list[Shown]]]:
        """The other settings: the recipe's own, then groups that all recipes share."""
        grouped = {name for _title, names in GROUPS for name in names}
        left = [name for name in self.settings if name not in self._first()]
        own = [name for name in left if name not in grouped]
        groups = [(gettext("Objective"), own)] + [
            (str(title), [name for name in names if name in left]) for title, names in GROUPS
        ]
        return [(title, [self._shown(n) for n in names]) for title, names in groups if names]

    @property
    def more_is_open(self) -> bool:
        """An error must not hide behind a closed “More settings”."""
        return any(shown.field.errors for _title, group in self.more for shown in group)

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``start_training``."""
        return {**self.as_question(), "model_name": self.cleaned_data["model_name"]}

    def as_question(self) -> dict[str, Any]:
        """The keyword arguments of ``start_preflight``."""
        data = self.cleaned_data
        return {
            "version": data["version"],
            "base": data["base"],
            "recipe": self.recipe,
            "config": {name: data[name] for name in self.settings},
        }

    def _first(self) -> list[str]:
        found = [name for name in MAIN if name in self.settings]
        return sorted(found, key=MAIN.index)

    def _shown(self, name: str) -> Shown:
        needs = {**NEEDS, **getattr(RECIPES[self.recipe], "needs", {})}.get(name)
        known = needs is not None and needs[0] in self.settings
        when = json.dumps({"name": needs[0], "values": list(needs[1])}) if known and needs else ""
        return Shown(self[name], when)


def recipes_for(project: Project) -> Iterator[str]:
    """The recipes that a project's form can be for, last those that no base is there for."""
    there = set(trainable_bases(project).values_list("family", flat=True))
    known = RECIPES_OF[project.modality]
    # without any base yet, what takes one that sees pictures comes last
    there = there or {ModelFamily.CAUSAL_LM}
    yield from sorted(known, key=lambda name: there.isdisjoint(known[name]))


def label_of(setting: FormField) -> str:
    """A setting's name as a label; English, as all that the engine says."""
    if setting.name in LABELS:
        return LABELS[setting.name]
    first, *others = setting.name.split("_")
    return " ".join([WRITTEN.get(first, first.capitalize()), *(WRITTEN.get(w, w) for w in others)])


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
    return forms.CharField(required=bool(setting.default), **shown)


def _usual(setting: FormField, offered: Any) -> str:
    if offered == setting.default:
        if setting.default == "":
            return ""
        return gettext("Default: %(value)s.") % {"value": _word(setting.default)}
    words = gettext("Usually %(usual)s; %(offered)s is offered without a GPU.")
    if setting.name == SAMPLED:
        words = gettext(
            "%(usual)s where a script says nothing; %(offered)s is offered here, so that the run’s "
            "page shows what the model makes."
        )
    return words % {"usual": _word(setting.default), "offered": _word(offered)}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return gettext("on") if value else gettext("off")
    return f"{value:g}" if isinstance(value, int | float) else str(value)
