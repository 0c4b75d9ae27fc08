from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.models import Annotator, Prelabelling
from annotation.services.prelabels import DEFAULT_SHARE
from steelyard.projects.models import Project


class PrelabelForm(forms.Form):
    judge = forms.ModelChoiceField(
        Annotator.objects.none(),
        required=False,
        empty_label=_("Nobody’s: people see no verdict of a machine"),
        label=_("Whose verdicts people see"),
        help_text=_("A judge or a jury; its verdict stands beside pairs that it has judged."),
    )
    share = forms.IntegerField(
        min_value=1,
        max_value=100,
        label=_("Share shown"),
        help_text=_(
            "Per cent. The rest is drawn by pair and person and shows nothing, so that it can be "
            "told how far people follow the machine; at 100 nobody can tell."
        ),
    )

    def __init__(
        self, *args: Any, project: Project, setting: Prelabelling | None, **kwargs: Any
    ) -> None:
        kwargs["initial"] = {
            "judge": setting and setting.judge_id,
            "share": setting.share if setting else DEFAULT_SHARE,
            **kwargs.get("initial", {}),
        }
        super().__init__(*args, **kwargs)
        judges = Annotator.objects.filter(project=project, kind=Annotator.Kind.JUDGE)
        self.fields["judge"].queryset = judges  # type: ignore[attr-defined]
