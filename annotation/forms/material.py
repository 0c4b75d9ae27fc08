"""Bringing material in, and the filters of the lists."""

from __future__ import annotations

from typing import IO, Any

from django import forms
from django.db import connection
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from annotation.models import Annotator, Outcome, Pair
from annotation.services.files import KINDS, MAX_BYTES
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion


class ImportForm(forms.Form):
    kind = forms.ChoiceField(
        choices=list(KINDS.items()), widget=forms.RadioSelect, label=_("What it holds")
    )
    file = forms.FileField(
        required=False,
        label=_("JSON Lines file, or a ZIP archive"),
        help_text=format_lazy(
            _(
                "UTF-8, one JSON object a line, at most {most} MiB. A .zip holds such a file and "
                "the pictures or videos that its lines name."
            ),
            most=MAX_BYTES // 2**20,
        ),
    )
    text = forms.CharField(
        required=False,
        strip=False,
        label=_("Or paste the lines"),
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        given = [bool(data.get("file")), bool((data.get("text") or "").strip())]
        if not self.errors and sum(given) != 1:
            both = _("Give a file or paste lines, not both.") if all(given) else ""
            self.add_error("file", both or _("Choose a file, or paste the lines below."))
        return data

    @property
    def given(self) -> bytes | IO[bytes]:
        """The file, or the lines."""
        return self.cleaned_data["file"] or self.cleaned_data["text"].encode()


class Filter(forms.Form):
    """A form in the URL: what is wrong in it filters nothing."""

    use_required_attribute = False

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        if "category" in self.fields:
            self.fields["category"].choices = [  # type: ignore[attr-defined]
                ("", _("all")),
                *((name, name) for name in categories_of(project)),
            ]
        if "model" in self.fields:
            self.fields["model"].queryset = ModelVersion.objects.filter(  # type: ignore[attr-defined]
                project=project
            ).order_by("name")
        self.is_valid()

    @property
    def chosen(self) -> dict[str, Any]:
        return {key: value for key, value in self.cleaned_data.items() if value not in ("", None)}


class PromptFilter(Filter):
    q = forms.CharField(required=False, label=_("Contains"), max_length=200)
    category = forms.ChoiceField(required=False, label=_("Category"))
    use = forms.ChoiceField(
        required=False,
        choices=[("", _("all")), ("label", _("to label")), ("held_out", _("held out"))],
        label=_("Kept for"),
    )


class PairFilter(Filter):
    q = forms.CharField(required=False, label=_("Prompt contains"), max_length=200)
    category = forms.ChoiceField(required=False, label=_("Category"))
    model = forms.ModelChoiceField(
        ModelVersion.objects.none(), required=False, empty_label=_("all"), label=_("Model")
    )
    state = forms.ChoiceField(
        required=False,
        choices=[
            ("", _("all")),
            ("open", _("wants votes")),
            ("complete", _("complete")),
            ("closed", _("taken out")),
            ("flagged", _("flagged")),
        ],
        label=_("State"),
    )
    origin = forms.ChoiceField(
        required=False, choices=[("", _("all")), *Pair.Origin.choices], label=_("Origin")
    )


class JudgmentFilter(Filter):
    by = forms.ChoiceField(
        required=False,
        choices=[
            ("", _("people and AI judges")),
            ("people", _("people")),
            ("judges", _("AI judges")),
        ],
        label=_("Votes of"),
    )
    annotator = forms.ModelChoiceField(
        Annotator.objects.none(), required=False, empty_label=_("all"), label=_("Annotator")
    )
    model = forms.ModelChoiceField(
        ModelVersion.objects.none(), required=False, empty_label=_("all"), label=_("Model")
    )
    category = forms.ChoiceField(required=False, label=_("Category"))
    outcome = forms.ChoiceField(
        required=False, choices=[("", _("all")), *Outcome.choices], label=_("Outcome")
    )
    run = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, project=project, **kwargs)
        self.fields["annotator"].queryset = Annotator.objects.filter(  # type: ignore[attr-defined]
            project=project
        )
        self.full_clean()


def categories_of(project: Project) -> list[str]:
    """The categories of a project's prompts, by name."""
    with connection.cursor() as cursor:
        cursor.execute(_CATEGORIES, {"project": project.pk})
        return [name for (name,) in cursor.fetchall()]


# from one name to the next by the index: of 400 thousand prompts it reads as many as there are
# categories
_CATEGORIES = """
with recursive found (category) as (
    select min(category) from annotation_prompt where project_id = %(project)s and category > ''
    union all
    select (select min(category) from annotation_prompt
        where project_id = %(project)s and category > found.category)
    from found where found.category is not null
)
select category from found where category is not null
"""
