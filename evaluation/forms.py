from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.models import Annotator, Prompt
from evaluation.models import PromptSet
from evaluation.plan import PAIRS, STOPS
from evaluation.prompt_sets import MAX_BYTES, make_set, set_from_file
from evaluation.prompts import SOURCES
from evaluation.sampling import SAMPLING
from evaluation.services_round import MOST_SAMPLES
from steelyard.accounts.models import User
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


def _newest_first(models: QuerySet[ModelVersion]) -> QuerySet[ModelVersion]:
    """Those of one run together, its checkpoints by step and then what it ended with."""
    made = Coalesce("made_by__created_at", "created_at")
    step = F("options__checkpoint__step").asc(nulls_last=True)
    return models.order_by(made.desc(), "-made_by", step, "-created_at")


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
    questions = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=_("Aspects with a win rate of their own"),
        help_text=_("Besides the overall verdict; people are asked all of the label scheme's."),
    )
    source = forms.ChoiceField(choices=list(SOURCES.items()), label=_("Prompts"), required=False)
    version = forms.ModelChoiceField(
        DatasetVersion.objects.none(),
        required=False,
        label=_("Dataset version"),
        help_text=_("Only for the test split of one. Models must not have been trained on it."),
    )
    set = forms.ModelChoiceField(
        PromptSet.objects.none(),
        required=False,
        label=_("Prompt set"),
        help_text=_("Only for prompts of a set."),
    )
    category = forms.ChoiceField(required=False, label=_("Category"))
    limit = forms.IntegerField(
        min_value=0,
        initial=0,
        required=False,
        label=_("At most"),
        help_text=_("prompts; 0 for all"),
    )
    pairs = forms.ChoiceField(
        choices=list(PAIRS.items()), required=False, label=_("Pairs that people are asked about")
    )
    stop = forms.ChoiceField(choices=list(STOPS.items()), required=False, label=_("People stop"))
    budget = forms.IntegerField(
        min_value=1,
        required=False,
        label=_("Budget"),
        help_text=_("votes of people at most; empty for no limit"),
    )
    delta = forms.FloatField(
        min_value=0.005,
        max_value=0.25,
        initial=0.05,
        required=False,
        label=_("A difference that would not matter"),
        help_text=_("from 50 %, as a share: only where people stop once the answer is sure"),
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
        models = _newest_first(
            ModelVersion.objects.filter(project=project, modality=project.modality)
        )
        prompts = Prompt.objects.filter(project=project)
        versions = DatasetVersion.objects.filter(project=project).select_related("dataset")
        sets = PromptSet.objects.filter(project=project)
        aspects = project.scheme["aspects"]
        self.fields["version"].queryset = versions  # type: ignore[attr-defined]
        self.fields["set"].queryset = sets  # type: ignore[attr-defined]
        self.fields["questions"].choices = [(a, a) for a in aspects]  # type: ignore[attr-defined]
        if not aspects:
            del self.fields["questions"]
        self.fields["candidates"].queryset = models  # type: ignore[attr-defined]
        self.fields["baseline"].queryset = models  # type: ignore[attr-defined]
        self.fields["judges"].queryset = Annotator.objects.filter(  # type: ignore[attr-defined]
            ~Q(scorer={}) | Q(model__isnull=False) | Q(is_jury=True), project=project, kind="judge"
        )
        self.fields["category"].choices = [  # type: ignore[attr-defined]
            ("", gettext("all")),
            *[(name, name) for name in _categories(prompts)],
        ]
        _ask_for_sampling(self, project)
        self.fields["preset"] = forms.CharField(required=False, widget=forms.HiddenInput)
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

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Its fields under the headings of the page."""
        heads = {
            "": ("preset", "name", "candidates", "baseline"),
            gettext("Who compares"): ("people", "judges", "questions"),
            gettext("Prompts"): ("source", "version", "set", "category", "limit"),
            gettext("How people are asked"): ("pairs", "stop", "budget", "delta"),
        }
        named = {name for names in heads.values() for name in names}
        rest = tuple(name for name in self.fields if name not in named)
        heads[gettext("How the models answer")] = rest
        return [
            (head, [self[name] for name in names if name in self.fields])
            for head, names in heads.items()
        ]

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        source = data.get("source")
        if source == "version" and not data.get("version") and "version" not in self.errors:
            self.add_error("version", gettext("Choose the version whose prompts are meant."))
        if source == "set" and not data.get("set") and "set" not in self.errors:
            self.add_error("set", gettext("Choose the prompt set that is meant."))
        return data

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``start_evaluation``."""
        data = self.cleaned_data
        names = ("name", "baseline", "people", "seed", "preset")
        source = data["source"] or "held_out"
        prompt_set = {"source": source, "category": data["category"], "limit": data["limit"] or 0}
        if source != "held_out":
            prompt_set[source] = data[source].pk
        return {
            **{name: data[name] for name in names},
            "candidates": list(data["candidates"]),
            "judges": list(data["judges"]),
            "questions": data.get("questions", []),
            "prompt_set": prompt_set,
            "plan": self._plan() if data["people"] else None,
            "sampling": _sampling_in(data),
            "same_seeds": data.get("same_seeds"),
        }

    def _plan(self) -> dict[str, Any]:
        said = {name: self.cleaned_data[name] for name in ("pairs", "stop", "budget", "delta")}
        return {name: value for name, value in said.items() if value not in {None, ""}}


class PromptSetForm(forms.Form):
    """What a prompt set is made of; the services check what the form cannot."""

    name = forms.CharField(max_length=150, label=_("Name"))
    note = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2}), label=_("Note")
    )
    source = forms.ChoiceField(
        choices=[
            ("held_out", _("held-out prompts of this project")),
            ("any", _("any prompts of this project")),
            ("version", _("the test split of a dataset version")),
            ("file", _("those of a file")),
        ],
        label=_("Prompts"),
    )
    version = forms.ModelChoiceField(
        DatasetVersion.objects.none(),
        required=False,
        label=_("Dataset version"),
        help_text=_("Only for the test split of one."),
    )
    category = forms.ChoiceField(required=False, label=_("Category"))
    draw = forms.IntegerField(
        min_value=0,
        initial=0,
        required=False,
        label=_("Draw"),
        help_text=_("so many prompts, by the seed; 0 for all"),
    )
    seed = forms.IntegerField(
        min_value=0, max_value=2**31 - 1, initial=0, required=False, label=_("Seed")
    )
    file = forms.FileField(
        required=False,
        label=_("File"),
        help_text=_(
            "JSON Lines with “prompt” or “turns”, or CSV with a column “prompt”. New prompts are "
            "held out."
        ),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions = DatasetVersion.objects.filter(project=project).select_related("dataset")
        self.fields["version"].queryset = versions  # type: ignore[attr-defined]
        self.fields["category"].choices = [  # type: ignore[attr-defined]
            ("", gettext("all")),
            *[(n, n) for n in _categories(Prompt.objects.filter(project=project))],
        ]

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("source") == "version" and not data.get("version"):
            self.add_error("version", gettext("Choose the version whose prompts are meant."))
        if data.get("source") == "file" and not data.get("file"):
            self.add_error("file", gettext("Choose the file."))
        return data

    def make(self, *, project: Project, by: User) -> PromptSet:
        """
        Raises:
            UserError: as :func:`make_set` and :func:`set_from_file`.
        """
        data = self.cleaned_data
        said = {"project": project, "name": data["name"], "note": data["note"], "by": by}
        if data["source"] == "file":
            file = data["file"]
            return set_from_file(**said, data=file.read(MAX_BYTES + 1), filename=file.name)
        return make_set(
            **said,
            held_out=True if data["source"] == "held_out" else None,
            version=data["version"].pk if data["source"] == "version" else None,
            category=data["category"],
            draw=data["draw"] or 0,
            seed=data["seed"] or 0,
        )


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
        models = ModelVersion.objects.filter(project=project, modality=project.modality).exclude(
            family=ModelFamily.IMPORTED
        )
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
        models = ModelVersion.objects.filter(project=project, modality=project.modality).exclude(
            family=ModelFamily.IMPORTED
        )
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
