from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.forms.shared import seed_field
from annotation.models import Annotator
from evaluation.models import Evaluation
from evaluation.services_routing import LEAST
from steelyard.projects.models import Project


class RoutingForm(forms.Form):
    """How often people are asked, by how sure the judges are."""

    evaluation = forms.ModelChoiceField(
        Evaluation.objects.none(),
        required=False,
        empty_label=_("the project’s pairs"),
        help_text=_("Its comparisons with the baseline, or pairs that no draw was about so far."),
        label=_("Pairs of"),
    )
    judges = forms.ModelMultipleChoiceField(
        Annotator.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Those whose doubt, or difference, decides."),
        label=_("Judges"),
    )
    base = forms.FloatField(
        min_value=LEAST,
        max_value=1,
        initial=0.05,
        help_text=_("Above 0, for otherwise nothing could be said of the pairs passed by."),
        label=_("Probability where they are sure"),
    )
    slope = forms.FloatField(
        min_value=0,
        max_value=1,
        initial=0.6,
        help_text=_("Added in full where they are even or divided, in part between."),
        label=_("More where they are unsure"),
    )
    seed = seed_field(_("The same seed draws the same pairs."), initial=0)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        fields["judges"].queryset = Annotator.objects.filter(project=project, kind="judge")
        fields["evaluation"].queryset = Evaluation.objects.filter(
            project=project, plan={}, routing=None, state=Evaluation.State.COMPARING
        )

    def as_request(self) -> dict[str, Any]:
        return {**self.cleaned_data, "judges": list(self.cleaned_data["judges"])}
