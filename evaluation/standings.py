"""Votes to win rates: from columns of numbers to the engine's pure functions and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db.models import Count
from django.utils.translation import gettext

from annotation.models import Annotator, Judgment
from evaluation.contestants import by_name
from evaluation.engine import effect, winrate
from evaluation.models import Evaluation
from evaluation.numbers import BOTH_BAD
from evaluation.votes import PEOPLE, Votes, votes_of
from steelyard.registry.models import ModelVersion


@dataclass(frozen=True)
class WinRateRow:
    """One candidate against the baseline by one source of votes."""

    candidate: ModelVersion
    judge: Annotator | None
    """None for people, all of them together; each judge speaks for itself."""
    rate: winrate.WinRate
    both_bad: int
    identical: int
    """Comparisons in which both models gave the same output: a tie each, shown to nobody. While
    votes are still to come only those to which the order of prompts has come."""
    comparisons: int
    judged: int
    """Comparisons with at least one vote of this source."""
    scored: effect.Effect | None = None
    """Cohen's d of the scores, where a scorer judged."""
    asked: bool = True
    """Whether the evaluation asks this source; else its votes were cast elsewhere, on the same
    pairs."""
    identical_waiting: int = 0
    """Those to which it has not: they count as votes come in."""
    strength: effect.Effect | None = None
    """Of verdicts with a strength: their mean in standard deviations; None where there is d."""

    @property
    def source(self) -> str:
        return "judges" if self.judge else "people"

    @property
    def why_no_interval(self) -> str:
        """The engine's reason in the page's language."""
        if self.rate.reason.startswith("all votes are on one prompt"):
            return gettext("all votes are on one prompt, which tells nothing of others")
        return self.rate.reason

    @property
    def votes(self) -> int:
        """Those that were given: identical outputs have none, though they are ties."""
        return self.rate.votes - self.identical

    @property
    def waiting(self) -> int:
        """Comparisons without a vote that are no tie already."""
        return self.comparisons - self.judged - self.identical - self.identical_waiting


def win_rates(evaluation: Evaluation, votes: Votes | None = None) -> list[WinRateRow]:
    """Win rate of each candidate, apart for people and for each judge that has voted.

    Where every comparison of a candidate is between identical outputs no vote is needed.
    """
    votes = votes or votes_of(evaluation)
    scores = _scored_by(votes)
    seats = [seat.judge for seat in evaluation.seats]
    models = evaluation.candidates.select_related("project", "made_by__training_job")
    rows = []
    for candidate in by_name(models):
        own = votes.comparisons["candidate"] == candidate.pk
        voters = [votes.judges.get(source) for source in votes.sources_of(candidate.pk)]
        if own.any() and votes.comparisons["identical"][own].all():
            voters = [None] * evaluation.ask_people + seats
        for judge in voters:
            asked = judge in seats if judge else evaluation.ask_people
            rows.append(_win_rate(candidate, judge, votes, scores, asked))
    return rows


def withdrawn_votes(evaluation: Evaluation) -> int:
    """How many votes on its comparisons are withdrawn, and so in no win rate."""
    pairs = evaluation.comparisons.values("pair")
    rows = Judgment.objects.decisive().filter(pair__in=pairs)
    return rows.withdrawn(evaluation.project).count()


def unreadable(evaluation: Evaluation) -> dict[int, int]:
    """By judge, how many of its answers on the evaluation's pairs no verdict could be read in. They
    are kept, and in no win rate."""
    pairs = evaluation.comparisons.values("pair")
    rows = Judgment.objects.current().filter(details__has_key="invalid", pair__in=pairs)
    counts = rows.order_by().values("annotator").annotate(n=Count("pk"))
    return dict(counts.values_list("annotator", "n"))


def _scored_by(votes: Votes) -> dict[tuple[int, int], tuple[float, float]]:
    """Scores of a and of b, by pair and scorer."""
    told = ("details__scores", "details__dimension", "details__difference")
    scorers = [
        pk for pk in votes.judges if votes.judges[pk].scorer or not votes.judges[pk].model_id
    ]
    if not scorers:
        return {}
    rows = Judgment.objects.filter(
        annotator__in=scorers,
        pk__in=votes.judgments["pk"][np.isin(votes.judgments["source"], scorers)].tolist(),
        details__has_key="scores",
    )
    found = {}
    for pair, annotator, *scored in rows.values_list("pair_id", "annotator_id", *told):
        both = _scores(*scored)
        if both:
            found[pair, annotator] = both
    return found


def _scores(
    scores: dict[str, dict[str, float]] | None, dimension: str, difference: float | None
) -> tuple[float, float] | None:
    """Of a and b, the greater the better; None where no scorer judged.

    Args:
        difference: how much better a is: where a lower number is better, the negative of theirs.
    """
    if not scores or not all(dimension in (scores.get(side) or {}) for side in "ab"):
        return None
    a, b = scores["a"][dimension], scores["b"][dimension]
    return (-a, -b) if (difference or 0.0) * (a - b) < 0 else (a, b)


def _win_rate(
    candidate: ModelVersion,
    judge: Annotator | None,
    votes: Votes,
    scores: dict[tuple[int, int], tuple[float, float]],
    asked: bool,
) -> WinRateRow:
    source = judge.pk if judge else PEOPLE
    cast = votes.cast(candidate.pk, source)
    own = votes.comparisons["candidate"] == candidate.pk
    said = votes.judgments["source"] == source
    said &= own[votes.judgments["row"]]
    said &= votes.comparisons["identical"][votes.judgments["row"]] == 0
    identical = int((cast.annotator == 0).sum())
    scored, strength = _effects(source, said, votes, scores)
    return WinRateRow(
        candidate=candidate,
        judge=judge,
        rate=winrate.win_rate(cast.score, cast.prompt),
        both_bad=int((votes.judgments["said"][said] == BOTH_BAD).sum()),
        identical=identical,
        identical_waiting=int(votes.comparisons["identical"][own].sum()) - identical,
        comparisons=int(own.sum()),
        judged=np.unique(votes.judgments["row"][said]).size,
        scored=scored,
        asked=asked,
        strength=strength,
    )


def _effects(
    source: int,
    said: np.ndarray,
    votes: Votes,
    scores: dict[tuple[int, int], tuple[float, float]],
) -> tuple[effect.Effect | None, effect.Effect | None]:
    """How large the difference is: by a scorer's scores, else by strengths."""
    rows = votes.judgments["row"][said]
    prompts, is_a = votes.comparisons["prompt"], votes.comparisons["candidate_is_a"]
    if scores:
        pairs = votes.comparisons["pair"]
        told = [
            (row, *scores[key])
            for row in rows.tolist()
            if (key := (int(pairs[row]), source)) in scores
        ]
        if told:
            return (
                effect.cohens_d(
                    [a if is_a[row] else b for row, a, b in told],
                    [b if is_a[row] else a for row, a, b in told],
                    [int(prompts[row]) for row, _, _ in told],
                ),
                None,
            )
    strengths = votes.judgments["strength"][said]
    if not strengths.any():
        return None, None
    return None, effect.mean_strength(strengths.tolist(), prompts[rows].tolist())
