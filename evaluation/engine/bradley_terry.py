"""Bradley–Terry by Newton on counts, with a sandwich covariance clustered by prompt.

Pure NumPy. Ties are half a win for each. Several votes on one prompt are not several prompts, so
the spread comes from the sums of scores within each prompt. Nothing here depends on the order of
the votes: they are counted into sorted cells first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

FEW_PROMPTS = 2000
"""Up to so many prompts each one's influence is kept, for the ranks."""
_BLOCK = 4096


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
        _, prompt = np.unique(self.prompt[mask], return_inverse=True)
        return Cells(prompt, self.i[mask], self.j[mask], self.score[mask], self.votes[mask])

    def among(self, keep: np.ndarray) -> Cells:
        """The cells between two models of a mask, with prompts and models numbered anew."""
        cells = self.where(keep[self.i] & keep[self.j])
        number = np.cumsum(keep) - 1
        return replace(cells, i=number[cells.i], j=number[cells.j])


@dataclass(frozen=True)
class Fit:
    """Log-odds with mean zero and their covariance, of models that all have finite ratings."""

    theta: np.ndarray
    covariance: np.ndarray | None
    """Clustered by prompt; None with fewer than two prompts."""
    influence: np.ndarray | None
    """Each prompt's share in theta, shape (prompts, models); None where there are many prompts."""
    prompts: int


def count(
    prompt: Sequence[int] | np.ndarray,
    i: Sequence[int] | np.ndarray,
    j: Sequence[int] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    models: int,
    votes: Sequence[int] | np.ndarray | None = None,
) -> Cells:
    """Battles to cells; the arguments are those of :func:`~evaluation.engine.ratings.leaderboard`."""
    first, second = np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64)
    score = np.asarray(y, dtype=float)
    number = np.ones(score.size) if votes is None else np.asarray(votes, dtype=float)
    if first.size and (
        min(first.min(), second.min()) < 0 or max(first.max(), second.max()) >= models
    ):
        raise ValueError(f"a model's index is outside 0 to {models - 1}")
    if (first == second).any():
        raise ValueError("a model cannot meet itself")
    if not ((score >= 0.0) & (score <= number)).all():
        raise ValueError("a score must be from 0 to the number of its votes")
    names, cluster = np.unique(np.asarray(prompt), return_inverse=True)
    turned = first > second
    low, high = np.where(turned, second, first), np.where(turned, first, second)
    key = (cluster * models + low) * models + high
    if key.size and names.size * models * models < 4 * key.size:
        # few cells: counting into all of them is quicker than sorting
        all_votes = np.bincount(key, weights=number)
        all_scores = np.bincount(key, weights=np.where(turned, number - score, score))
        cell = np.flatnonzero(all_votes)
        sums = (all_scores[cell], all_votes[cell])
    else:
        cell, at = np.unique(key, return_inverse=True)
        sums = (
            np.bincount(at, weights=np.where(turned, number - score, score)),
            np.bincount(at, weights=number),
        )
    return Cells(cell // models**2, cell // models % models, cell % models, *sums)


def score_table(cells: Cells, models: int) -> np.ndarray:
    """``S[i, j]``: what i has scored against j, ties as half; shape (models, models)."""
    table = np.zeros((models, models))
    np.add.at(table, (cells.i, cells.j), cells.score)
    np.add.at(table, (cells.j, cells.i), cells.votes - cells.score)
    return table


def fit(cells: Cells, models: int) -> Fit:
    """Maximum likelihood and sandwich covariance.

    Every model must be reachable from every other along scores above zero
    (:func:`~evaluation.engine.connectivity.rateable`), or there is no maximum.
    """
    scored = score_table(cells, models)
    theta, inverse = _newton(scored)
    prompts = int(cells.prompt.max()) + 1
    if prompts < 2:
        return Fit(theta, None, None, prompts)
    residual = cells.score - cells.votes * _expected(theta[cells.i] - theta[cells.j])
    spread, sums = _spread(cells, residual, models, prompts)
    covariance = inverse @ spread @ inverse * (prompts / (prompts - 1))
    influence = None if sums is None else sums @ inverse
    return Fit(theta, covariance, influence, prompts)


def _expected(difference: np.ndarray) -> np.ndarray:
    """The logistic function, safe for large arguments."""
    return 0.5 * (1.0 + np.tanh(0.5 * difference))


def _newton(scored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def _spread(
    cells: Cells, residual: np.ndarray, models: int, prompts: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Sum over prompts of the outer product of the prompt's score with itself.

    Returns:
        that matrix, shape (models, models), and the prompts' scores (prompts, models) where they
        are few enough to keep.
    """
    per_prompt = np.bincount(cells.prompt, minlength=prompts)
    if prompts <= FEW_PROMPTS:
        sums = _sums(cells, residual, models, 0, prompts)
        return sums.T @ sums, sums
    alone = per_prompt[cells.prompt] == 1
    square = np.zeros((models, models))
    np.add.at(square, (cells.i[alone], cells.j[alone]), residual[alone] ** 2)
    square += square.T
    spread = np.diag(square.sum(axis=1)) - square
    # the others in blocks: cells are sorted by prompt, so a block is a slice
    rest = cells.where(~alone)
    for start in range(0, int(rest.prompt[-1]) + 1 if rest.prompt.size else 0, _BLOCK):
        sums = _sums(rest, residual[~alone], models, start, start + _BLOCK)
        spread += sums.T @ sums
    return spread, None


def _sums(cells: Cells, residual: np.ndarray, models: int, start: int, stop: int) -> np.ndarray:
    """Scores of the prompts from ``start`` to ``stop``, shape (stop − start, models)."""
    begin, end = np.searchsorted(cells.prompt, [start, stop])
    part = slice(begin, end)
    row = (cells.prompt[part] - start) * models
    size = (stop - start) * models
    flat = np.bincount(row + cells.i[part], weights=residual[part], minlength=size)
    flat -= np.bincount(row + cells.j[part], weights=residual[part], minlength=size)
    return flat.reshape(stop - start, models)
