"""What a recipe keeps of pairs and votes. Pure: arrays in, arrays out; no database.

The order in which rows come does not matter: pairs are put in the order of their keys and votes in
that of their UUIDs before anything is decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from annotation import aggregation
from annotation.recipe import Recipe
from annotation.similar import groups
from steelyard.lib.hashing import stable_ints

OUTCOMES = ("a", "b", "tie", "both_bad")
_TIE, _BOTH_BAD = 2, 3
_SPARSE = 8
"""So many times as far apart as close by, primary keys are searched for."""
_DRAWN = 10_000
"""Keys that are objects of the interpreter at once."""

DROPPED = {
    "few_votes": "fewer votes than asked for",
    "identical": "both outputs are the same",
    "both_bad": "both bad",
    "low_agreement": "too little agreement",
    "tie": "tie",
}
"""Why a pair with votes is left out, in the order in which it is asked."""
DROPPED_IF_ASKED = {
    "low_strength": "too weak a preference",
    "held_out_twin": "the prompt is nearly a held-out one",
    "cap": "more than the limit of its source",
}
"""The same, for what only some recipes ask: counted where they do."""


@dataclass
class Pairs:
    """One entry a pair in each."""

    pk: np.ndarray
    key: np.ndarray
    """The 32 bytes of the pair's key."""
    prompt: np.ndarray
    prompt_key: np.ndarray
    category: np.ndarray
    """Place in ``Names.categories``."""
    held_out: np.ndarray
    closed: np.ndarray
    output_a: np.ndarray
    output_b: np.ndarray
    identical: np.ndarray
    model_a: np.ndarray
    model_b: np.ndarray
    project: np.ndarray
    """Place in ``Names.projects``."""

    def __len__(self) -> int:
        return len(self.pk)

    def at(self, places: np.ndarray) -> Self:
        return type(self)(*(getattr(self, field.name)[places] for field in fields(self)))

    def sorted(self) -> Self:
        """In the order of their keys."""
        return self.at(_order(self.key))


@dataclass
class Votes:
    """One entry a vote in each."""

    pair: np.ndarray
    """The pair's primary key."""
    annotator: np.ndarray
    outcome: np.ndarray
    """Place in ``OUTCOMES``."""
    strength: np.ndarray
    uuid: np.ndarray
    """16 bytes."""
    swapped: np.ndarray
    """1 where b was shown first, 0 where a was, -1 where that is not known."""

    def __len__(self) -> int:
        return len(self.pair)

    def at(self, places: np.ndarray) -> Self:
        return type(self)(*(getattr(self, field.name)[places] for field in fields(self)))


@dataclass(frozen=True)
class Names:
    annotators: dict[int, str]
    """In the order of the names."""
    kinds: dict[int, str]
    models: dict[int, str]
    categories: list[str]
    projects: list[str]
    """Names in URLs of those that were drawn from, in order."""


@dataclass
class Rows:
    """One entry a row of the version in each, in the order of the version."""

    pair: np.ndarray
    """Place in the selection's pairs."""
    start: np.ndarray
    stop: np.ndarray
    """Its votes are ``votes[start:stop]``."""
    outcome: np.ndarray
    """What the votes come to."""
    side: np.ndarray
    """0 where a is chosen, 1 where b is."""
    agreement: np.ndarray
    strength: np.ndarray
    weight: np.ndarray
    test: np.ndarray

    def __len__(self) -> int:
        return len(self.pair)

    def at(self, places: np.ndarray) -> Self:
        return type(self)(*(getattr(self, field.name)[places] for field in fields(self)))


@dataclass(frozen=True)
class Selection:
    pairs: Pairs
    votes: Votes
    rows: Rows
    counts: dict[str, int]
    """What depends on the counted votes and the recipe alone; part of the version's identity."""
    categories: list[tuple[str, int, int]]
    """Category, train rows, test rows."""
    passed_over: dict[str, int]
    wins: int
    """Rows that votes gave a winner; no drawn or halved tie is one, and no two bad outputs."""
    train_wins: int
    position: dict[str, int]
    """Of people's votes for a side behind the rows: ``of`` how many, and ``first`` for how many
    of them the side was shown first; ``unknown`` counts those besides of which nobody knows
    what was shown first."""


def select(
    *,
    pairs: Pairs,
    votes: Votes,
    names: Names,
    recipe: Recipe,
    texts: Callable[[np.ndarray], Iterable[str]],
) -> Selection:
    """
    Args:
        pairs: in the order of their keys.
        texts: what prompts say, by their primary keys; asked only where similar ones are grouped.
    """
    votes = _placed(pairs, votes)
    passed_over: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    n_votes = np.bincount(votes.pair, minlength=len(pairs))
    left = np.ones(len(pairs), dtype=bool)
    for reason, gone in _passed(pairs, names, recipe, n_votes):
        passed_over[reason] = int((left & gone).sum())
        left &= ~gone
    for reason, gone in (
        ("few_votes", n_votes < recipe.min_votes),
        ("identical", pairs.identical),
    ):
        dropped[reason] = int((left & gone).sum())
        left &= ~gone
    votes = votes.at(left[votes.pair])
    rows = _verdicts(votes, len(pairs), names, recipe)
    for reason, gone in _unfit(rows, recipe):
        dropped[reason] = int(gone.sum())
        rows = rows.at(~gone)
    grouped = _groups(pairs, rows, texts) if recipe.group_similar else None
    if grouped is not None:
        gone = grouped.held_out[rows.pair]
        dropped["held_out_twin"] = int(gone.sum())
        rows = rows.at(~gone)
    if recipe.cap:
        gone = ~_under_cap(pairs, np.unique(rows.pair), recipe)[rows.pair]
        dropped["cap"] = int(gone.sum())
        rows = rows.at(~gone)
    rows.test = _in_test(pairs, rows, recipe, grouped)
    _choose_sides(pairs, rows, recipe)
    counts = _counts(pairs, votes, rows, dropped, recipe)
    if grouped is not None:
        counts["similar_prompts"] = grouped.similar(np.unique(pairs.prompt[rows.pair]))
    if recipe.ties == "half":
        rows = _halved(rows)
        counts |= {"rows": len(rows), **_split_counts(rows)}
    return Selection(
        pairs=pairs,
        votes=votes,
        rows=rows,
        counts=counts,
        categories=_by_category(pairs, rows, names),
        passed_over={reason: n for reason, n in passed_over.items() if n},
        wins=int((rows.outcome < _TIE).sum()),
        position=_position(votes, rows, names),
        train_wins=int((~rows.test & (rows.outcome < _TIE)).sum()),
    )


def places_of(pks: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where these primary keys are among others, -1 where they are not."""
    if not len(pks) or not len(wanted):
        return np.full(len(wanted), -1)
    low, high = int(pks.min()), int(pks.max())
    if high - low < _SPARSE * len(pks):
        # they are nearly all that there are between the two, so no search is needed
        place = np.full(high - low + 2, -1)
        place[pks - low] = np.arange(len(pks))
        there = (wanted >= low) & (wanted <= high)
        return place[np.where(there, wanted - low, -1)]
    order = np.argsort(pks)
    at = order[np.minimum(np.searchsorted(pks, wanted, sorter=order), len(pks) - 1)]
    return np.where(pks[at] == wanted, at, -1)


def _order(column: np.ndarray) -> np.ndarray:
    """Of byte strings of a fixed width."""
    words = _words(column)
    return _sorted_by(words[:, 0].astype(np.uint64), words)


def _words(column: np.ndarray) -> np.ndarray:
    """Byte strings as numbers, the first of each deciding first."""
    return np.frombuffer(column.tobytes(), dtype=">u8").reshape(-1, column.dtype.itemsize // 8)


def _sorted_by(near: np.ndarray, words: np.ndarray, *first: np.ndarray) -> np.ndarray:
    """The order by what is first and then by the words.

    Args:
        near: numbers in that order, but that some may be alike where the words are not. Of hashes
            hardly any are, and to sort by one number is many times quicker.
    """
    order = np.argsort(near)
    ordered = near[order]
    if not (ordered[1:] == ordered[:-1]).any():
        return order
    return np.lexsort([*reversed(words.T), *first])


def _placed(pairs: Pairs, votes: Votes) -> Votes:
    """Votes with the place of their pair for its primary key, in the order of pair and UUID; those
    on other pairs are left out."""
    place = places_of(pairs.pk, votes.pair)
    known = np.flatnonzero(place >= 0)
    place, words = place[known], _words(votes.uuid[known])
    near = (place.astype(np.uint64) << 32) | (words[:, 0].astype(np.uint64) >> 32)
    order = _sorted_by(near, words, place)
    votes = votes.at(known[order])
    votes.pair = place[order].astype(np.int32)
    return votes


def _passed(
    pairs: Pairs, names: Names, recipe: Recipe, n_votes: np.ndarray
) -> list[tuple[str, np.ndarray]]:
    none = np.zeros(len(pairs), dtype=bool)
    categories = [at for at, name in enumerate(names.categories) if name in recipe.categories]
    of = {
        wanted: [pk for pk, name in names.models.items() if name in getattr(recipe, wanted)]
        for wanted in ("models", "without_models")
    }
    only_a, only_b = (np.isin(side, of["models"]) for side in (pairs.model_a, pairs.model_b))
    other_model = ~(only_a & only_b) if recipe.models else none
    for side in (pairs.model_a, pairs.model_b):
        other_model = other_model | np.isin(side, of["without_models"])
    return [
        ("held_out", pairs.held_out),
        ("closed", pairs.closed),
        (
            "other_category",
            ~np.isin(pairs.category, categories) if recipe.categories else none,
        ),
        ("other_model", other_model),
        ("unlabelled", n_votes == 0),
    ]


def _verdicts(votes: Votes, n_pairs: int, names: Names, recipe: Recipe) -> Rows:
    """A row for each pair with votes, or for each vote."""
    cast = np.bincount(votes.pair * 4 + votes.outcome, minlength=n_pairs * 4).reshape(-1, 4)
    total = cast.sum(axis=1)
    starts = np.concatenate([[0], np.cumsum(total)])
    if recipe.aggregation == "per_vote":
        pair = votes.pair.astype(np.int64)
        start = np.arange(len(votes))
        stop, outcome = start + 1, votes.outcome.astype(np.int64)
        strength = np.abs(votes.strength).astype(float)
    else:
        pair = np.flatnonzero(total)
        start, stop = starts[pair], starts[pair + 1]
        outcome = (
            _dawid_skene(votes, names)
            if recipe.aggregation == "dawid_skene"
            else aggregation.majorities(cast[pair])
        )
        strength = _strengths(votes, pair, outcome, n_pairs)
    share = np.round(cast[pair, outcome] / total[pair], 6)
    strength = np.where(outcome < _TIE, strength, 0.0)
    n = len(pair)
    return Rows(
        pair=pair,
        start=start,
        stop=stop,
        outcome=outcome,
        side=np.where(outcome == 1, 1, 0).astype(np.int8),
        agreement=share,
        strength=strength,
        weight=np.ones(n),
        test=np.zeros(n, dtype=bool),
    )


def _dawid_skene(votes: Votes, names: Names) -> np.ndarray:
    """The outcome of each pair with votes."""
    rank = {pk: at for at, pk in enumerate(names.annotators)}
    worker = np.array([rank[pk] for pk in votes.annotator.tolist()], dtype=np.int64)
    _, item = np.unique(votes.pair, return_inverse=True)
    return aggregation.dawid_skene_of(item, worker, votes.outcome.astype(np.int64))


def _strengths(votes: Votes, pair: np.ndarray, outcome: np.ndarray, n_pairs: int) -> np.ndarray:
    """Mean strength of each pair's votes for its outcome."""
    verdict = np.full(n_pairs, -1)
    verdict[pair] = outcome
    for_it = votes.outcome == verdict[votes.pair]
    of = votes.pair[for_it]
    number = np.bincount(of, minlength=n_pairs)[pair]
    weights = np.abs(votes.strength[for_it]).astype(float)
    sums = np.bincount(of, weights=weights, minlength=n_pairs)[pair]
    return np.round(sums / np.maximum(number, 1), 6)


def _unfit(rows: Rows, recipe: Recipe) -> Iterable[tuple[str, np.ndarray]]:
    """Reasons in their order, each with the rows that the ones before have left."""
    rules: list[tuple[str, Callable[[Rows], np.ndarray]]] = [
        ("both_bad", lambda r: (r.outcome == _BOTH_BAD) & (recipe.both_bad == "drop")),
        ("low_agreement", lambda r: r.agreement < recipe.min_agreement),
        ("tie", lambda r: (r.outcome == _TIE) & (recipe.ties == "drop")),
    ]
    if recipe.min_strength:
        weak = ("low_strength", lambda r: (r.outcome < _TIE) & (r.strength < recipe.min_strength))
        rules.append(weak)
    for reason, rule in rules:
        gone = rule(rows)
        yield reason, gone
        rows = rows.at(~gone)


@dataclass(frozen=True)
class _Groups:
    """Near duplicates among the prompts of rows and the held-out ones."""

    prompts: np.ndarray
    """Primary keys in the order of their keys."""
    first: np.ndarray
    """Place of the first prompt of each one's group."""
    held_out: np.ndarray
    """For each pair, whether a held-out prompt is in its prompt's group."""
    first_key: np.ndarray
    """For each pair, the key of the first prompt of its group."""

    def similar(self, prompts: np.ndarray) -> int:
        """How many of these are like another of them."""
        mine = self.first[np.isin(self.prompts, prompts)]
        sizes = np.bincount(mine, minlength=1)
        return int(sizes[sizes > 1].sum())


def _groups(pairs: Pairs, rows: Rows, texts: Callable[[np.ndarray], Iterable[str]]) -> _Groups:
    wanted = pairs.held_out.copy()
    wanted[rows.pair] = True
    there = np.flatnonzero(wanted)
    there = there[_order(pairs.prompt_key[there])]
    _, places = np.unique(pairs.prompt[there], return_index=True)
    chosen = there[np.sort(places)]
    prompts = pairs.prompt[chosen]
    first = groups(texts(prompts))
    n = len(prompts)
    held = np.zeros(n, dtype=bool)
    np.logical_or.at(held, first, pairs.held_out[chosen])
    by_pk = np.argsort(prompts)
    at = np.minimum(np.searchsorted(prompts, pairs.prompt, sorter=by_pk), max(n - 1, 0))
    group = first[by_pk[at]] if n else np.zeros(len(pairs), dtype=np.int64)
    return _Groups(prompts, first, held[group], pairs.prompt_key[chosen][group])


def _under_cap(pairs: Pairs, kept: np.ndarray, recipe: Recipe) -> np.ndarray:
    """For each pair whether it is among the first of its source, in an order drawn by the seed."""
    if recipe.cap_by == "models":
        low = np.minimum(pairs.model_a, pairs.model_b)[kept]
        high = np.maximum(pairs.model_a, pairs.model_b)[kept]
        _, source = np.unique(np.stack([low, high], axis=1), axis=0, return_inverse=True)
    else:
        of = pairs.category if recipe.cap_by == "category" else pairs.prompt
        _, source = np.unique(of[kept], return_inverse=True)
    source = source.reshape(-1)
    order = np.lexsort((_drawn(("cap", recipe.seed), pairs.key[kept]), source))
    ranked = source[order]
    first = np.flatnonzero(np.diff(ranked, prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    under = np.zeros(len(pairs), dtype=bool)
    under[kept[order[rank < recipe.cap]]] = True
    return under


def _in_test(pairs: Pairs, rows: Rows, recipe: Recipe, grouped: _Groups | None) -> np.ndarray:
    """Drawn from the prompt's key, or from that of the first of its group."""
    keys = pairs.prompt_key if grouped is None else grouped.first_key
    _, first, place = np.unique(pairs.prompt[rows.pair], return_index=True, return_inverse=True)
    shares = _uniforms(("split", recipe.seed), keys[rows.pair[first]])
    return (shares < recipe.test_fraction)[place]


def _uniforms(parts: Sequence[object], keys: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1) that depend on the parts and a key."""
    return np.ldexp(_drawn(parts, keys).astype(float), -63)


def _drawn(parts: Sequence[object], keys: np.ndarray) -> np.ndarray:
    """63-bit integers that depend on the parts and a key."""
    drawn = np.empty(len(keys), dtype=np.int64)
    for start in range(0, len(keys), _DRAWN):
        some = slice(start, start + _DRAWN)
        drawn[some] = stable_ints(parts, _hexes(keys[some]))
    return drawn


def _hexes(keys: np.ndarray) -> list[bytes]:
    """Keys as they are written."""
    digits, width = keys.tobytes().hex().encode(), 2 * keys.dtype.itemsize
    return [digits[start : start + width] for start in range(0, len(digits), width)]


def _choose_sides(pairs: Pairs, rows: Rows, recipe: Recipe) -> None:
    if recipe.ties != "random":
        return
    ties = np.flatnonzero(rows.outcome == _TIE)
    shares = _uniforms(("tie", recipe.seed), pairs.key[rows.pair[ties]])
    rows.side[ties] = np.where(shares < 0.5, 0, 1)


def _halved(rows: Rows) -> Rows:
    """Each tie twice, a chosen and then b, with half the weight."""
    times = np.where(rows.outcome == _TIE, 2, 1)
    twice = rows.at(np.repeat(np.arange(len(rows)), times))
    second = np.zeros(len(twice), dtype=bool)
    second[np.cumsum(times)[times == 2] - 1] = True
    twice.side[second] = 1
    twice.weight[twice.outcome == _TIE] = 0.5
    return twice


def _counts(
    pairs: Pairs, votes: Votes, rows: Rows, dropped: Counter[str], recipe: Recipe
) -> dict[str, int]:
    used = _used(votes, rows)
    asked = {
        "low_strength": recipe.min_strength,
        "held_out_twin": recipe.group_similar,
        "cap": recipe.cap,
    }
    reasons = [*DROPPED, *(reason for reason, is_asked in asked.items() if is_asked)]
    return {
        "rows": len(rows),
        **_split_counts(rows),
        "ties": int((rows.outcome == _TIE).sum()),
        "prompts": len(np.unique(pairs.prompt[rows.pair])),
        "votes": int(used.sum()),
        "annotators": len(np.unique(votes.annotator[used])),
        **(
            {"both_bad": int((rows.outcome == _BOTH_BAD).sum())}
            if recipe.both_bad == "keep"
            else {}
        ),
        **{f"dropped_{reason}": dropped[reason] for reason in reasons},
    }


def _position(votes: Votes, rows: Rows, names: Names) -> dict[str, int]:
    people = [pk for pk, kind in names.kinds.items() if kind == "person"]
    told = _used(votes, rows) & np.isin(votes.annotator, people) & (votes.outcome < _TIE)
    known = told & (votes.swapped >= 0)
    first = votes.outcome[known] == votes.swapped[known]
    of = int(known.sum())
    return {"of": of, "first": int(first.sum()), "unknown": int(told.sum()) - of}


def _used(votes: Votes, rows: Rows) -> np.ndarray:
    """Which votes stand behind a row."""
    begun, ended = (np.bincount(at, minlength=len(votes) + 1) for at in (rows.start, rows.stop))
    return np.cumsum((begun - ended)[:-1]) > 0


def _split_counts(rows: Rows) -> dict[str, int]:
    test = int(rows.test.sum())
    return {"train": len(rows) - test, "test": test}


def _by_category(pairs: Pairs, rows: Rows, names: Names) -> list[tuple[str, int, int]]:
    n = len(names.categories)
    category = pairs.category[rows.pair]
    train = np.bincount(category[~rows.test], minlength=n)
    test = np.bincount(category[rows.test], minlength=n)
    return [
        (name, int(train[at]), int(test[at]))
        for at, name in enumerate(names.categories)
        if train[at] or test[at]
    ]
