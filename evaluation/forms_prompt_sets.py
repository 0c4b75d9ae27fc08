from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.forms.shared import seed_field
from annotation.models import Prompt
from evaluation.forms_shared import offer_categories
from evaluation.models import PromptSet
from evaluation.prompt_sets import MAX_BYTES, make_set, set_from_file
from steelyard.accounts.models import User
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion


class PromptSetForm(forms.Form):
    """What a prompt set is made of; the services check what the form cannot."""

    name = forms.CharField(max_length=150, label=_("Name"))
    note = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2}), label=_("Note")
    )
    source = forms.ChoiceField(
        choices=[
            ("held_out", _("held-out prompts of this project")),
            ("any", _("any prompts of this project")),
            ("version", _("the test split of a dataset version")),
            ("file", _("those of a file")),
        ],
        label=_("Prompts"),
    )
    version = forms.ModelChoiceField(
        DatasetVersion.objects.none(),
        required=False,
        label=_("Dataset version"),
        help_text=_("Only for the test split of one."),
    )
    category = forms.ChoiceField(required=False, label=_("Category"))
    draw = forms.IntegerField(
        min_value=0,
        initial=0,
        required=False,
        label=_("Draw"),
        help_text=_("so many prompts, by the seed; 0 for all"),
    )
    seed = seed_field(initial=0, required=False)
    file = forms.FileField(
        required=False,
        label=_("File"),
        help_text=_(
            "JSON Lines with “prompt” or “turns”, or CSV with a column “prompt”. New prompts are "
            "held out."
        ),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions = DatasetVersion.objects.filter(project=project).select_related("dataset")
        self.fields["version"].queryset = versions  # type: ignore[attr-defined]
        offer_categories(self, Prompt.objects.filter(project=project))

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("source") == "version" and not data.get("version"):
            self.add_error("version", gettext("Choose the version whose prompts are meant."))
        if data.get("source") == "file" and not data.get("file"):
            self.add_error("file", gettext("Choose the file."))
        return data

    def make(self, *, project: Project, by: User) -> PromptSet:
        """
        Raises:
            UserError: as :func:`make_set` and :func:`set_from_file`.
        """
        data = self.cleaned_data
        said = {"project": project, "name": data["name"], "note": data["note"], "by": by}
        if data["source"] == "file":
            file = data["file"]
            return set_from_file(**said, data=file.read(MAX_BYTES + 1), filename=file.name)
        return make_set(
            **said,
            held_out=True if data["source"] == "held_out" else None,
            version=data["version"].pk if data["source"] == "version" else None,
            category=data["category"],
            draw=data["draw"] or 0,
            seed=data["seed"] or 0,
        )
