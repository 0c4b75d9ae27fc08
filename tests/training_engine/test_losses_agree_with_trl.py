"""The losses against those of TRL's trainers, called on the same log-probabilities: what they do
is read out of their own methods, with a model that says the numbers."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from training.engine import losses, losses_other, losses_terms
from training.engine.losses import LogProbs

pytestmark = pytest.mark.slow
PAIRS, LENGTH = 6, 9
BETA, SMOOTHING = 0.3, 0.1
OWN = {"exo_pair": "exo", "nca_pair": "nca", "bco_pair": "bco", "ipo": "ipo_norm"}
"""TRL's name of a loss, and ours."""


class Draw:
    """Random log-probabilities of the tokens of chosen answers, then of rejected ones; the prompt
    is one token."""

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(3)
        shape = (2 * PAIRS, LENGTH)
        self.lengths = torch.randint(1, LENGTH + 1, (2 * PAIRS,), generator=draw)
        self.mask = torch.arange(LENGTH) < self.lengths[:, None]
        self.tokens = -torch.rand(shape, generator=draw) * 3 * self.mask
        self.reference = -torch.rand(shape, generator=draw) * 3 * self.mask

    def log_probs(self) -> LogProbs:
        return LogProbs(*self.tokens.sum(1).chunk(2), *self.reference.sum(1).chunk(2))


class Anything:
    """What a model gives: log-probabilities, and zeros for all that TRL only logs."""

    def __init__(self, log_probs: torch.Tensor) -> None:
        self.log_probs = log_probs

    def __getattr__(self, name: str) -> Any:
        zeros = torch.zeros_like(self.log_probs)
        return zeros.bool() if name.startswith("is_") else zeros


def same(value: torch.Tensor) -> torch.Tensor:
    return value


def model_of(draw: Draw) -> Any:
    """What TRL calls as a model: it says the drawn log-probabilities."""

    def model(**_: Any) -> Any:
        return Anything(draw.tokens)

    model.training = False  # type: ignore[attr-defined]
    return model


def trl_loss(loss_type: str, draw: Draw, **options: Any) -> float:
    from trl import DPOTrainer

    model = model_of(draw)
    chosen, rejected = draw.reference.sum(1).chunk(2)
    if "ld_alpha" in options:
        lp = desensitised(draw, options["ld_alpha"])
        chosen, rejected = lp.reference_chosen, lp.reference_rejected
    # one token of prompt before what is counted
    mask = torch.cat([torch.zeros(2 * PAIRS, 1, dtype=torch.bool), draw.mask], 1).long()
    inputs = {
        "input_ids": torch.ones_like(mask),
        "attention_mask": torch.ones_like(mask),
        "completion_mask": mask,
        "ref_chosen_logps": chosen,
        "ref_rejected_logps": rejected,
    }
    own = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu", gather=same, gather_for_metrics=same),
        model=SimpleNamespace(training=False),
        aux_loss_enabled=False,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        beta=BETA,
        label_smoothing=SMOOTHING,
        loss_types=[loss_type],
        loss_weights=[1.0],
        use_weighting=False,
        args=SimpleNamespace(discopop_tau=0.05),
        _metrics={"eval": defaultdict(list)},
        _total_train_tokens=0,
        **{"ld_alpha": None, **options},
    )
    return float(DPOTrainer._compute_loss(own, model, inputs, False))


def desensitised(draw: Draw, alpha: float) -> LogProbs:
    shared = torch.minimum(*draw.lengths.chunk(2)).repeat(2)
    sums = [
        losses_terms.length_desensitised(values, shared, alpha=alpha)
        for values in (draw.tokens, draw.reference)
    ]
    return LogProbs(*sums[0].chunk(2), *sums[1].chunk(2))


def our_loss(loss_type: str, lp: LogProbs, lengths: torch.Tensor) -> float:
    name = OWN.get(loss_type, loss_type)
    smoothing = SMOOTHING if name in ("robust", "exo") else 0.0
    own: Any = SimpleNamespace(beta=BETA, loss_type=name, label_smoothing=smoothing, ties="half")
    none = torch.zeros(PAIRS, dtype=torch.bool)
    one, other = lengths.chunk(2)
    return float(losses.pair_losses(lp, none, own, has_ties=False, lengths=(one, other)).mean())


FAMILY = (
    *("sigmoid", "hinge", "robust", "exo_pair", "nca_pair", "bco_pair", "sppo_hard"),
    *("apo_zero", "apo_down", "discopop", "sigmoid_norm", "ipo"),
)


@pytest.mark.parametrize("loss_type", FAMILY)
def test_the_dpo_family(loss_type: str) -> None:
    draw = Draw()
    expected = trl_loss(loss_type, draw)
    assert our_loss(loss_type, draw.log_probs(), draw.lengths) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_long_answers_weigh_less(alpha: float) -> None:
    draw = Draw()
    expected = trl_loss("sigmoid", draw, ld_alpha=alpha)
    value = our_loss("sigmoid", desensitised(draw, alpha), draw.lengths)
    assert value == pytest.approx(expected, rel=1e-5)


def test_simpo_and_orpo() -> None:
    from trl.experimental.cpo import CPOTrainer
    from trl.experimental.orpo import ORPOTrainer

    draw = Draw()
    chosen, rejected = (draw.tokens.sum(1) / draw.lengths).chunk(2)
    device = SimpleNamespace(device="cpu")
    own = SimpleNamespace(
        accelerator=device, alpha=0.0, beta=2.5, loss_type="simpo", simpo_gamma=1.4
    )
    own.label_smoothing = SMOOTHING
    expected, *_ = CPOTrainer.cpo_loss(own, chosen, rejected)
    value = losses_other.simpo(chosen, rejected, beta=2.5, gamma=1.4, label_smoothing=SMOOTHING)
    assert torch.allclose(value, expected)
    own = SimpleNamespace(accelerator=device, beta=0.1)
    kept, *_ = ORPOTrainer.odds_ratio_loss(own, chosen, rejected)
    # TRL adds the negative log-likelihood elsewhere, as a mean over a batch's tokens
    value = losses_other.orpo(chosen, rejected, weight=0.1)
    assert torch.allclose(value, -chosen - kept, atol=1e-6)


def test_kto() -> None:
    from trl import KTOTrainer

    draw, other = Draw(), torch.Generator().manual_seed(5)
    mismatched = torch.randn(2 * PAIRS, generator=other) + 0.5

    model = model_of(draw)
    mask = torch.cat([torch.zeros(2 * PAIRS, 1, dtype=torch.bool), draw.mask], 1).long()
    own = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu", gather=same, gather_for_metrics=same),
        model=SimpleNamespace(training=False),
        aux_loss_enabled=False,
        precompute_ref_logps=True,
        calculate_KL=True,
        loss_type="kto",
        beta=BETA,
        desirable_weight=1.5,
        undesirable_weight=0.5,
        _metrics={"eval": defaultdict(list)},
        _total_train_tokens=0,
        _compute_kl_logps=lambda model, batch: mismatched,
    )
    batch = {
        "input_ids": torch.ones_like(mask),
        "attention_mask": torch.ones_like(mask),
        "completion_mask": mask,
        "label": torch.arange(2 * PAIRS) < PAIRS,
        "ref_logps": draw.reference.sum(1),
        "ref_KL_logps": torch.zeros(2 * PAIRS),
    }
    expected = float(KTOTrainer._compute_loss(own, model, batch, False))
    lp = draw.log_probs()
    z0 = losses_other.kl_estimate(mismatched, torch.zeros(2 * PAIRS))
    value = losses_other.kto(
        lp.chosen_ratio,
        lp.rejected_ratio,
        z0,
        beta=BETA,
        desirable_weight=1.5,
        undesirable_weight=0.5,
    )
    assert float(z0) > 0
    assert float(value.mean()) == pytest.approx(expected, rel=1e-5)
