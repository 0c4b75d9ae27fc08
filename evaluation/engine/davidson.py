"""Davidson's model: how likely a win, a tie and a loss are. Pure NumPy.

With d = θ_i − θ_j: P(i wins) = e^{d/2}/Z, P(tie) = ν/Z, Z = e^{d/2} + e^{−d/2} + ν (Davidson 1970).
The likelihood is concave in (θ, log ν), so Newton finds its maximum. Ratings and ranks come from
half-win Bradley–Terry (:mod:`.ratings`); what is predicted, simulated and expected comes from here.
The two scales differ (half-win compresses gaps by a fifth at 18 % ties): never put both θ on one
axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.engine.bradley_terry import maximum
from evaluation.engine.clusters import few, numbered, outer_sums
from evaluation.engine.connectivity import groups


@dataclass(frozen=True)
class Davidson:
    """Log-odds with mean zero, and the weight of a tie."""

    theta: np.ndarray
    nu: float
    """0 where there was no tie at all: then it is Bradley–Terry."""
    covariance: np.ndarray
    """Of (θ, log ν), clustered; shape (models + 1, models + 1). The last row is 0 where ν is."""

    def predict(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Probability that i wins, ties with, loses to j; three arrays (models, models)."""
        return probabilities(self.theta[:, None] - self.theta, self.nu)


def probabilities(
    difference: np.ndarray | float, nu: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Win, tie and loss of the one that is ``difference`` (log-odds) ahead; they sum to 1."""
    half = np.asarray(difference, dtype=float) / 2.0
    # the largest term is 1: nothing overflows
    top = np.abs(half)
    win, loss, tie = np.exp(half - top), np.exp(-half - top), nu * np.exp(-top)
    total = win + loss + tie
    return win / total, tie / total, loss / total


def fit(prompt: np.ndarray, i: np.ndarray, j: np.ndarray, y: np.ndarray, models: int) -> Davidson:
    """Maximum likelihood and sandwich covariance, clustered by prompt.

    Args:
        prompt: the cluster of each vote; anything that sorts.
        i, j: the two models of each vote, 0 to ``models`` − 1.
        y: 1 where i won, 0 where j won, exactly 0.5 for a tie.

    Raises:
        ValueError: the models have no finite ratings together
            (:func:`~evaluation.engine.connectivity.groups`), every vote is a tie, or a score is
            something else than 0, 0.5 and 1.
    """
    i, j, y = np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64), np.asarray(y, float)
    if not np.isin(y, (0.0, 0.5, 1.0)).all():
        raise ValueError("Davidson's model knows wins, ties and losses only: 1, 0.5 and 0")
    key, size = i * models + j, models**2
    wins, ties = (
        np.bincount(key, weights=weight, minlength=size).reshape(models, models).astype(float)
        for weight in ((y == 1.0) * 1.0, (y == 0.5) * 1.0)
    )
    wins += np.bincount(j * models + i, weights=y == 0.0, minlength=size).reshape(models, models)
    theta, nu, inverse = of_counts(wins, ties + ties.T)
    cluster, clusters = numbered(np.asarray(prompt))
    win, tie, loss = probabilities(theta[i] - theta[j], nu)
    residual = (y - 0.5) - (win - loss) / 2.0
    tied = ((y == 0.5) - tie)[:, None]
    middle = outer_sums(cluster, i, j, residual, tied, models) * few(clusters)
    return Davidson(theta, nu, inverse @ middle @ inverse)


def of_counts(wins: np.ndarray, ties: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """The maximum from counts alone.

    Args:
        wins: ``W[i, j]``, how often i won over j; shape (models, models).
        ties: ``T[i, j] = T[j, i]``.

    Returns:
        θ with mean zero, ν, and the pseudo-inverse of the information of (θ, log ν).

    Raises:
        ValueError: no finite maximum exists.
    """
    models = len(wins)
    scored = wins + ties / 2.0
    together = groups(scored)
    if not together or together[0].size < models:
        raise ValueError("the models have no finite ratings together")
    drawn = float(ties.sum()) / 2.0
    if drawn == 0.0:
        theta, inverse = maximum(scored)
        wide = np.zeros((models + 1, models + 1))
        wide[:models, :models] = inverse
        return theta, 0.0, wide
    if wins.sum() == 0.0:
        raise ValueError("every vote is a tie: nothing bounds how likely a tie is")
    battles = wins + wins.T + ties
    theta = np.zeros(models)
    log_nu = float(np.log(2.0 * drawn / wins.sum()))
    for _ in range(200):
        win, tie, loss = probabilities(theta[:, None] - theta, float(np.exp(log_nu)))
        odd = (win - loss) / 2.0
        gradient = np.append(
            ((wins - wins.T) / 2.0 - battles * odd).sum(axis=1),
            drawn - float((battles * tie).sum()) / 2.0,
        )
        weight = battles * ((win + loss) / 4.0 - odd**2)
        cross = -(battles * odd * tie).sum(axis=1)
        information = np.zeros((models + 1, models + 1))
        information[:models, :models] = np.diag(weight.sum(axis=1)) - weight
        information[:models, models] = information[models, :models] = cross
        information[models, models] = float((battles * tie * (1.0 - tie)).sum()) / 2.0
        # constants added to θ change nothing: that direction is filled in, then taken out
        scale = float(np.trace(information[:models, :models])) / models
        information[:models, :models] += scale / models
        step = np.linalg.solve(information, gradient)
        largest = float(np.abs(step).max())
        step *= min(1.0, 2.0 / largest if largest else 1.0)
        theta = theta + step[:models]
        theta -= theta.mean()
        log_nu += float(step[models])
        if largest < 1e-11:
            break
    inverse = np.linalg.inv(information)
    inverse[:models, :models] -= 1.0 / (scale * models)
    return theta, float(np.exp(log_nu)), inverse
