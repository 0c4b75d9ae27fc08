"""Candidates against a baseline while votes come in: where each stands, and what is sure.

Two rules. *Direct*: each candidate has met the baseline alone, one score a prompt, and the evidence
is an e-value (:mod:`.sequential`); of several candidates those are told apart that e-BH lets
through. *By ratings*: any two models may have met, chosen for what their meeting tells, so that
most of what is known of a candidate comes by way of others; the evidence is the difference of two
Bradley–Terry ratings held against an interval that is valid at all times. Pure NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

import numpy as np

from evaluation.engine.bradley_terry import Cells, count, fit, score_table
from evaluation.engine.connectivity import groups
from evaluation.engine.sequential import (
    EARLY,
    betting,
    e_bh,
    half_width,
    likely_left,
    narrowest,
    running_coin,
)

POINTS = 200
"""Of a path, at most."""
POINTS_BY_RATINGS = 40
"""Each is a fit of its own."""
KEEP_VOTING = "keep voting"


@dataclass(frozen=True)
class Path:
    """An interval as it was after so many prompts; arrays of one length."""

    prompts: np.ndarray
    rate: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    contradictory: np.ndarray
    """Whether the intervals up to there have no rate in common."""


@dataclass(frozen=True)
class Standing:
    """One candidate against the baseline."""

    decision: str
    """``better``, ``worse``, ``no difference`` or ``keep voting``."""
    rate: float
    """Share of the baseline's wins and its own that are its own, a tie half of each."""
    lo: float
    hi: float
    """Where that lies, valid however often one looks."""
    log_e: float
    """Evidence against "equal" from direct meetings, as of now."""
    prompts: int
    """Scores that the estimate stands on: direct meetings, or by ratings all of the candidate's."""
    left: int | None
    """How many more are likely needed; 0 where decided, None where nothing can be said."""
    path: Path
    contradictory: bool = False
    """Whether the scores have refuted every rate there is, as they hardly ever do where they come
    in an order that says nothing of them: then nothing is claimed."""


def direct(
    scores: Sequence[np.ndarray],
    *,
    delta: float,
    alpha: float,
    known: Sequence[float | None] | None = None,
) -> list[Standing]:
    """Each candidate by its own meetings with the baseline.

    One candidate is decided as soon as its e-value has ever reached 1/α (Ville). Of several, the
    e-values as of now go through e-BH, so that at most α of those that are said to differ do not,
    on average; "no difference" needs an interval at α shared out over all of them. Better or worse
    is what the scores said when the evidence reached its mark, whatever the rate has come to since.
    Where the intervals of different moments have no rate in common, the evidence contradicts
    itself, and nothing is claimed at all.

    Args:
        scores: of each candidate, one a prompt, in the order they came, from its side.
        delta: the difference from ½ that would not matter.
        known: the log e-value of each candidate that was decided before, as it was then; what came
            later is no evidence any more. None for the others.
    """
    several = len(scores)
    evidence = [running_evidence(np.asarray(x, dtype=float)) for x in scores]
    now = [float(path[-1]) if path.size else 0.0 for path in evidence]
    frozen = [
        now[at] if said is None else said for at, said in enumerate(known or [None] * several)
    ]
    if several == 1:
        differ = np.array([bool(evidence[0].size) and evidence[0].max() >= log(1.0 / alpha)])
    else:
        differ = e_bh(frozen, alpha)
    mark = log(several / (max(1, int(differ.sum())) * alpha)) if several else 0.0
    found = []
    for x, log_e, run, is_other in zip(scores, now, evidence, differ.tolist(), strict=True):
        path = interval_path(x, alpha)
        rate, lo, hi = (float(v[-1]) if x.size else o for v, o in _ends(path))
        contradictory = bool(x.size) and bool(path.contradictory[-1])
        decision = KEEP_VOTING
        if contradictory:
            pass
        elif is_other:
            decision = "better" if path.rate[_reached(run, mark)] > 0.5 else "worse"
        elif x.size and within(path, delta) and _shared_within(x, delta, alpha, several):
            decision = "no difference"
        left: int | None = 0
        if decision == KEEP_VOTING:
            left = None if contradictory else likely_left(x, delta, alpha)
        short = thinned(path, POINTS)
        found.append(
            Standing(decision, rate, lo, hi, log_e, int(x.size), left, short, contradictory)
        )
    return found


def _shared_within(x: np.ndarray, delta: float, alpha: float, several: int) -> bool:
    """The same at α shared out over the candidates: a wider interval, and a costly one, so it is
    worked out only where the narrow one has led up to it."""
    return several == 1 or within(interval_path(x, alpha / several), delta)


def _reached(evidence: np.ndarray, mark: float) -> int:
    """Where the evidence first reached the mark; the last place where it has not, as that of a
    candidate that was decided before and has lost votes since."""
    at = np.flatnonzero(evidence >= mark)
    return int(at[0]) if at.size else evidence.size - 1


def running_evidence(x: np.ndarray) -> np.ndarray:
    """log e-value against "equal" after each score: the coin's on scores of 0, ½ and 1, else the
    gambler's."""
    if not x.size:
        return np.zeros(0)
    plain = bool(np.isin(x, (0.0, 0.5, 1.0)).all())
    return running_coin(x) if plain else betting(x)


def interval_path(x: np.ndarray, alpha: float) -> Path:
    """The narrowest interval that ever was, after each score: what was refuted stays refuted.

    Where that leaves no rate at all, the interval of that moment alone, and ``contradictory``.
    """
    mean, lo, hi, empty = narrowest(x, alpha)
    return Path(np.arange(1, x.size + 1), mean, lo, hi, empty)


def within(path: Path, delta: float) -> bool:
    """Whether no rate is left but those that would not matter."""
    if path.contradictory[-1]:
        return False
    return bool(path.lo[-1] >= 0.5 - delta and path.hi[-1] <= 0.5 + delta)


def thinned(path: Path, points: int) -> Path:
    """At most so many of its points, the last among them."""
    at = np.unique(np.linspace(0, path.rate.size - 1, points).round().astype(int))
    at = at[at >= 0] if path.rate.size else np.zeros(0, dtype=int)
    return Path(path.prompts[at], path.rate[at], path.lo[at], path.hi[at], path.contradictory[at])


def _ends(path: Path) -> list[tuple[np.ndarray, float]]:
    return [(path.rate, 0.5), (path.lo, 0.0), (path.hi, 1.0)]


# --- By ratings --------------------------------------------------------------------------------


def by_ratings(
    prompt: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    y: np.ndarray,
    models: int,
    *,
    delta: float,
    alpha: float,
    points: int = POINTS_BY_RATINGS,
) -> list[Standing]:
    """Each candidate (models 1, 2, …) against the baseline (model 0) by all comparisons, in the
    order they came; those of one prompt are one cluster.

    Which pair was shown depended on earlier votes, never on what this vote would be, so the
    likelihood of the ratings is as it would be had the pairs been fixed. The interval is the
    asymptotic confidence sequence at α shared out over the candidates. The win rate of a candidate
    is what its rating says: σ of the difference.

    Args:
        points: of each path; each is a fit of its own, so 0 where nobody draws it.
    """
    claims = models - 1
    apart, half, number = differences(prompt, i, j, y, models, alpha / claims)
    steps = np.unique(np.linspace(EARLY, y.size, points).round().astype(int))
    steps = steps[(steps > 0) & (steps <= y.size)]
    seen = [differences(prompt[:n], i[:n], j[:n], y[:n], models, alpha / claims) for n in steps]
    same = log((0.5 + delta) / (0.5 - delta)) if delta < 0.5 else inf
    found = []
    for model in range(1, models):
        own = (i == model) | (j == model)
        far, reach = float(apart[model]), float(half[model])
        decision = KEEP_VOTING
        if abs(far) > reach:
            decision = "better" if far > 0.0 else "worse"
        elif abs(far) + reach < same:
            decision = "no difference"
        left = 0 if decision != KEEP_VOTING else None
        if left is None and np.isfinite(reach):
            left = _more(far, reach, float(number[model]), int(own.sum()), same, alpha / claims)
        direct_meetings = own & ((i == 0) | (j == 0))
        met = np.where(i == model, y, 1.0 - y)[direct_meetings]
        evidence = running_evidence(met)
        path = Path(
            np.array([int(own[:n].sum()) for n in steps], dtype=int),
            np.array([_chance(gap[model]) for gap, _, _ in seen]),
            np.array([_chance(gap[model] - wide[model]) for gap, wide, _ in seen]),
            np.array([_chance(gap[model] + wide[model]) for gap, wide, _ in seen]),
            np.zeros(len(seen), dtype=bool),
        )
        found.append(
            Standing(
                decision,
                _chance(far),
                _chance(far - reach),
                _chance(far + reach),
                float(evidence[-1]) if evidence.size else 0.0,
                int(own.sum()),
                left,
                path,
            )
        )
    return found


def differences(
    prompt: np.ndarray, i: np.ndarray, j: np.ndarray, y: np.ndarray, models: int, alpha: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each model's log-odds over model 0, half the width of the interval that is valid at all
    times, and on how many prompts they stand; 0, infinity and 0 where nothing ties the two
    together, or too little. Shapes (models,)."""
    apart, half, number = np.zeros(models), np.full(models, inf), np.zeros(models)
    cells: Cells = count(prompt, i, j, y, models)
    group = next((g for g in groups(score_table(cells, models)) if 0 in g), None)
    if group is None:
        return apart, half, number
    fitted = fit(cells.among(group), group.size)
    variance = fitted.variance_of_differences()[0]
    effective = fitted.effective_of_differences()[0]
    apart[group] = fitted.theta - fitted.theta[0]
    number[group] = effective
    enough = (effective >= EARLY) & (variance > 0.0)
    some = np.maximum(effective, 1.0)
    half[group] = np.where(enough, half_width(some, np.sqrt(variance * some), alpha), inf)
    return apart, half, number


def _more(
    far: float, wide: float, number: float, own: int, same: float, alpha: float
) -> int | None:
    """Comparisons of a model still needed, were all to go on as it has."""
    spread = wide / float(half_width(number, 1.0, alpha))
    ahead = np.geomspace(1.0, 10_000.0, 400)
    half = half_width(number * ahead, spread, alpha)
    done = np.flatnonzero((half < abs(far)) | (abs(far) + half < same))
    return int(np.ceil(own * (ahead[done[0]] - 1.0))) if done.size else None


def _chance(log_odds: float) -> float:
    return float(0.5 * (1.0 + np.tanh(0.5 * log_odds)))
