"""How much length has to do with a win rate; of texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.engine import length_control, winrate
from evaluation.models import Evaluation
from evaluation.verdicts import in_order
from evaluation.votes import Cast, Votes
from steelyard.projects.models import Modality
from steelyard.web.plotting import Point

BINS = 8


@dataclass(frozen=True)
class Length:
    """How much length has to do with it; of texts."""

    ours: length_control.LengthControlled
    theirs: length_control.AlpacaEval | None
    """AlpacaEval's estimator on the same votes, one score a prompt."""
    bins: list[Point]
    longer: float
    """Share of prompts on which the candidate's answer is the longer one."""
    mean: float
    """How many characters it is longer on average."""

    @property
    def apart(self) -> float:
        return abs(self.mean)


def length(evaluation: Evaluation, votes: Votes, cast: Cast) -> Length | None:
    if evaluation.project.modality != Modality.TEXT or not cast.size:
        return None
    longer = votes.comparisons["longer"][cast.row].astype(float)
    ours = length_control.length_controlled(cast.score, -longer, cast.prompt)
    prompts, first = np.unique(cast.prompt, return_index=True)
    score = in_order(cast)
    # as the scores, in the order of the prompts' first votes
    difference = longer[np.sort(first)]
    theirs = None
    if prompts.size >= length_control.FOLDS:
        theirs = length_control.alpaca_eval(score, -difference)
    return Length(
        ours=ours,
        theirs=theirs,
        bins=_bins(cast, longer),
        longer=1.0 - ours.shorter,
        mean=float(difference.mean()),
    )


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
