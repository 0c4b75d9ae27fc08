"""Which models can be rated together: a maximum exists only where each model can be reached from
each other along scores above zero."""

from __future__ import annotations

import numpy as np


def groups(scored: np.ndarray) -> list[np.ndarray]:
    """Groups of two models or more that have finite ratings among themselves, as sorted indices.

    The group with most models comes first; of equals the one with more votes, then the one with
    the first model.

    Args:
        scored: ``S[i, j]``, what i has scored against j, ties as half.
    """
    reach = _reachable(scored > 0)
    battles = scored + scored.T
    found = {tuple(np.flatnonzero(row)) for row in reach & reach.T}
    several = [group for group in found if len(group) > 1]
    several.sort(key=lambda g: (-len(g), -float(battles[np.ix_(g, g)].sum()), g[0]))
    return [np.array(group) for group in several]


def reason_alone(won: float, lost: float) -> str:
    """Why a model is in no group, from its own scores.

    Args:
        won, lost: its summed scores and its opponents', ties as half on both sides.
    """
    votes = round(won + lost)
    if votes == 0:
        return "no votes"
    said = "its only vote" if votes == 1 else f"all of its {votes} votes"
    if lost == 0:
        return f"it won {said}, so nothing bounds its rating from above; one tie or loss would"
    if won == 0:
        return f"it lost {said}, so nothing bounds its rating from below; one tie or win would"
    return (
        "nobody whom it beat has got the better of it, not even by way of others, so nothing ties "
        "its rating to theirs"
    )


def _reachable(edge: np.ndarray) -> np.ndarray:
    """Transitive closure by repeated squaring, each model reaching itself."""
    reach = edge | np.eye(len(edge), dtype=bool)
    while True:
        more = (reach.astype(np.float32) @ reach.astype(np.float32)) > 0
        if (more == reach).all():
            return reach
        reach = more
