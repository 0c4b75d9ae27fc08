from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.forms.material import categories_of
from annotation.scores import TIE_BAND
from annotation.services.judge_checks import MAX_NEW_TOKENS
from annotation.services.judging import DEFAULT_CRITERIA, PROMPTS, WHICH
from annotation.services.scoring import MOST_FRAMES, MOST_TIE_BAND
from steelyard.inference.scorers.base import FRAMES, KINDS
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelFamily, ModelVersion


class JudgeForm(forms.Form):
    """A judge is a model and what it is told to look for; both stay what they are."""

    name = forms.CharField(max_length=150, help_text=_("Shown beside its votes."), label=_("Name"))
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

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = ModelVersion.objects.filter(project=project, modality=Modality.TEXT)
        self.fields["model"].queryset = models.exclude(  # type: ignore[attr-defined]
            family=ModelFamily.IMPORTED
        ).order_by("name")

    def as_request(self) -> dict[str, Any]:
        """The keyword arguments of ``create_judge``."""
        data = self.cleaned_data
        sampling = {key: data[key] for key in ("temperature", "max_new_tokens")}
        return {**{key: data[key] for key in ("name", "model", "criteria")}, "sampling": sampling}


class ScorerForm(forms.Form):
    """A scorer and how its numbers become verdicts; both stay what they are."""

    name = forms.CharField(
        max_length=150, help_text=_("Shown beside its verdicts."), label=_("Name")
    )
    kind = forms.ChoiceField(
        choices=[(kind, _(told.words)) for kind, told in KINDS.items()], label=_("Scorer")
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
