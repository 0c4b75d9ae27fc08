"""How sure an evaluation is by now, and whether it need go on: from people's votes to words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import exp, isnan
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from evaluation.contestants import contestants
from evaluation.engine import active, stopping
from evaluation.engine.sequential import EARLY
from evaluation.engine.stopping import KEEP_VOTING, Standing
from evaluation.met import Met, asked, met, waiting
from evaluation.models import Evaluation
from evaluation.plan import Plan
from steelyard.registry.models import ModelVersion

DECIDED, BUDGET, NO_PAIRS, BY_HAND = "decided", "budget", "no_pairs", "by_hand"
REASONS = {
    DECIDED: gettext_lazy("every candidate is decided"),
    BUDGET: gettext_lazy("the budget is used up"),
    NO_PAIRS: gettext_lazy("no pairs are left to ask about"),
    BY_HAND: gettext_lazy("by hand"),
}
_DECISIONS = {
    "better": gettext_lazy("Better"),
    "worse": gettext_lazy("Worse"),
    "no difference": gettext_lazy("No difference that matters"),
    KEEP_VOTING: gettext_lazy("Not sure yet"),
}


@dataclass(frozen=True)
class Decided:
    """What was sure at a moment; later votes change nothing of it."""

    decision: str
    rate: float
    lo: float
    hi: float
    log_e: float
    prompts: int
    votes: int
    at: datetime


@dataclass(frozen=True)
class CandidateState:
    """One candidate against the baseline by people's votes."""

    candidate: ModelVersion
    now: Standing
    """By all votes up to now, with the path of the interval that is valid at all times."""
    decided: Decided | None
    later_votes: int
    """Votes on its comparisons that were cast after the decision."""
    labels_left: int | None
    """Votes that are likely needed, were all to go on as it has; None where nothing can be said."""
    prompts_left: int
    """Prompts on which it has not met the baseline."""
    votes_affordable: int | None
    """What is left of the budget; None where there is none."""
    by_ratings: bool
    prompts_waiting: int = 0
    """Prompts, or with ratings comparisons, that have some votes and not yet all: they count in a
    win rate and not here."""

    @property
    def waiting_words(self) -> str:
        """How much of what has votes is counted; empty where all of it is."""
        if not self.prompts_waiting:
            return ""
        counts = {"done": self.now.prompts, "all": self.now.prompts + self.prompts_waiting}
        if self.by_ratings:
            return (
                ngettext(
                    "%(done)s of %(all)s comparisons has all its votes",
                    "%(done)s of %(all)s comparisons have all their votes",
                    self.now.prompts,
                )
                % counts
            )
        return (
            ngettext(
                "%(done)s of %(all)s prompts has all its votes",
                "%(done)s of %(all)s prompts have all their votes",
                self.now.prompts,
            )
            % counts
        )

    @property
    def decision(self) -> str:
        """``better``, ``worse``, ``no difference`` or ``keep voting``."""
        return self.decided.decision if self.decided else self.now.decision

    @property
    def decision_name(self) -> str:
        if self.contradictory:
            return _("Not sure: the votes contradict themselves, as in random order they would not")
        return str(_DECISIONS[self.decision])

    @property
    def contradictory(self) -> bool:
        """Whether nothing can be said for that the votes have refuted every rate."""
        return self.is_open and self.now.contradictory

    @property
    def is_open(self) -> bool:
        return self.decision == KEEP_VOTING

    @property
    def e_value(self) -> float:
        """How many times as likely the direct meetings are under a difference as under none; cut
        off at e^500."""
        return exp(min(self.now.log_e, 500.0))

    @property
    def e_words(self) -> str:
        """The e-value as a page shows it."""
        if self.now.log_e > 13.8:
            return _("over a million")
        return f"{self.e_value:,.0f}" if self.e_value >= 10 else f"{self.e_value:.2g}"

    @property
    def words(self) -> str:
        """The decision and how much is behind it."""
        if self.decided is None:
            return self.decision_name
        said = ngettext(
            "decided after %(prompts)s prompt",
            "decided after %(prompts)s prompts",
            self.decided.prompts,
        )
        if self.by_ratings:
            said = ngettext(
                "decided after %(prompts)s comparison",
                "decided after %(prompts)s comparisons",
                self.decided.prompts,
            )
        said = f"{self.decision_name}: {said % {'prompts': self.decided.prompts}}"
        if self.later_votes:
            later = ngettext(
                "%(votes)s vote came later", "%(votes)s votes came later", self.later_votes
            )
            said = f"{said}; {later % {'votes': self.later_votes}}"
        return said

    @property
    def left_words(self) -> str:
        """How many more votes, in words; empty where it is decided."""
        if not self.is_open or self.contradictory:
            return ""
        if self.labels_left is None:
            return _("cannot be said yet")
        if self.votes_affordable is not None and self.labels_left > self.votes_affordable:
            return _("more than the budget has left")
        if not self.by_ratings and (self.now.left or 0) > self.prompts_left:
            return _("more than there are prompts")
        return ngettext("about %(votes)s vote", "about %(votes)s votes", self.labels_left) % {
            "votes": self.labels_left
        }


@dataclass(frozen=True)
class RateCheck:
    """A model's average win rate against the other contestants, found in three ways that agree
    where the ratings hold: shape of each (rate, standard error), nan without votes."""

    model: ModelVersion
    rating: tuple[float, float]
    """By the ratings of all votes."""
    weighted: tuple[float, float]
    """Of all votes, each by one over the probability with which it was asked for."""
    chance: tuple[float, float]
    """Of those alone that chance asked for; nan of a model with fewer than 20 of them."""

    @property
    def ways(self) -> list[tuple[float, float] | None]:
        """All three, None where there are no votes."""
        found = (self.rating, self.weighted, self.chance)
        return [None if isnan(one[0]) else one for one in found]


@dataclass(frozen=True)
class StoppingState:
    evaluation: Evaluation
    plan: Plan
    candidates: list[CandidateState]
    by_ratings: bool
    """Whether a candidate is judged by the ratings of all votes, not by its own meetings alone."""
    votes: int
    """People's, that count and were cast since they were asked: what a budget pays for."""
    votes_before: int
    """People's on the same pairs from before, which are evidence as much."""
    asked: int
    """Comparisons that people are asked about, or were."""
    later_votes: int
    """Votes that were cast after voting stopped."""
    found: Met

    @property
    def is_stopped(self) -> bool:
        return self.evaluation.stopped_at is not None

    @property
    def evidence(self) -> int:
        """All votes of people that tell something."""
        return self.votes + self.votes_before

    @property
    def reason(self) -> str:
        """Why voting stopped, in words."""
        return str(REASONS.get(self.evaluation.stop_reason, self.evaluation.stop_reason))

    @property
    def budget_left(self) -> int | None:
        return None if self.plan.budget is None else max(0, self.plan.budget - self.votes)

    @cached_property
    def checks(self) -> list[RateCheck]:
        """Of actively chosen pairs, whether the ratings say what chance alone says."""
        if not self.plan.is_active:
            return []
        return _checks(
            self.found, [self.evaluation.baseline, *(c.candidate for c in self.candidates)]
        )

    @property
    def newly_decided(self) -> list[CandidateState]:
        return [c for c in self.candidates if c.decided is None and not c.is_open]


def state_of(evaluation: Evaluation, *, paths: bool = True) -> StoppingState:
    """Where each candidate stands by people's votes.

    The interval and the e-value may be looked at after each vote. With active pairs and several
    candidates all comparisons tell of each of them, by way of ratings; otherwise each is judged by
    its own meetings with the baseline, one score a prompt.

    Args:
        paths: whether anybody looks at how the intervals came about.
    """
    plan = Plan.of(evaluation.plan)
    models = contestants(evaluation)
    found = met(evaluation, models)
    by_ratings = plan.is_active and len(models) > 2
    known = [_decided(evaluation.decisions.get(str(model.pk))) for model in models[1:]]
    if by_ratings:
        standings = stopping.by_ratings(
            found.prompt,
            found.i,
            found.j,
            found.y,
            len(models),
            delta=plan.delta,
            alpha=plan.alpha,
            points=stopping.POINTS_BY_RATINGS if paths else 0,
        )
    else:
        standings = stopping.direct(
            [found.against_baseline(at) for at in range(1, len(models))],
            delta=plan.delta,
            alpha=plan.alpha,
            known=[said.log_e if said else None for said in known],
        )
    before = int(found.vote_before.sum())
    votes = int(found.vote_at.size) - before
    waits = waiting(evaluation)
    prompts = _prompts(evaluation)
    candidates = []
    for at, (now, said) in enumerate(zip(standings, known, strict=True), 1):
        candidates.append(
            CandidateState(
                candidate=models[at],
                now=now,
                decided=said,
                later_votes=found.later(at, said.at.timestamp()) if said else 0,
                labels_left=None if now.left is None else now.left * evaluation.project.overlap,
                prompts_left=max(0, prompts - found.against_baseline(at).size),
                votes_affordable=None if plan.budget is None else max(0, plan.budget - votes),
                by_ratings=by_ratings,
                prompts_waiting=sum(
                    n
                    for (one, other), n in waits.items()
                    if models[at].pk in (one, other) and (by_ratings or not other)
                ),
            )
        )
    stopped = evaluation.stopped_at
    return StoppingState(
        evaluation=evaluation,
        plan=plan,
        candidates=candidates,
        by_ratings=by_ratings,
        votes=votes,
        votes_before=before,
        asked=asked(evaluation).count(),
        later_votes=found.later(None, stopped.timestamp()) if stopped else 0,
        found=found,
    )


def as_stored(state: CandidateState, *, votes: int, at: datetime) -> dict[str, Any]:
    """A decision as an evaluation keeps it."""
    now = state.now
    return {
        "decision": now.decision,
        "rate": now.rate,
        "lo": now.lo,
        "hi": now.hi,
        "log_e": now.log_e,
        "prompts": now.prompts,
        "votes": votes,
        "at": at.isoformat(),
    }


def _decided(said: dict[str, Any] | None) -> Decided | None:
    return Decided(**{**said, "at": datetime.fromisoformat(said["at"])}) if said else None


def _prompts(evaluation: Evaluation) -> int:
    rows = evaluation.comparisons.against_baseline().order_by()
    return rows.values("pair__prompt").distinct().count()


def _checks(found: Met, models: list[ModelVersion]) -> list[RateCheck]:
    number = len(models)
    logged = found.probability > 0.0
    i, j, y = found.i[logged], found.j[logged], found.y[logged]
    scored = np.zeros((number, number))
    np.add.at(scored, (i, j), y)
    np.add.at(scored, (j, i), 1.0 - y)
    chance = found.by_chance[logged]
    pairs = number * (number - 1) // 2
    weight = active.weights(found.probability[logged], pairs)
    ways = (
        active.expected_win_rates(*active.posterior(scored)),
        active.average_win_rates(i, j, y, weight, number),
        active.average_win_rates(i[chance], j[chance], y[chance], np.ones(chance.sum()), number),
    )
    drawn = np.bincount(i[chance], minlength=number) + np.bincount(j[chance], minlength=number)
    ways[2].rate[drawn < EARLY] = np.nan
    return [
        RateCheck(model, *((float(way.rate[at]), float(way.se[at])) for way in ways))
        for at, model in enumerate(models)
    ]
