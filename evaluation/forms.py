from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.forms.shared import seed_field
from annotation.models import Annotator, Prompt
from evaluation.forms_shared import (
    ask_for_sampling,
    max_new_tokens_field,
    newest_first,
    offer_categories,
    sampling_in,
    temperature_field,
)
from evaluation.models import PromptSet
from evaluation.plan import PAIRS, STOPS
from evaluation.prompts import SOURCES
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import DatasetVersion, ModelVersion


class EvaluationForm(forms.Form):
    """What an evaluation needs; the services check what the form cannot."""

    name = forms.CharField(
        max_length=200, help_text=_("What the evaluation asks, in a few words."), label=_("Name")
    )
    candidates = forms.ModelMultipleChoiceField(
        ModelVersion.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        label=_("New models"),
        help_text=_("Each is compared with the baseline on every prompt."),
    )
    baseline = forms.ModelChoiceField(ModelVersion.objects.none(), label=_("Baseline"))
    people = forms.BooleanField(
        required=False,
        initial=True,
        label=_("People compare"),
        help_text=_("They find the pairs first in their labelling queue, without model names."),
    )
    judges = forms.ModelMultipleChoiceField(
        Annotator.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=_("AI judges and scorers that compare"),
        help_text=_(
            "Each has a run and a win rate of its own, beside that of people; a judge is asked in "
            "both orders."
        ),
    )
    questions = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=_("Aspects with a win rate of their own"),
        help_text=_("Besides the overall verdict; people are asked all of the label scheme's."),
    )
    source = forms.ChoiceField(choices=list(SOURCES.items()), label=_("Prompts"), required=False)
    version = forms.ModelChoiceField(
        DatasetVersion.objects.none(),
        required=False,
        label=_("Dataset version"),
        help_text=_("Only for the test split of one. Models must not have been trained on it."),
    )
    set = forms.ModelChoiceField(
        PromptSet.objects.none(),
        required=False,
        label=_("Prompt set"),
        help_text=_("Only for prompts of a set."),
    )
    category = forms.ChoiceField(required=False, label=_("Category"))
    limit = forms.IntegerField(
        min_value=0,
        initial=0,
        required=False,
        label=_("At most"),
        help_text=_("prompts; 0 for all"),
    )
    pairs = forms.ChoiceField(
        choices=list(PAIRS.items()), required=False, label=_("Pairs that people are asked about")
    )
    stop = forms.ChoiceField(choices=list(STOPS.items()), required=False, label=_("People stop"))
    budget = forms.IntegerField(
        min_value=1,
        required=False,
        label=_("Budget"),
        help_text=_("votes of people at most; empty for no limit"),
    )
    delta = forms.FloatField(
        min_value=0.005,
        max_value=0.25,
        initial=0.05,
        required=False,
        label=_("A difference that would not matter"),
        help_text=_("from 50 %, as a share: only where people stop once the answer is sure"),
    )
    max_new_tokens = max_new_tokens_field()
    temperature = temperature_field()
    seed = seed_field(_("The same seed gives the same outputs."), initial=0)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = newest_first(
            ModelVersion.objects.filter(project=project, modality=project.modality)
        )
        prompts = Prompt.objects.filter(project=project)
        versions = DatasetVersion.objects.filter(project=project).select_related("dataset")
        sets = PromptSet.objects.filter(project=project)
        aspects = project.scheme["aspects"]
        self.fields["version"].queryset = versions  # type: ignore[attr-defined]
        self.fields["set"].queryset = sets  # type: ignore[attr-defined]
        self.fields["questions"].choices = [(a, a) for a in aspects]  # type: ignore[attr-defined]
        if not aspects:
            del self.fields["questions"]
        self.fields["candidates"].queryset = models  # type: ignore[attr-defined]
        self.fields["baseline"].queryset = models  # type: ignore[attr-defined]
        self.fields["judges"].queryset = Annotator.objects.filter(  # type: ignore[attr-defined]
            ~Q(scorer={}) | Q(model__isnull=False) | Q(is_jury=True), project=project, kind="judge"
        )
        offer_categories(self, prompts)
        ask_for_sampling(self, project)
        self.fields["preset"] = forms.CharField(required=False, widget=forms.HiddenInput)
        if project.modality != Modality.TEXT:
            self.fields["same_seeds"] = forms.BooleanField(
                required=False,
                label=_("The same seeds for all models"),
                help_text=_(
                    "Misleads: nearly any training moves all pictures of a seed one way, so that "
                    "models which learnt nothing win or lose nearly always. For a look at what "
                    "changes, not for a measure."
                ),
            )

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Its fields under the headings of the page."""
        heads = {
            "": ("preset", "name", "candidates", "baseline"),
            gettext("Who compares"): ("people", "judges", "questions"),
            gettext("Prompts"): ("source", "version", "set", "category", "limit"),
            gettext("How people are asked"): ("pairs", "stop", "budget", "delta"),
        }
        named = {name for names in heads.values() for name in names}
        rest = tuple(name for name in self.fields if name not in named)
        heads[gettext("How the models answer")] = rest
        return [
            (head, [self[name] for name in names if name in self.fields])
            for head, names in heads.items()
        ]

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        source = data.get("source")
        if source == "version" and not data.get("version") and "version" not in self.errors:
            self.add_error("version", gettext("Choose the version whose prompts are meant."))
        if source == "set" and not data.get("set") and "set" not in self.errors:
            self.add_error("set", gettext("Choose the prompt set that is meant."))
        return data

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``start_evaluation``."""
        data = self.cleaned_data
        names = ("name", "baseline", "people", "seed", "preset")
        source = data["source"] or "held_out"
        prompt_set = {"source": source, "category": data["category"], "limit": data["limit"] or 0}
        if source != "held_out":
            prompt_set[source] = data[source].pk
        return {
            **{name: data[name] for name in names},
            "candidates": list(data["candidates"]),
            "judges": list(data["judges"]),
            "questions": data.get("questions", []),
            "prompt_set": prompt_set,
            "plan": self._plan() if data["people"] else None,
            "sampling": sampling_in(data),
            "same_seeds": data.get("same_seeds"),
        }

    def _plan(self) -> dict[str, Any]:
        said = {name: self.cleaned_data[name] for name in ("pairs", "stop", "budget", "delta")}
        return {name: value for name, value in said.items() if value not in {None, ""}}
