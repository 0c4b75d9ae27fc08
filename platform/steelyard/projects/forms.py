from __future__ import annotations

from typing import Any

from django import forms

from steelyard.projects.models import Project, Role


class WordsField(forms.CharField):
    """A list of short names, written with commas or one a line."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return [word.strip() for line in text.splitlines() for word in line.split(",")]


class SettingsForm(forms.ModelForm):
    """What an admin may change while a project goes on."""

    tie = forms.BooleanField(required=False, label="“Tie” can be chosen")
    both_bad = forms.BooleanField(required=False, label="“Both bad” can be chosen")
    rationale_required = forms.BooleanField(required=False, label="Every verdict needs a reason")
    tags = WordsField(
        required=False,
        label="Reasons to pick from",
        help_text="Separated by commas; shown as buttons under the verdict.",
    )
    aspects = WordsField(
        required=False,
        help_text="Separated by commas, such as: correctness, helpfulness. Each is compared "
        "besides the verdict.",
    )
    lease_minutes = forms.IntegerField(
        min_value=1,
        max_value=1440,
        label="Minutes for one pair",
        help_text="So long a pair is kept for the person who was given it; then others get it.",
    )

    overlap = forms.IntegerField(
        min_value=1,
        max_value=100,
        initial=1,
        label="People for each pair",
        help_text="How many people judge each pair that is added from now on.",
    )
    field_order = ["name", "guidelines", "overlap"]

    class Meta:
        model = Project
        fields = ["name", "guidelines", "overlap"]
        help_texts = {"guidelines": "Markdown, shown beside every pair."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scheme = self.instance.scheme
        for name in ("tie", "both_bad", "rationale_required", "tags", "aspects"):
            self.fields[name].initial = scheme[name]
        self.fields["lease_minutes"].initial = self.instance.lease_seconds // 60

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``update_project``."""
        data = self.cleaned_data
        names = ("tie", "both_bad", "rationale_required", "tags", "aspects")
        return {
            "name": data["name"],
            "guidelines": data["guidelines"],
            "overlap": data["overlap"],
            "lease_seconds": data["lease_minutes"] * 60,
            "label_scheme": {name: data[name] for name in names},
        }


class ProjectForm(SettingsForm):
    """A new project: what is for good as well as the settings."""

    slug = forms.SlugField(
        max_length=80,
        required=False,
        label="Name in URLs",
        help_text="Letters, digits and hyphens; made from the name where left empty. "
        "It cannot be changed later.",
    )
    field_order = ["name", "slug", "modality", "guidelines", "overlap"]

    class Meta(SettingsForm.Meta):
        fields = ["name", "modality", "guidelines", "overlap"]
        help_texts = {
            **SettingsForm.Meta.help_texts,
            "modality": "What is compared. It cannot be changed later.",
        }

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``create_project``."""
        data = self.cleaned_data
        return {**super().as_request(), "slug": data["slug"], "modality": data["modality"]}


class MemberForm(forms.Form):
    username = forms.CharField(
        max_length=150,
        label="Name",
        help_text="What the person signs in with.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    role = forms.ChoiceField(
        choices=Role.choices,
        help_text="Annotators only label. Researchers also see the votes, train and evaluate. "
        "Admins also change settings and members.",
    )
