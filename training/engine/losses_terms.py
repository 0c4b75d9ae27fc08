"""What may be added to the loss of a pair: pure functions of log-probabilities.

Shapes are (pairs,) in and out where nothing else is said. Signs are those of a loss: a term falls
while the answer it speaks of becomes likelier. Log-probabilities are in nats.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from training.engine.losses import LogProbs, sigmoid


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


def ground_truth(log_prob: Tensor, length: Tensor, *, weight: float) -> Tensor:
    """gDPO's guidance (video-SALMONN 2, Tang et al. 2025): weight * the mean cross-entropy per
    token of a ground-truth answer, which need be neither of the pair's; their weight is 0.1. Here
    every answer counts alike, where they take the mean over all tokens of a batch."""
    return -weight * log_prob / length


def visual(
    chosen: Tensor,
    other_picture: Tensor,
    reference_chosen: Tensor,
    reference_other_picture: Tensor,
    *,
    beta: float,
) -> Tensor:
    """Re-Align's visual preference (Xing et al. 2025): DPO between the same answer under its own
    picture, which is preferred, and under a picture that was retrieved for being alike.

    Args:
        chosen: summed log p(chosen | prompt, picture).
        other_picture: summed log p(chosen | prompt, retrieved picture).
    """
    lp = LogProbs(chosen, other_picture, reference_chosen, reference_other_picture)
    return sigmoid(lp, beta=beta)


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
