from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from evaluation.arena import LONGEST_PROMPT, MOST_TURNS
from evaluation.forms import EvaluationForm
from evaluation.models_arena import Arena
from steelyard.projects.models import Project
from steelyard.registry.models import ModelFamily, ModelVersion

USUAL_TOKENS = 400
"""Somebody reads: the 80 of an evaluation would break off most answers."""


class QuestionForm(forms.Form):
    """What a visitor asks: their own words, or by the other button one of the project's prompts."""

    use_required_attribute = False

    question = forms.CharField(
        error_messages={"required": _("Write a question.")},
        label=_("Your question"),
        widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
    )
    agreed = forms.BooleanField(
        required=False,
        label=_(
            "What I write may be kept, read by the project’s members and used to train models."
        ),
    )

    def __init__(self, *args: Any, arena: Arena, agreed: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.arena = arena
        self.fields["question"].widget.attrs["maxlength"] = arena.longest_prompt
        self.fields["question"].required = not self.takes
        if agreed:
            self.fields["agreed"].initial = True

    @property
    def takes(self) -> bool:
        """Whether it is the button for one of the project's prompts."""
        return "take" in self.data


class ArenaForm(forms.Form):
    """An arena to be opened."""

    name = forms.CharField(
        max_length=200, label=_("Name"), help_text=_("Visitors read it at the top.")
    )
    contestants = forms.ModelMultipleChoiceField(
        ModelVersion.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        label=_("Contestants"),
        help_text=_("Two at least. One engine holds all of them in memory while questions come."),
    )
    access = forms.ChoiceField(
        choices=Arena.Access.choices, initial=Arena.Access.LINK, label=_("Who may come")
    )
    max_new_tokens = EvaluationForm.base_fields["max_new_tokens"]
    temperature = EvaluationForm.base_fields["temperature"]
    longest_prompt = forms.IntegerField(
        min_value=1,
        max_value=LONGEST_PROMPT,
        initial=4000,
        label=_("Longest question (characters)"),
    )
    most_turns = forms.IntegerField(
        min_value=1, max_value=MOST_TURNS, initial=5, label=_("Most questions in a conversation")
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["contestants"].queryset = contestants_of(project)  # type: ignore[attr-defined]
        self.fields["max_new_tokens"].initial = USUAL_TOKENS

    def clean_contestants(self) -> Any:
        chosen = self.cleaned_data["contestants"]
        if len(chosen) < 2:
            raise forms.ValidationError(gettext("Choose two at least."))
        return chosen

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``open_arena``."""
        data = dict(self.cleaned_data)
        asked = {name: data.pop(name) for name in ("max_new_tokens", "temperature")}
        sampling = {name: value for name, value in asked.items() if value is not None}
        return {**data, "contestants": list(data["contestants"]), "sampling": sampling}


def contestants_of(project: Project) -> Any:
    """Models that can answer."""
    rows = ModelVersion.objects.filter(project=project, modality="text")
    return rows.exclude(family=ModelFamily.IMPORTED).order_by("name")
