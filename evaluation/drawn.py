"""The order in which an evaluation's comparisons count, whatever is looked at and when.

Intervals that may be looked at at any time need one score a prompt with prompts in random order. An
order is drawn beforehand, by the evaluation's seed: people are asked in it where there is a plan,
judges always; votes that came in together are taken in it, and so are the ties that nobody is asked
about.
"""

from __future__ import annotations

import numpy as np
from django.db.models import QuerySet

from annotation.models import Pair, Prompt
from evaluation.models import Evaluation
from steelyard.lib.hashing import stable_int

TOGETHER = 60.0
"""Seconds between two votes from files up to which they are of one import."""


def place_of(evaluation: Evaluation, key: str) -> int:
    """Where a prompt stands in the order, by its key; only which is less counts."""
    return stable_int(evaluation.seed, key)


def places_of(evaluation: Evaluation, prompts: np.ndarray) -> np.ndarray:
    """Of prompts by id."""
    known, at = np.unique(prompts, return_inverse=True)
    found = dict(Prompt.objects.filter(pk__in=known.tolist()).values_list("pk", "key"))
    places = np.array([place_of(evaluation, found[pk]) for pk in known.tolist()], dtype=np.int64)
    return places[at] if known.size else places


def in_drawn_order(evaluation: Evaluation, pairs: QuerySet[Pair]) -> list[Pair]:
    """As a judge is asked about them, so that its votes may be looked at while it is."""
    found = pairs.select_related("prompt").defer("prompt__messages")
    return sorted(found, key=lambda pair: (place_of(evaluation, pair.prompt.key), pair.pk))


def came_in(at: np.ndarray, from_file: np.ndarray, since: np.ndarray) -> np.ndarray:
    """When votes of people became evidence: those from before the evaluation asked when it did,
    those of one import when it began, all others when they were cast."""
    when = at.copy()
    times = np.sort(at[from_file])
    if times.size:
        starts = times[np.concatenate([[True], np.diff(times) > TOGETHER])]
        when[from_file] = starts[np.searchsorted(starts, at[from_file], side="right") - 1]
    return np.maximum(when, since)


def with_ties(
    place: np.ndarray, same: np.ndarray, done: np.ndarray, when: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which comparisons count, and since when, of all that one candidate, or one plan, has.

    Two identical outputs are a tie once as many of the others are done as stand before it in the
    order, and one more; all are where all others are done. So ties are never ahead of votes that
    are still to come, and never behind.

    Args:
        place: in the order.
        same: which are of two identical outputs.
        done: which of the others have their votes.
        when: these had them.
    """
    others = ~same
    answered = np.sort(when[done & others])
    before = np.searchsorted(np.sort(place[others]), place[same])
    come = (before < answered.size) | (answered.size == int(others.sum()))
    counts, since = done & others, when.copy()
    counts[same] = come
    if answered.size:
        since[same] = answered[np.minimum(before, answered.size - 1)]
    return counts, since
