"""Logistic regression, for shares as well as for yes and no: by maximum likelihood with errors
robust by cluster, and with the absolute-value penalty that others' estimators ask for. Pure NumPy.

No penalty is ever added unasked: where the likelihood has no maximum, :class:`NoMaximum` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

_FAR = 40.0
"""Log-odds that no finite maximum reaches in practice: e^40 to one."""


class NoMaximum(ValueError):
    """The likelihood grows without end (the features part wins from losses), or a feature is a sum
    of the others, so that no single fit is best."""


@dataclass(frozen=True)
class Logistic:
    """A fit by maximum likelihood of k coefficients."""

    coefficients: np.ndarray
    covariance: np.ndarray
    """Sandwich by cluster, times G/(G − 1); shape (k, k)."""
    influence: np.ndarray
    """What each cluster moves the coefficients by; shape (clusters, k). Zero in sum."""


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1/(1 + e^−z), safe for large arguments."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(z, dtype=float))))


def newton(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None, offset: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Maximise ``Σ w [y log σ(xβ + o) + (1 − y) log(1 − σ(xβ + o))]``.

    Args:
        x: features, shape (rows, k); a constant is a column like others.
        y: from 0 to 1, shape (rows,).
        weight: not negative, shape (rows,); 1 each where not given.
        offset: log-odds known beforehand, shape (rows,).

    Returns:
        β, shape (k,), and the inverse of the information there, shape (k, k).

    Raises:
        NoMaximum: see there.
    """
    w = np.ones(len(y)) if weight is None else weight
    scale = np.sqrt((w[:, None] * x * x).sum(axis=0) / w.sum())
    if not (scale > 0.0).all() or np.linalg.matrix_rank(x / scale, tol=1e-8 * len(y) ** 0.5) < len(
        scale
    ):
        raise NoMaximum("a feature is always zero, or a sum of others: no single fit is best")
    z = x / scale
    beta = np.zeros(x.shape[1])
    before = _loss(z, y, w, offset, beta)
    for _ in range(100):
        p = sigmoid(z @ beta + offset)
        gradient = z.T @ (w * (y - p))
        information = (z * (w * p * (1.0 - p))[:, None]).T @ z
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        part = 1.0
        after = _loss(z, y, w, offset, beta + step)
        while not after <= before + 1e-12 * abs(before) and part > 1e-6:
            part /= 2.0
            after = _loss(z, y, w, offset, beta + part * step)
        beta, before = beta + part * step, after
        if not np.isfinite(beta).all() or np.abs(beta).max() > _FAR:
            break
        if np.abs(step).max() < 1e-10:
            return beta / scale, np.linalg.inv(information) / np.outer(scale, scale)
    raise NoMaximum("the features part wins from losses: the likelihood has no maximum")


def _loss(
    z: np.ndarray, y: np.ndarray, w: np.ndarray, offset: np.ndarray | float, beta: np.ndarray
) -> float:
    odds = z @ beta + offset
    return float((w * (np.logaddexp(0.0, odds) - y * odds)).sum())


def fit_logistic(
    x: np.ndarray,
    y: np.ndarray,
    cluster: np.ndarray,
    weight: np.ndarray | None = None,
    offset: np.ndarray | float = 0.0,
) -> Logistic:
    """Maximum likelihood with errors that are robust by cluster.

    The covariance is ``H⁻¹ (Σ_g u_g u_gᵀ) H⁻¹ · G/(G − 1)`` with ``u_g = Σ_{i in g} w (y − p) x``.

    Args:
        cluster: of each row, 0 to G − 1; the rest are those of :func:`newton`.

    Raises:
        NoMaximum: see there.
    """
    w = np.ones(len(y)) if weight is None else weight
    beta, inverse = newton(x, y, w, offset)
    residual = w * (y - sigmoid(x @ beta + offset))
    groups = int(cluster.max()) + 1
    sums = np.stack(
        [np.bincount(cluster, weights=residual * column, minlength=groups) for column in x.T]
    ).T
    influence = sums @ inverse
    covariance = influence.T @ influence * (groups / max(groups - 1, 1))
    return Logistic(beta, covariance, influence)


def fit_absolute(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, c: float, start: np.ndarray | None = None
) -> np.ndarray:
    """Minimise ``Σ|β_k| + c · Σ w loss``, the form that liblinear has: a constant column is
    penalised like others. Proximal Newton, to 1e-9. For few features: the time grows as 3^k.

    Args:
        c: how much the data count against the penalty; the rest are those of :func:`newton`.
    """
    beta = np.zeros(x.shape[1]) if start is None else start.copy()
    value = float(np.abs(beta).sum()) + c * _loss(x, y, weight, 0.0, beta)
    for _ in range(200):
        p = sigmoid(x @ beta)
        gradient = c * (x.T @ (weight * (p - y)))
        curve = c * ((x * (weight * p * (1.0 - p))[:, None]).T @ x)
        curve[np.diag_indices_from(curve)] += 1e-12
        step = _least(beta, gradient, curve) - beta
        # where nothing is curved any more the least is far away, and seldom there
        step *= min(1.0, 10.0 / max(float(np.abs(step).max()), 1e-300))
        part, moved = 1.0, beta + step
        now = float(np.abs(moved).sum()) + c * _loss(x, y, weight, 0.0, moved)
        while now > value + 1e-12 * abs(value) and part > 1e-8:
            part /= 2.0
            moved = beta + part * step
            now = float(np.abs(moved).sum()) + c * _loss(x, y, weight, 0.0, moved)
        beta, value = moved, now
        if np.abs(step).max() < 1e-9:
            break
    return beta


def _least(beta: np.ndarray, gradient: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Where ``g·(b − β) + ½ (b − β)ᵀ Q (b − β) + Σ|b|`` is least: the choice of signs, or zeros,
    that its own solution bears out. Those of β are tried first, and mostly hold."""
    constant = gradient - curve @ beta
    signs = product((0.0, 1.0, -1.0), repeat=beta.size)
    for sign in (np.sign(beta), *(np.array(each) for each in signs)):
        b, on = np.zeros_like(beta), sign != 0.0
        b[on] = np.linalg.solve(curve[np.ix_(on, on)], -(constant + sign)[on])
        slope = constant + curve @ b
        if (b[on] * sign[on] >= 0.0).all() and (np.abs(slope[~on]) <= 1.0 + 1e-9).all():
            return b
    return beta
