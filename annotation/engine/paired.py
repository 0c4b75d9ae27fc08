"""How far two judges agree with people on the same pairs, and how far they differ: by prompt, for
pairs of one prompt are no independent witnesses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np


def compared(
    before: Sequence[float], after: Sequence[float], prompts: Sequence[str]
) -> dict[str, Any]:
    """``before``, ``after`` and their paired difference ``gain``, each with ``rate``, ``lo`` and
    ``hi`` (95 %, clustered by prompt), and how many ``prompts`` there are.

    Args:
        before, after: of the same pairs, each 0 to 1.
    """
    difference = [late - early for early, late in zip(before, after, strict=True)]
    return {
        "before": _mean(before, prompts, (0.0, 1.0)),
        "after": _mean(after, prompts, (0.0, 1.0)),
        "gain": _mean(difference, prompts, (-1.0, 1.0)),
        "prompts": len(set(prompts)),
    }


def _mean(
    values: Sequence[float], prompts: Sequence[str], ends: tuple[float, float]
) -> dict[str, float | None]:
    """The mean over prompts; its interval takes one prompt at either end for seen (Agresti and
    Coull), so that few prompts that all say the same are no certainty."""
    from scipy.special import stdtrit

    by_prompt: dict[str, list[float]] = defaultdict(list)
    for value, prompt in zip(values, prompts, strict=True):
        by_prompt[prompt].append(value)
    means = np.array([float(np.mean(some)) for some in by_prompt.values()])
    rate = float(means.mean())
    if means.size < 2:
        return {"rate": round(rate, 6), "lo": None, "hi": None}
    sample = np.concatenate([means, ends])
    half = stdtrit(sample.size - 1, 0.975) * float(sample.std(ddof=1)) / np.sqrt(sample.size)
    centre = float(sample.mean())
    lo = max(ends[0], min(rate, centre - half))
    hi = min(ends[1], max(rate, centre + half))
    return {"rate": round(rate, 6), "lo": round(lo, 6), "hi": round(hi, 6)}
