"""How a file is to be read, and in what form a version is to be written."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.formats import FORMATS
from annotation.formats.base import Format
from annotation.formats.mapped import OUTCOMES
from annotation.services.transfer import Look, writers
from annotation.transfer.outgoing import Order, containers_of
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion

PARTS = {
    "prompt": _("Prompt"),
    "a": _("Answer a"),
    "b": _("Answer b"),
    "media_a": _("File of answer a"),
    "media_b": _("File of answer b"),
    "outcome": _("Which is better"),
    "strength": _("How much better, −3 to 3"),
    "annotator": _("Who said so"),
    "kind": _("Person or judge"),
    "rationale": _("Why"),
    "model_a": _("Model of answer a"),
    "model_b": _("Model of answer b"),
    "category": _("Category"),
    "media": _("Files that the prompt is about"),
    "key": _("The row's id"),
}
OUTCOME_WORDS = {
    "a": _("Answer a is better"),
    "b": _("Answer b is better"),
    "tie": _("They are equal"),
    "both_bad": _("Both are bad"),
    "skip": _("Skipped"),
}
CONTAINERS = {
    "jsonl": _("JSON Lines"),
    "json": _("JSON"),
    "csv": _("CSV"),
    "parquet": _("Parquet"),
    "folder": _("Folder for datasets.load_dataset, as ZIP"),
    "webdataset": _("WebDataset shards (TAR)"),
}


class ReadForm(forms.Form):
    """What a file is; the columns count only where it is read by a mapping."""

    format = forms.ChoiceField(label=_("Format"))
    mode = forms.ChoiceField(
        choices=[
            ("all", _("Nothing at all, until every row is right")),
            ("good", _("Take the rows that are right, and tell me the others")),
        ],
        widget=forms.RadioSelect,
        initial="all",
        label=_("If a row is wrong"),
    )
    annotator = forms.CharField(
        required=False,
        max_length=150,
        label=_("Who chose"),
        help_text=_("For files that do not say it themselves."),
    )
    kind = forms.ChoiceField(
        required=False,
        choices=[
            ("", _("as the format has it")),
            ("person", _("a person")),
            ("judge", _("an AI judge")),
        ],
        label=_("That is"),
    )

    def __init__(self, *args: Any, project: Project, seen: Look, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        guessed = [each.name for each in seen.guesses]
        known = [
            each for each in FORMATS.values() if each.reads and project.modality in each.modalities
        ]
        known.sort(key=lambda each: guessed.index(each.name) if each.name in guessed else 99)
        self.fields["format"].choices = [(each.name, each.title) for each in known]  # type: ignore[attr-defined]
        self.fields["format"].initial = known[0].name if guessed else "mapped"
        columns = [("", _("none")), *((name, name) for name in seen.columns)]
        for part, label in PARTS.items():
            self.fields[f"column_{part}"] = forms.ChoiceField(
                required=False,
                choices=columns,
                initial=seen.suggested.get(part, ""),
                label=label,
            )
        for outcome in OUTCOMES:
            self.fields[f"word_{outcome}"] = forms.CharField(
                required=False, max_length=200, label=OUTCOME_WORDS[outcome]
            )
        always = [
            ("", _("the column says it")),
            *((each, OUTCOME_WORDS[each]) for each in OUTCOMES),
        ]
        self.fields["always"] = forms.ChoiceField(
            required=False,
            choices=always,
            initial=seen.suggested.get("always", ""),
            label=_("In every row"),
        )

    @property
    def first_fields(self) -> list[Any]:
        return [self[name] for name in ("format", "mode", "annotator", "kind")]

    @property
    def column_fields(self) -> list[Any]:
        return [self[f"column_{part}"] for part in PARTS]

    @property
    def word_fields(self) -> list[Any]:
        return [*(self[f"word_{outcome}"] for outcome in OUTCOMES), self["always"]]

    def as_request(self) -> dict[str, Any]:
        """What :func:`annotation.services.transfer.start_import` takes."""
        data = self.cleaned_data
        said = {key: data[key] for key in ("format", "mode", "annotator", "kind")}
        if data["format"] == "mapped":
            said["mapping"] = self._mapping()
        return said

    def _mapping(self) -> dict[str, Any]:
        data = self.cleaned_data
        found: dict[str, Any] = {
            part: data[f"column_{part}"] for part in PARTS if data[f"column_{part}"]
        }
        words = {
            word.strip(): outcome
            for outcome in OUTCOMES
            for word in data[f"word_{outcome}"].split(",")
            if word.strip()
        }
        if words:
            found["words"] = words
        if data["always"] and "outcome" not in found:
            found["always"] = data["always"]
        return found


class ExportForm(forms.Form):
    """One format with its options; which one is in the URL."""

    container = forms.ChoiceField(label=_("File"))
    split = forms.ChoiceField(
        choices=[("all", _("all")), ("train", _("to train on")), ("test", _("to test on"))],
        label=_("Rows"),
    )

    def __init__(self, *args: Any, version: DatasetVersion, format: Format, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.format = format
        self.fields["container"].choices = [  # type: ignore[attr-defined]
            (name, CONTAINERS[name]) for name in containers_of(format, version)
        ]
        for option in format.options:
            self.fields[f"option_{option.name}"] = forms.ChoiceField(
                choices=[(value, gettext(words)) for value, words in option.choices],
                label=gettext(option.title),
            )

    def as_order(self) -> Order:
        data = self.cleaned_data
        options = {option.name: data[f"option_{option.name}"] for option in self.format.options}
        return Order(self.format.name, data["container"], options, data["split"])


def format_choices(version: DatasetVersion) -> list[Format]:
    return list(writers(version))
