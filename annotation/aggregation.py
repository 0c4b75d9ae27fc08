"""From the votes on a pair to one outcome. Pure: no database, no clock, no chance.

Both rules treat the sides alike (swap a and b in every vote, and the outcomes are swapped) and
neither looks at the order of the votes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_CLASSES = ["a", "b", "tie", "both_bad"]
_SWAPPED = [1, 0, 2, 3]
_RIGHT, _WRONG = 4.0, 1.0
"""What is taken of an annotator before the first vote: a Beta(4, 1), right four times in five."""
_SAME = 1e-6
"""Posteriors closer than this are the same, so that no machine's rounding decides an outcome."""


def majority(outcomes: Iterable[str]) -> str:
    """The outcome with the most votes; where two or more share that place, a tie.

    One vote for a and one for tie is therefore a tie, and so is one for a and one for both_bad.

    Raises:
        ValueError: there are no votes.
    """
    ranked = Counter(outcomes).most_common(2)
    if not ranked:
        raise ValueError("a majority needs a vote")
    if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
        return "tie"
    return ranked[0][0]


def majorities(cast: np.ndarray) -> np.ndarray:
    """The majority of many items at once.

    Args:
        cast: votes by item and outcome, shape (items, 4) in the order a, b, tie, both_bad.

    Returns:
        the place of each item's outcome, shape (items,).
    """
    most = cast.max(axis=1, keepdims=True)
    shared = (cast == most).sum(axis=1) > 1
    return np.where(shared, _CLASSES.index("tie"), cast.argmax(axis=1))


def dawid_skene_of(
    item: np.ndarray,
    worker: np.ndarray,
    said: np.ndarray,
    *,
    rounds: int = 500,
    tolerance: float = 1e-9,
) -> np.ndarray:
    """:func:`dawid_skene` on arrays with one entry a vote.

    Args:
        item: 0, 1, … without a gap.
        worker: numbers in the order of the annotators' names.
        said: the place of each vote's outcome in a, b, tie, both_bad.

    Returns:
        the place of each item's outcome, shape (items,).
    """
    if not len(item):
        return np.zeros(0, dtype=np.int64)
    return weighed(item, worker, said, rounds=rounds, tolerance=tolerance).outcome


@dataclass(frozen=True)
class Weighed:
    """What one-coin Dawid–Skene makes of votes."""

    outcome: np.ndarray
    """The place of each item's outcome in a, b, tie, both_bad; shape (items,)."""
    posterior: np.ndarray
    """The probability of each outcome, shape (items, 4)."""
    skill: np.ndarray
    """How probably each worker is right, 0 to 1, in the order of their numbers."""
    weight: np.ndarray
    """What each worker's vote adds to the log odds of an outcome against any other."""


def weighed(
    item: np.ndarray,
    worker: np.ndarray,
    said: np.ndarray,
    *,
    rounds: int = 500,
    tolerance: float = 1e-9,
) -> Weighed:
    """All that :func:`dawid_skene_of` finds, of at least one vote; arguments as there."""
    order = np.lexsort((said, worker, item))
    item, worker, said = item[order], np.unique(worker[order], return_inverse=True)[1], said[order]
    posterior, skill, gain = _fit(item, worker, said, int(item[-1]) + 1, rounds, tolerance)
    ranked = np.argsort(-posterior, axis=1, kind="stable")
    best, second = (posterior[np.arange(len(ranked)), ranked[:, place]] for place in (0, 1))
    outcome = np.where(best - second < _SAME, _CLASSES.index("tie"), ranked[:, 0])
    return Weighed(outcome, posterior, skill, gain)


def dawid_skene(
    votes: Mapping[str, Sequence[tuple[str, str]]], *, rounds: int = 500, tolerance: float = 1e-9
) -> dict[str, str]:
    """One-coin Dawid–Skene: each annotator is right with a probability of their own, the same for
    all outcomes, and wrong ones are equally likely.

    EM from the shares of votes, over the outcomes that occur. The sides of a pair are arbitrary,
    so a and b have the same prior probability. Where an item's best two outcomes are equally
    probable it is a tie.

    Args:
        votes: (annotator, outcome) of each vote on an item; every item has at least one.

    Raises:
        ValueError: an item has no votes, or an outcome is none of a, b, tie, both_bad.
    """
    if not votes:
        return {}
    items = sorted(votes)
    cast = [(at, *vote) for at, item in enumerate(items) for vote in sorted(votes[item])]
    if empty := [item for item in items if not votes[item]]:
        raise ValueError(f"item {empty[0]} has no votes")
    if unknown := sorted({outcome for _, _, outcome in cast} - set(_CLASSES)):
        raise ValueError(f"unknown outcome {unknown[0]!r}")
    _, worker = np.unique([name for _, name, _ in cast], return_inverse=True)
    found = dawid_skene_of(
        np.array([at for at, _, _ in cast]),
        worker,
        np.array([_CLASSES.index(outcome) for _, _, outcome in cast]),
        rounds=rounds,
        tolerance=tolerance,
    )
    return {item: _CLASSES[at] for item, at in zip(items, found.tolist(), strict=True)}


def _fit(
    item: np.ndarray,
    worker: np.ndarray,
    said: np.ndarray,
    items: int,
    rounds: int,
    tolerance: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior of each outcome, shape (items, 4); each worker's skill, and what it weighs."""
    occurs = np.isin(np.arange(4), said)
    occurs[:2] |= occurs[:2].any()
    wrong_ways = max(int(occurs.sum()) - 1, 1)
    flat = item * 4 + said
    posterior = np.bincount(flat, minlength=items * 4).reshape(items, 4).astype(float)
    posterior /= posterior.sum(axis=1, keepdims=True)
    number_of = np.bincount(worker)
    for _ in range(rounds):
        right = np.bincount(worker, weights=posterior[item, said])
        skill = (right + _RIGHT) / (number_of + _RIGHT + _WRONG)
        share = posterior.mean(axis=0)
        share = (share + share[_SWAPPED]) / 2
        miss = np.log((1.0 - skill) / wrong_ways)
        gain = np.log(skill) - miss
        base = np.bincount(item, weights=miss[worker], minlength=items)
        scores = np.bincount(flat, weights=gain[worker], minlength=items * 4).reshape(items, 4)
        with np.errstate(divide="ignore"):
            scores = scores + base[:, None] + np.where(occurs, np.log(share), -np.inf)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        before, posterior = posterior, scores / scores.sum(axis=1, keepdims=True)
        if np.abs(posterior - before).max() < tolerance:
            break
    return posterior, skill, gain
