"""Which of an evaluation's comparisons somebody wants to see."""

from __future__ import annotations

from time import monotonic
from typing import Any

from django import forms
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.expressions import RawSQL
from django.db.models.fields.json import KT
from django.utils.translation import gettext_lazy as _

from annotation.models import Annotator, Judgment, Prompt
from evaluation.forms_filters import not_read
from evaluation.models import Comparison, Evaluation
from evaluation.querysets import ComparisonQuerySet
from steelyard.registry.models import ModelVersion

STRONG = 2
"""The strength from which a loss is a strong one."""
MOST_READ = 20_000
"""Comparisons whose texts a search for words reads at a time. No index holds the texts: it would
have to be kept with every output that comes in, for what is asked now and then. With one of their
words an import of answers of a thousand characters takes three times the processor's time."""
SECONDS = 2.0
"""So long a search goes on to read; what is left then is read when it is asked for."""
KINDS = {
    "disagree": _("a judge and people say the opposite"),
    "people": _("people say the opposite of each other"),
    "flips": _("a judge says otherwise when the answers change places"),
    "losses": _("strong losses of the new model"),
    "wins": _("strong wins of the new model"),
    "invalid": _("a judge’s answer could not be read"),
    "unjudged": _("no votes yet"),
}


class ExplorerFilter(forms.Form):
    """What makes no sense is told in ``not_read`` and is as if it were not said."""

    candidate = forms.ModelChoiceField(
        ModelVersion.objects.none(), required=False, empty_label=_("all"), label=_("New model")
    )
    show = forms.ChoiceField(
        choices=[("", _("all")), *KINDS.items()], required=False, label=_("Only where")
    )
    judge = forms.ModelChoiceField(
        Annotator.objects.none(), required=False, empty_label=_("any"), label=_("Judge")
    )
    category = forms.ChoiceField(required=False, label=_("Category"))
    q = forms.CharField(required=False, max_length=200, label=_("With the words"))
    after = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
    """Only words are looked for behind it: comparisons until this one were read before."""

    def __init__(self, *args: Any, evaluation: Evaluation, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "filter-%s", **kwargs})
        self.evaluation = evaluation
        self.read_until: int | None = None
        """The last comparison that was read for the words, where others are left; see rows."""
        self.n_read = 0
        """How many were."""
        pairs = evaluation.comparisons.values("pair")
        prompts = Prompt.objects.filter(pk__in=evaluation.comparisons.values("pair__prompt"))
        voted = Judgment.objects.current().by_judges().filter(pair__in=pairs)
        fields: Any = self.fields
        fields["candidate"].queryset = evaluation.candidates.order_by("name")
        fields["judge"].queryset = Annotator.objects.filter(
            pk__in=voted.order_by().values("annotator")
        )
        found = set(prompts.order_by().values_list("category", flat=True).distinct()) - {""}
        fields["category"].choices = [("", _("all")), *((c, c) for c in sorted(found))]
        self.full_clean()
        self.not_read = not_read(self)
        for name, few in (("category", not found), ("judge", not fields["judge"].queryset)):
            if few:
                del self.fields[name]

    @property
    def is_set(self) -> bool:
        return any(self.cleaned_data.values())

    def rows(self) -> ComparisonQuerySet:
        said = self.cleaned_data
        rows = comparisons_like(self.evaluation, said.get("show") or "", said.get("judge"))
        if said.get("candidate"):
            rows = rows.filter(candidate=said["candidate"])
        if said.get("category"):
            rows = rows.filter(pair__prompt__category=said["category"])
        if said.get("q"):
            found = self._with(said["q"], rows, said.get("after") or 0)
            # as one value: there may be as many as comparisons
            rows = rows.filter(pk__in=RawSQL("select unnest(%s::bigint[])", [found]))
        return rows

    def _with(self, words: str, rows: ComparisonQuerySet, after: int) -> list[int]:
        """The keys of those that have the words, of those behind ``after`` that are read now. Every
        text is read once, not for the count and again for the page."""
        found: list[int] = []
        until = monotonic() + SECONDS
        while True:
            read = self._to_read(rows.filter(pk__gt=after))
            found += read.filter(_with_words(read, words)).values_list("pk", flat=True)
            if self.read_until is None or monotonic() >= until:
                return found
            after = self.read_until

    def _to_read(self, rows: ComparisonQuerySet) -> ComparisonQuerySet:
        """The first of those that the other filters leave."""
        last = list(rows.values_list("pk", flat=True)[MOST_READ - 1 : MOST_READ])
        if last and rows.filter(pk__gt=last[0]).exists():
            self.read_until = last[0]
            self.n_read += MOST_READ
            return rows.filter(pk__lte=last[0])
        self.read_until = None
        return rows


def comparisons_like(
    evaluation: Evaluation, kind: str = "", judge: Annotator | None = None
) -> ComparisonQuerySet:
    """Comparisons of one of :data:`KINDS`, all where it is none of them.

    Args:
        judge: whom disagreements, flips and unreadable answers are to be of.
    """
    rows = Comparison.objects.filter(evaluation=evaluation).order_by("pk")
    said = Judgment.objects.current().filter(pair=OuterRef("pair"))
    decisive = said.exclude(outcome="skip").standing(evaluation.project)
    by_judge = said.by_judges().filter(annotator=judge) if judge else said.by_judges()
    people = decisive.by_people()
    if kind == "disagree":
        judges = decisive.by_judges().filter(annotator=judge) if judge else decisive.by_judges()
        one_way = Exists(people.filter(outcome="a")) & Exists(judges.filter(outcome="b"))
        other_way = Exists(people.filter(outcome="b")) & Exists(judges.filter(outcome="a"))
        return rows.filter(one_way | other_way)
    if kind == "people":
        return rows.filter(Exists(people.filter(outcome="a")), Exists(people.filter(outcome="b")))
    if kind == "flips":
        orders = by_judge.annotate(
            first=KT("details__orders__0__outcome"), second=KT("details__orders__1__outcome")
        )
        return rows.filter(Exists(orders.exclude(first=F("second")).filter(second__isnull=False)))
    if kind in ("losses", "wins"):
        for_a, for_b = Q(strength__lte=-STRONG), Q(strength__gte=STRONG)
        if kind == "losses":
            for_a, for_b = for_b, for_a
        told = decisive.filter(annotator=judge) if judge else decisive
        won = Q(Exists(told.filter(for_a)), candidate_is_a=True)
        return rows.filter(won | Q(Exists(told.filter(for_b)), candidate_is_a=False))
    if kind == "invalid":
        return rows.filter(Exists(by_judge.filter(details__has_key="invalid")))
    if kind == "unjudged":
        return rows.filter(~Exists(decisive))
    return rows


def _with_words(rows: ComparisonQuerySet, words: str) -> Q:
    """In the prompt, in either output, or in what was said of them."""
    rows = rows.order_by()
    prompts = Prompt.objects.filter(pk__in=rows.values("pair__prompt")).saying(words).order_by()
    reasons = Judgment.objects.filter(pair__in=rows.values("pair"), rationale__icontains=words)
    return (
        Q(pair__prompt__in=prompts.values("pk"))
        | Q(pair__output_a__text__icontains=words)
        | Q(pair__output_b__text__icontains=words)
        | Q(pair__in=reasons.order_by().values("pair"))
    )


def counts(evaluation: Evaluation) -> list[tuple[str, Any, int]]:
    """Key, words and number of the kinds that occur."""
    found = [
        (kind, words, comparisons_like(evaluation, kind).count()) for kind, words in KINDS.items()
    ]
    return [one for one in found if one[2]]
