"""What may be said now of an evaluation's candidates, the interval over time behind it, and what a
judge's votes add to people's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from evaluation.engine import ppi, sequential, stopping
from evaluation.models import Evaluation
from evaluation.plan import Plan
from evaluation.stopping import CandidateState, StoppingState, state_of
from evaluation.votes import PEOPLE, Cast, Votes
from steelyard.registry.models import ModelVersion
from steelyard.web.plotting import Point


@dataclass(frozen=True)
class Verdict:
    """What may be said now of one candidate by one source, however often it is looked at."""

    candidate: ModelVersion
    source: int
    who: str
    standing: stopping.Standing
    decision: str
    """``better``, ``worse``, ``no difference`` or ``keep voting``."""
    after: int | None
    """Prompts after which it was decided, where that is known."""
    delta: float
    alpha: float
    waiting: str = ""
    """How many of the prompts with votes have all of theirs, where not all have."""

    @property
    def mark(self) -> str:
        return {"better": "up", "worse": "down"}.get(self.decision, "")

    @property
    def level(self) -> str:
        return f"{100 * (1 - self.alpha):g}"

    @property
    def contradictory(self) -> bool:
        """Whether nothing can be said for that the votes have refuted every rate."""
        return self.decision == stopping.KEEP_VOTING and self.standing.contradictory

    @property
    def early(self) -> bool:
        return self.standing.prompts < sequential.EARLY


def verdicts(
    evaluation: Evaluation,
    votes: Votes,
    candidates: Sequence[ModelVersion],
    state: StoppingState | None = None,
) -> list[Verdict]:
    """One for each candidate with votes, by people where they have voted on it, with ratings also
    by way of others, else by its first judge.

    Of people it is that by which the evaluation stops; of a judge each candidate is held against
    the baseline by its own meetings, all candidates together (e-BH).
    """
    plan = Plan.of(evaluation.plan)
    led: dict[int, list[ModelVersion]] = {}
    for candidate in candidates:
        sources = votes.sources_of(candidate.pk)
        if sources:
            led.setdefault(sources[0], []).append(candidate)
    found: dict[int, Verdict] = {}
    if evaluation.ask_people and (PEOPLE in led or plan.is_active):
        whole = state or state_of(evaluation, paths=False)
        own_votes = {candidate.pk for candidate in led.get(PEOPLE, [])}
        for at, one in enumerate(whole.candidates, 1):
            by_way_of_others = whole.by_ratings and whole.found.later(at, -inf) > 0
            if one.candidate.pk not in own_votes and not by_way_of_others:
                continue
            found[one.candidate.pk] = Verdict(
                candidate=one.candidate,
                source=PEOPLE,
                who=name_of(votes, PEOPLE),
                standing=one.now,
                decision=one.decision,
                after=_after(one, votes, plan),
                delta=plan.delta,
                alpha=plan.alpha,
                waiting=one.waiting_words,
            )
    for source, led_by_it in led.items():
        who = name_of(votes, source)
        own = [candidate for candidate in led_by_it if candidate.pk not in found]
        if not own:
            continue
        scores = [in_order(votes.cast(candidate.pk, source)) for candidate in own]
        standings = stopping.direct(scores, delta=plan.delta, alpha=plan.alpha)
        for candidate, x, now in zip(own, scores, standings, strict=True):
            after = None
            if now.decision != stopping.KEEP_VOTING:
                after = _decided_after(x, plan.delta, plan.alpha) if len(own) == 1 else now.prompts
            found[candidate.pk] = Verdict(
                candidate, source, who, now, now.decision, after, plan.delta, plan.alpha
            )
    return [found[candidate.pk] for candidate in candidates if candidate.pk in found]


def name_of(votes: Votes, source: int) -> str:
    return _("people") if source == PEOPLE else votes.judges[source].name


def in_order(cast: Cast) -> np.ndarray:
    """One score a prompt, in the order of their first votes."""
    return sequential.by_prompt(cast.score.tolist(), cast.prompt.tolist())


def _after(state: CandidateState, votes: Votes, plan: Plan) -> int | None:
    """Prompts after which people had decided, as it was kept or, until that is done, reckoned."""
    if state.is_open:
        return None
    if state.decided is not None:
        return state.decided.prompts
    scores = in_order(votes.cast(state.candidate.pk, PEOPLE))
    return min(state.now.prompts, _decided_after(scores, plan.delta, plan.alpha))


def _decided_after(scores: np.ndarray, delta: float, alpha: float) -> int:
    """The first number of prompts at which a lone candidate was decided; it stands from then on."""
    low, high = 1, scores.size
    while low < high:
        middle = (low + high) // 2
        (now,) = stopping.direct([scores[:middle]], delta=delta, alpha=alpha)
        if now.decision == stopping.KEEP_VOTING:
            low = middle + 1
        else:
            high = middle
    return low


def path(cast: Cast, alpha: float = sequential.ALPHA) -> list[Point]:
    """The win rate and its always-valid interval after each prompt, thinned."""
    scores = in_order(cast)
    if not scores.size:
        return []
    whole = stopping.thinned(stopping.interval_path(scores, alpha), stopping.POINTS)
    return [
        Point(n, rate, *((lo, hi) if n >= sequential.EARLY else (None, None)))
        for n, rate, lo, hi in zip(
            whole.prompts.tolist(),
            whole.rate.tolist(),
            whole.lo.tolist(),
            whole.hi.tolist(),
            strict=True,
        )
    ]


@dataclass(frozen=True)
class Assisted:
    """The win rate as people would give it on all comparisons, from those that they judged and a
    judge's votes on the rest."""

    candidate: ModelVersion
    judge: Any
    estimate: ppi.Assisted | None
    """None under 30 prompts with votes of people."""
    labelled: int
    drawn: bool
    """Whether only comparisons that chance drew are taken, since the others were chosen."""


def assisted(votes: Votes, candidate: ModelVersion, judge: int) -> Assisted | None:
    """None where people and the judge have not both voted."""
    people, judged = votes.cast(candidate.pk, PEOPLE), votes.cast(candidate.pk, judge)
    human, robot = _by_row(people), _by_row(judged)
    chosen = bool((votes.comparisons["by_chance"][people.row] >= 0).any())
    by_chance = votes.comparisons["by_chance"] == 1
    both = [row for row in human if row in robot and (not chosen or by_chance[row])]
    if not both or not people.annotator.any():
        return None
    held = set(both)
    rest = [row for row in robot if row not in held]
    prompt = votes.comparisons["prompt"]
    try:
        found = ppi.win_rate(
            [human[row] for row in both],
            [robot[row] for row in both],
            prompt[both].tolist(),
            [robot[row] for row in rest],
            prompt[rest].tolist() if rest else [],
        )
    except ppi.TooFewLabels:
        found = None
    return Assisted(
        candidate, votes.judges[judge], found, int(np.unique(prompt[both]).size), chosen
    )


def _by_row(cast: Cast) -> dict[int, float]:
    """Mean score of each comparison."""
    rows, at = np.unique(cast.row, return_inverse=True)
    means = np.bincount(at, weights=cast.score) / np.bincount(at) if rows.size else rows
    return dict(zip(rows.tolist(), means.tolist(), strict=True))
