"""Fields that several forms have: of those who judge, of draws and of searches."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

MOST_SEED = 2**31 - 1


def name_field() -> forms.CharField:
    """Of a judge of whatever kind."""
    return forms.CharField(max_length=150, help_text=_("Shown beside its votes."), label=_("Name"))


def note_field() -> forms.CharField:
    return forms.CharField(required=False, max_length=300, label=_("Note"))


def seed_field(help_text: Any = "", **more: Any) -> forms.IntegerField:
    return forms.IntegerField(
        **{"min_value": 0, "max_value": MOST_SEED, "label": _("Seed"), **more},
        help_text=help_text,
    )
