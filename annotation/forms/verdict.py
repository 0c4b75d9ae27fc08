from __future__ import annotations

import json
from typing import Any

from django import forms

from annotation import sides
from annotation.services.verdicts import Verdict
from steelyard.projects.models import Project

RATIONALE_LIMIT = 20_000
_DAY_MS = 24 * 3600 * 1000


class VerdictForm(forms.Form):
    """A verdict as the labelling page sends it: A and B are places of the screen."""

    pair = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    uuid = forms.UUIDField(widget=forms.HiddenInput)
    verdict = forms.ChoiceField(error_messages={"required": "Choose a verdict first."})
    rationale = forms.CharField(required=False, max_length=RATIONALE_LIMIT, widget=forms.Textarea)
    tags = forms.MultipleChoiceField(required=False)
    duration_ms = forms.IntegerField(required=False, widget=forms.HiddenInput)
    exposure = forms.CharField(required=False, max_length=2000, widget=forms.HiddenInput)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scheme = project.scheme
        self.aspects: list[str] = scheme["aspects"]
        self.fields["verdict"].choices = [  # type: ignore[attr-defined]
            (choice.value, choice.label) for choice in choices_of(project)
        ]
        self.fields["tags"].choices = [  # type: ignore[attr-defined]
            (tag, tag) for tag in scheme["tags"]
        ]
        for number in range(len(self.aspects)):
            self.fields[f"aspect_{number}"] = forms.TypedChoiceField(
                required=False, coerce=int, empty_value=None, choices=ASPECT_STEPS
            )

    def as_verdict(self) -> Verdict:
        data = self.cleaned_data
        choice = sides.CHOICES[data["verdict"]]
        said = {name: data[f"aspect_{number}"] for number, name in enumerate(self.aspects)}
        return Verdict(
            uuid=data["uuid"],
            outcome=choice.outcome,
            strength=choice.strength,
            rationale=data["rationale"],
            tags=data["tags"],
            aspects={name: value for name, value in said.items() if value is not None},
            exposure=measured(data["exposure"]),
            duration_ms=data["duration_ms"],
        )

    def clean_duration_ms(self) -> int | None:
        """A measurement that cannot be true is none; it never stands in a verdict's way."""
        value = self.cleaned_data["duration_ms"]
        return value if value is not None and 0 <= value <= _DAY_MS else None


ASPECT_STEPS = [(step, f"{step:+d}" if step else "0") for step in range(-3, 4)]


def choices_of(project: Project) -> list[sides.Choice]:
    """The verdicts that the project's label scheme allows, in the order of the bar."""
    scheme = project.scheme
    return [
        choice
        for choice in sides.SCALE + sides.REST
        if scheme.get(choice.value, True)  # tie and both_bad may be switched off
    ]


def measured(text: str) -> dict[str, Any]:
    """What the page measured of a pair's exposure; what is malformed is left out."""
    try:
        values = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(values, dict):
        return {}
    seen: dict[str, Any] = {}
    if _within(values.get("visible_ms"), _DAY_MS):
        seen["visible_ms"] = round(values["visible_ms"])
    if values.get("device") in {"touch", "pointer"}:
        seen["device"] = values["device"]
    for side in ("a", "b"):
        given = values.get(side)
        part = given if isinstance(given, dict) else {}
        limits = {"ms": _DAY_MS, "watched": 1}
        if known := {k: part[k] for k, top in limits.items() if _within(part.get(k), top)}:
            seen[side] = known
    return seen


def _within(value: Any, top: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= top
