from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.forms.shared import seed_field
from annotation.models import Prompt
from evaluation.forms_shared import (
    ask_for_sampling,
    max_new_tokens_field,
    offer_categories,
    sampling_in,
    temperature_field,
)
from evaluation.services_round import MOST_SAMPLES
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion, ModelFamily, ModelVersion


class RoundForm(forms.Form):
    """What a round of new pairs needs; the services check what the form cannot."""

    model = forms.ModelChoiceField(
        ModelVersion.objects.none(),
        label=_("Model"),
        help_text=_("Whose answers are judged: usually what the last round made."),
    )
    opponent = forms.ModelChoiceField(
        ModelVersion.objects.none(),
        required=False,
        label=_("Beside them"),
        empty_label=_("a second answer of its own"),
        help_text=_("Another model's answers teach what it does better or worse."),
    )
    category = forms.ChoiceField(
        required=False,
        label=_("Prompts"),
        help_text=_("Of those that are not held out, so that a version may contain them."),
    )
    limit = forms.IntegerField(
        min_value=0,
        initial=0,
        required=False,
        label=_("At most"),
        help_text=_("prompts, drawn by the seed; 0 for all"),
    )
    max_new_tokens = max_new_tokens_field()
    temperature = temperature_field(
        _(
            "Above 0, or two answers of one model are the same. Left empty, it is the model's own, "
            "else 0.7."
        )
    )
    seed = seed_field(_("The same seed gives the same answers: take another one each round."))

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = ModelVersion.objects.filter(project=project, modality=project.modality).exclude(
            family=ModelFamily.IMPORTED
        )
        prompts = Prompt.objects.filter(project=project, held_out=False)
        self.fields["model"].queryset = models  # type: ignore[attr-defined]
        self.fields["opponent"].queryset = models  # type: ignore[attr-defined]
        offer_categories(self, prompts, gettext("all %(count)s") % {"count": prompts.count()})
        ask_for_sampling(self, project)

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``start_round``."""
        data = self.cleaned_data
        sampling = sampling_in(data)
        said = {name: data[name] for name in ("model", "opponent", "category", "seed")}
        return {**said, "limit": data["limit"] or 0, "sampling": sampling}


class GenerationForm(forms.Form):
    """What the making of outputs needs; the services check what the form cannot."""

    models = forms.ModelMultipleChoiceField(
        ModelVersion.objects.none(), widget=forms.CheckboxSelectMultiple, label=_("Models")
    )
    source = forms.ChoiceField(
        choices=[
            ("training", _("that are not held out, so that a version may contain them")),
            ("held_out", _("that are held out")),
            ("version", _("that a dataset version tests with")),
            ("typed", _("that are typed below")),
        ],
        label=_("Prompts"),
    )
    category = forms.ChoiceField(required=False, label=_("Category"))
    version = forms.ModelChoiceField(
        DatasetVersion.objects.none(),
        required=False,
        label=_("Dataset version"),
        help_text=_("Only for prompts that a version tests with."),
    )
    prompts = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        label=_("Typed prompts"),
        help_text=_("One a line. Those that are new here become prompts of the project."),
    )
    limit = forms.IntegerField(
        min_value=0,
        initial=0,
        required=False,
        label=_("At most"),
        help_text=_("prompts, drawn by the seed; 0 for all"),
    )
    samples = forms.IntegerField(
        min_value=1,
        max_value=MOST_SAMPLES,
        initial=1,
        label=_("Outputs of each model to a prompt"),
        help_text=_("Each of another seed."),
    )
    pairing = forms.ChoiceField(
        choices=[
            ("models", _("of each two models, of the same prompt")),
            ("seeds", _("of each model’s own outputs, one seed beside the next")),
            ("none", _("none: only make the outputs")),
        ],
        label=_("Pairs for the labelling queue"),
    )
    seeds = forms.ChoiceField(
        choices=[("own", _("each model its own")), ("same", _("the same for all models"))],
        label=_("Seeds"),
        help_text=_(
            "Pictures and clips of one seed move together with nearly any training: their pairs "
            "show what changed, and their votes measure nothing."
        ),
    )
    max_new_tokens = max_new_tokens_field()
    temperature = temperature_field()
    seed = seed_field(_("The same seed gives the same outputs: take another one each time."))

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = ModelVersion.objects.filter(project=project, modality=project.modality).exclude(
            family=ModelFamily.IMPORTED
        )
        versions = DatasetVersion.objects.filter(project=project).select_related("dataset")
        self.fields["models"].queryset = models  # type: ignore[attr-defined]
        self.fields["version"].queryset = versions  # type: ignore[attr-defined]
        offer_categories(self, Prompt.objects.filter(project=project))
        ask_for_sampling(self, project)

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("source") == "version" and not data.get("version"):
            self.add_error("version", gettext("Choose the version whose prompts are meant."))
        if data.get("source") == "typed" and not data.get("prompts", "").strip():
            self.add_error("prompts", gettext("Type at least one prompt, one a line."))
        return data

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``start_generation``."""
        data = self.cleaned_data
        asked = {name: data[name] for name in ("samples", "pairing", "seed")}
        asked |= {"models": list(data["models"]), "same_seeds": data["seeds"] == "same"}
        asked["sampling"] = sampling_in(data)
        if data["source"] == "typed":
            return {**asked, "prompts": data["prompts"].splitlines()}
        prompt_set = {"category": data["category"], "limit": data["limit"] or 0}
        prompt_set["held_out"] = data["source"] == "held_out"
        if data["source"] == "version":
            prompt_set["version"] = data["version"].pk
        return {**asked, "prompt_set": prompt_set}
