"""Who met whom in an evaluation, and what people said: comparisons as arrays, in the order in which
their votes were complete; of votes that came in together, in the order drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db.models import Count, Exists, F, FloatField, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Extract

from annotation.models import Judgment
from evaluation.drawn import came_in, places_of, with_ties
from evaluation.models import Evaluation
from evaluation.numbers import SCORE_OF_A, flag, outcome_number, read_numbers
from evaluation.plan import Plan
from evaluation.querysets import ComparisonQuerySet
from steelyard.registry.models import ModelVersion


@dataclass(frozen=True)
class Met:
    """Comparisons on which all that was asked for has been said; arrays of one length."""

    prompt: np.ndarray
    i: np.ndarray
    j: np.ndarray
    """Which of the contestants they are of; the candidate first, so that 0 is only among j."""
    y: np.ndarray
    """Mean score of i, ties as half: one a comparison, however many votes it has."""
    probability: np.ndarray
    """With which it was asked about; 0 where all pairs are."""
    by_chance: np.ndarray
    vote_i: np.ndarray
    vote_j: np.ndarray
    vote_at: np.ndarray
    """Of every vote, also on comparisons that want more of them: the models, and when it was cast,
    in seconds since 1970."""
    vote_before: np.ndarray
    """Which of them had been cast before the evaluation asked: they tell as much as any other, and
    no budget paid for them."""
    ties: np.ndarray
    """Pairs of two identical outputs among the comparisons."""

    def against_baseline(self, model: int) -> np.ndarray:
        """The scores of a candidate against the baseline, one a prompt."""
        return self.y[(self.i == model) & (self.j == 0)]

    def later(self, model: int | None, at: float) -> int:
        """How many votes on a candidate's comparisons, or on any, were cast after a moment."""
        own = np.ones(self.vote_at.size, dtype=bool)
        if model is not None:
            own = (self.vote_i == model) | (self.vote_j == model)
        return int((own & (self.vote_at > at)).sum())


def asked(evaluation: Evaluation) -> ComparisonQuerySet:
    """The comparisons that people are asked about: all of them, or those of the batches so far."""
    rows = evaluation.comparisons.all()
    return rows.exclude(asked_at=None) if evaluation.plan else rows


def met(evaluation: Evaluation, models: list[ModelVersion]) -> Met:
    """What people have said so far, less what has been withdrawn.

    Two identical outputs are a tie that nobody need be asked about; they count as the order in
    which pairs are asked about comes to them (:func:`evaluation.drawn.with_ties`).
    """
    rows = asked(evaluation)
    of = _comparisons(rows)
    cast = Judgment.objects.decisive().by_people().standing(evaluation.project)
    votes = _votes(cast.filter(pair__in=rows.order_by().values("pair")))
    number = {model.pk: at for at, model in enumerate(models)}
    known = np.array(sorted(number))
    place = np.array([number[pk] for pk in sorted(number)])
    i = place[np.searchsorted(known, of["candidate"])]
    j = np.where(of["opponent"] == 0, 0, place[np.searchsorted(known, of["opponent"]) % known.size])
    at = np.searchsorted(of["pair"], votes["pair"])
    since = of["asked"] if evaluation.plan else np.full(of["pair"].size, _created(evaluation))
    n = np.bincount(at, minlength=of["pair"].size).astype(float)
    of_a = np.bincount(at, weights=votes["score"], minlength=n.size) / np.maximum(n, 1.0)
    when = np.zeros(n.size)
    np.maximum.at(when, at, came_in(votes["at"], votes["from_file"] == 1, since[at]))
    same = np.isin(of["pair"], _identical(rows))
    done = (n > 0) & (of["complete"] == 1) & ~same
    place = places_of(evaluation, of["prompt"])
    if Plan.of(evaluation.plan).is_active:
        # batch after batch, any two models
        drawn = np.lexsort((of["pair"], place, of["asked"]))
        place[drawn] = np.arange(drawn.size)
        done, when = with_ties(place, same, done, when)
    else:
        for candidate in np.unique(of["candidate"]):
            own = of["candidate"] == candidate
            done[own], when[own] = with_ties(place[own], same[own], done[own], when[own])
    y = np.where(same, 0.5, np.where(of["is_a"] == 1, of_a, 1.0 - of_a))
    order = np.flatnonzero(done)
    order = order[np.lexsort((of["pair"][order], place[order], when[order]))]
    return Met(
        prompt=of["prompt"][order],
        i=i[order],
        j=j[order],
        y=y[order],
        probability=of["probability"][order],
        by_chance=of["by_chance"][order] == 1,
        vote_i=i[at],
        vote_j=j[at],
        vote_at=votes["at"],
        vote_before=votes["at"] < since[at],
        ties=of["pair"][order][same[order]],
    )


def waiting(evaluation: Evaluation) -> dict[tuple[int, int], int]:
    """By candidate and opponent, 0 for the baseline: comparisons with votes of people that are not
    yet all that was asked for, so that a win rate has them and :func:`met` does not."""
    done = Q(pair__judged__gte=F("pair__wanted"))
    if evaluation.plan:
        done &= Q(asked_at__isnull=False)
    cast = Judgment.objects.decisive().by_people().standing(evaluation.project)
    rows = evaluation.comparisons.exclude(done).filter(
        Exists(cast.order_by().filter(pair=OuterRef("pair")))
    )
    rows = rows.exclude(pk__in=evaluation.comparisons.identical().values("pk"))
    found = rows.order_by().values_list("candidate", Coalesce("opponent_id", 0))
    return {(one, other): n for one, other, n in found.annotate(n=Count("pk"))}


def _created(evaluation: Evaluation) -> float:
    return evaluation.created_at.timestamp()


def _comparisons(rows: ComparisonQuerySet) -> dict[str, np.ndarray]:
    complete = flag(Q(pair__judged__gte=F("pair__wanted")))
    return read_numbers(
        rows.order_by("pair_id").values_list(
            "pair_id",
            "pair__prompt_id",
            "candidate_id",
            Coalesce("opponent_id", 0),
            flag(Q(candidate_is_a=True)),
            complete,
            flag(Q(by_chance=True)),
            Coalesce("probability", 0.0),
            Coalesce(Extract("asked_at", "epoch"), 0.0, output_field=FloatField()),
        ),
        pair="i8",
        prompt="i8",
        candidate="i8",
        opponent="i8",
        is_a="i8",
        complete="i8",
        by_chance="i8",
        probability="f8",
        asked="f8",
    )


def _votes(rows: QuerySet) -> dict[str, np.ndarray]:
    found = read_numbers(
        rows.order_by().values_list(
            "pair_id",
            outcome_number(),
            Extract("created_at", "epoch", output_field=FloatField()),
            flag(Q(annotator__user=None)),
        ),
        pair="i8",
        said="i8",
        at="f8",
        from_file="i8",
    )
    return found | {"score": SCORE_OF_A[found["said"]]}


def _identical(rows: ComparisonQuerySet) -> list[int]:
    """Pairs of two identical outputs. Nobody was asked about them, so only few are read."""
    return list(rows.identical().values_list("pair_id", flat=True))
