from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.models import Style


class ExplainForm(forms.Form):
    style = forms.ChoiceField(
        choices=Style.choices, initial=Style.GENERAL, widget=forms.RadioSelect, label=_("Style")
    )
    limit = forms.IntegerField(
        required=False,
        min_value=0,
        initial=0,
        label=_("At most"),
        help_text=_("Verdicts, the oldest pairs first; 0 for all."),
    )

    def as_request(self) -> dict[str, Any]:
        return {"style": self.cleaned_data["style"], "limit": self.cleaned_data["limit"] or 0}
