from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from steelyard.projects.models import Project
from steelyard.registry.models import ModelFamily
from steelyard.registry.sources import FAMILIES

_LABELS = dict(ModelFamily.choices)


class ModelForm(forms.Form):
    """A model that somebody names by hand; ``add_model`` checks what the form cannot."""

    name = forms.CharField(
        max_length=200, help_text=_("What this project calls it."), label=_("Name")
    )
    family = forms.ChoiceField(label=_("Kind of model"))
    source = forms.CharField(
        max_length=500,
        label=_("Where it is"),
        help_text=_(
            "A hub name such as “organisation/model”, or a folder on the server beginning "
            "with “/” (admins only). For an endpoint its base URL, such as "
            "http://localhost:8000/v1."
        ),
    )
    endpoint_model = forms.CharField(
        max_length=200,
        required=False,
        label=_("The endpoint's name for the model"),
        help_text=_("Only for an endpoint, as its list of models says it."),
    )
    api_key = forms.CharField(
        max_length=500,
        required=False,
        label=_("The endpoint's key"),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("Only for an endpoint that asks for one. It is never shown again."),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        families = FAMILIES[project.modality]  # type: ignore[index]
        self.fields["family"].choices = [  # type: ignore[attr-defined]
            (str(family), _LABELS[family]) for family in families
        ]
        if ModelFamily.ENDPOINT not in families:
            del self.fields["endpoint_model"], self.fields["api_key"]
            self.fields["source"].help_text = _(
                "A hub name such as “organisation/model”, or a folder on the server beginning with "
                "“/” (admins only)."
            )


class KeyForm(forms.Form):
    """A new key for an endpoint."""

    api_key = forms.CharField(
        max_length=500,
        required=False,
        label=_("New key"),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("Leave it empty to take the key away."),
    )
