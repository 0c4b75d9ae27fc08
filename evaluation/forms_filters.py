"""What pages that filter have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django import forms
from django.http import HttpRequest, QueryDict
from django.utils.encoding import force_str
from django.utils.translation import gettext

from steelyard.lib.errors import UserError


@dataclass(frozen=True)
class NotRead:
    """A part of the address that means nothing here, and so is not applied."""

    label: str
    said: str


def one_of(
    request: HttpRequest,
    name: str,
    known: Iterable[str],
    label: str,
    told: list[NotRead],
) -> str:
    """What a part of the address chooses; empty where it says nothing, or nothing that is known.

    Args:
        told: where the latter is added.
    """
    said = request.GET.get(name, "")
    if said and said not in known:
        told.append(NotRead(label, said[:200]))
        return ""
    return said


def refuse(told: list[NotRead]) -> None:
    """For what leaves as a file, where nobody would read that a part was not applied.

    Raises:
        UserError: anything was not understood.
    """
    if told:
        raise UserError(
            " ".join(
                gettext("“%(label)s: %(said)s” is not known here, so there is no file.")
                % {"label": one.label, "said": one.said}
                for one in told
            ),
            code="unknown_filter",
        )


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
