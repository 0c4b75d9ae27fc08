from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.forms.shared import seed_field
from annotation.models import Annotator
from evaluation.models import PromptSet
from evaluation.services_pipelines import (
    CALLS,
    FEWEST,
    MOST_BUDGET,
    MOST_CALLS,
    MOST_PROMPTS,
    MOST_TRIALS,
    PROMPTS,
    TRIALS,
)
from steelyard.projects.models import Project
from steelyard.registry.layered import MEMBERS
from steelyard.registry.models import ModelFamily, ModelVersion


class SearchForm(forms.Form):
    """What a search for pipelines is about."""

    generators = forms.ModelMultipleChoiceField(
        ModelVersion.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("They answer; the best of them alone are put together."),
        label=_("Models that generate"),
    )
    helpers = forms.ModelMultipleChoiceField(
        ModelVersion.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_(
            "They rank, criticise, fuse and test; those that generate where none is chosen."
        ),
        label=_("Models that help"),
    )
    baseline = forms.ModelChoiceField(
        ModelVersion.objects.none(),
        help_text=_("Whose answers are to be beaten; it may be a pipeline."),
        label=_("Baseline"),
    )
    judge = forms.ModelChoiceField(
        Annotator.objects.none(),
        help_text=_("Who says which of two answers is better. A search finds what it likes."),
        label=_("Judge"),
    )
    prompt_set = forms.ModelChoiceField(
        PromptSet.objects.none(),
        required=False,
        empty_label=_("the held-out prompts"),
        help_text=_("Halved by their content: one half to search by, the other to score with."),
        label=_("Prompts of"),
    )
    prompts = forms.IntegerField(
        min_value=FEWEST,
        max_value=MOST_PROMPTS,
        initial=PROMPTS,
        label=_("Prompts of each half, at most"),
    )
    trials = forms.IntegerField(
        min_value=2, max_value=MOST_TRIALS, initial=TRIALS, label=_("Pipelines to try")
    )
    max_calls = forms.IntegerField(
        min_value=1,
        max_value=MOST_CALLS,
        initial=CALLS,
        help_text=_("A pipeline that could take more is not tried."),
        label=_("Questions to one prompt, at most"),
    )
    budget = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_BUDGET,
        help_text=_(
            "All pipelines of the search together, the judge and the scoring at the end not "
            "counted. Empty: half of what it could take."
        ),
        label=_("Questions in all, at most"),
    )
    seed = seed_field(_("Of the answers and of what is tried next."), initial=0)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        rows = ModelVersion.objects.filter(project=project, modality="text").as_they_are()
        rows = rows.order_by("name")
        members = rows.filter(family__in=MEMBERS)
        fields["generators"].queryset = fields["helpers"].queryset = members
        fields["baseline"].queryset = rows.filter(family__in=[*MEMBERS, ModelFamily.PIPELINE])
        judges = Annotator.objects.filter(project=project, kind="judge", model__isnull=False)
        fields["judge"].queryset = judges.order_by("name")
        fields["prompt_set"].queryset = PromptSet.objects.filter(project=project).order_by("name")

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``start_search``."""
        data = dict(self.cleaned_data)
        chosen = data.pop("prompt_set")
        prompt_set = {"source": "set", "set": chosen.pk} if chosen else {}
        lists = {name: list(data.pop(name)) for name in ("generators", "helpers")}
        return {**data, **lists, "prompt_set": prompt_set}


class KeepForm(forms.Form):
    """A pipeline of a search that becomes a model."""

    trial = forms.IntegerField(min_value=0, max_value=MOST_TRIALS)
    name = forms.CharField(max_length=200)
