"""What is laid on top of a loss on pairs of pictures: a safeguard for the chosen ones, weights of
rankings, errors of parts. Pure functions, as those in ``diffusion_losses``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log2

import torch
from torch import Tensor

from training.engine.diffusion_losses import PairErrors


def safe_share(chosen: Tensor, rejected: Tensor, slack: float = 0.0) -> Tensor:
    """How much of the push against each rejected sample is let through so that, to first order,
    the error on the chosen one does not rise (Diffusion-SDPO, Fu et al. 2025, arXiv 2511.03317).

    A step against ``chosen - share * rejected`` changes the chosen error by -chosen . (chosen -
    share * rejected), which is at most -slack |chosen|^2 with

        share = (1 - slack) |chosen|^2 / (rejected . chosen), from 0 to 1,

    and 1 where the two do not point the same way.

    Args:
        chosen, rejected: the model's output less its target, (pairs, …); no gradient is taken.
        slack: which part of the chosen sample's own progress must be left, 0 to 1.

    Returns:
        (pairs,), from 0 to 1.
    """
    own, other = chosen.detach().flatten(1).double(), rejected.detach().flatten(1).double()
    along = (own * other).sum(1)
    share = (1 - slack) * own.square().sum(1) / along.clamp(min=1e-30)
    return torch.where(along > 0, share.clamp(0, 1), 1.0).to(chosen.dtype)


def held_back(errors: PairErrors, share: Tensor) -> PairErrors:
    """The same errors, of whose rejected ones only ``share`` of the gradient is let through."""
    still = errors.rejected.detach()
    share = share.view(-1, *[1] * (still.ndim - 1))
    return PairErrors(errors.chosen, still + share * (errors.rejected - still))


def part_errors(squares: Tensor, parts: Tensor | None) -> Tensor:
    """Mean squared errors over parts of each sample.

    Args:
        squares: (samples, channels, [frames,] height, width).
        parts: weights from 0 up, (samples, parts, 1, [frames,] height, width) or what broadcasts
            to it; None for the whole.

    Returns:
        (samples,), or (samples, parts); zero for a part without any weight.
    """
    if parts is None:
        return squares.flatten(1).mean(1)
    weights = parts.expand(-1, -1, *squares.shape[1:]).flatten(2)
    return (weights * squares.flatten(1)[:, None]).sum(2) / weights.sum(2).clamp(min=1e-9)


def rank_weights(pairs: Sequence[tuple[str, str, str]]) -> list[float]:
    """How much each pair of a ranking counts (RankDPO, Karthik et al. 2024, arXiv 2410.18013):
    |2^g - 2^g'| |1 / log2(1 + place) - 1 / log2(1 + place')|, scaled to a mean of 1.

    An output's gain g is the share of its comparisons under the same prompt that it won, its place
    among the prompt's outputs follows from that. A prompt with one pair alone has the weight of
    gains 1 and 0 on the places 1 and 2, as all pairs then have.

    Args:
        pairs: (prompt, chosen, rejected).
    """
    won: Counter[tuple[str, str]] = Counter()
    met: Counter[tuple[str, str]] = Counter()
    for prompt, chosen, rejected in pairs:
        won[prompt, chosen] += 1
        met[prompt, chosen] += 1
        met[prompt, rejected] += 1
    gains = {item: won[item] / count for item, count in met.items()}
    places = _places(gains)
    found = [
        pair_weight(
            gains[prompt, chosen],
            gains[prompt, rejected],
            places[prompt, chosen],
            places[prompt, rejected],
        )
        for prompt, chosen, rejected in pairs
    ]
    mean = sum(found) / len(found) if found else 0.0
    return [weight / mean for weight in found] if mean else [1.0] * len(found)


def pair_weight(gain: float, other_gain: float, place: int, other_place: int) -> float:
    """One term of RankDPO's sum without its loss; places count from 1."""
    discount = abs(1 / log2(1 + place) - 1 / log2(1 + other_place))
    return abs(2**gain - 2**other_gain) * discount


def _places(gains: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], int]:
    """From 1 in each prompt, the largest gain first; equal ones by name."""
    places: dict[tuple[str, str], int] = {}
    seen: Counter[str] = Counter()
    for item in sorted(gains, key=lambda item: (item[0], -gains[item], item[1])):
        seen[item[0]] += 1
        places[item] = seen[item[0]]
    return places
