from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation import sides
from annotation.forms.evidence import Texts, listed, to_source
from annotation.forms.exposure import DAY_MS, measured
from annotation.services.checking import CORRECTION_LIMIT, RATIONALE_LIMIT, Verdict
from steelyard.projects.models import Project

JSON_LIMIT = 200_000


class VerdictForm(forms.Form):
    """A verdict as the labelling page sends it: A and B are places of the screen."""

    pair = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    uuid = forms.UUIDField(widget=forms.HiddenInput)
    supersedes = forms.UUIDField(required=False, widget=forms.HiddenInput)
    verdict = forms.ChoiceField(error_messages={"required": _("Choose a verdict first.")})
    skip_reason = forms.ChoiceField(required=False)
    rationale = forms.CharField(
        required=False,
        max_length=RATIONALE_LIMIT,
        widget=forms.Textarea,
        error_messages={
            "max_length": _(
                "The rationale has %(show_value)d characters; at most %(limit_value)d are kept. "
                "Shorten it; nothing is cut off."
            )
        },
    )
    training = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)
    correction = forms.CharField(
        required=False, max_length=CORRECTION_LIMIT, widget=forms.Textarea, strip=False
    )
    tags = forms.MultipleChoiceField(required=False)
    evidence = forms.CharField(required=False, max_length=JSON_LIMIT, widget=forms.HiddenInput)
    segments = forms.CharField(required=False, max_length=JSON_LIMIT, widget=forms.HiddenInput)
    duration_ms = forms.IntegerField(required=False, widget=forms.HiddenInput)
    exposure = forms.CharField(required=False, max_length=2000, widget=forms.HiddenInput)

    def __init__(self, *args: Any, project: Project, texts: Texts = dict, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scheme = project.scheme
        self.texts = texts
        self.aspects: list[str] = scheme["aspects"]
        bar = choices_of(project)
        self.choices = {choice.value: choice for choice in bar}
        self._offer("verdict", [(choice.value, choice.label) for choice in bar])
        self._offer("tags", [(tag, tag) for tag in scheme["tags"]])
        self._offer("skip_reason", [(reason, reason) for reason in scheme["skip_reasons"]])
        for number in range(len(self.aspects)):
            self.fields[f"aspect_{number}"] = forms.TypedChoiceField(
                required=False,
                coerce=int,
                empty_value=None,
                choices=[(step.strength, step.label) for step in steps_of(project)],
            )

    def _offer(self, name: str, choices: list[tuple[str, Any]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    def as_verdict(self) -> Verdict:
        data = self.cleaned_data
        choice = self.choices[data["verdict"]]
        said = {name: data[f"aspect_{number}"] for number, name in enumerate(self.aspects)}
        skipped = choice.outcome == "skip"
        return Verdict(
            uuid=data["uuid"],
            outcome=choice.outcome,
            strength=choice.strength,
            rationale=data["rationale"],
            tags=data["tags"],
            aspects={name: value for name, value in said.items() if value is not None},
            evidence=data["evidence"],
            segments=data["segments"],
            correction="" if skipped else data["correction"],
            skip_reason=data["skip_reason"] if skipped else "",
            exposure=measured(data["exposure"]),
            duration_ms=data["duration_ms"],
        )

    def clean_duration_ms(self) -> int | None:
        """A measurement that cannot be true is none; it never stands in a verdict's way."""
        value = self.cleaned_data["duration_ms"]
        return value if value is not None and 0 <= value <= DAY_MS else None

    def clean_evidence(self) -> list[dict[str, Any]]:
        return to_source(listed(self.cleaned_data["evidence"]), self.texts)

    def clean_segments(self) -> list[dict[str, Any]]:
        return listed(self.cleaned_data["segments"])

    def clean_correction(self) -> str:
        """As it was written, but nothing where it is blank."""
        text: str = self.cleaned_data["correction"]
        return text if text.strip() else ""


def steps_of(project: Project) -> list[sides.Choice]:
    """The places of an aspect's scale: as the verdict's, and equal can always be said."""
    return sides.scale(project.scheme["steps"], tie=True)


def choices_of(project: Project) -> list[sides.Choice]:
    """The verdicts that the project's label scheme allows, in the order of the bar."""
    scheme = project.scheme
    bad = [sides.BOTH_BAD] if scheme["both_bad"] else []
    return [*sides.scale(scheme["steps"], scheme["tie"]), *bad, sides.SKIP]
