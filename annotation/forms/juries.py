from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.forms.shared import name_field, note_field
from annotation.models import Annotator
from steelyard.projects.models import Project


class JuryForm(forms.Form):
    """Who sits in a jury stays as it is: other members are another jury."""

    name = name_field()
    members = forms.ModelMultipleChoiceField(
        Annotator.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        help_text=_(
            "Judges that differ in model and wording make better juries than the same one "
            "several times."
        ),
        label=_("Members"),
    )
    note = note_field()

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        judges = Annotator.objects.filter(project=project, kind=Annotator.Kind.JUDGE, is_jury=False)
        self.fields["members"].queryset = judges  # type: ignore[attr-defined]

    def as_request(self) -> dict[str, Any]:
        return {**self.cleaned_data, "members": list(self.cleaned_data["members"])}
