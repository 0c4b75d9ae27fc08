"""Which pairs people are asked about where judges compare: those of which judges are unsure more
often, and what people's votes on them say of all.

Each pair has a probability above 0, ``base + slope · uncertainty`` and at most 1, and a draw by the
seed. Both are written down before anybody is asked, so that votes weighed by them hold for all the
pairs (:func:`evaluation.engine.ppi.drawn_win_rate`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from django.db import connection
from django.db.models import Max
from django.utils import timezone

from annotation.models import Annotator, Judgment, Pair
from evaluation.engine import ppi
from evaluation.models import Evaluation, Routed, Routing
from evaluation.votes import PEOPLE, Votes
from steelyard.inference.judging.chances import p_a
from steelyard.lib.hashing import stable_uniform
from steelyard.projects.models import Project

WORTH = {"a": 1.0, "tie": 0.5, "both_bad": 0.5, "b": 0.0}


@dataclass(frozen=True)
class Drawn:
    """What would be decided of a pair."""

    pair: Pair
    p_a: float
    probability: float
    drawn: bool
    known: bool
    """People had judged it before."""


def uncertainty(p: float) -> float:
    """0 where the judges say one side for certain, 1 where they are even or divided."""
    return 1.0 - abs(2.0 * p - 1.0)


def draw(
    pairs: Iterable[Pair],
    told: Mapping[int, float],
    *,
    base: float,
    slope: float,
    seed: int,
) -> list[Drawn]:
    """The decision on each pair that judges have judged."""
    found = []
    for pair in pairs:
        p = told.get(pair.pk)
        if p is None:
            continue
        known = pair.judged > 0
        probability = 1.0 if known else min(1.0, base + slope * uncertainty(p))
        drawn = known or stable_uniform("routing", seed, pair.key) < probability
        found.append(Drawn(pair, p, probability, drawn, known))
    return found


def told_by(judges: Iterable[Annotator], pairs: Iterable[Pair]) -> dict[int, float]:
    """The mean over judges of the probability that a is better, by pair."""
    rows = Judgment.objects.decisive().filter(
        annotator__in=list(judges), pair__in=[pair.pk for pair in pairs]
    )
    found: dict[int, list[float]] = defaultdict(list)
    columns = rows.values_list("pair_id", "outcome", "details__p_a", "details__orders")
    for pair, outcome, told, orders in columns.order_by("pk").iterator(2000):
        chances = [one.get("probabilities") for one in orders or []]
        if told is None and chances and all(chances):
            told = sum(map(p_a, chances)) / len(chances)
        found[pair].append(WORTH[outcome] if told is None else min(1.0, max(0.0, told)))
    return {pair: sum(some) / len(some) for pair, some in found.items()}


def ask_no_more(pairs: list[int]) -> None:
    """Take pairs out of the queue; whoever has one on the screen may finish it. The caller holds
    their locks."""
    with connection.cursor() as cursor:
        cursor.execute(_NO_MORE, {"pairs": pairs, "now": timezone.now()})


_NO_MORE = """
update annotation_pair pair set wanted = pair.judged + (
    select count(*) from annotation_assignment lease
    where lease.pair_id = pair.id and lease.expires_at > %(now)s)
where pair.id = any(%(pairs)s) and pair.wanted > pair.judged + (
    select count(*) from annotation_assignment lease
    where lease.pair_id = pair.id and lease.expires_at > %(now)s)
"""


@dataclass(frozen=True)
class Corrected:
    """A candidate's win rate as people would give it on all that the judges judged."""

    candidate: int
    estimate: ppi.Assisted | None
    """None under 30 prompts with votes of people."""
    labelled: int
    """Comparisons with votes of people that the draw or earlier votes brought."""
    waiting: int
    """Drawn ones that nobody has judged yet."""
    comparisons: int


def corrected(evaluation: Evaluation, votes: Votes, candidate: int) -> Corrected | None:
    """None where no draw was made for the evaluation, or none of its pairs are the candidate's.

    While drawn pairs wait, those that are answered stand for them: their probability is less by the
    share that is answered.
    """
    routing = Routing.objects.filter(evaluation=evaluation).first()
    if routing is None:
        return None
    rows = {pk: place for place, pk in enumerate(votes.comparisons["pair"].tolist())}
    mine = votes.comparisons["candidate"] == candidate
    routed = [
        (rows[pair], p, probability, drawn)
        for pair, p, probability, drawn in routing.pairs.values_list(
            "pair_id", "p_a", "probability", "drawn"
        )
        if pair in rows and mine[rows[pair]]
    ]
    if not routed:
        return None
    row, p, probability, drawn = (np.array(column) for column in zip(*routed, strict=True))
    people = votes.cast(candidate, PEOPLE)
    people = people.of(people.annotator > 0)
    size = len(votes.comparisons["pk"])
    number = np.bincount(people.row, minlength=size)
    total = np.bincount(people.row, weights=people.score, minlength=size)
    human = np.where(number > 0, total / np.maximum(number, 1), np.nan)[row]
    human = np.where(drawn, human, np.nan)  # what came otherwise no probability is known of
    answered = ~np.isnan(human)
    by_chance = probability < 1.0
    asked, given = int((drawn & by_chance).sum()), int((answered & by_chance).sum())
    if asked and given:
        probability = np.where(by_chance, probability * given / asked, probability)
    is_a = votes.comparisons["candidate_is_a"][row] == 1
    judged = np.where(is_a, p, 1.0 - p)
    try:
        found = ppi.drawn_win_rate(
            judged.tolist(),
            human.tolist(),
            probability.tolist(),
            votes.comparisons["prompt"][row].tolist(),
        )
    except ppi.TooFewLabels:
        found = None
    return Corrected(
        candidate, found, int(answered.sum()), int(drawn.sum()) - int(answered.sum()), len(routed)
    )


@dataclass(frozen=True)
class Chances:
    """How probable it was that people came to judge each pair that a draw was about."""

    pair: np.ndarray
    """Sorted."""
    probability: np.ndarray
    drawn: np.ndarray
    """Whether it was asked about, or people had judged it before; of the others no vote is known
    to have come by chance."""
    by_chance: np.ndarray
    """Whether it could have been passed by."""


def chances_of(project: Project) -> Chances | None:
    """None where the project has no draw. Of a pair that several draws were about it is the
    probability that any of them brought it: one that was judged since the first counts in the
    second with what it would have had."""
    rows = Routed.objects.filter(routing__project=project).order_by("pair_id", "pk")
    columns = rows.values_list(
        "pair_id", "probability", "drawn", "p_a", "routing__base", "routing__slope"
    )
    found: dict[int, tuple[float, bool]] = {}
    for pair, probability, drawn, p, base, slope in columns.iterator(2000):
        passed, before = found.get(pair, (1.0, False))
        if pair in found and passed > 0.0 and probability == 1.0:
            probability = min(1.0, base + slope * uncertainty(p))
        found[pair] = passed * (1.0 - probability), before or drawn
    if not found:
        return None
    left = np.array([passed for passed, _ in found.values()])
    return Chances(
        pair=np.array(list(found), dtype=np.int64),
        probability=1.0 - left,
        drawn=np.array([drawn for _, drawn in found.values()]),
        by_chance=left > 0.0,
    )


def newest_draw(project: Project) -> int:
    return Routing.objects.filter(project=project).aggregate(newest=Max("pk"))["newest"] or 0


def routed_in(project: int) -> set[int]:
    """Pairs of which a draw over the project's pairs has decided."""
    rows = Routed.objects.filter(routing__project=project, routing__evaluation=None)
    return set(rows.values_list("pair_id", flat=True))
