"""How far those who label agree, with intervals over items, and how much agreement people allow.

Raw agreement, Krippendorff's α and Gwet's AC1 belong side by side: where one answer is far more
common, α and κ fall to nothing while nobody labels worse, and raw agreement and AC1 do not. Label
pairs by the identity of their outputs and never by the side on which they were shown, or it is
left-right habits that are measured. Pure NumPy.

Sources: Krippendorff (2011), *Computing Krippendorff's Alpha-Reliability*; Fleiss (1971); Gwet
(2008); Cohen (1960, 1968).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.engine.quantiles import t_quantile

DRAWS = 1000
_BLOCK = 50


@dataclass(frozen=True)
class Estimate:
    """A coefficient; 1 is perfect agreement, 0 (but for the raw share) what chance gives."""

    value: float | None
    """None where it is not defined: nothing was labelled twice, or only one label was ever used."""
    lo: float | None
    """Ends of the 95 % interval, items being the sample; None with fewer than two of them."""
    hi: float | None


@dataclass(frozen=True)
class Agreement:
    raw: Estimate
    """Share of equal labels among two on one item; every item counts alike."""
    alpha: Estimate
    """Krippendorff's, nominal."""
    ordinal_alpha: Estimate
    """Krippendorff's for ordered categories, in the order of ``categories``."""
    ac1: Estimate
    """Gwet's."""
    fleiss: Estimate
    """Fleiss's κ, generalised to any number of labels an item."""
    categories: list[Any]
    items: int
    """Those with two labels or more; the others tell what is common, not who agrees."""
    labels: int
    annotators: int


def agreement(
    items: Sequence[object] | np.ndarray,
    annotators: Sequence[object] | np.ndarray,
    labels: Sequence[Any],
    categories: Sequence[Any] | None = None,
    seed: int = 0,
) -> Agreement:
    """Agreement of any number of annotators who each label what they like.

    Args:
        items, annotators, labels: one each a vote; an annotator has one label an item.
        categories: all labels in their order, for the ordinal α; sorted where not given.
        seed: of the bootstrap by item.

    Raises:
        ValueError: the lengths differ, nothing is labelled, an annotator labels an item twice, or a
            label is none of ``categories``.
    """
    _check(items, annotators, labels)
    order = list(categories) if categories is not None else sorted(set(labels))
    place = {label: at for at, label in enumerate(order)}
    if set(labels) - place.keys():
        raise ValueError(f"labels {sorted(map(str, set(labels) - place.keys()))} are no category")
    at_item = {item: at for at, item in enumerate(dict.fromkeys(items))}
    counts = np.zeros((len(at_item), len(order)))
    rows, columns = [at_item[item] for item in items], [place[label] for label in labels]
    np.add.at(counts, (rows, columns), 1.0)
    drawn = _bootstrap(_parts(counts), seed)
    values = [_coefficients(part, len(order)) for part in drawn]
    several = int((counts.sum(axis=1) >= 2.0).sum())
    found = [
        Estimate(*_ended(np.concatenate([value[k] for value in values]), several)) for k in range(5)
    ]
    raw, alpha, ordinal, ac1, fleiss = found
    return Agreement(
        raw, alpha, ordinal, ac1, fleiss, order, several, len(labels), len(set(annotators))
    )


def _check(
    items: Sequence[object] | np.ndarray,
    annotators: Sequence[object] | np.ndarray,
    labels: Sequence[object] | np.ndarray,
) -> None:
    if not len(items) == len(annotators) == len(labels) or not len(labels):
        raise ValueError(f"{len(items)} items, {len(annotators)} annotators, {len(labels)} labels")
    if len(set(zip(items, annotators, strict=True))) < len(labels):
        raise ValueError("an annotator has labelled an item twice: give the label that holds")


def _parts(counts: np.ndarray) -> np.ndarray:
    """What each item adds to every sum that a coefficient is made of, shape (items, 2 + 2C + C²):
    items with two labels, with one; raw agreement; shares of categories; coincidences."""
    number = counts.sum(axis=1)
    several = number >= 2.0
    pairs = np.where(several, number * (number - 1.0), 1.0)
    equal = np.where(several, (counts * (counts - 1.0)).sum(axis=1) / pairs, 0.0)
    both = counts[:, :, None] * counts[:, None, :]
    index = np.arange(counts.shape[1])
    both[:, index, index] -= counts
    coincide = np.where(
        several[:, None, None], both / np.maximum(number - 1.0, 1.0)[:, None, None], 0
    )
    return np.column_stack(
        [
            several,
            np.ones(len(counts)),
            equal,
            counts / number[:, None],
            coincide.reshape(len(counts), -1),
        ]
    )


def _bootstrap(parts: np.ndarray, seed: int) -> list[np.ndarray]:
    """Sums over all items, then over items drawn with replacement, in blocks."""
    rng = np.random.default_rng(seed)
    n = len(parts)
    sums = [parts.sum(axis=0, keepdims=True)]
    # items that are alike are drawn together: a vote has few categories
    kinds, times = np.unique(parts, axis=0, return_counts=True)
    for _ in range(DRAWS // _BLOCK):
        sums.append(rng.multinomial(n, times / n, size=_BLOCK).astype(float) @ kinds)
    return sums


def _coefficients(sums: np.ndarray, categories: int) -> list[np.ndarray]:
    """Raw, α, ordinal α, AC1 and Fleiss's κ of each row of sums; NaN where not defined."""
    share = sums[:, 3 : 3 + categories] / sums[:, 1:2]
    coincide = sums[:, 3 + categories :].reshape(-1, categories, categories)
    with np.errstate(divide="ignore", invalid="ignore"):
        raw = sums[:, 2] / sums[:, 0]
        by_chance = (share * (1.0 - share)).sum(axis=1) / max(categories - 1, 1)
        squares = (share**2).sum(axis=1)
        ac1 = (raw - by_chance) / (1.0 - by_chance)
        fleiss = (raw - squares) / (1.0 - squares)
    unequal = 1.0 - np.eye(categories)
    return [
        raw,
        _alpha(coincide, np.broadcast_to(unequal, coincide.shape)),
        _alpha(coincide, _ordinal(coincide.sum(axis=2))),
        ac1 if categories > 1 else np.full_like(raw, np.nan),
        np.where(squares < 1.0 - 1e-12, fleiss, np.nan),
    ]


def _alpha(coincide: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """``1 − observed/expected`` disagreement, shape (rows,)."""
    margin = coincide.sum(axis=2)
    total = margin.sum(axis=1)
    chance = margin[:, :, None] * margin[:, None, :]
    expected = (chance * distance).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 1.0 - (total - 1.0) * (coincide * distance).sum(axis=(1, 2)) / expected
    return np.where(expected > 0.0, value, np.nan)


def _ordinal(margin: np.ndarray) -> np.ndarray:
    """Squared number of labels between two categories, half of each of the two included."""
    middle = np.cumsum(margin, axis=1) - margin / 2.0
    return (middle[:, :, None] - middle[:, None, :]) ** 2


def _ended(values: np.ndarray, items: int) -> tuple[float | None, float | None, float | None]:
    """The first value, and its percentile interval from the rest, as far out as few items ask for
    (Student's t and n/(n − 1), as Hesterberg 2015 has it)."""
    if not np.isfinite(values[0]):
        return None, None, None
    drawn = values[1:][np.isfinite(values[1:])]
    if items < 2 or drawn.size < DRAWS // 2:
        return float(values[0]), None, None
    wider = t_quantile(items - 1) * np.sqrt(items / (items - 1)) / 1.959964
    lo, centre, hi = np.quantile(drawn, [0.025, 0.5, 0.975])
    ends = centre - wider * (centre - lo), centre + wider * (hi - centre)
    top = min(1.0, float(ends[1]))
    return float(values[0]), min(float(values[0]), float(ends[0])), max(float(values[0]), top)


def cohen(
    first: Sequence[Any],
    second: Sequence[Any],
    categories: Sequence[Any] | None = None,
    weights: str = "none",
    seed: int = 0,
    clusters: Sequence[object] | None = None,
) -> Estimate:
    """Cohen's κ of two annotators on the items that both labelled.

    Args:
        first, second: their labels, item by item.
        categories: in their order; sorted where not given.
        weights: ``none``, ``linear`` or ``quadratic``: how much a pair of ordered categories
            disagrees, by how far apart they are.
        clusters: what was drawn independently, of each item: its prompt, say. The bootstrap draws
            these, with all their items; the items themselves where not given.

    Raises:
        ValueError: the lengths differ, there is no item, or the weights are no such word.
    """
    if len(first) != len(second) or not len(first):
        raise ValueError(
            f"{len(first)} and {len(second)} labels: two annotators label the same items"
        )
    if weights not in ("none", "linear", "quadratic"):
        raise ValueError(f"weights are none, linear or quadratic, not {weights!r}")
    order = list(categories) if categories is not None else sorted({*first, *second})
    place = {label: at for at, label in enumerate(order)}
    size = len(order)
    cell = [place[a] * size + place[b] for a, b in zip(first, second, strict=True)]
    table = np.bincount(cell, minlength=size * size).astype(float)
    samples = len(cell)
    if clusters is None:
        drawn = np.random.default_rng(seed).multinomial(samples, table / samples, size=DRAWS)
    else:
        drawn, samples = _drawn_clusters(np.array(cell), clusters, size * size, seed)
    tables = np.vstack([table, drawn]).reshape(-1, size, size).astype(float)
    tables /= tables.sum(axis=(1, 2), keepdims=True)
    apart = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(float)
    distance = {"none": (apart > 0).astype(float), "linear": apart, "quadratic": apart**2}[weights]
    expected = tables.sum(axis=2)[:, :, None] * tables.sum(axis=1)[:, None, :]
    chance = (expected * distance).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 1.0 - (tables * distance).sum(axis=(1, 2)) / chance
    return Estimate(*_ended(np.where(chance > 0.0, value, np.nan), samples))


def _drawn_clusters(
    cell: np.ndarray, clusters: Sequence[object], cells: int, seed: int
) -> tuple[np.ndarray, int]:
    """Tables of clusters drawn with replacement, shape (draws, cells), and how many there are."""
    if len(clusters) != cell.size:
        raise ValueError(f"{cell.size} items with {len(clusters)} clusters: give one an item")
    at = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    of_each = np.zeros((len(at), cells))
    np.add.at(of_each, (np.array([at[name] for name in clusters]), cell), 1.0)
    # clusters that are alike are drawn together
    kinds, times = np.unique(of_each, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    blocks = [
        rng.multinomial(len(at), times / len(at), size=_BLOCK) @ kinds
        for _ in range(DRAWS // _BLOCK)
    ]
    return np.vstack(blocks), len(at)


@dataclass(frozen=True)
class Ceiling:
    """How often one is of the opinion of people, where each of them in turn is left out."""

    people: Estimate
    """A person with the most common label of the others; what a judge may be asked to reach."""
    judge: Estimate
    """The judge with the same others, without the same person; None without a judge."""
    difference: Estimate
    """Judge less people, on the items that both have; the interval is of the difference itself."""
    items: int
    votes: int
    """Of people on items with two of them or more."""


def human_ceiling(
    items: Sequence[object] | np.ndarray,
    annotators: Sequence[object] | np.ndarray,
    labels: Sequence[Any],
    judge: Mapping[Any, Any] | None = None,
    seed: int = 0,
) -> Ceiling:
    """Leave-one-out agreement of people, and of a judge with the same people.

    For each vote on an item with others, 1 where it is the most common label of the others and 1/k
    where k labels are equally common and it is one of them. The judge's label is held against the
    same others, so that both answer the same question; the mean is over an item's votes,
    then over items. A judge above the people is not better than they are, but closer to what most
    of them say.

    Args:
        items, annotators, labels: of people, as in :func:`agreement`.
        judge: its label of each item that it has judged.

    Raises:
        ValueError: as in :func:`agreement`.
    """
    _check(items, annotators, labels)
    votes: dict[object, list[Any]] = {}
    for item, label in zip(items, labels, strict=True):
        votes.setdefault(item, []).append(label)
    several = {item: told for item, told in votes.items() if len(told) > 1}
    people = np.array([np.mean(_left_out(told, told)) for told in several.values()])
    number = sum(map(len, several.values()))
    nothing = Estimate(None, None, None)
    if not several:
        return Ceiling(nothing, nothing, nothing, 0, 0)
    both = [item for item in several if judge is not None and item in judge]
    of_people = Estimate(*_mean(people, seed))
    if judge is None or not both:
        return Ceiling(of_people, nothing, nothing, len(several), number)
    held = np.array(
        [np.mean(_left_out(several[item], [judge[item]] * len(several[item]))) for item in both]
    )
    at = {item: k for k, item in enumerate(several)}
    beside = people[[at[item] for item in both]]
    return Ceiling(
        of_people,
        Estimate(*_mean(held, seed)),
        Estimate(*_mean(held - beside, seed)),
        len(several),
        number,
    )


def _left_out(told: list[Any], asked: list[Any]) -> list[float]:
    """For each person left out, whether the label asked about is the most common of the others."""
    shares = []
    for at, label in enumerate(asked):
        others = told[:at] + told[at + 1 :]
        most = max(others.count(other) for other in set(others))
        common = {other for other in others if others.count(other) == most}
        shares.append(1.0 / len(common) if label in common else 0.0)
    return shares


def _mean(values: np.ndarray, seed: int) -> tuple[float | None, float | None, float | None]:
    kinds, times = np.unique(values, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(values.size, times / values.size, size=DRAWS)
    means = drawn @ kinds / values.size
    return _ended(np.concatenate([[values.mean()], means]), values.size)
