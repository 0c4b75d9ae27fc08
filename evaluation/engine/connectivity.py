"""Which models can be rated together: a maximum exists only where each model can be reached from
each other along scores above zero."""

from __future__ import annotations

import numpy as np


def rateable(scored: np.ndarray) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """The largest group of models with finite ratings, and why the others are not in it.

    Of groups with equally many models the one with more votes is taken, then the one with the
    first model.

    Args:
        scored: ``S[i, j]``, what i has scored against j, ties as half.

    Returns:
        a mask over the models (empty where no two can be rated), and (model, reason) of the rest.
    """
    models = len(scored)
    reach = _reachable(scored > 0)
    mutual = reach & reach.T
    battles = scored + scored.T
    groups = {tuple(np.flatnonzero(row)) for row in mutual}
    best = max(groups, key=lambda g: (len(g), battles[np.ix_(g, g)].sum(), -g[0]), default=())
    keep = np.zeros(models, dtype=bool)
    if len(best) > 1:
        keep[list(best)] = True
    reasons = [
        (model, _reason(model, keep, scored, reach)) for model in range(models) if not keep[model]
    ]
    return keep, reasons


def _reachable(edge: np.ndarray) -> np.ndarray:
    """Transitive closure by repeated squaring, each model reaching itself."""
    reach = edge | np.eye(len(edge), dtype=bool)
    while True:
        more = (reach.astype(np.float32) @ reach.astype(np.float32)) > 0
        if (more == reach).all():
            return reach
        reach = more


def _reason(model: int, keep: np.ndarray, scored: np.ndarray, reach: np.ndarray) -> str:
    won, lost = scored[model].sum(), scored[:, model].sum()
    votes = round(float(won + lost))
    if votes == 0:
        return "no votes"
    said = "its only vote" if votes == 1 else f"all of its {votes} votes"
    if lost == 0:
        return f"it won {said}, so nothing bounds its rating from above; one tie or loss would"
    if won == 0:
        return f"it lost {said}, so nothing bounds its rating from below; one tie or win would"
    if not keep.any():
        return "no two models have each scored against the other yet"
    above, below = reach[model][keep].any(), reach[:, model][keep].any()
    if above:
        return (
            "it and those like it have only won against the rated models; a tie or loss is needed"
        )
    if below:
        return "it and those like it have only lost to the rated models; a tie or win is needed"
    return "no chain of votes links it to the rated models"
