from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from steelyard.lib.errors import UserError
from steelyard.projects.models import TAGS, Modality, Project, Role
from steelyard.projects.scheme import KEYS, NONE_OF_PAIRS, NUMBERS, OF_PAIRS, ONLY
from steelyard.projects.services import LIMITS

ASPECTS = {
    Modality.TEXT: "correctness, helpfulness",
    Modality.IMAGE: "general, visual appeal, prompt alignment",
    Modality.VIDEO: "general, motion, prompt alignment",
}
"""What is usually compared besides, shown where nothing is filled in."""

FIELDSETS: list[tuple[str, Any, tuple[str, ...]]] = [
    ("asked", _("What is asked"), ("name", "slug", "modality", "task", "guidelines", "aspects")),
    ("verdict", _("The verdict"), ("steps", "tie", "both_bad", "segments", "correction")),
    (
        "reason",
        _("The reason"),
        (
            "rationale_required",
            "rationale_min",
            "tags",
            "evidence",
            "skip_reasons",
            "flag_reasons",
        ),
    ),
    (
        "queue",
        _("The queue"),
        ("overlap", "overlap_max", "queue_policy", "lease_minutes", "paused"),
    ),
    ("people", _("People"), ("training_pass", "person_cap", "day_cap", "break_minutes")),
    ("data", _("The data"), ("license",)),
]
_MODEL_FIELDS = [
    "overlap",
    "overlap_max",
    "queue_policy",
    "paused",
    "person_cap",
    "day_cap",
    "training_pass",
    "break_minutes",
    "license",
]


@dataclass(frozen=True)
class Fieldset:
    key: str
    heading: str
    fields: list[BoundField]


class WordsField(forms.CharField):
    """A list of short names, written with commas or one a line."""

    widget = forms.Textarea(attrs={"rows": 1, "class": "words"})

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return [word.strip() for line in text.splitlines() for word in line.split(",")]


def _number(name: str, label: Any, help_text: Any, **options: Any) -> forms.IntegerField:
    least, most, _unit = LIMITS[name]
    return forms.IntegerField(
        min_value=least, max_value=most, label=label, help_text=help_text, **options
    )


class SettingsForm(forms.ModelForm):
    """What an admin may change while a project goes on."""

    task = forms.ChoiceField(
        choices=[
            ("pair", _("Two answers side by side")),
            ("ranking", _("Several answers to be put in order")),
        ],
        label=_("What an annotator sees"),
        help_text=_("It cannot be changed once there are pairs."),
    )
    aspects = WordsField(
        required=False,
        label=_("Aspects"),
        help_text=_(
            "Separated by commas; each is compared besides the verdict. Usual for text: "
            "correctness, helpfulness; for images: general, visual appeal, prompt alignment."
        ),
    )
    steps = forms.TypedChoiceField(
        coerce=int,
        choices=[
            (3, _("3: better or worse")),
            (5, _("5: slightly or clearly better")),
            (7, _("7: slightly, clearly or much better")),
        ],
        label=_("Steps of the scale"),
        help_text=_("The middle is the tie; without a tie it is left out."),
    )
    tie = forms.BooleanField(required=False, label=_("“Tie” can be chosen"))
    both_bad = forms.BooleanField(required=False, label=_("“Both bad” can be chosen"))
    segments = forms.BooleanField(
        required=False,
        label=_("Parts of a clip can have verdicts of their own"),
        help_text=_("For video projects."),
    )
    correction = forms.BooleanField(
        required=False,
        label=_("A better answer can be written"),
        help_text=_(
            "For text projects. What is written becomes an answer, compared with the other two."
        ),
    )
    rationale_required = forms.BooleanField(required=False, label=_("Every verdict needs a reason"))
    rationale_min = forms.IntegerField(
        min_value=0,
        max_value=NUMBERS["rationale_min"],
        label=_("Shortest reason"),
        help_text=_("Letters that a written reason has at least; 0 for any length."),
    )
    tags = WordsField(
        required=False,
        label=_("Reasons to pick from"),
        help_text=_("Separated by commas; shown as buttons under the verdict."),
    )
    evidence = forms.ChoiceField(
        choices=[
            ("off", _("Not offered")),
            ("optional", _("Can be marked")),
            ("required", _("Must be marked")),
        ],
        label=_("Evidence in the answers"),
        help_text=_("Words of a text, boxes on a picture, times of a clip."),
    )
    skip_reasons = WordsField(
        required=False,
        label=_("Reasons to skip"),
        help_text=_("Separated by commas; a skipped pair goes to others."),
    )
    flag_reasons = WordsField(
        label=_("Reasons to flag"),
        help_text=_("Separated by commas; you see what is flagged on the page Flags."),
    )
    overlap = _number(
        "overlap",
        _("People for each pair"),
        _("How many people judge each pair that is added from now on."),
    )
    overlap_max = _number(
        "overlap_max",
        _("People where they disagree"),
        _(
            "While no verdict on a pair has a majority, more people are asked, up to so many; 0 "
            "for no more than above."
        ),
    )
    lease_minutes = forms.IntegerField(
        min_value=1,
        max_value=1440,
        label=_("Minutes for one pair"),
        help_text=_(
            "So long a pair is kept for the person who was given it; then others get it. An open "
            "page keeps it longer."
        ),
    )
    training_pass = _number(
        "training_pass",
        _("Right answers in the training round"),
        _(
            "Per cent that open the real work. Everybody goes through the round; 0 asks for no "
            "right answers in it. Without training pairs there is no round."
        ),
    )
    person_cap = _number(
        "person_cap",
        _("Most verdicts of one person"),
        _("In all; empty for no limit. A person can have another on the page Queue."),
        required=False,
    )
    day_cap = _number(
        "day_cap",
        _("Most verdicts of one person in a day"),
        _("Days begin at midnight UTC; empty for no limit."),
        required=False,
    )
    break_minutes = _number(
        "break_minutes",
        _("A break is offered after"),
        _("Minutes of labelling; 0 for never."),
    )

    class Meta:
        model = Project
        fields = ["name", "guidelines", *_MODEL_FIELDS]
        labels = {
            "name": _("Name"),
            "guidelines": _("Guidelines"),
            "modality": _("Modality"),
            "queue_policy": _("Order of the queue"),
            "paused": _("Labelling is paused"),
            "license": _("Licence"),
        }
        help_texts = {
            "guidelines": _("Markdown, shown beside every pair."),
            "queue_policy": _("Among pairs of the same priority."),
            "paused": _("Nobody is given a pair; what people hold can still be sent."),
            "license": _(
                "Stands in dataset cards, as the Hugging Face hub names it: cc-by-4.0, apache-2.0, "
                "other. Empty where it is not known."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scheme = self.instance.scheme
        for name in KEYS:
            self.fields[name].initial = scheme[name]
        for name in _MODEL_FIELDS:  # a field written out above does not know the model's default
            self.fields[name].initial = getattr(self.instance, name)
        self.fields["lease_minutes"].initial = max(self.instance.lease_seconds // 60, 1)
        if self.instance.pk:
            self._for_the_project()
        self.of_pairs = [name for name in OF_PAIRS if name in self.fields]
        if not self.fields["task"].disabled:
            self._tell_of_pairs()

    def _for_the_project(self) -> None:
        modality = Modality(self.instance.modality)
        self.fields["aspects"].widget.attrs["placeholder"] = ASPECTS[modality]
        has_work = self.instance.pairs.exists() or self.instance.output_sets.exists()
        self.fields["task"].disabled = has_work
        out = {name for name, needed in ONLY.items() if modality != needed}
        if has_work and self.instance.scheme["task"] == "ranking":
            out.update(OF_PAIRS)
        for name in out:
            del self.fields[name]

    def _tell_of_pairs(self) -> None:
        """While the task can still be chosen, the page hides what a ranking has no place for;
        without its script it is told beside."""
        for name in self.of_pairs:
            field = self.fields[name]
            field.widget.attrs["data-of-pairs"] = ""
            words = [str(field.help_text), _("Not for answers that are put in order.")]
            field.help_text = " ".join(str(part) for part in words if part)

    def fieldsets(self) -> Iterator[Fieldset]:
        """The fields as the page groups them."""
        for key, heading, names in FIELDSETS:
            yield Fieldset(key, heading, [self[name] for name in names if name in self.fields])

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``update_project``."""
        data = self.cleaned_data
        request = {name: data[name] for name in ("name", "guidelines", *_MODEL_FIELDS)}
        # what an API has set to the second is not rounded by a form that leaves it alone
        if not self.instance.pk or "lease_minutes" in self.changed_data:
            request["lease_seconds"] = data["lease_minutes"] * 60
        scheme = {name: data[name] for name in KEYS if name in data}
        if data["task"] == "ranking":
            scheme = {name: scheme[name] for name in scheme if name not in OF_PAIRS}
            scheme |= NONE_OF_PAIRS
        request["label_scheme"] = scheme
        return request

    def left_out(self) -> str:
        """What was filled in and a ranking has no place for, in a sentence; empty without it."""
        data = self.cleaned_data
        if data["task"] != "ranking":
            return ""
        names = [name for name in self.of_pairs if name in NONE_OF_PAIRS and data.get(name)]
        if not names:
            return ""
        labels = ", ".join(f"“{self.fields[name].label}”" for name in names)
        return gettext(
            "Left out, since answers that are put in order have no place for it: %(labels)s."
        ) % {"labels": labels}

    def refuse(self, error: UserError) -> None:
        """Put an error of the service beside the field that caused it."""
        field = (error.field or "").removeprefix("label_scheme.")
        field = {"lease_seconds": "lease_minutes"}.get(field, field)
        self.add_error(field if field in self.fields else None, error.message)


class ProjectForm(SettingsForm):
    """A new project: what is for good as well as the settings."""

    slug = forms.SlugField(
        max_length=80,
        required=False,
        label=_("Name in URLs"),
        help_text=_(
            "Letters, digits and hyphens; made from the name where left empty. "
            "It cannot be changed later."
        ),
    )

    class Meta(SettingsForm.Meta):
        fields = ["name", "modality", "guidelines", *_MODEL_FIELDS]
        help_texts = {
            **SettingsForm.Meta.help_texts,
            "modality": _("What is compared. It cannot be changed later."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # the page shows those of the modality that is chosen, while nobody has written others
        words = {modality.value: ", ".join(tags) for modality, tags in TAGS.items()}
        words[Modality.TEXT.value] = ", ".join(self.instance.scheme["tags"])
        self.fields["tags"].widget.attrs["data-words-of"] = json.dumps(words)
        self.fields["tags"].help_text = _(
            "Separated by commas; shown as buttons under the verdict. Left as they are, a project "
            "of pictures or clips has reasons that suit these."
        )

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``create_project``."""
        data = self.cleaned_data
        request = super().as_request()
        if self._tags_are_usual():  # then the project has those of its modality
            del request["label_scheme"]["tags"]
        return {**request, "slug": data["slug"], "modality": data["modality"]}

    def _tags_are_usual(self) -> bool:
        """Nobody wrote reasons: they are as they came, or as the page changed them."""
        usual = TAGS.get(Modality(self.cleaned_data["modality"]))
        return "tags" not in self.changed_data or self.cleaned_data["tags"] == usual


class MemberForm(forms.Form):
    username = forms.CharField(
        max_length=150,
        label=_("Name"),
        help_text=_("What the person signs in with."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    role = forms.ChoiceField(
        choices=Role.choices,
        label=_("Role"),
        help_text=_(
            "Annotators only label. Researchers also see the votes, train and evaluate. "
            "Admins also change settings and members."
        ),
    )

    def refuse(self, error: UserError) -> None:
        """Put an error of the service beside the field that caused it."""
        self.add_error(error.field if error.field in self.fields else None, error.message)
