from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.forms.material import categories_of
from annotation.models import Annotator
from annotation.recipe import AGGREGATIONS, ANNOTATORS, TIES, Recipe, help_texts
from steelyard.projects.models import Project
from steelyard.registry.models import Dataset
from steelyard.registry.services import NAME_LIMIT


def in_words(choices: dict[str, str]) -> list[tuple[str, str]]:
    """Choices of the recipe, which knows no language, in the page's."""
    return [(value, gettext(words)) for value, words in choices.items()]


class RecipeForm(forms.Form):
    """A recipe, field by field; the help texts are the recipe's own."""

    annotators = forms.ChoiceField(choices=lambda: in_words(ANNOTATORS), label=_("Votes of"))
    ties = forms.ChoiceField(choices=lambda: in_words(TIES), label=_("Ties"))
    aggregation = forms.ChoiceField(choices=lambda: in_words(AGGREGATIONS), label=_("Aggregation"))
    min_votes = forms.IntegerField(min_value=1, max_value=1000, label=_("Fewest votes"))
    min_agreement = forms.FloatField(
        min_value=0,
        max_value=1,
        label=_("Least agreement"),
        widget=forms.NumberInput(attrs={"step": "0.05"}),
    )
    test_fraction = forms.FloatField(
        min_value=0,
        max_value=0.9,
        label=_("Test share"),
        widget=forms.NumberInput(attrs={"step": "0.05"}),
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, label=_("Seed"))
    categories = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, label=_("Categories")
    )
    exclude = forms.MultipleChoiceField(
        required=False,
        label=_("Without the votes of"),
        widget=forms.SelectMultiple(attrs={"size": 6}),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        kwargs["initial"] = {**Recipe().as_dict(), **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        names = Annotator.objects.filter(project=project).values_list("name", flat=True)
        for field, choices in (("categories", categories_of(project)), ("exclude", names)):
            if choices:
                self.fields[field].choices = [  # type: ignore[attr-defined]
                    (name, name) for name in choices
                ]
            else:
                del self.fields[field]
        for name, text in help_texts().items():
            if name in self.fields:
                self.fields[name].help_text = gettext(text)

    def as_recipe(self) -> Recipe:
        """
        Raises:
            UserError: a value is out of bounds.
        """
        known = {name: self.cleaned_data[name] for name in help_texts() if name in self.fields}
        return Recipe.from_dict(known)


class PublishForm(RecipeForm):
    """A recipe, and what the version is called."""

    dataset_name = forms.CharField(
        max_length=NAME_LIMIT,
        label=_("Dataset"),
        help_text=_("A name that is there already gets its next version."),
        widget=forms.TextInput(attrs={"list": "dataset-names", "autocomplete": "off"}),
    )
    note = forms.CharField(
        required=False,
        max_length=300,
        help_text=_("What is new in this version, for others."),
        label=_("Note"),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, project=project, **kwargs)
        self.dataset_names = list(
            Dataset.objects.filter(project=project).values_list("name", flat=True)
        )
        self.fields["dataset_name"].initial = (self.dataset_names or ["preferences"])[0]
        self.recipe_fields = [self[name] for name in self.fields if name in help_texts()]
