"""What a pair of answers costs: pure functions of summed log-probabilities.

Notation: u = beta * margin, where margin = (log p(chosen) - log p_ref(chosen)) -
(log p(rejected) - log p_ref(rejected)) and log p sums over the tokens of an answer. Every loss
takes and gives one number a pair; with an untrained model (margin 0) the sigmoid loss is ln 2.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class LogProbs(NamedTuple):
    """Summed log-probabilities of both answers of each pair, all of shape (batch,), in nats."""

    chosen: Tensor
    rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor

    @property
    def margin(self) -> Tensor:
        """How much further toward chosen the model is than the reference, (batch,), in nats."""
        return (self.chosen - self.reference_chosen) - (self.rejected - self.reference_rejected)

    def swapped(self) -> LogProbs:
        """The same pairs with the other answer preferred."""
        return LogProbs(self.rejected, self.chosen, self.reference_rejected, self.reference_chosen)


class LossSettings(Protocol):
    """What :func:`pair_losses` reads of a config."""

    @property
    def beta(self) -> float: ...
    @property
    def loss_type(self) -> str: ...
    @property
    def label_smoothing(self) -> float: ...
    @property
    def ties(self) -> str: ...
    @property
    def tie_share(self) -> float: ...


def sigmoid(lp: LogProbs, *, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """DPO, -log sigma(u) (Rafailov et al. 2023, eq. 7); with a share e of labels expected to be
    wrong, conservative DPO: (1 - e) * -log sigma(u) + e * -log sigma(-u) (Mitchell 2023)."""
    u = beta * lp.margin
    return -(1 - label_smoothing) * logsigmoid(u) - label_smoothing * logsigmoid(-u)


def robust(lp: LogProbs, *, beta: float, label_smoothing: float) -> Tensor:
    """Provably robust DPO (Chowdhury et al. 2024): the unbiased estimate of the clean loss when a
    share e < 1/2 of labels is flipped, [(1 - e) * L(u) - e * L(-u)] / (1 - 2e), L = -log sigma.

    It may be negative. At e = 0 it is DPO.
    """
    u = beta * lp.margin
    kept = -(1 - label_smoothing) * logsigmoid(u) + label_smoothing * logsigmoid(-u)
    return kept / (1 - 2 * label_smoothing)


def ipo(lp: LogProbs, *, beta: float) -> Tensor:
    """IPO (Azar et al. 2024, eq. 17): (margin - 1 / (2 beta))^2.

    Log-probabilities are *summed* over an answer's tokens, as in the paper; TRL divides them by
    the number of tokens, so its numbers differ and its useful beta is another.
    """
    return (lp.margin - 1 / (2 * beta)) ** 2


def hinge(lp: LogProbs, *, beta: float) -> Tensor:
    """max(0, 1 - u) (SLiC, Zhao et al. 2023, with the reference as in DPO)."""
    return torch.relu(1 - beta * lp.margin)


def rao_kupper_threshold(tie_share: float) -> float:
    """The threshold (log nu) at which equals tie with this probability: nu = (1 + s) / (1 - s)."""
    return math.log((1 + tie_share) / (1 - tie_share))


def rao_kupper(lp: LogProbs, tie: Tensor, *, beta: float, tie_share: float) -> Tensor:
    """DPO with ties after Rao and Kupper (Chen et al. 2024, DPO-RK).

    With threshold a: p(win) = sigma(u - a), p(loss) = sigma(-u - a), p(tie) = the rest, which is
    (e^2a - 1) * p(win) * p(loss).

    Args:
        tie: bool, (batch,): which pairs have no winner.
        tie_share: p(tie) at u = 0; 0.5 is nu = 3, as published.
    """
    u, threshold = beta * lp.margin, rao_kupper_threshold(tie_share)
    win, loss = logsigmoid(u - threshold), logsigmoid(-u - threshold)
    return -torch.where(tie, win + loss + math.log(math.expm1(2 * threshold)), win)


def davidson(lp: LogProbs, tie: Tensor, *, beta: float, tie_share: float) -> Tensor:
    """DPO with ties after Davidson (Chen et al. 2024, DPO-D).

    p(win) = e^(u/2) / Z and p(tie) = v / Z with Z = e^(u/2) + e^(-u/2) + v and
    v = 2 s / (1 - s), so that equals tie with probability s.
    """
    u, log_v = beta * lp.margin, math.log(2 * tie_share / (1 - tie_share))
    scores = torch.stack([u / 2, -u / 2, torch.full_like(u, log_v)])
    return scores.logsumexp(0) - torch.where(tie, scores[2], scores[0])


def pair_losses(lp: LogProbs, tie: Tensor, settings: LossSettings, *, has_ties: bool) -> Tensor:
    """The loss of every pair under the settings, (batch,).

    Args:
        tie: bool, (batch,): which pairs have no winner.
        has_ties: whether the dataset holds ties at all. Where it does, a win is scored by the
            model with ties too (sigmoid loss): that likelihood is of all three outcomes.
    """
    beta, smoothing = settings.beta, settings.label_smoothing
    if settings.loss_type == "sigmoid" and has_ties and settings.ties != "half":
        likelihood = {"rao_kupper": rao_kupper, "davidson": davidson}[settings.ties]
        share = settings.tie_share
        kept = likelihood(lp, tie, beta=beta, tie_share=share)
        if smoothing == 0:
            return kept
        flipped = likelihood(lp.swapped(), tie, beta=beta, tie_share=share)
        return (1 - smoothing) * kept + smoothing * flipped
    kept = _win(lp, settings.loss_type, beta, smoothing)
    if not has_ties:
        return kept
    both = (kept + _win(lp.swapped(), settings.loss_type, beta, smoothing)) / 2
    return torch.where(tie, both, kept)


def _win(lp: LogProbs, loss_type: str, beta: float, smoothing: float) -> Tensor:
    if loss_type == "ipo":
        return ipo(lp, beta=beta)
    if loss_type == "hinge":
        return hinge(lp, beta=beta)
    loss = {"sigmoid": sigmoid, "robust": robust}[loss_type]
    return loss(lp, beta=beta, label_smoothing=smoothing)


def reward_metrics(lp: LogProbs, tie: Tensor, *, beta: float) -> dict[str, float]:
    """Means over the pairs that have a winner; empty where none has.

    A reward is beta * (log p - log p_ref). ``reward_accuracy`` counts equal rewards as one half,
    so that it is 0.5 before training, not 0.
    """
    won = ~tie
    if not bool(won.any()):
        return {}
    chosen = beta * (lp.chosen - lp.reference_chosen)[won]
    rejected = beta * (lp.rejected - lp.reference_rejected)[won]
    values = {
        "reward_margin": chosen - rejected,
        "reward_accuracy": ((chosen > rejected).float() + (chosen >= rejected).float()) / 2,
        "reward_chosen": chosen,
        "reward_rejected": rejected,
        "logp_chosen": lp.chosen[won],
        "logp_rejected": lp.rejected[won],
    }
    return {name: float(value.mean()) for name, value in values.items()}
