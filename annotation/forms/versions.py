from __future__ import annotations

from typing import Any, cast

from django import forms
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.forms.material import categories_of
from annotation.models import Annotator, Output
from annotation.recipe import (
    AGGREGATIONS,
    ANNOTATORS,
    BOTH_BAD,
    CAPS,
    MACHINE_RATIONALES,
    ORIGINS,
    PRELABELLED,
    TIES,
    Recipe,
    help_texts,
)
from annotation.services.joining import offered
from steelyard.accounts.models import User
from steelyard.projects.models import Project
from steelyard.registry.models import Dataset, ModelVersion
from steelyard.registry.services import NAME_LIMIT


def in_words(choices: dict[str, str]) -> list[tuple[str, str]]:
    """Choices of the recipe, which knows no language, in the page's."""
    return [(value, gettext(words)) for value, words in choices.items()]


def _once(rows: QuerySet[Any], column: str) -> list[str]:
    """The values of a column, in order, each once though several projects have it."""
    return list(rows.order_by(column).values_list(column, flat=True).distinct())


def _several() -> forms.SelectMultiple:
    return forms.SelectMultiple(attrs={"size": 5})


def _day() -> forms.TextInput:
    return forms.TextInput(attrs={"type": "date"})


class RecipeForm(forms.Form):
    """A recipe, field by field; the help texts are the recipe's own."""

    annotators = forms.ChoiceField(choices=lambda: in_words(ANNOTATORS), label=_("Votes of"))
    projects = forms.MultipleChoiceField(
        required=False, label=_("Together with"), widget=_several()
    )
    ties = forms.ChoiceField(choices=lambda: in_words(TIES), label=_("Ties"))
    both_bad = forms.ChoiceField(
        required=False, choices=lambda: in_words(BOTH_BAD), label=_("Both bad")
    )
    aggregation = forms.ChoiceField(choices=lambda: in_words(AGGREGATIONS), label=_("Aggregation"))
    min_votes = forms.IntegerField(min_value=1, max_value=1000, label=_("Fewest votes"))
    min_agreement = forms.FloatField(
        min_value=0,
        max_value=1,
        label=_("Least agreement"),
        widget=forms.NumberInput(attrs={"step": "0.05"}),
    )
    min_strength = forms.FloatField(
        required=False,
        min_value=0,
        max_value=3,
        label=_("Least strength"),
        widget=forms.NumberInput(attrs={"step": "0.5"}),
    )
    machine_rationales = forms.ChoiceField(
        required=False, choices=lambda: in_words(MACHINE_RATIONALES), label=_("Machines’ reasons")
    )
    test_fraction = forms.FloatField(
        min_value=0,
        max_value=0.9,
        label=_("Test share"),
        widget=forms.NumberInput(attrs={"step": "0.05"}),
    )
    group_similar = forms.BooleanField(required=False, label=_("Keep similar prompts together"))
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, label=_("Seed"))
    categories = forms.MultipleChoiceField(
        required=False, label=_("Categories"), widget=forms.CheckboxSelectMultiple
    )
    only = forms.MultipleChoiceField(
        required=False, label=_("Only the votes of"), widget=_several()
    )
    exclude = forms.MultipleChoiceField(
        required=False, label=_("Without the votes of"), widget=_several()
    )
    since = forms.CharField(required=False, label=_("From"), widget=_day())
    until = forms.CharField(required=False, label=_("To"), widget=_day())
    models = forms.MultipleChoiceField(
        required=False, label=_("Only outputs of"), widget=_several()
    )
    without_models = forms.MultipleChoiceField(
        required=False, label=_("No output of"), widget=_several()
    )
    origins = forms.MultipleChoiceField(
        required=False,
        choices=lambda: in_words(ORIGINS),
        label=_("Only pairs"),
        widget=forms.CheckboxSelectMultiple,
    )
    min_right = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        label=_("Least share right"),
        widget=forms.NumberInput(attrs={"step": "0.05"}),
    )
    min_known = forms.IntegerField(
        required=False, min_value=1, max_value=10_000, label=_("Fewest known answers")
    )
    min_seconds = forms.FloatField(
        required=False,
        min_value=0,
        max_value=3600,
        label=_("Least seconds"),
        widget=forms.NumberInput(attrs={"step": "0.5"}),
    )
    prelabelled = forms.ChoiceField(
        required=False,
        choices=lambda: in_words(PRELABELLED),
        label=_("Votes with a machine’s verdict in view"),
    )
    count_withdrawn = forms.BooleanField(required=False, label=_("Count withdrawn votes"))
    cap = forms.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, label=_("Most pairs of one source")
    )
    cap_by = forms.ChoiceField(
        required=False, choices=lambda: in_words(CAPS), label=_("A source is all pairs")
    )

    def __init__(self, *args: Any, project: Project, by: User, **kwargs: Any) -> None:
        kwargs["initial"] = {**Recipe().values(), **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        for name, text in help_texts().items():
            if name in self.fields:
                self.fields[name].help_text = gettext(text)
        further = self._offer(list(offered(project=project, by=by)))
        projects = [project, *further]
        people = _once(Annotator.objects.filter(project__in=projects), "name")
        models = ModelVersion.objects.filter(project__in=projects)
        names = _once(models.filter(Exists(Output.objects.filter(model=OuterRef("pk")))), "name")
        categories = categories_of(project)
        for one in further:
            categories = sorted({*categories, *categories_of(one)})
        for field, choices in (
            ("categories", categories),
            ("only", people),
            ("exclude", people),
            ("models", names),
            ("without_models", names),
        ):
            if choices:
                self.fields[field].choices = [  # type: ignore[attr-defined]
                    (name, name) for name in choices
                ]
            else:
                del self.fields[field]

    def _offer(self, others: list[Project]) -> list[Project]:
        """Let others be chosen; those that are."""
        if not others:
            del self.fields["projects"]
            return []
        field = cast(forms.MultipleChoiceField, self.fields["projects"])
        field.choices = [(one.slug, one.name) for one in others]
        chosen = self["projects"].value() or ()
        return [one for one in others if one.slug in chosen]

    def as_recipe(self) -> Recipe:
        """
        Raises:
            UserError: a value is out of bounds.
        """
        known = {name: self.cleaned_data[name] for name in help_texts() if name in self.fields}
        return Recipe.from_dict(
            {name: said for name, said in known.items() if said not in (None, "")}
        )

    def groups(self) -> list[tuple[str, list[forms.BoundField], bool]]:
        """Heading, fields, and whether one of them says something: then they are shown."""
        plain = Recipe().values()
        found = []
        for heading, names in GROUPS:
            fields = [self[name] for name in names if name in self.fields]
            said = any((one.value() or plain[one.name]) != plain[one.name] for one in fields)
            wrong = any(one.errors for one in fields)
            found.append((heading, fields, said or wrong))
        return found


GROUPS: list[tuple[Any, list[str]]] = [
    (
        _("Which votes"),
        [
            "only",
            "exclude",
            "since",
            "until",
            "min_seconds",
            "min_right",
            "min_known",
            "prelabelled",
            "count_withdrawn",
        ],
    ),
    (
        _("Which pairs"),
        [
            "both_bad",
            "categories",
            "origins",
            "models",
            "without_models",
            "min_strength",
            "cap",
            "cap_by",
        ],
    ),
    (
        _("Training and testing"),
        ["machine_rationales", "test_fraction", "group_similar", "seed"],
    ),
]
"""What stands under a heading of its own; the rest comes first."""


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

    def __init__(self, *args: Any, project: Project, by: User, **kwargs: Any) -> None:
        super().__init__(*args, project=project, by=by, **kwargs)
        self.dataset_names = list(
            Dataset.objects.filter(project=project).values_list("name", flat=True)
        )
        self.fields["dataset_name"].initial = (self.dataset_names or ["preferences"])[0]
        under = {name for _heading, names in GROUPS for name in names}
        self.first_fields = [
            self[name] for name in self.fields if name in help_texts() and name not in under
        ]
