"""What the forms of this room share: models by how they were made, categories, and how models are
to answer."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.models import Prompt
from evaluation.sampling import SAMPLING
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelVersion

_ASKED = {
    "steps": _("Steps"),
    "guidance": _("Guidance"),
    "size": _("Side in pixels"),
    "frames": _("Frames"),
    "fps": _("Frames a second"),
    "width": _("Width in pixels"),
    "height": _("Height in pixels"),
}
"""Settings of sampling pictures and clips → what they are called on a page."""


def ask_for_sampling(form: forms.Form, project: Project) -> None:
    """Instead of what is asked for texts, what pictures or clips know; before the seed."""
    modality = Modality(project.modality)
    if modality == Modality.TEXT:
        return
    for name in ("max_new_tokens", "temperature"):
        del form.fields[name]
    seed = form.fields.pop("seed")
    for name, (low, high, whole) in SAMPLING[modality].items():
        kind: Any = forms.IntegerField if whole else forms.FloatField
        form.fields[name] = kind(
            min_value=low,
            max_value=high,
            required=False,
            label=_ASKED[name],
            help_text=_("Left empty, it is the side, or the model's own.")
            if modality == Modality.IMAGE and name in ("width", "height")
            else _("Left empty, it is the model's own."),
        )
    form.fields["seed"] = seed


def newest_first(models: QuerySet[ModelVersion]) -> QuerySet[ModelVersion]:
    """Those of one run together, its checkpoints by step and then what it ended with."""
    made = Coalesce("made_by__created_at", "created_at")
    step = F("options__checkpoint__step").asc(nulls_last=True)
    return models.order_by(made.desc(), "-made_by", step, "-created_at")


def sampling_in(data: dict[str, Any]) -> dict[str, Any]:
    names = {name for known in SAMPLING.values() for name in known}
    return {k: v for k, v in data.items() if k in names and v is not None}


def max_new_tokens_field() -> forms.IntegerField:
    return forms.IntegerField(
        min_value=1,
        max_value=4096,
        required=False,
        help_text=_("Longest answer, in tokens. Left empty, it is the model's own, else 80."),
        label=_("Max new tokens"),
    )


def temperature_field(help_text: Any = None) -> forms.FloatField:
    usual = _("0 always takes the likeliest token. Left empty, it is the model's own, else 0.7.")
    return forms.FloatField(
        min_value=0,
        max_value=2,
        required=False,
        label=_("Temperature"),
        help_text=help_text or usual,
    )


def offer_categories(form: forms.Form, prompts: QuerySet[Prompt], every: str = "") -> None:
    """Those that occur, by name, behind the choice of all of them."""
    found = set(prompts.order_by().values_list("category", flat=True).distinct()) - {""}
    fields: Any = form.fields
    fields["category"].choices = [
        ("", every or gettext("all")),
        *[(name, name) for name in sorted(found)],
    ]
