"""Few votes of people and many of judges, brought together: what people would say of all that the
judges have judged (:mod:`evaluation.engine.ppi`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from django.utils.translation import gettext, ngettext

from evaluation.engine import ppi, ratings
from evaluation.engine.connectivity import groups
from evaluation.routing import Chances

TOO_FEW = "too few prompts with votes of people"
"""The reason of a model whose group could not be rated."""
NOT_SEEN = "no votes of people"
"""The reason of a model that judges alone have seen: how far they are off about it is unknown."""
APART = "no pair with votes of both"
"""The reason of a model that people and judges have seen on different pairs."""


class TooFew(Exception):
    """There are no ratings; ``words`` say why in the page's language."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True)
class Together:
    """How the two kinds of votes came together, in the largest group that could be rated."""

    board: ratings.Board
    labelled: int
    """Prompts with votes of people on pairs that a judge has judged too."""
    labelled_pairs: int
    judged_pairs: int
    """Pairs that judges alone have judged."""
    weight: float
    """0 where the judges count for nothing, 1 as much as people."""
    gain: float
    """``effective`` for each labelled prompt."""
    left_out: int
    """Pairs with votes of people that no judge has judged."""
    judged_of: np.ndarray
    """By model, its pairs that judges alone have judged."""
    drawn: int = 0
    """Of the labelled pairs, those that a draw was about: each stands for as many as its
    probability says."""
    passed_by: int = 0
    """Pairs with votes of people that a draw had passed by, so that these are not taken."""
    unknown: int = 0
    """Pairs left out because people have judged none of their like: those of a draw that all wait,
    or those that no draw was about."""

    @property
    def effective(self) -> float:
        """How many prompts with votes of people alone would know as much."""
        return self.labelled * self.gain

    @property
    def few(self) -> bool:
        """Whether intervals may be a little too narrow."""
        return self.labelled < ppi.FEW


@dataclass(frozen=True)
class _Pairs:
    """One entry for each pair of outputs; arrays of one length."""

    prompt: np.ndarray
    i: np.ndarray
    j: np.ndarray
    human: np.ndarray
    """Mean score of i by people; nan without any."""
    judged: np.ndarray
    """Mean score of i by judges; nan without any."""
    probability: np.ndarray | None = None
    """With which it came to people, where there was a draw."""

    def where(self, mask: np.ndarray) -> _Pairs:
        prompt, i, j, human, judged = (
            one[mask] for one in (self.prompt, self.i, self.j, self.human, self.judged)
        )
        chance = None if self.probability is None else self.probability[mask]
        return _Pairs(prompt, i, j, human, judged, chance)

    def battles(self, group: np.ndarray, *, labelled: bool) -> ppi.Battles:
        """As the engine takes them, models numbered within a group."""
        i, j = np.searchsorted(group, self.i), np.searchsorted(group, self.j)
        if not labelled:
            return ppi.Battles(self.prompt, i, j, self.judged)
        stands_for = None if self.probability is None else 1.0 / self.probability
        return ppi.Battles(self.prompt, i, j, self.judged, self.human, stands_for)


def together(
    pair: np.ndarray,
    prompt: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    score: np.ndarray,
    of_judge: np.ndarray,
    models: int,
    chances: Chances | None = None,
) -> Together:
    """Ratings as people would give them.

    Args:
        pair, prompt, i, j, score: of each vote; the score is i's.
        of_judge: whether a judge cast it.
        chances: with which probabilities pairs came to people, where they were drawn. Of pairs
            that no draw was about those with votes of people are taken for a random part.

    Raises:
        TooFew: no group of models has ratings, for want of people's votes.
    """
    every, marks = _by_pair(pair, prompt, i, j, score, of_judge), _NO_DRAW
    people_saw = int((~np.isnan(every.human) & np.isnan(every.judged)).sum())
    told = every if chances is None else _by_draw(every, np.unique(pair), chances)[0]
    kind, like = _likes(told, models)
    if chances is None:
        every = every.where(like(every))
    else:
        kept = like(every)
        every, marks = _by_draw(every.where(kept), np.unique(pair)[kept], chances)
    seen, judged = ~np.isnan(every.human), ~np.isnan(every.judged)
    both, alone = seen & judged, judged & ~seen
    usable = every.where(judged)
    best_known = np.where(np.isnan(usable.human), usable.judged, usable.human)
    scored = _table(usable.i, usable.j, best_known, models)
    people = _table(i[~of_judge], j[~of_judge], score[~of_judge], models)
    rows, fits, refusals, left = [], [], [], []
    for group in groups(scored):
        among = np.isin(every.i, group) & np.isin(every.j, group)
        labelled, others = every.where(both & among), every.where(alone & among)
        try:
            fitted = ppi.ratings(
                labelled.battles(group, labelled=True),
                (others if chances is None else every.where(judged & among)).battles(
                    group, labelled=False
                ),
                group.size,
            )
        except ValueError as why:
            refusals.append(_words(labelled, why))
            left += [ratings.Unrated(int(m), TOO_FEW, *_record(people, int(m))) for m in group]
            continue
        rows.append(ratings.rows_of(group, fitted.ratings, people))
        fits.append((fitted, labelled.i.size, others.i.size))
    if not fits:
        raise TooFew(refusals[0] if refusals else _words(every.where(both), None))
    rated = {row.model for one in rows for row in one} | {one.model for one in left}
    left += [_unrated(m, people, bool(kind[m] >= 0)) for m in range(models) if m not in rated]
    fitted, n_labelled, n_judged = fits[0]
    judges_alone = every.where(alone)
    return Together(
        board=ratings.Board(rows, left),
        labelled=fitted.labelled,
        labelled_pairs=n_labelled,
        judged_pairs=n_judged,
        weight=fitted.weight,
        gain=fitted.gain if np.isfinite(fitted.gain) else 1.0,
        left_out=people_saw,
        judged_of=np.bincount(judges_alone.i, minlength=models)
        + np.bincount(judges_alone.j, minlength=models),
        drawn=marks[0],
        passed_by=marks[1],
        unknown=marks[2],
    )


_NO_DRAW = (0, 0, 0)


def _likes(every: _Pairs, models: int) -> tuple[np.ndarray, Callable[[_Pairs], np.ndarray]]:
    """Of each model, which others people tie it to on pairs that judges have judged too, as a
    number; -1 where they have seen it on none. And which pairs are of two of one number: of all
    others nothing says how far the judges are off.
    """
    both = ~np.isnan(every.human) & ~np.isnan(every.judged)
    kind = np.where(
        np.isin(np.arange(models), [every.i[both], every.j[both]]), np.arange(models), -1
    )
    while True:
        before = kind.copy()
        least = np.minimum(kind[every.i[both]], kind[every.j[both]])
        np.minimum.at(kind, every.i[both], least)
        np.minimum.at(kind, every.j[both], least)
        if (kind == before).all():
            return kind, lambda pairs: (kind[pairs.i] == kind[pairs.j]) & (kind[pairs.i] >= 0)


def _unrated(model: int, people: np.ndarray, corrected: bool) -> ratings.Unrated:
    rate, votes = _record(people, model)
    if corrected:
        return ratings.unrated(model, people)
    return ratings.Unrated(model, APART if votes else NOT_SEEN, rate, votes)


def _by_draw(
    every: _Pairs, pair: np.ndarray, chances: Chances
) -> tuple[_Pairs, tuple[int, int, int]]:
    """The pairs with their probabilities, without those that nothing can be said of; and how many
    were drawn, passed by, and left out.

    While drawn pairs wait, those that are answered stand for them: their probability is less by the
    share that is answered.
    """
    place = np.minimum(np.searchsorted(chances.pair, pair), chances.pair.size - 1)
    known = chances.pair[place] == pair
    drawn = known & chances.drawn[place]
    by_chance = known & chances.by_chance[place]
    labelled, judged = ~np.isnan(every.human), ~np.isnan(every.judged)
    passed_by = labelled & known & ~drawn
    labelled &= ~passed_by
    asked, answered = drawn & by_chance & judged, drawn & by_chance & judged & labelled
    share = answered.sum() / max(1, asked.sum())
    others = judged & ~known
    of_others = (others & labelled).sum() / max(1, others.sum())
    chance = np.where(by_chance, chances.probability[place] * share, 1.0)
    chance = np.where(known, chance, of_others)
    of_draw = int((drawn & judged & labelled).sum())
    unknown = (others & (of_others == 0.0)) | (judged & by_chance & (share == 0.0))
    human = np.where(passed_by, np.nan, every.human)
    told = replace(every, human=human, probability=np.maximum(chance, 1e-9))
    return told.where(~unknown), (of_draw, int(passed_by.sum()), int(unknown.sum()))


def _by_pair(
    pair: np.ndarray,
    prompt: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    score: np.ndarray,
    of_judge: np.ndarray,
) -> _Pairs:
    _, first, at = np.unique(pair, return_index=True, return_inverse=True)

    def mean(mask: np.ndarray) -> np.ndarray:
        number = np.bincount(at[mask], minlength=first.size)
        total = np.bincount(at[mask], weights=score[mask], minlength=first.size)
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)

    return _Pairs(prompt[first], i[first], j[first], mean(~of_judge), mean(of_judge))


def _table(i: np.ndarray, j: np.ndarray, score: np.ndarray, models: int) -> np.ndarray:
    size = models**2
    first = np.bincount(i * models + j, weights=score, minlength=size).astype(float)
    second = np.bincount(j * models + i, weights=1.0 - score, minlength=size).astype(float)
    return (first + second).reshape(models, models)


def _record(scored: np.ndarray, model: int) -> tuple[float | None, int]:
    """Win rate and votes of a model."""
    won, lost = float(scored[model].sum()), float(scored[:, model].sum())
    return (won / (won + lost) if won + lost else None), round(won + lost)


def _words(labelled: _Pairs, why: ValueError | None) -> str:
    """Why there are no ratings, in the page's language."""
    number = np.unique(labelled.prompt).size
    if why is not None and not isinstance(why, ppi.TooFewLabels):
        return gettext("No finite ratings exist: too few models met, or one won all its votes.")
    return ngettext(
        "%(count)s prompt has votes of people on a pair that a judge has judged too; at least "
        "%(least)s are needed to correct the judges by.",
        "%(count)s prompts have votes of people on a pair that a judge has judged too; at least "
        "%(least)s are needed to correct the judges by.",
        number,
    ) % {"count": number, "least": ppi.LEAST}
