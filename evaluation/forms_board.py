"""What a leaderboard's page is asked."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.forms.material import categories_of
from annotation.models import Annotator, Judgment
from evaluation.board_votes import SOURCES, Options
from evaluation.forms_filters import not_read
from steelyard.projects.models import Project


class LeaderboardFilter(forms.Form):
    """Which votes a leaderboard counts, and how; what makes no sense is told in ``not_read``
    and is as if it were not said."""

    use_required_attribute = False

    by = forms.ChoiceField(choices=list(SOURCES.items()), required=False, label=_("Votes of"))
    judge = forms.ModelChoiceField(
        Annotator.objects.none(), required=False, empty_label=_("all together"), label=_("Judge")
    )
    category = forms.ChoiceField(required=False, label=_("Category"))
    until = forms.DateField(
        required=False,
        label=_("Votes until"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    style = forms.BooleanField(required=False, label=_("at equal style"))
    equal = forms.BooleanField(required=False, label=_("every two models counting equally"))
    without = forms.ModelMultipleChoiceField(
        Annotator.objects.none(),
        required=False,
        label=_("Votes left out"),
        widget=forms.SelectMultiple(attrs={"size": 4}),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "filter-%s", **kwargs})
        voted = Exists(Judgment.objects.decisive().filter(annotator=OuterRef("pk")))
        voters = Annotator.objects.filter(voted, project=project)
        self.fields["judge"].queryset = voters.filter(kind="judge")  # type: ignore[attr-defined]
        self.fields["without"].queryset = voters  # type: ignore[attr-defined]
        self.fields["category"].choices = [  # type: ignore[attr-defined]
            ("", _("all")),
            *[(name, name) for name in categories_of(project) if name],
        ]
        self.full_clean()
        self.not_read = not_read(self)
        source = self.options.source
        if source in ("people", "arena"):
            del self.fields["judge"]
        if source == "combined":
            del self.fields["style"]
            del self.fields["equal"]

    @property
    def options(self) -> Options:
        said = self.cleaned_data
        source = said.get("by") or "people"
        plain = source != "combined"
        return Options(
            source=source,
            judge=said.get("judge") if source != "people" else None,
            category=said.get("category") or "",
            until=end_of(said["until"]) if said.get("until") else None,
            without=tuple(said.get("without") or ()),
            style=plain and bool(said.get("style")),
            equal=plain and bool(said.get("equal")),
        )

    @property
    def more_said(self) -> bool:
        """Whether anything is chosen that stands behind “More”."""
        options = self.options
        return bool(options.until or options.without or options.style or options.equal)


class PublishForm(forms.Form):
    title = forms.CharField(max_length=200, label=_("Title"))
    note = forms.CharField(
        required=False, label=_("Note"), widget=forms.Textarea(attrs={"rows": 2})
    )


def end_of(day: Any) -> datetime:
    """The moment after a day's last."""
    return timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min))
