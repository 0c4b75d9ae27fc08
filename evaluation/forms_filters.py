"""What pages that filter have in common."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
from django.http import QueryDict
from django.utils.encoding import force_str


@dataclass(frozen=True)
class NotRead:
    """A part of the address that means nothing here, and so is not applied."""

    label: str
    said: str


def not_read(form: forms.Form) -> list[NotRead]:
    """What of its data a form that was cleaned has refused, by the fields' labels."""
    found = []
    for name in form.errors:
        if name in form.fields:
            data = form.data
            said = data.getlist(name) if isinstance(data, QueryDict) else [data.get(name, "")]
            label = force_str(form.fields[name].label or name)
            found.append(NotRead(label, ", ".join(map(str, said))[:200]))
    return found
