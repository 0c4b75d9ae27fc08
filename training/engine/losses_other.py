"""Objectives that are no form of DPO: pure functions of log-probabilities in nats.

Shapes are (pairs,) in and out where nothing else is said. SimPO, ORPO and RRHF need no reference
model and take means over an answer's tokens; KTO and SRPO take R = log p - log p_ref, summed over
the tokens of an answer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def simpo(
    chosen: Tensor, rejected: Tensor, *, beta: float, gamma: float, label_smoothing: float = 0.0
) -> Tensor:
    """SimPO (Meng et al. 2024, eq. 6): -log sigma(beta * (chosen - rejected) - gamma), and with a
    share e of labels expected to be wrong (1 - e) of that and e of the loss with sides changed.

    Args:
        chosen: mean log-probability per token of the chosen answers.
        rejected: the same of the rejected ones.
        gamma: the lead that chosen has to have.
    """
    u = beta * (chosen - rejected) - gamma
    return -(1 - label_smoothing) * logsigmoid(u) - label_smoothing * logsigmoid(-u)


def log_odds(mean: Tensor) -> Tensor:
    """log(p / (1 - p)) of an answer's probability per token, p = e^mean, for mean < 0.

    A mean of 0 (every token certain) is taken as the nearest number below, so that nothing is
    infinite.
    """
    mean = mean.clamp(max=-torch.finfo(mean.dtype).eps)
    # log(1 - e^x): each form where it is exact
    near = torch.log(-torch.expm1(mean))
    far = torch.log1p(-torch.exp(mean))
    return mean - torch.where(mean > -0.6931, near, far)


def orpo(chosen: Tensor, rejected: Tensor, *, weight: float, p: Tensor | None = None) -> Tensor:
    """ORPO (Hong et al. 2024, eq. 6): -chosen - weight * log sigma(log odds of chosen - of
    rejected): likelihood of the chosen answer, and its lead in odds.

    Args:
        chosen: mean log-probability per token of the chosen answers.
        rejected: the same of the rejected ones.
        p: soft labels, the probability that chosen is the better one: both terms are then p of
            theirs and 1 - p of those with sides changed.
    """
    lead = log_odds(chosen) - log_odds(rejected)
    if p is None:
        return -chosen - weight * logsigmoid(lead)
    kept = -chosen - weight * logsigmoid(lead)
    return p * kept + (1 - p) * (-rejected - weight * logsigmoid(-lead))


def rrhf(means: Tensor, scores: Tensor, best: Tensor) -> Tensor:
    """RRHF (Yuan et al. 2023, eq. 2 to 4): the sum over pairs with score_i < score_j of
    max(0, mean_i - mean_j), and -log p(best).

    Args:
        means: mean log-probability per token of k answers, (batch, k).
        scores: how good each is, (batch, k); equal ones are not compared.
        best: summed log-probability of the answer with the highest score, (batch,).
    """
    worse = scores[:, :, None] < scores[:, None, :]
    ahead = torch.relu(means[:, :, None] - means[:, None, :])
    return (ahead * worse).sum((1, 2)) - best


def kl_estimate(mismatched: Tensor, reference_mismatched: Tensor) -> Tensor:
    """KTO's z0 (Ethayarajh et al. 2024, §4.2), a number from 0 up without a gradient: the mean of R
    over answers to *other* prompts, so that what is measured is the model's drift and not what it
    has learnt about the pair.

    Args:
        mismatched: summed log-probabilities of such answers, (answers,).
        reference_mismatched: the same under the reference.
    """
    return (mismatched - reference_mismatched).detach().mean().clamp(min=0)


def kto(
    chosen: Tensor,
    rejected: Tensor,
    z0: Tensor,
    *,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Tensor:
    """KTO of pairs (Ethayarajh et al. 2024, eq. 7), chosen taken as desirable and rejected as
    undesirable: the mean of desirable_weight * (1 - sigma(beta (R_w - z0))) and
    undesirable_weight * (1 - sigma(beta (z0 - R_l))).

    Args:
        chosen: R of the chosen answers.
        rejected: R of the rejected ones.
        z0: from :func:`kl_estimate`, one number or (batch,).
    """
    good = desirable_weight * (beta * (z0 - chosen)).sigmoid()
    bad = undesirable_weight * (beta * (rejected - z0)).sigmoid()
    return (good + bad) / 2


def kto_bad(
    one: Tensor, other: Tensor, z0: Tensor, beta: float, undesirable_weight: float = 1.0
) -> Tensor:
    """KTO of pairs whose answers are both undesirable: the mean of what each costs by itself."""
    both = (beta * (one - z0)).sigmoid() + (beta * (other - z0)).sigmoid()
    return undesirable_weight * both / 2


class Ratios(NamedTuple):
    """SRPO's six R of a pair, each (batch,): of the chosen (w) or rejected (l) answer, written
    from the prompt alone or as an improvement on one of the two."""

    w: Tensor
    l: Tensor  # noqa: E741 - the letter that the papers have
    w_given_w: Tensor
    w_given_l: Tensor
    l_given_w: Tensor
    l_given_l: Tensor

    def swapped(self) -> Ratios:
        """The same pairs with the other answer preferred."""
        return Ratios(
            self.l, self.w, self.l_given_l, self.l_given_w, self.w_given_l, self.w_given_w
        )


def srpo_improve(r: Ratios, p: Tensor, *, beta: float) -> Tensor:
    """SRPO's self-improvement term (Choi et al. 2024): with D(a|b) = R of a as an improvement on b,
    (p - 1/2 - beta (D(w|l) - D(l|l)))^2 + (p - 1/2 - beta (D(w|w) - D(l|w)))^2.

    At the game's optimum P(a better than b) - 1/2 = beta (D(a|b) - D(b|b)), and the term is 0.

    Args:
        p: (batch,), the probability that w is better: 1 is the published loss, 1/2 a tie.
    """
    target = p - 0.5
    on_l = (target - beta * (r.w_given_l - r.l_given_l)) ** 2
    return on_l + (target - beta * (r.w_given_w - r.l_given_w)) ** 2


def srpo_generate(r: Ratios, p: Tensor, *, beta: float) -> Tensor:
    """SRPO's generative term: (beta (D(w|l) + R(w) - D(l|w) - R(l)) - (2p - 1))^2, 0 at the game's
    optimum, where 2 P(w better than l) - 1 = beta (D(w|l) + R(w) - D(l|w) - R(l))."""
    return (beta * (r.w_given_l + r.w - r.l_given_w - r.l) - (2 * p - 1)) ** 2


def srpo(r: Ratios, p: Tensor, *, beta: float, alpha: float) -> Tensor:
    """(1 - alpha) * the generative term + alpha * the self-improvement term."""
    improve = srpo_improve(r, p, beta=beta)
    return (1 - alpha) * srpo_generate(r, p, beta=beta) + alpha * improve
