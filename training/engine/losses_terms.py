"""What may be added to the loss of a pair: pure functions of log-probabilities.

Shapes are (pairs,) in and out where nothing else is said. Signs are those of a loss: a term falls
while the answer it speaks of becomes likelier. Log-probabilities are in nats.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def sft_sum(chosen: Tensor, *, beta: float, weight: float) -> Tensor:
    """RPO's SFT term as published (Liu et al. 2024): weight * beta * -log p(chosen), summed over
    the answer's tokens, so that long answers weigh more; their weight is 0.005.

    Args:
        chosen: summed log-probabilities of the chosen answers.
    """
    return -weight * beta * chosen


def sft_mean(chosen: Tensor, length: Tensor, *, weight: float) -> Tensor:
    """RPO's averaged SFT term (appendix F of Liu et al. 2024): weight * -log p(chosen) / tokens,
    every answer alike; weight 0.2 in their recipe for OpenRLHF.

    Of a ground-truth answer in the chosen one's place it is the guidance of gDPO (video-SALMONN 2,
    Tang et al. 2025; weight 0.1), which takes the mean over all tokens of a batch.

    Args:
        chosen: summed log-probabilities of the chosen answers.
        length: their tokens.
    """
    return -weight * chosen / length


def rationale(
    log_prob: Tensor, length: Tensor, *, weight: float, form: str, per: str = "sum"
) -> Tensor:
    """What a rationale costs, given the prompt and both answers (RDPO, Just et al. 2024).

    With s the log-probability of the rationale, summed over its tokens or their mean:

    - ``paper``: -weight * s, from p(choice, rationale) = p(choice) p(rationale | choice);
    - ``code``: -log sigma(weight * s), which the published program computes: the same gradient
      times sigma(weight * |s|), between one half and 1.

    Args:
        log_prob: summed log-probabilities of the rationales.
        length: their tokens; at least 1 also where there is no rationale.
        form: paper or code.
        per: sum or token.
    """
    s = log_prob / length if per == "token" else log_prob
    return -logsigmoid(weight * s) if form == "code" else -weight * s


def length_desensitised(values: Tensor, shared: Tensor, *, alpha: float) -> Tensor:
    """Sums of log-probabilities in which the tokens beyond a shared length count for less (LD-DPO,
    Liu et al. 2024): those up to it weigh 1, the rest alpha. Model and reference alike.

    Args:
        values: log-probabilities of the tokens of each answer, (pairs, longest), 0 past its end.
        shared: (pairs,), the length of the shorter answer of each pair.
        alpha: 1 is DPO, 0 cuts both answers to the shorter one.

    Returns:
        (pairs,)
    """
    place = torch.arange(values.shape[1], device=values.device)
    return torch.where(place < shared[:, None], values, alpha * values).sum(1)
