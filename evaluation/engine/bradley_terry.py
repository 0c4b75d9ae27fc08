"""Bradley–Terry by Newton on counts, with a sandwich covariance clustered by prompt.

Pure NumPy. Ties are half a win for each. Several votes on one prompt are not several prompts, so
the spread comes from the sums of scores within each prompt. Nothing here depends on the order of
the votes: they are counted into sorted cells first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

_BLOCK = 4096
"""Prompts whose scores are held at once."""
_RARE = 50
"""Votes between two models below which they are not weighed up any further."""


@dataclass(frozen=True)
class Cells:
    """Votes counted by prompt and pair of models, i < j, sorted; arrays of one length."""

    prompt: np.ndarray
    i: np.ndarray
    j: np.ndarray
    score: np.ndarray
    """Sum of the scores of i."""
    votes: np.ndarray

    def where(self, mask: np.ndarray) -> Cells:
        """Some of the cells, with prompts numbered anew."""
        if mask.all():
            return self
        kept = self.prompt[mask]
        prompt = np.cumsum(first_of_each(kept)) - 1  # they are sorted
        return Cells(prompt, self.i[mask], self.j[mask], self.score[mask], self.votes[mask])

    def among(self, group: np.ndarray) -> Cells:
        """The cells between two models of a group (sorted), prompts and models numbered anew."""
        if group.size and (group == np.arange(group.size)).all() and self._none_above(group.size):
            return self
        cells = self.where(np.isin(self.i, group) & np.isin(self.j, group))
        return replace(cells, i=np.searchsorted(group, cells.i), j=np.searchsorted(group, cells.j))

    def _none_above(self, models: int) -> bool:
        """Whether all cells are between the first so many models; i is below j in each."""
        return self.j.size == 0 or int(self.j.max()) < models


@dataclass(frozen=True)
class Fit:
    """Log-odds with mean zero and how sure they are, of models that all have finite ratings."""

    theta: np.ndarray
    covariance: np.ndarray
    """Sandwich, clustered by prompt; shape (models, models)."""
    fisher: np.ndarray
    """What it would be, were every vote decided for itself and none a tie."""
    effective: np.ndarray
    """How many prompts each model's rating stands on: their number where they tell equally much
    of the model, less where few of them tell most. 1 where nothing can be said of its error."""
    prompts: int

    def variance(self) -> np.ndarray:
        """Of each model's log-odds."""
        return mixed(np.diag(self.covariance), np.diag(self.fisher), self.effective)

    def variance_of_differences(self) -> np.ndarray:
        """Of log-odds i − j, shape (models, models)."""
        return mixed(_gaps(self.covariance), _gaps(self.fisher), self.effective_of_differences())

    def effective_of_differences(self) -> np.ndarray:
        return np.minimum(self.effective[:, None], self.effective)


def mixed(clustered: np.ndarray, fisher: np.ndarray, effective: np.ndarray) -> np.ndarray:
    """Clustered variances, never quite trusted to be small.

    A few prompts may agree by chance: their variance is mixed with the fair coin's in the weight
    that four more prompts would have, as Agresti and Coull do for one proportion. Where the
    clustered variance is the larger one it stays.
    """
    return clustered + 4.0 / (effective + 4.0) * np.maximum(fisher - clustered, 0.0)


def degrees(effective: float) -> int:
    """Degrees of freedom of a variance that so many prompts tell of; at least 1."""
    return max(1, round(effective) - 1)


def _gaps(covariance: np.ndarray) -> np.ndarray:
    variance = np.diag(covariance)
    return np.maximum(variance[:, None] + variance - 2.0 * covariance, 0.0)


def count(
    prompt: Sequence[int] | np.ndarray,
    i: Sequence[int] | np.ndarray,
    j: Sequence[int] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    models: int,
    votes: Sequence[int] | np.ndarray | None = None,
) -> Cells:
    """Battles to cells; arguments and errors are those of ``ratings.leaderboard``."""
    first, second = np.asarray(i), np.asarray(j)
    score = np.asarray(y, dtype=float)
    number = 1.0 if votes is None else np.asarray(votes, dtype=float)
    if first.size and (
        min(first.min(), second.min()) < 0 or max(first.max(), second.max()) >= models
    ):
        raise ValueError(f"a model's index is outside 0 to {models - 1}")
    if (first == second).any():
        raise ValueError("a model cannot meet itself")
    if not ((score >= 0.0) & (score <= number)).all():
        raise ValueError("a score must be from 0 to the number of its votes")
    names, cluster = _numbered(np.asarray(prompt))
    # half as wide where it can be, which is twice as quick
    kind = np.int32 if names * models**2 < 2**29 else np.int64
    first, second = first.astype(kind, copy=False), second.astype(kind, copy=False)
    low, high = np.minimum(first, second), np.maximum(first, second)
    key = (cluster.astype(kind, copy=False) * models + low) * models + high
    gained = np.where(first > second, number - score, score)
    if key.size and names * models * models < 4 * key.size:
        # few cells: counting into all of them is quicker than sorting
        all_votes = np.bincount(key, weights=np.broadcast_to(number, key.shape))
        all_scores = np.bincount(key, weights=gained)
        cell = np.flatnonzero(all_votes)
        sums = (all_scores[cell], all_votes[cell])
    elif key.size and votes is None and _are_halves(score):
        cell, gains, numbers = _sorted_in(key, gained)
        sums = (gains, numbers)
    else:
        cell, at = np.unique(key, return_inverse=True)
        weights = np.broadcast_to(number, key.shape)
        sums = (np.bincount(at, weights=gained), np.bincount(at, weights=weights))
    numbered = cell // models**2
    pair = cell - numbered * models**2
    lower = pair // models
    upper = pair - lower * models
    return Cells(numbered.astype(np.int64), lower.astype(np.int64), upper.astype(np.int64), *sums)


def _are_halves(score: np.ndarray) -> bool:
    """Whether each is 0, ½ or 1, of scores from 0 to 1."""
    doubled = 2.0 * score
    return bool((doubled == doubled.astype(np.int8)).all())


def first_of_each(ordered: np.ndarray) -> np.ndarray:
    """Where another value begins."""
    begins = np.ones(ordered.size, dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    return begins


def _numbered(names: np.ndarray) -> tuple[int, np.ndarray]:
    """How many different names there are, and the place of each among them."""
    if names.size and names.dtype.kind == "i":
        lo, span = int(names.min()), int(names.max()) - int(names.min()) + 1
        if span <= 4 * names.size + 1000:
            # whole numbers that lie close: a table of them is quicker than sorting
            seen = np.zeros(span, dtype=bool)
            seen[names - lo] = True
            return int(seen.sum()), (np.cumsum(seen) - 1)[names - lo]
    found, at = np.unique(names, return_inverse=True)
    return found.size, at


def _sorted_in(key: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells, sums of scores and numbers of votes where each score is 0, ½ or 1: the score rides in
    the two lowest bits of its key, so that one sort of numbers does it all."""
    riding = np.sort(key * 4 + (2.0 * score).astype(key.dtype))
    sorted_key = riding >> 2
    starts = np.flatnonzero(first_of_each(sorted_key))
    # a running sum and its steps: quicker than summing each cell, and whole numbers are exact
    running = np.cumsum(riding & 3, dtype=np.int64)
    ends = np.append(starts[1:], key.size)
    sums = np.diff(running[ends - 1], prepend=0) / 2.0
    return sorted_key[starts], sums, (ends - starts).astype(float)


def score_table(cells: Cells, models: int) -> np.ndarray:
    """``S[i, j]``: what i has scored against j, ties as half; shape (models, models)."""
    table = _by_pair(cells, cells.score, models)
    return table + _by_pair(cells, cells.votes - cells.score, models).T


def equal_pairs(i: np.ndarray, j: np.ndarray, votes: np.ndarray, models: int) -> np.ndarray:
    """Weights with which every opponent counts equally, however often it was met; one a row.

    ``1/max(n, 50)`` with n the votes between the two models, either way round, divided by the mean
    over votes (LMArena's rule since July 2025; the floor keeps rare pairs from shouting). It widens
    intervals and answers another question than the plain ratings do: name it where it is used.
    """
    key = np.minimum(i, j) * models + np.maximum(i, j)
    met = np.bincount(key, weights=votes, minlength=models**2)[key]
    weight = 1.0 / np.maximum(met, _RARE)
    total = float((weight * votes).sum())
    return weight * float(votes.sum()) / total if total else weight


def fit(
    cells: Cells,
    models: int,
    weight: np.ndarray | None = None,
    *,
    scored: np.ndarray | None = None,
) -> Fit:
    """Maximum likelihood and sandwich covariance.

    Every model must be reachable from every other along scores above zero
    (:func:`~evaluation.engine.connectivity.groups`), or there is no maximum.

    Args:
        weight: of each cell, such as :func:`equal_pairs` gives; 1 where not given.
        scored: the cells' :func:`score_table`, where it is known already.
    """
    own = 1.0 if weight is None else weight
    weighed = cells
    if weight is not None:
        weighed = replace(cells, score=own * cells.score, votes=own * cells.votes)
        scored = None
    if scored is None:
        scored = score_table(weighed, models)
    theta, inverse = maximum(scored)
    expected = _expected(theta[:, None] - theta).ravel()[cells.i * models + cells.j]
    residual = own * (cells.score - cells.votes * expected)
    each = own * cells.votes * expected * (1.0 - expected)
    spread, effective = spread_of(cells, residual, each, models)
    prompts = int(cells.prompt.max()) + 1
    fisher = inverse
    if weight is not None:
        known = _by_pair(cells, own * each, models)
        known = known + known.T
        fisher = inverse @ (np.diag(known.sum(axis=1)) - known) @ inverse
    return Fit(theta, inverse @ spread @ inverse, fisher, effective, prompts)


def _expected(difference: np.ndarray) -> np.ndarray:
    """The logistic function, safe for large arguments."""
    return 0.5 * (1.0 + np.tanh(0.5 * difference))


def maximum(scored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds with mean zero, and the pseudo-inverse of the information there.

    The likelihood does not change when a constant is added to all, so the information has the
    constants as its null space: ``t·J`` is added before solving, and taken out of the inverse.
    ``pinv`` would have to guess which eigenvalue is zero.
    """
    models = len(scored)
    battles = scored + scored.T
    theta = np.zeros(models)
    for _ in range(100):
        expected = _expected(theta[:, None] - theta[None, :])
        gradient = (scored - battles * expected).sum(axis=1)
        weight = battles * expected * (1.0 - expected)
        information = np.diag(weight.sum(axis=1)) - weight
        scale = np.trace(information) / models
        regular = information + scale / models
        step = np.linalg.solve(regular, gradient)
        largest = float(np.abs(step).max())
        # far from the maximum a full step may leap over it
        theta = theta + step * min(1.0, 2.0 / largest if largest else 1.0)
        theta -= theta.mean()
        if largest < 1e-11:
            break
    return theta, np.linalg.inv(regular) - 1.0 / (scale * models)


def spread_of(
    cells: Cells, residual: np.ndarray, weight: np.ndarray, models: int
) -> tuple[np.ndarray, np.ndarray]:
    """The middle of the sandwich: sum over prompts of the outer product of the prompt's score with
    itself.

    The fit follows a prompt that tells much of a model, which makes that prompt's score too small:
    it is divided by √(1 − h), h being the prompt's part of what is known of the model. With equal
    parts that is the usual G/(G − 1). A model with all its votes on one prompt has h = 1 and a
    score of nothing.

    Returns:
        that matrix, shape (models, models), and each model's effective number of prompts.
    """
    total = _by_model(cells.i, weight, models) + _by_model(cells.j, weight, models)
    alone = np.bincount(cells.prompt)[cells.prompt] == 1
    spread, squares = _of_single_cells(cells.where(alone), residual[alone], weight[alone], total)
    rest, residual, weight = cells.where(~alone), residual[~alone], weight[~alone]
    for start in range(0, int(rest.prompt[-1]) + 1 if rest.prompt.size else 0, _BLOCK):
        block = slice(*np.searchsorted(rest.prompt, [start, start + _BLOCK]))
        row, i, j = rest.prompt[block] - start, rest.i[block], rest.j[block]
        part = _by_prompt(row, i, weight[block], models) / total
        part += _by_prompt(row, j, weight[block], models) / total
        score = _by_prompt(row, i, residual[block], models)
        score -= _by_prompt(row, j, residual[block], models)
        score *= _correction(part)
        spread += score.T @ score
        squares += (part**2).sum(axis=0)
    return spread, 1.0 / squares


def _of_single_cells(
    cells: Cells, residual: np.ndarray, weight: np.ndarray, total: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same for prompts with one pair of models each: nothing needs to be summed first."""
    models = total.size
    part_i, part_j = weight / total[cells.i], weight / total[cells.j]
    score_i, score_j = residual * _correction(part_i), residual * _correction(part_j)
    between = _by_pair(cells, score_i * score_j, models)
    own = _by_model(cells.i, score_i**2, models) + _by_model(cells.j, score_j**2, models)
    squares = _by_model(cells.i, part_i**2, models) + _by_model(cells.j, part_j**2, models)
    return np.diag(own) - between - between.T, squares


def _correction(part: np.ndarray) -> np.ndarray:
    """1/√(1 − h), and nothing where h is 1."""
    left = 1.0 - part
    return np.where(left > 1e-9, 1.0 / np.sqrt(np.maximum(left, 1e-9)), 0.0)


def _by_model(model: np.ndarray, values: np.ndarray, models: int) -> np.ndarray:
    # of nothing, bincount makes whole numbers
    return np.bincount(model, weights=values, minlength=models).astype(float)


def _by_pair(cells: Cells, values: np.ndarray, models: int) -> np.ndarray:
    flat = np.bincount(cells.i * models + cells.j, weights=values, minlength=models**2)
    return flat.reshape(models, models).astype(float)


def _by_prompt(row: np.ndarray, model: np.ndarray, values: np.ndarray, models: int) -> np.ndarray:
    """Sums by prompt and model, shape (prompts, models)."""
    prompts = int(row[-1]) + 1
    flat = np.bincount(row * models + model, weights=values, minlength=prompts * models)
    return flat.reshape(prompts, models)
