from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.models import Annotator, Prompt
from evaluation.sampling import SAMPLING
from evaluation.services_round import MOST_SAMPLES
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import DatasetVersion, ModelFamily, ModelVersion

_ASKED = {
    "steps": _("Steps"),
    "guidance": _("Guidance"),
    "size": _("Side in pixels"),
    "frames": _("Frames"),
    "fps": _("Frames a second"),
    "width": _("Width in pixels"),
    "height": _("Height in pixels"),
}
"""Settings of sampling pictures and clips → what they are called on a page."""


def _ask_for_sampling(form: forms.Form, project: Project) -> None:
    """Instead of what is asked for texts, what pictures or clips know; before the seed."""
    modality = Modality(project.modality)
    if modality == Modality.TEXT:
        return
    for name in ("max_new_tokens", "temperature"):
        del form.fields[name]
    seed = form.fields.pop("seed")
    for name, (low, high, whole) in SAMPLING[modality].items():
        kind: Any = forms.IntegerField if whole else forms.FloatField
        form.fields[name] = kind(
            min_value=low,
            max_value=high,
            required=False,
            label=_ASKED[name],
            help_text=_("Left empty, it is the side, or the model's own.")
            if modality == Modality.IMAGE and name in ("width", "height")
            else _("Left empty, it is the model's own."),
        )
    form.fields["seed"] = seed


def _sampling_in(data: dict[str, Any]) -> dict[str, Any]:
    names = {name for known in SAMPLING.values() for name in known}
    return {k: v for k, v in data.items() if k in names and v is not None}


class EvaluationForm(forms.Form):
    """What an evaluation needs; the services check what the form cannot."""

    name = forms.CharField(
        max_length=200, help_text=_("What the evaluation asks, in a few words."), label=_("Name")
    )
    candidates = forms.ModelMultipleChoiceField(
        ModelVersion.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        label=_("New models"),
        help_text=_("Each is compared with the baseline on every prompt."),
    )
    baseline = forms.ModelChoiceField(ModelVersion.objects.none(), label=_("Baseline"))
    people = forms.BooleanField(
        required=False,
        initial=True,
        label=_("People compare"),
        help_text=_("They find the pairs first in their labelling queue, without model names."),
    )
    judges = forms.ModelMultipleChoiceField(
        Annotator.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=_("AI judges and scorers that compare"),
        help_text=_(
            "Each has a run and a win rate of its own, beside that of people; a judge is asked in "
            "both orders."
        ),
    )
    category = forms.ChoiceField(
        required=False,
        label=_("Held-out prompts"),
        help_text=_("No dataset version contains them."),
    )
    limit = forms.IntegerField(
        min_value=0,
        initial=0,
        required=False,
        label=_("At most"),
        help_text=_("prompts; 0 for all"),
    )
    max_new_tokens = forms.IntegerField(
        min_value=1,
        max_value=4096,
        required=False,
        help_text=_("Longest answer, in tokens. Left empty, it is the model's own, else 80."),
        label=_("Max new tokens"),
    )
    temperature = forms.FloatField(
        min_value=0,
        max_value=2,
        required=False,
        help_text=_(
            "0 always takes the likeliest token. Left empty, it is the model's own, else 0.7."
        ),
        label=_("Temperature"),
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        initial=0,
        help_text=_("The same seed gives the same outputs."),
        label=_("Seed"),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = ModelVersion.objects.filter(project=project).exclude(family=ModelFamily.IMPORTED)
        prompts = Prompt.objects.filter(project=project, held_out=True)
        self.fields["candidates"].queryset = models  # type: ignore[attr-defined]
        self.fields["baseline"].queryset = models  # type: ignore[attr-defined]
        self.fields["judges"].queryset = Annotator.objects.filter(  # type: ignore[attr-defined]
            ~Q(scorer={}) | Q(model__isnull=False), project=project, kind="judge"
        )
        self.fields["category"].choices = [  # type: ignore[attr-defined]
            ("", gettext("all %(count)s") % {"count": prompts.count()}),
            *[(name, name) for name in _categories(prompts)],
        ]
        _ask_for_sampling(self, project)
        if project.modality != Modality.TEXT:
            self.fields["same_seeds"] = forms.BooleanField(
                required=False,
                label=_("The same seeds for all models"),
                help_text=_(
                    "Misleads: nearly any training moves all pictures of a seed one way, so that "
                    "models which learnt nothing win or lose nearly always. For a look at what "
                    "changes, not for a measure."
                ),
            )

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``start_evaluation``."""
        data = self.cleaned_data
        sampling = _sampling_in(data)
        return {
            "name": data["name"],
            "candidates": list(data["candidates"]),
            "baseline": data["baseline"],
            "people": data["people"],
            "judges": list(data["judges"]),
            "category": data["category"],
            "limit": data["limit"] or 0,
            "sampling": sampling,
            "seed": data["seed"],
            "same_seeds": data.get("same_seeds"),
        }


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
    max_new_tokens = EvaluationForm.base_fields["max_new_tokens"]
    temperature = forms.FloatField(
        min_value=0,
        max_value=2,
        required=False,
        label=_("Temperature"),
        help_text=_(
            "Above 0, or two answers of one model are the same. Left empty, it is the model's own, "
            "else 0.7."
        ),
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        label=_("Seed"),
        help_text=_("The same seed gives the same answers: take another one each round."),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = ModelVersion.objects.filter(project=project).exclude(family=ModelFamily.IMPORTED)
        prompts = Prompt.objects.filter(project=project, held_out=False)
        self.fields["model"].queryset = models  # type: ignore[attr-defined]
        self.fields["opponent"].queryset = models  # type: ignore[attr-defined]
        self.fields["category"].choices = [  # type: ignore[attr-defined]
            ("", gettext("all %(count)s") % {"count": prompts.count()}),
            *[(name, name) for name in _categories(prompts)],
        ]
        _ask_for_sampling(self, project)

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``start_round``."""
        data = self.cleaned_data
        sampling = _sampling_in(data)
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
    max_new_tokens = EvaluationForm.base_fields["max_new_tokens"]
    temperature = EvaluationForm.base_fields["temperature"]
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        label=_("Seed"),
        help_text=_("The same seed gives the same outputs: take another one each time."),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = ModelVersion.objects.filter(project=project).exclude(family=ModelFamily.IMPORTED)
        versions = DatasetVersion.objects.filter(project=project).select_related("dataset")
        self.fields["models"].queryset = models  # type: ignore[attr-defined]
        self.fields["version"].queryset = versions  # type: ignore[attr-defined]
        self.fields["category"].choices = [  # type: ignore[attr-defined]
            ("", gettext("all")),
            *[(n, n) for n in _categories(Prompt.objects.filter(project=project))],
        ]
        _ask_for_sampling(self, project)

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
        asked["sampling"] = _sampling_in(data)
        if data["source"] == "typed":
            return {**asked, "prompts": data["prompts"].splitlines()}
        prompt_set = {"category": data["category"], "limit": data["limit"] or 0}
        prompt_set["held_out"] = data["source"] == "held_out"
        if data["source"] == "version":
            prompt_set["version"] = data["version"].pk
        return {**asked, "prompt_set": prompt_set}


def _categories(prompts: QuerySet[Prompt]) -> list[str]:
    """The categories that occur, by name."""
    return sorted(set(prompts.order_by().values_list("category", flat=True).distinct()) - {""})
