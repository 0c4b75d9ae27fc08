"""Who agrees with whom in a project, from a sample of its votes where there are very many."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from django.db.models import BigIntegerField, Case, F, Func, IntegerField, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Mod

from annotation.models import Annotator, Judgment
from annotation.querysets import JudgmentQuerySet
from evaluation.engine import agreement, position
from evaluation.numbers import read_numbers
from steelyard.projects.models import Project
from steelyard.web.plotting import Row

MOST_VOTES = 30_000
"""Of more a sample of pairs is looked at, each with all its votes."""
MOST_NAMES = 24
"""Annotators that the matrix has room for: those with the most pairs in common with others."""
_SAID = {"b": 0, "tie": 1, "a": 2, "both_bad": 3}
_SCORE = np.array([0.0, 0.5, 1.0, 0.5])

Cells = dict[tuple[int, int], tuple[float | None, int]]


@dataclass(frozen=True)
class Agreeing:
    names: list[str]
    raw: Cells
    kappa: Cells
    left_out: int
    """Annotators with pairs in common for whom the matrix has no room."""
    people: agreement.Agreement | None
    """Of people alone; None where no two have judged one pair."""
    ceiling: agreement.Ceiling | None
    habits: list[position.Position]
    """``annotator`` is an :class:`Annotator`."""
    votes: int
    """Looked at."""
    of: int
    """Votes that there are."""
    step: int
    """One pair in so many is looked at."""

    @property
    def positions(self) -> list[Row]:
        return [
            Row(
                name=one.annotator.name,
                value=one.first.rate,
                lo=one.first.lo,
                hi=one.first.hi,
                n=one.first.prompts,
                marked=one.biased,
                colour=1 if one.annotator.kind == "judge" else 0,
            )
            for one in self.habits
        ]


def agreeing(project: Project, *, most: int = MOST_VOTES) -> Agreeing:
    """Raw agreement and Cohen's κ of each two annotators, coefficients and ceiling of people, and
    each one's preference for the side shown first. Withdrawn votes count for nothing."""
    cast = Judgment.objects.decisive().standing(project).filter(project=project)
    total = cast.count()
    step = max(1, math.ceil(total / most))
    if step > 1:
        lot = "abs(hashint8(%(expressions)s)::bigint)"
        drawn = Func(F("pair_id"), template=lot, output_field=BigIntegerField())
        cast = cast.alias(lot=Mod(drawn, step)).filter(lot=0)
    votes = _read(cast)
    names = Annotator.objects.in_bulk(np.unique(votes["annotator"]).tolist())
    tables, ids = _tables(votes)
    shown = _shown(tables)
    raw, kappa = _cells(tables, shown)
    person = np.isin(votes["annotator"], [pk for pk in names if names[pk].kind == "person"])
    return Agreeing(
        names=[_name(names[ids[at]]) for at in shown],
        raw=raw,
        kappa=kappa,
        left_out=int((tables.sum(axis=(1, 2, 3)) > 0).sum()) - len(shown),
        people=_of_people(votes, person, project),
        ceiling=_ceiling(votes, person),
        habits=_habits(cast, votes, names, person),
        votes=int(votes["pair"].size),
        of=total,
        step=step,
    )


def _name(annotator: Annotator) -> str:
    return f"{annotator.name} (AI)" if annotator.kind == "judge" else annotator.name


def _read(cast: JudgmentQuerySet) -> dict[str, np.ndarray]:
    whole = IntegerField()
    said = Case(*(When(outcome=o, then=Value(c)) for o, c in _SAID.items()), output_field=whole)
    turned = [When(swapped=True, then=Value(1)), When(swapped=False, then=Value(0))]
    order = Case(*turned, default=Value(-1), output_field=whole)
    cast = cast.order_by("pair_id", "annotator_id")
    rows = cast.values_list("pair_id", "pair__prompt_id", "annotator_id", said, order)
    return read_numbers(rows, pair="i8", prompt="i8", annotator="i8", said="i8", swapped="i8")


def _tables(votes: dict[str, np.ndarray]) -> tuple[np.ndarray, list[int]]:
    """What each two annotators said of the pairs that both have judged, shape (A, A, 4, 4); and
    who they are."""
    ids, who = np.unique(votes["annotator"], return_inverse=True)
    tables = np.zeros((ids.size, ids.size, 4, 4), dtype=np.int64)
    pair, said = votes["pair"], votes["said"]
    for lag in range(1, pair.size):
        same = np.flatnonzero(pair[lag:] == pair[:-lag])
        if not same.size:
            break
        one, other = same, same + lag
        np.add.at(tables, (who[one], who[other], said[one], said[other]), 1)
        np.add.at(tables, (who[other], who[one], said[other], said[one]), 1)
    return tables, ids.tolist()


def _shown(tables: np.ndarray) -> list[int]:
    common = tables.sum(axis=(1, 2, 3))
    most = np.argsort(-common, kind="stable")[:MOST_NAMES]
    return sorted(at for at in most.tolist() if common[at])


def _cells(tables: np.ndarray, shown: list[int]) -> tuple[Cells, Cells]:
    raw: Cells = {}
    kappa: Cells = {}
    for i, one in enumerate(shown):
        for j, other in enumerate(shown):
            table = tables[one, other]
            n = int(table.sum())
            if i == j or not n:
                continue
            equal = float(np.trace(table)) / n
            chance = float((table.sum(axis=0) * table.sum(axis=1)).sum()) / n**2
            raw[i, j] = equal, n
            kappa[i, j] = ((equal - chance) / (1.0 - chance) if chance < 1.0 else None), n
    return raw, kappa


def _of_people(
    votes: dict[str, np.ndarray], person: np.ndarray, project: Project
) -> agreement.Agreement | None:
    if not person.any():
        return None
    # what nobody could say is no category: AC1 would take chance for rarer than it is
    could = {outcome for outcome in ("tie", "both_bad") if project.scheme[outcome]}
    said = {_SAID[outcome] for outcome in {"a", "b"} | could}
    found = agreement.agreement(
        votes["pair"][person].tolist(),
        votes["annotator"][person].tolist(),
        votes["said"][person].tolist(),
        sorted(said | set(votes["said"][person].tolist())),
    )
    return found if found.items else None


def _ceiling(votes: dict[str, np.ndarray], person: np.ndarray) -> agreement.Ceiling | None:
    if not person.any():
        return None
    found = agreement.human_ceiling(
        votes["pair"][person].tolist(),
        votes["annotator"][person].tolist(),
        votes["said"][person].tolist(),
    )
    return found if found.items else None


def _habits(
    cast: JudgmentQuerySet,
    votes: dict[str, np.ndarray],
    names: dict[int, Annotator],
    person: np.ndarray,
) -> list[position.Position]:
    """Of people the sides are drawn for each; of judges only those that were asked in both orders
    tell anything, one vote an order."""
    told = person & (votes["swapped"] >= 0)
    who = votes["annotator"][told].tolist()
    prompts, pairs = votes["prompt"][told].tolist(), votes["pair"][told].tolist()
    scores = _SCORE[votes["said"][told]].tolist()
    swapped = (votes["swapped"][told] == 1).tolist()
    orders = cast.by_judges().annotate(
        first=KT("details__orders__0__outcome"),
        turned=KT("details__orders__0__swapped"),
        second=KT("details__orders__1__outcome"),
    )
    rows = orders.filter(first__in=_SAID, second__in=_SAID).order_by("pk")
    columns = ("annotator_id", "pair__prompt_id", "pair_id", "first", "second", "turned")
    for annotator, prompt, pair, first, second, turned in rows.values_list(*columns):
        for outcome, order in ((first, turned == "true"), (second, turned != "true")):
            who.append(annotator)
            prompts.append(prompt)
            pairs.append(pair)
            scores.append(float(_SCORE[_SAID[outcome]]))
            swapped.append(order)
    if not who:
        return []
    found = position.position_bias(who, prompts, pairs, scores, swapped)
    named = [position.Position(**{**vars(one), "annotator": names[one.annotator]}) for one in found]
    return sorted(named, key=lambda one: (one.annotator.kind != "person", one.annotator.name))
