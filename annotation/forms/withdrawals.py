from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.models import Annotator
from annotation.services.withdrawals import KINDS
from steelyard.projects.models import Project
from steelyard.runs.models import Run


class WithdrawalForm(forms.Form):
    """Whose votes are to count no longer, and why."""

    annotator = forms.ModelChoiceField(
        Annotator.objects.none(), required=False, label=_("Annotator")
    )
    run = forms.ModelChoiceField(
        Run.objects.none(),
        required=False,
        label=_("Judging run"),
        help_text=_("Only the votes that a judge or scorer gave in this run."),
    )
    first_day = forms.DateField(
        required=False,
        label=_("From"),
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("The first day (UTC) whose votes are withdrawn; all before where empty."),
    )
    last_day = forms.DateField(
        required=False, label=_("To"), widget=forms.DateInput(attrs={"type": "date"})
    )
    reason = forms.CharField(
        label=_("Why"),
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("For those who ask later: it stands beside every version it touches."),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = Annotator.objects.filter(project=project)
        self.fields["annotator"].queryset = people  # type: ignore[attr-defined]
        runs = Run.objects.filter(project=project, kind__in=KINDS).order_by("-created_at")
        if runs.exists():
            self.fields["run"].queryset = runs  # type: ignore[attr-defined]
        else:
            del self.fields["run"]

    def asked(self) -> dict[str, Any]:
        """As ``withdraw`` takes it; the last day counts to its end."""
        said = self.cleaned_data
        first, last = said["first_day"], said["last_day"]
        return {
            "annotator": said["annotator"],
            "run": said.get("run"),
            "since": datetime.combine(first, time.min, UTC) if first else None,
            "until": datetime.combine(last + timedelta(days=1), time.min, UTC) if last else None,
            "reason": said["reason"],
        }
