"""Making groups, and choosing the pairs that one is given."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.forms.material import categories_of
from annotation.models import Group, Pair
from annotation.services.groups import ANYBODY, EVERYBODY, MAX_NAME, MOST_PRIORITY, Choice
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion


class GroupForm(forms.Form):
    """A group's name and its people, by their user names."""

    name = forms.CharField(max_length=MAX_NAME, label=_("Name"))
    members = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, label=_("People")
    )

    def __init__(self, *args: Any, people: list[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["members"].choices = [  # type: ignore[attr-defined]
            (user.username, user.username) for user in people
        ]

    def refuse(self, error: UserError) -> None:
        """Put an error of the service beside the field that caused it."""
        self.add_error(error.field if error.field in self.fields else None, error.message)


class ChoiceForm(forms.Form):
    """Which pairs are given to whom; in the URL, so that it can be counted before it is done."""

    use_required_attribute = False
    whose = forms.ChoiceField(required=False, label=_("Pairs of"))
    category = forms.ChoiceField(required=False, label=_("Category"))
    model = forms.ModelChoiceField(
        ModelVersion.objects.none(), required=False, empty_label=_("all"), label=_("Model")
    )
    origin = forms.ChoiceField(
        required=False, choices=[("", _("all")), *Pair.Origin.choices], label=_("Origin")
    )
    limit = forms.IntegerField(
        required=False, min_value=1, max_value=100_000_000, label=_("At most")
    )
    unlabelled = forms.BooleanField(required=False, label=_("Only without a verdict"))
    priority = forms.IntegerField(
        required=False,
        min_value=-MOST_PRIORITY,
        max_value=MOST_PRIORITY,
        label=_("New priority"),
    )
    to = forms.ChoiceField(required=False, label=_("Give to"))

    def __init__(self, *args: Any, project: Project, groups: list[Group], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.groups = {str(group.pk): group for group in groups}
        named = [(str(group.pk), group.name) for group in groups]
        choices = {
            "whose": [("", _("everybody")), (ANYBODY, _("anybody")), *named],
            "category": [("", _("all")), *((name, name) for name in categories_of(project))],
            "to": [("", _("everybody")), *named],
        }
        for name, options in choices.items():
            self.fields[name].choices = options  # type: ignore[attr-defined]
        if project.scheme["task"] == "ranking":
            self.fields["whose"].label = _("Sets of")
            self.fields["unlabelled"].label = _("Only without a ranking")
            self.fields["origin"].widget = forms.HiddenInput()  # not kept of sets
        models = ModelVersion.objects.filter(project=project).order_by("name")
        self.fields["model"].queryset = models  # type: ignore[attr-defined]

    @property
    def choice(self) -> Choice:
        """After validation: the pairs that are meant."""
        data = self.cleaned_data
        return Choice(
            whose=self.groups.get(data["whose"], data["whose"] or EVERYBODY),
            category=data["category"],
            model=data["model"],
            origin=data["origin"],
            unlabelled=data["unlabelled"],
            limit=data["limit"] or 0,
        )

    @property
    def group(self) -> Group | None:
        """After validation: who is given them; None is everybody."""
        return self.groups.get(self.cleaned_data["to"])

    @property
    def changes_something(self) -> bool:
        """After validation: whether the pairs would be somebody else's, or have another
        priority."""
        data = self.cleaned_data
        return data["whose"] != data["to"] or data["priority"] is not None
