"""Win rate against a baseline as it would be, were both answers equally long.

Two estimators stand side by side, for they answer alike only where lengths overlap:

* :func:`alpaca_eval`: AlpacaEval 2's, as its authors define it (Dubois et al. 2024,
  arXiv:2404.04475; ``length_controlled_v1`` of alpaca-eval 0.6.6). An absolute-value penalty chosen
  by five-fold cross-validation, and rows of two versions of the baseline told to be brief or wordy,
  hold the effect of length near what it is for the baseline; the difficulty of each prompt enters.
* :func:`length_controlled`: ours. Maximum likelihood on the model's own votes, nothing else, with
  an interval clustered by prompt. A model that is always much shorter than the baseline says little
  of equal lengths: ours then is far from theirs, and its interval is wide, where theirs leans on
  the rows of other models. (Theirs has no interval: the standard error printed beside it is the
  spread of predictions over prompts and not the error of the estimate.)

:func:`prompt_difficulty` makes the difficulties of a prompt set of one's own. Pure NumPy.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.engine.logistic import NoMaximum, fit_absolute, fit_logistic, sigmoid
from evaluation.engine.quantiles import t_quantile

FOLDS = 5
STRENGTHS = np.logspace(-4.0, 4.0, 10)
"""Weights of the data against the penalty that are tried."""
GAMED_WEIGHT = 0.2
"""Of a row of each of the baseline's two gamed versions together; a row of the model has 1."""


@dataclass(frozen=True)
class GamedRows:
    """Judgments of the baseline's brief and wordy versions against the baseline, of one length."""

    score: np.ndarray
    """1 where the gamed version wins, 0 where the baseline does, between for the judge's odds; NaN
    where the judge gave none."""
    length: np.ndarray
    """Length of the baseline's answer less that of the gamed one, over its standard deviation in
    that version (``std_delta_len`` as published)."""
    difficulty: np.ndarray | None = None
    """Of the row's prompt; needed where the model's rows have one."""


NEEDED = ("preference", "index", "std_delta_len", "instruction_difficulty")
"""Columns of the authors' file that are read."""


def read_gamed(lines: Iterable[str]) -> tuple[GamedRows, dict[int, float]]:
    """The authors' file ``df_gamed.csv``, which they publish beside the benchmark's annotations.

    Args:
        lines: of that file, with its heading; the columns of :data:`NEEDED` are read
            (``preference`` is 0 to 1 there, empty where there is none).

    Returns:
        The gamed rows, and the difficulty of each prompt by its place in the benchmark.

    Raises:
        ValueError: a column is missing or a number is none, with the line that it stands in.
    """
    reader = csv.DictReader(lines)
    if missing := [name for name in NEEDED if name not in (reader.fieldnames or ())]:
        raise ValueError(f"it has no column {missing[0]}; it needs {', '.join(NEEDED)}")
    columns: dict[str, list[float]] = {name: [] for name in NEEDED}
    difficulty: dict[int, float] = {}
    for row in reader:
        for name in NEEDED:
            columns[name].append(_number(name, row[name], reader.line_num))
        at, score = columns["index"][-1], columns["preference"][-1]
        if at < 0.0 or at != int(at):
            raise ValueError(f"line {reader.line_num}: index is {row['index']}, which is no place")
        if not (np.isnan(score) or 0.0 <= score <= 1.0):
            raise ValueError(f"line {reader.line_num}: preference is {score:g}, not from 0 to 1")
        difficulty.setdefault(int(at), columns["instruction_difficulty"][-1])
    if not difficulty:
        raise ValueError("it has no rows")
    return GamedRows(
        np.array(columns["preference"]),
        np.array(columns["std_delta_len"]),
        np.array(columns["instruction_difficulty"]),
    ), difficulty


def _number(name: str, said: str | None, line: int) -> float:
    """NaN for a preference that is not there, and for nothing else."""
    if name == "preference" and not (said or "").strip():
        return float("nan")
    try:
        value = float(said or "")
    except ValueError:
        raise ValueError(f"line {line}: {name} is {said or 'empty'!r}, no number") from None
    if not np.isfinite(value) and not (name == "preference" and np.isnan(value)):
        raise ValueError(f"line {line}: {name} is {said}, no number")
    return value


@dataclass(frozen=True)
class AlpacaEval:
    """All rates are shares, 0 to 1."""

    raw: float
    controlled: float
    model: float
    """θ: log-odds of a prompt with difficulty 0 at equal length."""
    length: float
    """φ: of tanh of the standardised length difference; negative where longer wins."""
    difficulty: float | None
    """ψ; None without difficulties."""
    strength: float
    """The one of :data:`STRENGTHS` that cross-validation chose."""


def alpaca_eval(
    score: Sequence[float] | np.ndarray,
    difference: Sequence[float] | np.ndarray,
    difficulty: Sequence[float] | np.ndarray | None = None,
    gamed: GamedRows | None = None,
    gamed_weight: float = GAMED_WEIGHT,
) -> AlpacaEval:
    """AlpacaEval 2's length-controlled win rate.

    ``logit P = θ·own + φ·tanh(Δ/sd Δ) + ψ·difficulty`` with ``own`` 1 on the model's rows and 0 on
    gamed ones, no constant, fitted with ``Σ|β| + C·Σ w loss``. C is chosen among ten by log loss on
    five folds of rows; the folds go by the row's place, so the rows' order matters a little, and
    the published figures have them in the prompt set's order. The result is the mean over the
    model's rows of σ(θ + ψ·difficulty).

    Args:
        score: of the model on each prompt, 0 to 1; NaN where the judge gave none: such a row counts
            in the mean of predictions and nowhere else, as theirs does. Their ``preference`` p is
            p − 1 here, and their 0 is a half.
        difference: characters of the baseline's answer less those of the model's.
        difficulty: of each prompt; without it the term is left out (their ``minimal`` formula).
        gamed: without them length is held by the penalty alone (their ``noreg`` formula).
        gamed_weight: twice the weight of a gamed row, the two versions sharing it.

    Raises:
        ValueError: the lengths differ, there are fewer than five rows with a score, a score is
            outside 0 to 1, or difficulties are given on one side only.
    """
    y, delta = np.asarray(score, dtype=float), np.asarray(difference, dtype=float)
    rows = [np.tanh(_standardised(delta))]
    if delta.size != y.size:
        raise ValueError(f"{y.size} scores with {delta.size} length differences")
    hard = None if difficulty is None else np.asarray(difficulty, dtype=float)
    if hard is not None:
        if hard.size != y.size:
            raise ValueError(f"{y.size} scores with {hard.size} difficulties")
        rows.append(hard)
    told = ~np.isnan(y)
    if told.sum() < FOLDS:
        raise ValueError(f"{FOLDS} scores are needed, for as many folds; here are {told.sum()}")
    if not ((y[told] >= 0.0) & (y[told] <= 1.0)).all():
        raise ValueError("a score must be from 0 to 1")
    x = np.column_stack([*rows, np.ones(y.size)])[told]
    target, weight = y[told], np.ones(int(told.sum()))
    if gamed is not None and gamed_weight > 0.0:
        if (gamed.difficulty is None) != (hard is None):
            raise ValueError("gamed rows and the model's need difficulties both, or neither")
        judged = ~np.isnan(gamed.score)
        columns = [np.tanh(gamed.length)]
        columns += [] if gamed.difficulty is None else [gamed.difficulty]
        theirs = np.column_stack([*columns, np.zeros(judged.size)])[judged]
        x = np.vstack([theirs, x])
        target = np.concatenate([gamed.score[judged], target])
        weight = np.concatenate([np.full(len(theirs), gamed_weight / 2.0), weight])
    strength = _chosen(x, target, weight)
    beta = fit_absolute(x, target, weight, strength)
    odds = np.full(y.size, beta[-1]) if hard is None else beta[-1] + beta[1] * hard
    return AlpacaEval(
        raw=float(y[told].mean()),
        controlled=float(sigmoid(odds).mean()),
        model=float(beta[-1]),
        length=float(beta[0]),
        difficulty=None if hard is None else float(beta[1]),
        strength=strength,
    )


def _standardised(delta: np.ndarray) -> np.ndarray:
    sd = float(delta.std(ddof=1)) if delta.size > 1 else 0.0
    # where all answers are as long as the baseline's there is nothing to control
    return delta / sd if sd > 0.0 else np.zeros_like(delta)


def _chosen(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """The strength with the least log loss summed over folds; the weakest of equal ones."""
    fold = np.arange(y.size)[::-1] % FOLDS
    losses = np.zeros(STRENGTHS.size)
    for held in range(FOLDS):
        of, beta = fold == held, None
        for at, c in enumerate(STRENGTHS):
            beta = fit_absolute(x[~of], y[~of], weight[~of], float(c), beta)
            p = np.clip(sigmoid(x[of] @ beta), 1e-15, 1.0 - 1e-15)
            loss = weight[of] * (y[of] * np.log(p) + (1.0 - y[of]) * np.log(1.0 - p))
            losses[at] -= loss.mean()
    return float(STRENGTHS[int(np.argmin(losses))])


@dataclass(frozen=True)
class LengthControlled:
    """Ours; all rates are shares, 0 to 1."""

    raw: float
    controlled: float | None
    """None where the votes do not determine it, and ``reason`` says why."""
    lo: float | None
    """Ends of the 95 % interval, clustered by prompt."""
    hi: float | None
    length: float | None
    """φ: log-odds of tanh(Δ/sd Δ); negative where longer answers win."""
    length_error: float | None
    shorter: float
    """Share of prompts on which the model's answer is the shorter one, equal lengths half. Near 0
    or 1 the controlled rate is a guess beyond what was seen."""
    prompts: int
    reason: str = ""


def length_controlled(
    score: Sequence[float] | np.ndarray,
    difference: Sequence[float] | np.ndarray,
    prompts: Sequence[object] | np.ndarray,
    difficulty: Sequence[float] | np.ndarray | None = None,
) -> LengthControlled:
    """Our length-controlled win rate, by maximum likelihood.

    ``logit P = θ + φ·tanh(Δ/sd Δ) [+ ψ·difficulty]``, every prompt with weight 1; the rate is the
    mean over prompts of σ(θ [+ ψ·difficulty]). The interval is made on the log-odds from each
    prompt's influence on that mean (delta method: its own prediction and its pull on the fit).

    Args:
        score: of the model in each vote, 0 to 1.
        difference: characters of the baseline's answer less those of the model's.
        prompts: of each vote; anything that sorts.
        difficulty: of each vote's prompt, centred or not.

    Raises:
        ValueError: there is no vote, the lengths differ, or a score is outside 0 to 1.
    """
    y, delta = np.asarray(score, dtype=float), np.asarray(difference, dtype=float)
    if y.size == 0 or not y.size == delta.size == len(prompts):
        raise ValueError(f"{y.size} scores, {delta.size} lengths, {len(prompts)} prompts")
    if not ((y >= 0.0) & (y <= 1.0)).all():
        raise ValueError("a score must be from 0 to 1")
    _, cluster = np.unique(np.asarray(prompts), return_inverse=True)
    weight = 1.0 / np.bincount(cluster)[cluster]
    groups = int(cluster.max()) + 1
    raw = float((weight * y).sum() / groups)
    short = float((weight * (0.5 + 0.5 * np.sign(delta))).sum() / groups)
    length = np.tanh(_standardised(delta))
    same = not length.any()
    columns = [np.ones(y.size)] + ([] if same else [length])
    if difficulty is not None:
        columns.append(np.asarray(difficulty, dtype=float))
    x = np.column_stack(columns)
    level = x.copy()
    if not same:
        level[:, 1] = 0.0
    reason = "" if groups > x.shape[1] else f"{groups} prompts are too few"
    if not reason:
        try:
            fitted = fit_logistic(x, y, cluster, weight)
        except NoMaximum as why:
            reason = str(why)
    if reason:
        return LengthControlled(raw, None, None, None, None, None, short, groups, reason)
    predicted = sigmoid(level @ fitted.coefficients)
    rate = float((weight * predicted).sum() / groups)
    slope = (level * (weight * predicted * (1.0 - predicted))[:, None]).sum(axis=0) / groups
    own = (np.bincount(cluster, weights=weight * predicted) - rate) / groups
    influence = own + fitted.influence @ slope
    error = float(np.sqrt(groups / (groups - 1) * (influence**2).sum()))
    half = t_quantile(groups - x.shape[1]) * error / (rate * (1.0 - rate))
    centre = np.log(rate / (1.0 - rate))
    return LengthControlled(
        raw=raw,
        controlled=rate,
        lo=float(sigmoid(centre - half)),
        hi=float(sigmoid(centre + half)),
        length=None if same else float(fitted.coefficients[1]),
        length_error=None if same else float(np.sqrt(fitted.covariance[1, 1])),
        shorter=short,
        prompts=groups,
    )


def prompt_difficulty(
    score: Sequence[float] | np.ndarray,
    difference: Sequence[float] | np.ndarray,
    model: Sequence[int] | np.ndarray,
    prompt: Sequence[int] | np.ndarray,
    ridge: float = 1.0,
) -> np.ndarray:
    """How well models do against the baseline on each prompt, beyond their level and their length.

    One fit over all models, as the authors of AlpacaEval make theirs: ``θ_m + φ_m·tanh(Δ/sd_m Δ)
    + γ_x`` with ``½·ridge·Σ γ²`` taken off the log-likelihood, for a prompt is judged few times.

    Args:
        score: of each row's model, 0 to 1.
        difference: as in :func:`alpaca_eval`; standardised within each model here.
        model, prompt: numbers from 0, of each row.

    Returns:
        γ, shape (prompts,); larger where models win more. A prompt without rows has 0.

    Raises:
        ValueError: the lengths differ or ``ridge`` is not positive.
        NoMaximum: a model wins or loses always.
    """
    y, m, g = np.asarray(score, dtype=float), np.asarray(model), np.asarray(prompt)
    delta = np.asarray(difference, dtype=float)
    if not y.size == delta.size == m.size == g.size:
        raise ValueError(
            f"{y.size} scores, {delta.size} lengths, {m.size} models, {g.size} prompts"
        )
    if ridge <= 0.0:
        raise ValueError("the ridge must be positive: a prompt with one row has no other bound")
    models, prompts = int(m.max()) + 1, int(g.max()) + 1
    x = np.zeros((y.size, 2 * models))
    for at in range(models):
        own = m == at
        x[own, 2 * at], x[own, 2 * at + 1] = 1.0, np.tanh(_standardised(delta[own]))
    x = x[:, x.any(axis=0)]
    beta, gamma = np.zeros(x.shape[1]), np.zeros(prompts)
    for _ in range(100):
        p = sigmoid(x @ beta + gamma[g])
        v = p * (1.0 - p)
        to_beta = x.T @ (y - p)
        to_gamma = np.bincount(g, weights=y - p, minlength=prompts) - ridge * gamma
        # prompts do not meet each other, so they are eliminated one by one
        diagonal = np.bincount(g, weights=v, minlength=prompts) + ridge
        cross = np.stack([np.bincount(g, weights=v * c, minlength=prompts) for c in x.T])
        left = (x * v[:, None]).T @ x - (cross / diagonal) @ cross.T
        try:
            step = np.linalg.solve(left, to_beta - cross @ (to_gamma / diagonal))
        except np.linalg.LinAlgError:
            break
        move = (to_gamma - cross.T @ step) / diagonal
        largest = max(float(np.abs(step).max()), float(np.abs(move).max()))
        part = min(1.0, 4.0 / largest) if largest > 0.0 else 1.0
        beta, gamma = beta + part * step, gamma + part * move
        if np.abs(beta).max() > 20.0:
            break
        if largest < 1e-9:
            return gamma
    raise NoMaximum("a model wins always, loses always, or is told by length without fail")
