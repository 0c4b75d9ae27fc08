"""Win rates by parts of the prompts: their category, their length, their turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import F, Func, IntegerField
from django.utils.translation import gettext as _

from annotation.models import Prompt
from evaluation.engine import slices
from evaluation.models import Evaluation
from evaluation.votes import Cast, Votes
from steelyard.web.plotting import Row

FEWEST = 2
"""Prompts of a slice that a chart has room for."""


@dataclass(frozen=True)
class Sliced:
    """One way of cutting the prompts, with a win rate of each part."""

    title: str
    rows: list[Row]
    left_out: int
    """Slices with a single prompt, which no interval can be given for."""


def sliced(evaluation: Evaluation, votes: Votes, cast: Cast) -> list[Sliced]:
    """By category, by length of the prompt and by turns, where there are two slices or more."""
    if not cast.size:
        return []
    facts = _prompts(evaluation)
    at = [facts[pk] for pk in cast.prompt.tolist()]
    length = np.array([fact[1] for fact in at])
    ways: list[tuple[str, list[Any], Any]] = [
        (_("By category"), [fact[0] or _("(none)") for fact in at], None),
        (_("By length of the prompt"), *_thirds(length)),
        (_("By turns"), [min(fact[2], 4) for fact in at], _turns),
    ]
    found = []
    for title, names, said in ways:
        if len(set(names)) < 2:
            continue
        parts = slices.win_rates(cast.score.tolist(), cast.prompt.tolist(), names)
        rows = [
            Row(
                name=said(part.name) if said else str(part.name),
                value=part.rate.rate,
                lo=part.rate.lo,
                hi=part.rate.hi,
                n=part.rate.prompts,
                note=_("stands out") if part.stands_out else "",
                marked=part.stands_out,
            )
            for part in parts
            if part.rate.prompts >= FEWEST
        ]
        if len(rows) > 1:
            found.append(Sliced(title, rows, len(parts) - len(rows)))
    return found


def _turns(number: Any) -> str:
    if number >= 4:
        return _("four turns or more")
    return [_("no turn"), _("one turn"), _("two turns"), _("three turns")][number]


def _thirds(length: np.ndarray) -> tuple[list[int], Any]:
    """Short, middling and long, by the thirds of what was asked."""
    ends = np.unique(np.quantile(length, [1 / 3, 2 / 3]).round().astype(int))
    at = np.searchsorted(ends, length, side="left")
    edges = [0, *ends.tolist(), None]

    def said(number: Any) -> str:
        low, high = edges[number], edges[number + 1]
        if high is None:
            return _("over %(n)s characters") % {"n": low}
        return (
            _("up to %(n)s characters") % {"n": high}
            if not low
            else (_("%(low)s to %(high)s characters") % {"low": low + 1, "high": high})
        )

    return at.tolist(), said


def _prompts(evaluation: Evaluation) -> dict[int, tuple[str, int, int]]:
    """Category, characters and turns of the user, by pk."""
    asked = "jsonb_path_query_array(%(expressions)s, '$[*] ? (@.role == \"user\")')"
    turns = Func(
        F("messages"), template=f"jsonb_array_length({asked})", output_field=IntegerField()
    )
    chars = Func(
        F("messages"),
        template="length(jsonb_path_query_array(%(expressions)s, '$[*].content')::text) - 4",
        output_field=IntegerField(),
    )
    used = evaluation.comparisons.values("pair__prompt")
    rows = Prompt.objects.filter(pk__in=used).order_by()
    return {
        pk: (category, max(0, length), number)
        for pk, category, length, number in rows.annotate(_chars=chars, _turns=turns).values_list(
            "pk", "category", "_chars", "_turns"
        )
    }
