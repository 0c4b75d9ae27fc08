"""Rankings with ties: what an order says of each two of its outputs. Pure: no database.

An order is a list of tiers, the best first; outputs of one tier are tied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from steelyard.lib.hashing import stable_int

LEAST, MOST = 2, 9
"""How many outputs a set may have."""
TOP_STRENGTH = 3

Tiers = Sequence[Sequence[int]]


def shuffled(annotator: int, output_set: int, outputs: Collection[int]) -> list[int]:
    """The order of the screen: a permutation that depends on these numbers alone, so that a page
    kept open past its lease has the same order as the lease that follows."""
    return sorted(outputs, key=lambda pk: (stable_int("ranking", annotator, output_set, pk), pk))


def tiers_of(ranks: dict[int, int]) -> list[list[int]]:
    """The tiers of outputs with numbers of ranks, whatever gaps these have: the smallest is the
    best, and equal ones are a tie."""
    groups: dict[int, list[int]] = {}
    for output, rank in ranks.items():
        groups.setdefault(rank, []).append(output)
    return [sorted(groups[rank]) for rank in sorted(groups)]


def ranks_of(tiers: Tiers) -> dict[int, int]:
    """The number of each output's tier, the best 1."""
    return {output: rank for rank, tier in enumerate(tiers, 1) for output in tier}


def compared(tiers: Tiers, *, top: int = TOP_STRENGTH) -> Iterator[tuple[int, int, int]]:
    """What an order of k outputs says of each of its k (k - 1) / 2 pairs.

    Args:
        top: the highest strength on the project's scale.

    Yields:
        the better output, the other one, and by how much: as many steps as their tiers are apart,
        at most ``top``; 0 for a tie.
    """
    ranks = ranks_of(tiers)
    in_order = [output for tier in tiers for output in tier]
    for better, other in combinations(in_order, 2):
        yield better, other, min(ranks[other] - ranks[better], top)


class Difference(NamedTuple):
    """Two outputs that one order puts otherwise than another: -1 the first before the second, 1
    behind it, 0 tied."""

    one: int
    other: int
    said: int
    known: int


def differences(tiers: Tiers, known: Tiers) -> list[Difference]:
    """The comparisons of two outputs in which two orders of the same outputs differ, the best of
    the known order first."""
    said, right = ranks_of(tiers), ranks_of(known)
    in_order = [output for tier in known for output in tier]
    found = (
        Difference(one, other, _sign(said[one] - said[other]), _sign(right[one] - right[other]))
        for one, other in combinations(in_order, 2)
    )
    return [difference for difference in found if difference.said != difference.known]


def are_at_odds(orders: Sequence[Tiers]) -> bool:
    """Whether several orders of the same outputs leave open what is better: of at least half of
    the comparisons of two no word (before, behind or tied) has more than half of the orders. For
    two outputs this is that no verdict has a majority."""
    if not orders:
        return False
    ranks = [ranks_of(tiers) for tiers in orders]
    open_ones = compared_ones = 0
    for one, other in combinations(sorted(ranks[0]), 2):
        said = Counter(_sign(rank[one] - rank[other]) for rank in ranks)
        compared_ones += 1
        open_ones += max(said.values()) * 2 <= len(orders)
    return open_ones * 2 >= compared_ones


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def problem_of(tiers: Tiers, outputs: Collection[int]) -> str:
    """Why these are no tiers of these outputs, or an empty text."""
    said = [output for tier in tiers for output in tier]
    if any(not tier for tier in tiers):
        return "a tier is empty; leave it out."
    double = sorted({output for output in said if said.count(output) > 1})
    if double:
        return f"output {double[0]} stands there twice; each stands in one tier."
    unknown = sorted(set(said) - set(outputs))
    if unknown:
        known = ", ".join(map(str, sorted(outputs)))
        return f"output {unknown[0]} is not in this set; its outputs are {known}."
    missing = sorted(set(outputs) - set(said))
    if missing:
        return f"output {missing[0]} is left out; each must stand in one tier."
    return ""
