"""A scorer that reads: the probability of the known answer."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.forms.shared import name_field
from annotation.services.rewards import CHOOSE, DIMENSIONS, MOST_TOP_K, READS, TOP_K
from steelyard.projects.models import Project
from steelyard.registry.models import ModelFamily, ModelVersion


class RewardForm(forms.Form):
    name = name_field()
    model = forms.ModelChoiceField(
        ModelVersion.objects.none(),
        empty_label=_("choose a model"),
        label=_("Model"),
        help_text=_("A language model whose weights are here; an endpoint cannot be asked this."),
    )
    reads = forms.ChoiceField(
        choices=list(READS.items()),
        initial="passages",
        widget=forms.RadioSelect,
        label=_("Read before the answer"),
    )
    top_k = forms.IntegerField(
        min_value=1,
        max_value=MOST_TOP_K,
        initial=TOP_K,
        label=_("Passages"),
        help_text=_("The best so many of each output count, weighed by their scores."),
    )
    choose = forms.ChoiceField(
        choices=list(CHOOSE.items()),
        initial="farthest",
        widget=forms.RadioSelect,
        label=_("Verdicts on"),
    )
    dimension = forms.ChoiceField(
        choices=[
            ("reward", _("mean probability of a token")),
            ("log_probability", _("log-probability of the whole answer")),
        ],
        initial=DIMENSIONS[0],
        widget=forms.RadioSelect,
        label=_("Compared by"),
    )
    margin = forms.FloatField(
        min_value=0,
        max_value=1000,
        initial=0,
        label=_("Margin"),
        help_text=_("Two outputs that are closer than this get no verdict."),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = ModelVersion.objects.filter(project=project, family=ModelFamily.CAUSAL_LM)
        # by its field, for rows of other kinds cannot write
        self.fields["model"].queryset = models.order_by("name")  # type: ignore[attr-defined]

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``create_reward``."""
        return dict(self.cleaned_data)
