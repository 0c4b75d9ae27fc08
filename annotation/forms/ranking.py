from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.forms.evidence import Texts, listed, to_source
from annotation.forms.exposure import DAY_MS, measured_of_set
from annotation.forms.verdict import JSON_LIMIT
from annotation.services.checking import RATIONALE_LIMIT
from annotation.services.known_orders import REASON_LIMIT
from annotation.services.ranking import Order
from annotation.tiers import tiers_of
from steelyard.projects.models import Project


class OrderForm(forms.Form):
    """A rank for each output of a set, 1 the best, equal ones tied."""

    def __init__(self, *args: Any, outputs: Sequence[int] = (), **kwargs: Any) -> None:
        """
        Args:
            outputs: numbers of the set's outputs.
        """
        super().__init__(*args, **kwargs)
        self.outputs = outputs
        for pk in outputs:
            self.fields[f"rank_{pk}"] = forms.TypedChoiceField(
                required=False,
                coerce=int,
                empty_value=None,
                choices=[(rank, rank) for rank in range(1, len(outputs) + 1)],
            )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        ranked = all(data.get(f"rank_{pk}") is not None for pk in self.outputs)
        # in training nothing is skipped
        if not ranked and (data.get("training") or not data.get("skip")):
            self.add_error(None, _("Give every answer a rank first."))
        return data

    @property
    def tiers(self) -> list[list[int]]:
        return tiers_of({pk: self.cleaned_data[f"rank_{pk}"] for pk in self.outputs})


class KnownOrderForm(OrderForm):
    """The right order of a set's outputs, and why it is right."""

    reason = forms.CharField(required=False, max_length=REASON_LIMIT, widget=forms.Textarea)


class RankForm(OrderForm):
    """An order as the ranking page sends it.

    ``pair`` is the set's number: it is called as on the labelling page, so that what keeps drafts
    and sends verdicts there does so here.
    """

    pair = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    uuid = forms.UUIDField(widget=forms.HiddenInput)
    supersedes = forms.UUIDField(required=False, widget=forms.HiddenInput)
    training = forms.IntegerField(
        required=False, min_value=1, max_value=32_767, widget=forms.HiddenInput
    )
    skip = forms.BooleanField(required=False)
    skip_reason = forms.ChoiceField(required=False)
    rationale = forms.CharField(
        required=False,
        max_length=RATIONALE_LIMIT,
        widget=forms.Textarea,
        error_messages={
            "max_length": _(
                "The rationale has %(show_value)d characters; at most %(limit_value)d are kept. "
                "Shorten it; nothing is cut off."
            )
        },
    )
    tags = forms.MultipleChoiceField(required=False)
    evidence = forms.CharField(required=False, max_length=JSON_LIMIT, widget=forms.HiddenInput)
    duration_ms = forms.IntegerField(required=False, widget=forms.HiddenInput)
    exposure = forms.CharField(required=False, max_length=10_000, widget=forms.HiddenInput)

    def __init__(self, *args: Any, project: Project, texts: Texts = dict, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.texts = texts
        scheme = project.scheme
        for name, words in (("tags", scheme["tags"]), ("skip_reason", scheme["skip_reasons"])):
            self.fields[name].choices = [(word, word) for word in words]  # type: ignore[attr-defined]

    def clean_duration_ms(self) -> int | None:
        """A measurement that cannot be true is none; it never stands in a ranking's way."""
        value = self.cleaned_data["duration_ms"]
        return value if value is not None and 0 <= value <= DAY_MS else None

    def clean_evidence(self) -> list[dict[str, Any]]:
        """The page says both the letter of its screen and the output; the letter stays there."""
        items = [
            {key: item[key] for key in item if key != "side"}
            for item in listed(self.cleaned_data["evidence"])
        ]
        return to_source(items, self.texts, where="output")

    def as_order(self) -> Order:
        data = self.cleaned_data
        skipped = data["skip"]
        return Order(
            uuid=data["uuid"],
            tiers=[] if skipped else self.tiers,
            skipped=skipped,
            skip_reason=data["skip_reason"] if skipped else "",
            rationale=data["rationale"],
            tags=data["tags"],
            evidence=data["evidence"],
            exposure=measured_of_set(data["exposure"], self.outputs),
            duration_ms=data["duration_ms"],
        )
