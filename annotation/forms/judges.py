from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from annotation.forms.material import categories_of
from annotation.forms.shared import name_field
from annotation.models import Annotator
from annotation.scores import TIE_BAND
from annotation.services.judge_checks import (
    ASKING,
    LIMITS,
    MAX_NEW_TOKENS,
    MOST_SAMPLES,
    MOST_SIDE,
    SAMPLING,
)
from annotation.services.judge_checks import MOST_FRAMES as MOST_JUDGED_FRAMES
from annotation.services.judging import DEFAULT_CRITERIA, PROMPTS, WHICH
from annotation.services.scoring import MOST_FRAMES, MOST_TIE_BAND, OF_PICTURES
from steelyard.inference.judging.prompting import LONGEST_TEMPLATE
from steelyard.inference.scorers.base import FRAMES, KINDS
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelFamily, ModelVersion


def _number(label: Any, **more: Any) -> forms.IntegerField:
    return forms.IntegerField(required=False, min_value=1, label=label, **more)


def _money(label: Any, **more: Any) -> forms.FloatField:
    return forms.FloatField(required=False, min_value=0, label=label, **more)


class LimitsForm(forms.Form):
    """How fast a judge asks and what it may cost; empty is without a limit."""

    at_once = _number(_("Questions at once"), help_text=_("4 where it is empty."))
    requests_per_minute = _number(_("Requests a minute"))
    tokens_per_minute = _number(_("Tokens a minute"))
    price_in = _money(_("Price of a million tokens of questions"))
    price_out = _money(_("Price of a million tokens of answers"))
    max_calls = _number(_("Most calls"), help_text=_("Of all its runs together."))
    max_tokens = _number(_("Most tokens"), help_text=_("Of all its runs together."))
    max_cost = _money(_("Most money"), help_text=_("Of all its runs together, by the prices."))

    def limits(self) -> dict[str, Any]:
        """Those that are said."""
        said = {name: self.cleaned_data.get(name) for name in LIMITS}
        return {name: value for name, value in said.items() if value is not None}

    def limit_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in LIMITS]


class JudgeForm(LimitsForm):
    """A judge is a model and what it is told to look for; both stay what they are, and another
    wording is its next version."""

    name = name_field()
    model = forms.ModelChoiceField(
        ModelVersion.objects.none(),
        empty_label=_("choose a model"),
        help_text=_("A language model or an endpoint of this project."),
        label=_("Model"),
    )
    criteria = forms.CharField(
        initial=DEFAULT_CRITERIA,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=_(
            "What it is told to look for. It sees prompt and answers, without model names."
        ),
        label=_("Criteria"),
    )
    rubric = forms.CharField(
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        label=_("Aspects"),
    )
    orders = forms.ChoiceField(
        choices=[
            ("both", _("Both orders; a verdict that changes with the order is a tie")),
            ("random", _("One order, drawn by pair and judge; half as dear")),
        ],
        initial="both",
        widget=forms.RadioSelect,
        label=_("Orders"),
    )
    samples = forms.IntegerField(
        min_value=1,
        max_value=MOST_SAMPLES,
        initial=1,
        label=_("Samples"),
        help_text=_("How often each order is asked; most of them decide. Needs a temperature."),
    )
    temperature = forms.FloatField(
        min_value=0,
        max_value=2,
        initial=0,
        help_text=_("0 always takes the likeliest token."),
        label=_("Temperature"),
    )
    max_new_tokens = forms.IntegerField(
        min_value=1,
        max_value=MAX_NEW_TOKENS,
        initial=256,
        label=_("Longest answer"),
        help_text=_("In tokens; its reasons and the verdict must fit in."),
    )
    max_side = forms.IntegerField(
        min_value=64,
        max_value=MOST_SIDE,
        initial=ASKING["max_side"],
        label=_("Longest side of a picture"),
        help_text=_("In pixels; larger pictures are made smaller before the judge sees them."),
    )
    frames = forms.IntegerField(
        min_value=1,
        max_value=MOST_JUDGED_FRAMES,
        initial=ASKING["frames"],
        label=_("Frames of a clip"),
        help_text=_("How many the judge is shown, spread evenly over the clip."),
    )
    template = forms.CharField(
        required=False,
        max_length=LONGEST_TEMPLATE,
        widget=forms.Textarea(attrs={"rows": 8}),
        label=_("Wording of the question"),
    )
    note = forms.CharField(
        required=False, max_length=300, label=_("Note"), help_text=_("What is new in it.")
    )

    def __init__(
        self, *args: Any, project: Project, judge: Annotator | None = None, **kwargs: Any
    ) -> None:
        if judge is not None:
            kwargs["initial"] = {**_said_of(judge), **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)
        if judge is not None:
            del self.fields["name"]
        # by its field, for rows of other kinds cannot write
        self.fields["model"].queryset = judging_models(project)  # type: ignore[attr-defined]
        if project.modality != Modality.TEXT:
            self.fields["model"].help_text = _(
                "A vision-language model of this project, or an endpoint of one."
            )
        else:
            del self.fields["frames"]
        aspects = project.scheme["aspects"]
        if aspects:
            self.fields["rubric"].help_text = _(
                "That get a verdict of their own, one a line, with what each means after a colon. "
                "The label scheme has: %(names)s."
            ) % {"names": ", ".join(aspects)}
        elif judge is None or not judge.rubric:
            del self.fields["rubric"]
        self.fields["template"].help_text = _(
            "Empty for the shipped wording. Yours must have the places %(needed)s and may have "
            "%(more)s."
        ) % {
            "needed": "{request} {answer_a} {answer_b}",
            "more": "{criteria} {aspects} {form}",
        }

    def main_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name not in LIMITS and name != "template"]

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``create_judge``, or of ``new_judge_version``."""
        data = self.cleaned_data
        plain = [name for name in ("name", "model", "criteria", "template", "note") if name in data]
        asking = [name for name in ASKING if name in data]
        return {
            **{name: data[name] for name in plain},
            "sampling": {name: data[name] for name in SAMPLING},
            "asking": {name: data[name] for name in asking},
            "rubric": _aspects_in(data.get("rubric", "")),
            "limits": self.limits(),
        }


def judging_models(project: Project) -> QuerySet[ModelVersion]:
    """Those that can judge here."""
    families = [ModelFamily.VISION_LANGUAGE, ModelFamily.ENDPOINT]
    if project.modality == Modality.TEXT:
        families += [ModelFamily.CAUSAL_LM, ModelFamily.PIPELINE]
    rows = ModelVersion.objects.filter(project=project, family__in=families).as_they_are()
    return rows.order_by("name")


def writing_models(project: Project) -> QuerySet[ModelVersion]:
    """Those that write text, whether or not they can see."""
    families = [ModelFamily.CAUSAL_LM, ModelFamily.VISION_LANGUAGE, ModelFamily.ENDPOINT]
    rows = ModelVersion.objects.filter(project=project, family__in=families).as_they_are()
    return rows.order_by("name")


def _said_of(judge: Annotator) -> dict[str, Any]:
    """A judge as the form has it."""
    lines = [f"{one['name']}: {one['text']}".rstrip(": ") for one in judge.rubric]
    return {
        "model": judge.model,
        "criteria": judge.criteria,
        "template": judge.template,
        "rubric": "\n".join(lines),
        **SAMPLING,
        **judge.sampling,
        **ASKING,
        **judge.asking,
        **judge.limits,
    }


def _aspects_in(text: str) -> list[dict[str, str]]:
    parts = [line.partition(":") for line in text.splitlines() if line.strip()]
    return [{"name": name.strip(), "text": meant.strip()} for name, _, meant in parts]


class ScorerForm(forms.Form):
    """A scorer and how its numbers become verdicts; both stay what they are."""

    name = name_field()
    kind = forms.ChoiceField(
        choices=[(kind, _(KINDS[kind].words)) for kind in OF_PICTURES], label=_("Scorer")
    )
    source = forms.CharField(
        max_length=500,
        label=_("Source"),
        help_text=_(
            "The CLIP model's folder on the server or hub name (HPSv2: a CLIP ViT-H-14; the "
            "aesthetic predictor: CLIP ViT-L/14); of a scorer over HTTP its address; of one in an "
            "environment of its own the name that the operator has given it."
        ),
    )
    weights = forms.CharField(
        max_length=500,
        required=False,
        label=_("File of weights"),
        help_text=_(
            "On the server; HPSv2's checkpoint or the linear head of the aesthetic predictor."
        ),
    )
    api_key = forms.CharField(
        max_length=500,
        required=False,
        label=_("Key"),
        help_text=_("Of a scorer over HTTP; never shown again."),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    dimension = forms.CharField(
        max_length=60,
        required=False,
        label=_("Dimension"),
        help_text=_("Which number decides, where a scorer gives several; empty for its first."),
    )
    tie_band = forms.FloatField(
        min_value=0,
        max_value=MOST_TIE_BAND,
        initial=TIE_BAND,
        label=_("Tie band"),
        help_text=_(
            "A difference of at most so much of the usual difference (the root mean square) is a "
            "tie."
        ),
    )
    frames = forms.IntegerField(
        min_value=1,
        max_value=MOST_FRAMES,
        initial=FRAMES,
        label=_("Frames"),
        help_text=_("How many frames of a clip are scored, drawn evenly."),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if project.modality != Modality.VIDEO:
            del self.fields["frames"]

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``create_scorer``."""
        return dict(self.cleaned_data)


class JudgeRunForm(forms.Form):
    """Which pairs a judge is to be shown."""

    which = forms.ChoiceField(
        choices=list(WHICH.items()), initial="unjudged", widget=forms.RadioSelect, label=_("Pairs")
    )
    category = forms.ChoiceField(required=False, label=_("Category"))
    prompts = forms.ChoiceField(
        required=False, choices=list(PROMPTS.items()), label=_("Prompts"), initial=""
    )
    limit = forms.IntegerField(
        required=False, min_value=0, initial=0, label=_("At most"), help_text=_("Pairs; 0 for all.")
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["category"].choices = [  # type: ignore[attr-defined]
            ("", _("all")),
            *((name, name) for name in categories_of(project)),
        ]

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``pairs_for``."""
        return {**self.cleaned_data, "limit": self.cleaned_data["limit"] or 0}
