"""Sums of scores by cluster: the middle of a sandwich covariance. Pure NumPy.

A cluster is what was drawn independently: a prompt, as a rule, or an annotator. Votes within one
may hang together as they like; only the sums of each cluster are looked at.
"""

from __future__ import annotations

import numpy as np

_BLOCK = 4096
"""Clusters whose sums are held at once."""


def outer_sums(
    cluster: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    residual: np.ndarray,
    columns: np.ndarray,
    models: int,
) -> np.ndarray:
    """Sum over clusters of the outer product of the cluster's summed score with itself.

    A row's score is ``residual·(e_i − e_j)`` for the models, followed by its ``columns``.

    Args:
        cluster: of each row, numbered from 0 without gaps; shape (rows,).
        i, j: the two models of each row, 0 to ``models`` − 1.
        residual: shape (rows,).
        columns: further scores, already multiplied by the residual; shape (rows, columns).

    Returns:
        shape (models + columns, models + columns), without a small-sample factor.
    """
    order = np.argsort(cluster, kind="stable")
    cluster, i, j, residual = cluster[order], i[order], j[order], residual[order]
    columns = columns[order]
    width = models + columns.shape[1]
    total = np.zeros((width, width))
    for start in range(0, int(cluster[-1]) + 1 if cluster.size else 0, _BLOCK):
        rows = slice(*np.searchsorted(cluster, [start, start + _BLOCK]))
        at = cluster[rows] - start
        number = int(at[-1]) + 1 if at.size else 0
        flat = np.bincount(at * models + i[rows], weights=residual[rows], minlength=number * models)
        flat -= np.bincount(
            at * models + j[rows], weights=residual[rows], minlength=number * models
        )
        further = [np.bincount(at, weights=one, minlength=number) for one in columns[rows].T]
        sums = np.column_stack([flat.reshape(number, models), *further])
        total += sums.T @ sums
    return total


def numbered(names: np.ndarray) -> tuple[np.ndarray, int]:
    """Clusters as numbers from 0, and how many there are."""
    kept, number = np.unique(names, return_inverse=True)
    return number, int(kept.size)


def few(clusters: int) -> float:
    """The factor G/(G − 1) by which sums of few clusters are too small; 1 for a single one."""
    return clusters / (clusters - 1) if clusters > 1 else 1.0
