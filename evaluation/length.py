"""How much length has to do with a win rate; of texts.

Two estimators stand beside each other: ours, and AlpacaEval's as its authors define it, with as
much of what they publish besides as is known of the prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from annotation.models import Judgment
from evaluation.contestants import by_name
from evaluation.engine import length_control, winrate
from evaluation.gamed import Given, given_for
from evaluation.models import Evaluation
from evaluation.votes import Cast, Votes
from steelyard.projects.models import Modality
from steelyard.registry.models import ModelVersion
from steelyard.web.plotting import Point

BINS = 8
FULL, DIFFICULTY, REDUCED = "full", "difficulty", "reduced"


@dataclass(frozen=True)
class Authors:
    """AlpacaEval's estimator on the same votes, one score a prompt."""

    fitted: length_control.AlpacaEval
    terms: str
    """``full`` with their gamed rows and difficulties, ``difficulty`` with difficulties made here,
    ``reduced`` with neither."""
    given: Given | None
    by_odds: bool
    """Whether a probability stood for the verdict wherever the judge has told one."""
    strange: bool
    """Whether the gamed rows seem to be of another baseline."""

    @property
    def rate(self) -> float:
        return self.fitted.controlled

    @property
    def words(self) -> str:
        """What it is."""
        if self.terms == FULL:
            said = _(
                "as its authors define it: penalty, their rows of a brief and a wordy baseline, "
                "difficulty of prompts"
            )
        elif self.terms == DIFFICULTY:
            said = _(
                "its authors’ formula and penalty, with difficulties of prompts made of the "
                "%(models)s models judged on this set, without rows of a brief and a wordy "
                "baseline: not to be held against published figures"
            ) % {"models": self.given.models if self.given else 0}
        else:
            said = _(
                "its authors’ formula and penalty, without their rows of a brief and a wordy "
                "baseline and without the difficulty of prompts, which nobody has given for these "
                "prompts: not the published figure"
            )
        said += _("; by the judge’s odds") if self.by_odds else ""
        if self.strange and self.given:
            said += _("; the rows are of %(names)s, which this baseline does not seem to be") % {
                "names": ", ".join(self.given.versions)
            }
        return said


@dataclass(frozen=True)
class Length:
    voted: winrate.WinRate
    """Length and all."""
    ours: length_control.LengthControlled
    theirs: Authors | None
    """None under five prompts with votes."""
    bins: list[Point]
    longer: float
    """Share of prompts on which the candidate's answer is the longer one."""
    mean: float
    """How many characters it is longer on average."""

    @property
    def apart(self) -> float:
        return abs(self.mean)


@dataclass(frozen=True)
class LengthRow:
    """One candidate by one source."""

    candidate: ModelVersion
    judge: Any
    """None for people."""
    length: Length

    @property
    def source(self) -> str:
        return "judges" if self.judge else "people"


def lengths(evaluation: Evaluation, votes: Votes) -> list[LengthRow]:
    return [
        LengthRow(model, votes.judges.get(source), found)
        for model in by_name(evaluation.candidates.select_related("project"))
        for source in votes.sources_of(model.pk)
        if (found := length(evaluation, votes, model.pk, source)) is not None
    ]


def length(evaluation: Evaluation, votes: Votes, candidate: int, source: int) -> Length | None:
    """None where outputs are no texts, or there is no vote."""
    cast = votes.cast(candidate, source)
    if evaluation.project.modality != Modality.TEXT or not cast.size:
        return None
    longer = votes.comparisons["longer"][cast.row].astype(float)
    ours = length_control.length_controlled(cast.score, -longer, cast.prompt)
    _prompts, first = np.unique(cast.prompt, return_index=True)
    return Length(
        voted=winrate.win_rate(cast.score, cast.prompt),
        ours=ours,
        theirs=as_authors(evaluation, votes, candidate, source),
        bins=_bins(cast, longer),
        longer=1.0 - ours.shorter,
        mean=float(longer[first].mean()),
    )


def as_authors(evaluation: Evaluation, votes: Votes, candidate: int, source: int) -> Authors | None:
    """AlpacaEval's estimator with what is known of the set's prompts; None where fewer than five
    prompts have a vote. Prompts without one count in the mean alone, as they do there."""
    given = given_for(evaluation, source)
    odds = _odds(votes, candidate, source)
    prompt, score, longer = _rows(votes, candidate, source, odds)
    if int((~np.isnan(score)).sum()) < length_control.FOLDS:
        return None
    if given is None:
        fitted = length_control.alpaca_eval(score, -longer)
        return Authors(fitted, REDUCED, None, bool(odds), strange=False)
    if given.rows is not None:
        # the folds go by the prompts' places
        place = {pk: at for at, pk in enumerate(given.difficulty)}
        order = np.argsort([place.get(pk, len(place)) for pk in prompt.tolist()], kind="stable")
        prompt, score, longer = prompt[order], score[order], longer[order]
    hard = np.array([given.difficulty.get(pk, 0.0) for pk in prompt.tolist()])
    fitted = length_control.alpaca_eval(score, -longer, hard, given.rows)
    name = evaluation.baseline.name.lower()
    strange = bool(given.versions) and not all(
        one.lower().startswith(name) for one in given.versions
    )
    return Authors(fitted, FULL if given.rows else DIFFICULTY, given, bool(odds), strange)


def _rows(
    votes: Votes, candidate: int, source: int, odds: dict[int, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prompt, mean score (NaN without a vote) and how much longer the answer is, one row a prompt,
    in the order of the comparisons."""
    rows, said = votes.comparisons, votes.judgments
    mine = np.flatnonzero(rows["candidate"] == candidate)
    total, number = np.zeros(rows["pk"].size), np.zeros(rows["pk"].size)
    cast_by = votes.cast(candidate, source)
    same = cast_by.row[cast_by.annotator == 0]
    total[same], number[same] = 0.5, 1.0
    cast = np.flatnonzero(
        (rows["candidate"][said["row"]] == candidate)
        & (said["source"] == source)
        & (rows["identical"][said["row"]] == 0)
    )
    at = said["row"][cast]
    told = [odds.get(pk) for pk in said["pk"][cast].tolist()]
    p = np.array([np.nan if one is None else one for one in told], dtype=float)
    p = np.where(rows["candidate_is_a"][at] == 1, p, 1.0 - p)
    np.add.at(total, at, np.where(np.isnan(p), said["score"][cast], p))
    np.add.at(number, at, 1.0)
    with np.errstate(invalid="ignore"):
        score = (total / number)[mine]
    prompt, longer = rows["prompt"][mine], rows["longer"][mine].astype(float)
    _once, first = np.unique(prompt, return_index=True)
    first = np.sort(first)
    return prompt[first], score[first], longer[first]


def _odds(votes: Votes, candidate: int, source: int) -> dict[int, float]:
    """The probability that a is better, by judgment, where the judge has told one."""
    said = votes.judgments
    mine = (votes.comparisons["candidate"][said["row"]] == candidate) & (said["source"] == source)
    rows = Judgment.objects.filter(pk__in=said["pk"][mine].tolist(), details__has_key="p_a")
    return {pk: float(p) for pk, p in rows.order_by().values_list("pk", "details__p_a")}


def _bins(cast: Cast, longer: np.ndarray) -> list[Point]:
    """Win rate over the difference in length, in bins of as many votes each."""
    number = min(BINS, max(1, np.unique(cast.prompt).size // 4))
    edges = np.unique(np.quantile(longer, np.linspace(0, 1, number + 1)[1:-1]))
    at = np.searchsorted(edges, longer, side="left")
    points = []
    for here in (at == k for k in np.unique(at)):
        rate = winrate.win_rate(cast.score[here], cast.prompt[here])
        low, high = int(longer[here].min()), int(longer[here].max())
        name = f"{low:+d} … {high:+d}" if low < high else f"{low:+d}"
        points.append(
            Point(float(longer[here].mean()), rate.rate, rate.lo, rate.hi, rate.prompts, name)
        )
    return points
