from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.forms.judges import writing_models
from annotation.forms.shared import seed_field
from annotation.services.tuning import MOST_BUDGET, Split
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion


class TuneForm(forms.Form):
    """How a judge is tuned by people's reasons."""

    reflection = forms.ModelChoiceField(
        ModelVersion.objects.none(),
        empty_label=_("choose a model"),
        label=_("Model that writes"),
        help_text=_(
            "It reads where judge and people part, with people’s reasons but without their names, "
            "and writes what the judge is told next. The abler it is, the better."
        ),
    )
    budget = forms.IntegerField(
        min_value=1,
        max_value=MOST_BUDGET,
        label=_("Budget"),
        help_text=_("Verdicts of the judge in the search; each is asked in both orders."),
    )
    seed = seed_field(_("Of the draw of the parts and of the search."))

    def __init__(self, *args: Any, project: Project, found: Split, **kwargs: Any) -> None:
        kwargs["initial"] = {
            "budget": found.budget,
            "seed": found.seed,
            **kwargs.get("initial", {}),
        }
        super().__init__(*args, **kwargs)
        # by its field, for rows of other kinds cannot write
        self.fields["reflection"].queryset = writing_models(project)  # type: ignore[attr-defined]
