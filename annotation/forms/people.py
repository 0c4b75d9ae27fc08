from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.services.people import MOST


class PersonForm(forms.Form):
    """What is expected of one person, and how much they may do at most."""

    cap = forms.IntegerField(required=False, min_value=1, max_value=MOST, label=_("Cap"))
    quota = forms.IntegerField(required=False, min_value=1, max_value=MOST, label=_("Quota"))
