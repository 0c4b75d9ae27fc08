from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from steelyard.lib.errors import UserError
from steelyard.webhooks.models import Event


class EndpointForm(forms.Form):
    url = forms.CharField(
        max_length=1000,
        label=_("Address"),
        help_text=_("What is sent to it is signed; https:// keeps it secret on its way, too."),
        widget=forms.URLInput(attrs={"autocomplete": "off", "placeholder": "https://"}),
    )
    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=Event.choices,
        widget=forms.CheckboxSelectMultiple,
    )

    def refuse(self, error: UserError) -> None:
        self.add_error(error.field if error.field in self.fields else None, error.message)


class EndpointChangeForm(EndpointForm):
    enabled = forms.BooleanField(
        label=_("On"), required=False, help_text=_("Off, it is told nothing.")
    )

    field_order: Any = ["url", "events", "enabled"]
