"""Votes to win rates and leaderboards: from querysets to the engine's pure functions and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from django.db.models import Case, FloatField, Value, When
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from annotation.models import Annotator, Judgment
from evaluation.engine import effect, ratings, winrate
from evaluation.models import Evaluation
from evaluation.numbers import read_numbers
from evaluation.votes import BOTH_BAD, PEOPLE, Votes, votes_of
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion

if TYPE_CHECKING:
    from annotation.querysets import JudgmentQuerySet

SOURCES = {"people": _("People"), "judges": _("AI judges")}
_SCORE_OF_A = {"a": 1.0, "tie": 0.5, "both_bad": 0.5, "b": 0.0}


@dataclass(frozen=True)
class WinRateRow:
    """One candidate against the baseline by one source of votes."""

    candidate: ModelVersion
    judge: Annotator | None
    """None for people, all of them together; each judge speaks for itself."""
    rate: winrate.WinRate
    both_bad: int
    identical: int
    """Comparisons in which both models gave the same output: a tie each, shown to nobody."""
    comparisons: int
    judged: int
    """Comparisons with at least one vote of this source."""
    scored: effect.Effect | None = None
    """Cohen's d of the scores, where a scorer judged."""
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
    def waiting(self) -> int:
        """Comparisons without a vote that are no tie already."""
        return self.comparisons - self.judged - self.identical


@dataclass(frozen=True)
class Standing:
    """One row of a leaderboard."""

    model: ModelVersion
    row: ratings.LeaderboardRow


@dataclass(frozen=True)
class NotRated:
    """A model for which no finite rating exists."""

    model: ModelVersion
    row: ratings.Unrated

    @property
    def why(self) -> str:
        """The engine's reason in the page's language."""
        said, votes = self.row.reason, {"count": self.row.votes}
        if said.startswith("it won"):
            return (
                ngettext(
                    "it won its only vote, so nothing bounds its rating from above; one tie or "
                    "loss would",
                    "it won all of its %(count)s votes, so nothing bounds its rating from above; "
                    "one tie or loss would",
                    self.row.votes,
                )
                % votes
            )
        if said.startswith("it lost"):
            return (
                ngettext(
                    "it lost its only vote, so nothing bounds its rating from below; one tie or "
                    "win would",
                    "it lost all of its %(count)s votes, so nothing bounds its rating from below; "
                    "one tie or win would",
                    self.row.votes,
                )
                % votes
            )
        if said == "no votes":
            return gettext("no votes")
        return gettext(
            "nobody whom it beat has got the better of it, not even by way of others, so nothing "
            "ties its rating to theirs"
        )


@dataclass(frozen=True)
class Standings:
    groups: list[list[Standing]]
    """The largest first. Ratings and ranks hold within a group and cannot be compared between
    two."""
    unrated: list[NotRated]
    votes: int
    """Those that the ratings are made of, between two models of one group; so for the prompts and
    the annotators."""
    prompts: int
    annotators: int
    others: int
    """Votes that no rating takes in: with a model that has none, or between two groups."""
    withdrawn: int
    """Votes that would be in here had they not been withdrawn."""

    @property
    def rated(self) -> int:
        return sum(len(group) for group in self.groups)


def by_source(votes: JudgmentQuerySet, source: str) -> JudgmentQuerySet:
    """Votes of people or of judges; anything else is nothing."""
    if source == "people":
        return votes.by_people()
    return votes.by_judges() if source == "judges" else votes.none()


def win_rates(evaluation: Evaluation, votes: Votes | None = None) -> list[WinRateRow]:
    """Win rate of each candidate, apart for people and for each judge that has voted.

    Where every comparison of a candidate is between identical outputs no vote is needed.
    """
    votes = votes or votes_of(evaluation)
    scores = _scored_by(votes)
    seats = [seat.judge for seat in evaluation.seats]
    models = evaluation.candidates.select_related("project", "made_by__training_job")
    rows = []
    for candidate in models.order_by("name"):
        own = votes.comparisons["candidate"] == candidate.pk
        voters = [votes.judges.get(source) for source in votes.sources_of(candidate.pk)]
        if own.any() and votes.comparisons["identical"][own].all():
            voters = [None] * evaluation.ask_people + seats
        rows += [_win_rate(candidate, judge, votes, scores) for judge in voters]
    return rows


def withdrawn_votes(evaluation: Evaluation) -> int:
    """How many votes on its comparisons are withdrawn, and so in no win rate."""
    pairs = evaluation.comparisons.values("pair")
    rows = Judgment.objects.decisive().filter(pair__in=pairs)
    return rows.withdrawn(evaluation.project).count()


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
) -> WinRateRow:
    source = judge.pk if judge else PEOPLE
    cast = votes.cast(candidate.pk, source)
    own = votes.comparisons["candidate"] == candidate.pk
    said = votes.judgments["source"] == source
    said &= own[votes.judgments["row"]]
    said &= votes.comparisons["identical"][votes.judgments["row"]] == 0
    scored, strength = _effects(source, said, votes, scores)
    return WinRateRow(
        candidate=candidate,
        judge=judge,
        rate=winrate.win_rate(cast.score, cast.prompt),
        both_bad=int((votes.judgments["said"][said] == BOTH_BAD).sum()),
        identical=int(votes.comparisons["identical"][own].sum()),
        comparisons=int(own.sum()),
        judged=np.unique(votes.judgments["row"][said]).size,
        scored=scored,
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


def standings(
    project: Project, *, source: str, category: str = "", judge: Annotator | None = None
) -> Standings:
    """Bradley–Terry over all current decisive votes between different models of a project, less
    those that have been withdrawn.

    Only votes count. Two identical outputs have none, since an evaluation puts them to nobody:
    what :func:`win_rates` takes for a tie is not in here.

    Args:
        source: a key of :data:`SOURCES`.
        judge: the votes of this one alone, not those of all judges.
    """
    votes = by_source(Judgment.objects.rated().filter(project=project), source)
    if category:
        votes = votes.filter(pair__prompt__category=category)
    if judge is not None:
        votes = votes.filter(annotator=judge)
    withdrawn = votes.withdrawn(project).count()
    cast = _cast(votes.standing(project))
    left, right = cast["a"], cast["b"]
    if not left.size:
        return Standings([], [], 0, 0, 0, 0, withdrawn)
    found = ModelVersion.objects.select_related("project").in_bulk(
        np.unique(np.concatenate([left, right])).tolist()
    )
    # in the order of their names, so that equal ratings stand in it
    models = sorted(found.values(), key=lambda model: model.name)
    pks = np.array([model.pk for model in models])
    order = np.argsort(pks)
    i = order[np.searchsorted(pks, left, sorter=order)]
    j = order[np.searchsorted(pks, right, sorter=order)]
    board = ratings.leaderboard(
        prompt=cast["prompt"], i=i, j=j, y=cast["score"], models=len(models)
    )
    group = _group_of(board, len(models))
    used = (group[i] == group[j]) & (group[i] >= 0)
    return Standings(
        groups=[[Standing(models[row.model], row) for row in group] for group in board.groups],
        unrated=[NotRated(models[row.model], row) for row in board.unrated],
        votes=int(used.sum()),
        prompts=np.unique(cast["prompt"][used]).size,
        annotators=np.unique(cast["annotator"][used]).size,
        others=int((~used).sum()),
        withdrawn=withdrawn,
    )


def _group_of(board: ratings.Board, models: int) -> np.ndarray:
    """The number of each model's group; -1 where it has none."""
    found = np.full(models, -1)
    for number, group in enumerate(board.groups):
        found[[row.model for row in group]] = number
    return found


def _cast(votes: JudgmentQuerySet) -> dict[str, np.ndarray]:
    """Each vote's prompt, model a, model b, score of a and annotator."""
    worth = [When(outcome=outcome, then=Value(score)) for outcome, score in _SCORE_OF_A.items()]
    rows = votes.order_by().values_list(
        "pair__prompt_id",
        "pair__output_a__model_id",
        "pair__output_b__model_id",
        Case(*worth, output_field=FloatField()),
        "annotator_id",
    )
    return read_numbers(rows, prompt="i8", a="i8", b="i8", score="f8", annotator="i8")
