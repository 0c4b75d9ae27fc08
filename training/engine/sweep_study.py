"""Which settings to try next, and which have won: Optuna's samplers over trials told as plain rows.

Nothing is kept between calls: a study is made anew from the rows each time, and the sampler's
draws depend on (seed, number of trials), so that whoever asks after a crash hears the same.

``python -m training.engine.sweep_study`` reads a question as JSON from its standard input and
prints the answer: the Gaussian process needs torch, which a long-lived worker should not carry.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from steelyard.lib.hashing import stable_int
from training.engine.sweep_space import Space

SAMPLERS = ("tpe", "gp")
MOST_STARTUP = 10
"""Trials drawn at random before a sampler's model is asked, at most; less in a small sweep."""
TRIES = 20
"""How often to draw again where a draw repeats an earlier trial."""
SHARE = 3
"""One in so many trials goes on past a rung of successive halving."""
ENOUGH_TO_WEIGH = 10
"""Trials from which on it may be said which settings matter."""


class Told(NamedTuple):
    """A trial as the sampler hears of it."""

    params: dict[str, Any]
    state: str
    """complete, failed, pruned or running."""
    values: list[float] | None = None
    reached: list[float] | None = None
    """Of a pruned one the step at which it was stopped, and its value there."""


def propose(
    space: Space,
    *,
    directions: Sequence[str],
    sampler: str,
    seed: int,
    told: Sequence[Told],
    budget: int,
) -> dict[str, Any] | None:
    """The settings of the next trial; None where every trial of the space has been tried.

    Args:
        directions: minimize or maximize, one an objective.
        told: all trials so far in the order of their numbers.
        budget: how many trials there will be.
    """
    import optuna

    known = {_key(one.params) for one in told}
    startup = min(MOST_STARTUP, max(2, budget // 4))
    for attempt in range(TRIES):
        draws = stable_int(seed, "ask", len(told), attempt) % 2**32
        # what repeats itself under the model is drawn at random
        kind = sampler if attempt < TRIES // 4 else "random"
        study = optuna.create_study(
            directions=[optuna.study.StudyDirection[way.upper()] for way in directions],
            sampler=_sampler(kind, draws, startup),
        )
        study.add_trials([_frozen(one, space) for one in told])
        params = dict(study.ask(_distributions(space)).params)
        if _key(params) not in known:
            return params
    return None


def importances(space: Space, told: Sequence[Told], objective: int) -> dict[str, float]:
    """How much of an objective's variance each setting explains (fANOVA), the greatest first.

    Empty where there are too few trials, one setting, or nothing varies.
    """
    import optuna

    done = [one for one in told if one.state == "complete" and one.values is not None]
    values = [one.values[objective] for one in done if one.values is not None]
    if len(done) < ENOUGH_TO_WEIGH or len(space) < 2 or len(set(values)) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    for one, value in zip(done, values, strict=True):
        study.add_trial(_frozen(one._replace(values=[value]), space))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items() if math.isfinite(share)}


def front(values: Sequence[Sequence[float]], directions: Sequence[str]) -> list[int]:
    """Places of the points that no other beats in every objective (with one: the best ones).

    Of points that are the same in all objectives the first counts.
    """
    costs = [_costs(point, directions) for point in values]
    return [
        place
        for place, one in enumerate(costs)
        if not any(
            (all(a <= b for a, b in zip(other, one, strict=True)) and other != one)
            or (other == one and number < place)
            for number, other in enumerate(costs)
        )
    ]


def winners(values: Sequence[Sequence[float]], directions: Sequence[str], most: int) -> list[int]:
    """At most ``most`` places of the front: its ends first, then those furthest from what is taken.

    Distances are in shares of the front's extent in each objective.
    """
    on_front = front(values, directions)
    costs = {place: _costs(values[place], directions) for place in on_front}
    axes = range(len(directions))
    taken: list[int] = []
    for axis in axes:
        best = min(on_front, key=lambda place: costs[place][axis], default=None)
        if best is not None and best not in taken:
            taken.append(best)
    low = [min(costs[place][axis] for place in on_front) for axis in axes] if on_front else []
    span = [max(costs[p][axis] for p in on_front) - low[axis] or 1.0 for axis in axes if low]

    def apart(one: int, other: int) -> float:
        return math.dist(
            [costs[one][axis] / span[axis] for axis in axes],
            [costs[other][axis] / span[axis] for axis in axes],
        )

    while len(taken) < min(most, len(on_front)):
        left = [place for place in on_front if place not in taken]
        taken.append(max(left, key=lambda place: min(apart(place, other) for other in taken)))
    return sorted(taken[:most])


def hypervolume(
    values: Sequence[Sequence[float]], directions: Sequence[str], reference: Sequence[float]
) -> float:
    """The area between the front of two objectives and a reference point that it beats."""
    edge = _costs(reference, directions)
    points = sorted(_costs(values[place], directions) for place in front(values, directions))
    area, ceiling = 0.0, edge[1]
    for first, second in points:
        if first < edge[0] and second < ceiling:
            area += (edge[0] - first) * (ceiling - second)
            ceiling = second
    return area


def is_behind(value: float, others: Sequence[float], direction: str) -> bool:
    """Whether a trial is to be stopped at a rung of successive halving (ASHA's stopping rule).

    Args:
        value: of this trial at the rung.
        others: of all other trials that have been there; fewer than two decide nothing.
    """
    if len(others) < SHARE - 1:
        return False
    better = sum(o > value if direction == "maximize" else o < value for o in others)
    return better >= max(1, (len(others) + 1) // SHARE)


def rungs(every: int, last: int) -> list[int]:
    """The steps at which trials are compared: each three times the one before."""
    made = []
    step = every
    while 0 < step <= last:
        made.append(step)
        step *= SHARE
    return made


def _costs(point: Sequence[float], directions: Sequence[str]) -> list[float]:
    """The same point with less being better everywhere."""
    return [-v if way == "maximize" else v for v, way in zip(point, directions, strict=True)]


def _sampler(kind: str, seed: int, startup: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if kind == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup)
    if kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        seed=seed, multivariate=True, constant_liar=True, n_startup_trials=startup
    )


def _distributions(space: Space) -> dict[str, Any]:
    from optuna import distributions

    def one(dimension: Mapping[str, Any]) -> Any:
        if "choices" in dimension:
            return distributions.CategoricalDistribution(dimension["choices"])
        kinds = {"int": distributions.IntDistribution, "float": distributions.FloatDistribution}
        return kinds[dimension["type"]](dimension["low"], dimension["high"], log=dimension["log"])

    return {name: one(dimension) for name, dimension in space.items()}


def _frozen(told: Told, space: Space) -> Any:
    from optuna.trial import TrialState, create_trial

    states = {
        "complete": TrialState.COMPLETE,
        "failed": TrialState.FAIL,
        "pruned": TrialState.PRUNED,
        "running": TrialState.RUNNING,
    }
    reached = {int(told.reached[0]): told.reached[1]} if told.reached else {}
    return create_trial(
        intermediate_values=reached,
        params=told.params,
        distributions=_distributions(space),
        state=states[told.state],
        values=told.values if told.state == "complete" else None,
    )


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)


def _answer(question: dict[str, Any]) -> Any:
    told = [Told(**one) for one in question.pop("told")]
    if question.pop("ask") == "importances":
        return [
            importances(question["space"], told, place) for place in range(question["objectives"])
        ]
    return propose(**question, told=told)


if __name__ == "__main__":
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)
