"""What a pair of answers costs: pure functions of summed log-probabilities.

Notation: R = log p(answer) - log p_ref(answer), summed over the answer's tokens, in nats; margin =
R(chosen) - R(rejected); u = beta * margin. Every loss takes and gives tensors of shape (pairs,);
with an untrained model (R = 0) the sigmoid loss is ln 2.

What may be added to these losses stands in ``losses_terms``, objectives of another kind in
``losses_other``. TRL's ``aot`` is left out on purpose: it sorts within a batch, so that its result
would depend on how the pairs are split into passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
        return self.chosen_ratio - self.rejected_ratio

    @property
    def chosen_ratio(self) -> Tensor:
        """R(chosen), (batch,), in nats."""
        return self.chosen - self.reference_chosen

    @property
    def rejected_ratio(self) -> Tensor:
        """R(rejected), (batch,), in nats."""
        return self.rejected - self.reference_rejected

    def per_token(self, chosen_length: Tensor, rejected_length: Tensor) -> LogProbs:
        """Means over the tokens of each answer, given how many each has, (batch,)."""
        return LogProbs(
            self.chosen / chosen_length,
            self.rejected / rejected_length,
            self.reference_chosen / chosen_length,
            self.reference_rejected / rejected_length,
        )

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


def sigmoid(
    lp: LogProbs, *, beta: float, label_smoothing: float = 0.0, offset: Tensor | None = None
) -> Tensor:
    """DPO, -log sigma(u) (Rafailov et al. 2023, eq. 7); with a share e of labels expected to be
    wrong, conservative DPO: (1 - e) * -log sigma(u) + e * -log sigma(-u) (Mitchell 2023).

    Args:
        offset: (batch,), how far u has to be above 0 before a pair counts as even: u - offset
            stands in u's place (DPO with an offset, Amini et al. 2024).
    """
    u = beta * lp.margin if offset is None else beta * lp.margin - offset
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

    Log-probabilities are *summed* over an answer's tokens, as in the paper; TRL's ``ipo`` is this
    of :meth:`LogProbs.per_token`, so its numbers differ and its useful beta is another.
    """
    return (lp.margin - 1 / (2 * beta)) ** 2


def hinge(lp: LogProbs, *, beta: float) -> Tensor:
    """max(0, 1 - u) (SLiC, Zhao et al. 2023, with the reference as in DPO)."""
    return torch.relu(1 - beta * lp.margin)


def exo(lp: LogProbs, *, beta: float, label_smoothing: float) -> Tensor:
    """EXO on pairs (Ji et al. 2024, eq. 16): KL(q || p) of q = (sigma(u), sigma(-u)) against the
    labels p = (1 - e, e), the reverse of DPO's direction. e must be above 0."""
    u = beta * lp.margin
    kept = logsigmoid(u) - math.log1p(-label_smoothing)
    return u.sigmoid() * kept + (-u).sigmoid() * (logsigmoid(-u) - math.log(label_smoothing))


def nca(lp: LogProbs, *, beta: float) -> Tensor:
    """NCA on pairs (Chen et al. 2024): -log sigma(r_w) - [log sigma(-r_w) + log sigma(-r_l)] / 2
    with r = beta R; it holds the likelihood of chosen answers up instead of only their lead."""
    won, lost = beta * lp.chosen_ratio, beta * lp.rejected_ratio
    return -logsigmoid(won) - (logsigmoid(-won) + logsigmoid(-lost)) / 2


def bco(lp: LogProbs, *, beta: float) -> Tensor:
    """BCO on pairs (Jung et al. 2024) without its running mean: -log sigma(beta R_w) -
    log sigma(-beta R_l), a classifier that calls chosen answers good and rejected ones bad."""
    return -logsigmoid(beta * lp.chosen_ratio) - logsigmoid(-beta * lp.rejected_ratio)


def sppo_hard(lp: LogProbs, *, beta: float) -> Tensor:
    """SPPO with hard labels (Wu et al. 2024, eq. 4.7 with P = 1 and 0):
    (R_w - 1 / (2 beta))^2 + (R_l + 1 / (2 beta))^2; each answer has a target of its own."""
    target = 1 / (2 * beta)
    return (lp.chosen_ratio - target) ** 2 + (lp.rejected_ratio + target) ** 2


def apo_zero(lp: LogProbs, *, beta: float) -> Tensor:
    """APO-zero (D'Oosterlinck et al. 2024, eq. 7): 1 - sigma(beta R_w) + sigma(beta R_l), for
    chosen answers that are better than what the model writes: theirs rises, the others' falls."""
    return 1 - (beta * lp.chosen_ratio).sigmoid() + (beta * lp.rejected_ratio).sigmoid()


def apo_down(lp: LogProbs, *, beta: float) -> Tensor:
    """APO-down (D'Oosterlinck et al. 2024, eq. 8): sigma(beta R_w) + 1 - sigma(u), for chosen
    answers that are worse than what the model writes: both fall, the rejected one further."""
    return (beta * lp.chosen_ratio).sigmoid() + 1 - (beta * lp.margin).sigmoid()


def discopop(lp: LogProbs, *, beta: float, temperature: float = 0.05) -> Tensor:
    """DiscoPOP (Lu et al. 2024, eq. 5), found by a search that a language model led:
    (1 - m) * -log sigma(u) + m * e^-u with m = sigma(u / temperature)."""
    u = beta * lp.margin
    # m * e^-u in one exponent: the factors alone would be 0 and infinite
    exponential = (logsigmoid(u / temperature) - u).exp()
    return (-u / temperature).sigmoid() * -logsigmoid(u) + exponential


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


def pair_losses(
    lp: LogProbs,
    tie: Tensor,
    settings: LossSettings,
    *,
    has_ties: bool,
    p: Tensor | None = None,
    lengths: tuple[Tensor, Tensor] | None = None,
    offset: Tensor | None = None,
) -> Tensor:
    """The loss of every pair under the settings, (batch,).

    Args:
        tie: bool, (batch,): which pairs have no winner.
        has_ties: whether the dataset holds ties at all. Where it does, a win is scored by the
            model with ties too (sigmoid loss): that likelihood is of all three outcomes.
        p: (batch,), soft labels: the probability that chosen is the better one. A pair then costs
            p of its loss and 1 - p of the loss with sides changed, which with the sigmoid loss is
            the cross-entropy with p. A tie is a pair with p = 1/2, and the models of ties are not
            asked.
        lengths: tokens of the chosen and of the rejected answers, (batch,) each; the losses whose
            names end in ``_norm`` need them.
        offset: as :func:`sigmoid` takes it, which alone may have one. With it the models of ties
            are not asked either.
    """
    beta, smoothing = settings.beta, settings.label_smoothing
    modelled = has_ties and settings.ties != "half" and p is None and offset is None
    if modelled and settings.loss_type == "sigmoid":
        likelihood = {"rao_kupper": rao_kupper, "davidson": davidson}[settings.ties]
        share = settings.tie_share
        kept = likelihood(lp, tie, beta=beta, tie_share=share)
        if smoothing == 0:
            return kept
        flipped = likelihood(lp.swapped(), tie, beta=beta, tie_share=share)
        return (1 - smoothing) * kept + smoothing * flipped
    loss_type = settings.loss_type
    if loss_type in PER_TOKEN:
        assert lengths is not None, f"{loss_type} needs the answers' lengths"
        lp, loss_type = lp.per_token(*lengths), PER_TOKEN[loss_type]
    kept = _win(lp, loss_type, beta, smoothing, offset)
    if p is None and not has_ties:
        return kept
    # the side that lost by a strength has to catch up with none
    flipped = _win(lp.swapped(), loss_type, beta, smoothing, None if offset is None else -offset)
    if p is None:
        return torch.where(tie, (kept + flipped) / 2, kept)
    return p * kept + (1 - p) * flipped


PER_TOKEN = {"ipo_norm": "ipo", "sigmoid_norm": "sigmoid"}
"""Losses of log-probabilities per token, by the loss of summed ones that each is made of."""
SMOOTHED = ("sigmoid", "sigmoid_norm", "robust", "exo")
"""The losses that know what ``label_smoothing`` means."""
_EXO_SMOOTHING = 1e-3
"""EXO's own, for a share of 0, which it cannot have."""


def _win(
    lp: LogProbs, loss_type: str, beta: float, smoothing: float, offset: Tensor | None
) -> Tensor:
    match loss_type:
        case "sigmoid":
            return sigmoid(lp, beta=beta, label_smoothing=smoothing, offset=offset)
        case "robust":
            return robust(lp, beta=beta, label_smoothing=smoothing)
        case "exo":
            return exo(lp, beta=beta, label_smoothing=smoothing or _EXO_SMOOTHING)
    return _PLAIN[loss_type](lp, beta=beta)


_PLAIN: dict[str, Callable[..., Tensor]] = {
    "ipo": ipo,
    "hinge": hinge,
    "nca": nca,
    "bco": bco,
    "sppo_hard": sppo_hard,
    "apo_zero": apo_zero,
    "apo_down": apo_down,
    "discopop": discopop,
}


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
