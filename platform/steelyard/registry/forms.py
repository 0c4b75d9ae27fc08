from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from steelyard.projects.models import Modality, Project
from steelyard.registry.models import Dataset, ModelFamily, VersionTag
from steelyard.registry.revised import MOST_REVISIONS
from steelyard.registry.searching import RowFilter
from steelyard.registry.sources import FAMILIES
from steelyard.registry.tagging import NOTE_LIMIT

_LABELS = dict(ModelFamily.choices)


def _price(label: Any) -> forms.FloatField:
    return forms.FloatField(
        required=False,
        min_value=0,
        max_value=10**6,
        label=label,
        help_text=_("Only for an endpoint. The leaderboard says what its outputs cost."),
    )


class ModelForm(forms.Form):
    """A model that somebody names by hand; ``add_model`` checks what the form cannot."""

    name = forms.CharField(
        max_length=200, help_text=_("What this project calls it."), label=_("Name")
    )
    family = forms.ChoiceField(label=_("Kind of model"))
    source = forms.CharField(
        max_length=500,
        label=_("Where it is"),
        help_text=_(
            "A hub name such as “organisation/model”, or a folder on the server beginning "
            "with “/” (admins only). For an endpoint its base URL, such as "
            "http://localhost:8000/v1."
        ),
    )
    endpoint_model = forms.CharField(
        max_length=200,
        required=False,
        label=_("The endpoint's name for the model"),
        help_text=_("Only for an endpoint, as its list of models says it."),
    )
    api_key = forms.CharField(
        max_length=500,
        required=False,
        label=_("The endpoint's key"),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("Only for an endpoint that asks for one. It is never shown again."),
    )

    price_in = _price(_("Price of a million tokens asked"))
    price_out = _price(_("Price of a million tokens answered"))

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        families = FAMILIES[project.modality]  # type: ignore[index]
        named = [(str(family), _LABELS[family]) for family in families]
        if project.modality != Modality.TEXT:
            named = [("", _("as its files say")), *named]
            self.fields["family"].required = False
        self.fields["family"].choices = named  # type: ignore[attr-defined]
        if ModelFamily.ENDPOINT not in families:
            for name in ("endpoint_model", "api_key", "price_in", "price_out"):
                del self.fields[name]
            self.fields["source"].help_text = _(
                "A hub name such as “organisation/model”, or a folder on the server beginning with "
                "“/” (admins only)."
            )


class KeyForm(forms.Form):
    """A new key for an endpoint."""

    api_key = forms.CharField(
        max_length=500,
        required=False,
        label=_("New key"),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("Leave it empty to take the key away."),
    )


class PriceForm(forms.Form):
    """What an endpoint's tokens cost; prices change, and no output depends on them."""

    price_in = _price(_("Price of a million tokens asked"))
    price_out = _price(_("Price of a million tokens answered"))


class RevisionsForm(forms.Form):
    """How often a model that has learnt to is to improve its answer."""

    revisions = forms.IntegerField(
        initial=2,
        min_value=1,
        max_value=MOST_REVISIONS,
        label=_("Revisions of an answer"),
        help_text=_(
            "Each costs as much as the answer, and somewhat more for reading the last one."
        ),
    )


class VersionsForm(forms.Form):
    """Which versions of a project are shown."""

    dataset = forms.ChoiceField(required=False, label=_("Dataset"))
    tag = forms.ChoiceField(required=False, label=_("Tag"))

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        there = {"dataset": Dataset.objects, "tag": VersionTag.objects}
        for name, manager in there.items():
            rows = manager.filter(project=project).order_by("name").values_list("name", flat=True)
            named = [(one, one) for one in rows.distinct()]
            self.fields[name].choices = [("", _("all")), *named]  # type: ignore[attr-defined]

    def asked(self) -> dict[str, str]:
        """What a form that makes no sense asks is nothing."""
        return self.cleaned_data if self.is_valid() else {}


class RowsForm(forms.Form):
    """Which rows of a version are shown."""

    q = forms.CharField(
        required=False,
        max_length=200,
        label=_("Words"),
        widget=forms.TextInput(attrs={"title": _("All of them; words in quotes stand together.")}),
    )
    split = forms.ChoiceField(
        required=False,
        label=_("Split"),
        choices=[("", _("all")), ("train", _("train")), ("test", _("test"))],
    )
    category = forms.ChoiceField(required=False, label=_("Category"))
    model = forms.ChoiceField(required=False, label=_("Model"))
    outcome = forms.ChoiceField(
        required=False,
        label=_("Outcome"),
        choices=[
            ("", _("all")),
            ("win", _("a winner")),
            ("tie", _("a tie")),
            ("both_bad", _("both bad")),
        ],
    )
    agreement = forms.ChoiceField(
        required=False,
        label=_("Agreement"),
        choices=[("", _("all")), ("0.99", _("not all agree")), ("0.5", _("at most half agree"))],
    )

    def __init__(self, *args: Any, choices: dict[str, list[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, values in (("category", choices["categories"]), ("model", choices["models"])):
            named = [(value, value) for value in values if value]
            self.fields[name].choices = [("", _("all")), *named]  # type: ignore[attr-defined]

    def asked(self) -> RowFilter:
        """What a form that makes no sense asks is nothing."""
        if not self.is_valid():
            return RowFilter()
        said = self.cleaned_data
        return RowFilter(
            q=said["q"],
            split=said["split"],
            category=said["category"] or None,
            model=said["model"],
            outcome=said["outcome"],
            agreement=float(said["agreement"]) if said["agreement"] else None,
        )


class TagForm(forms.Form):
    """A name for a version."""

    name = forms.CharField(max_length=60, label=_("Tag"))


class NoteForm(forms.Form):
    """What somebody has found out about a version."""

    text = forms.CharField(
        max_length=NOTE_LIMIT, label=_("Note"), widget=forms.Textarea(attrs={"rows": 2})
    )
