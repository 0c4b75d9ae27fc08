"""Objectives that are no DPO: published values, SRPO's game worked out by brute force, and what
must hold for any value."""

from __future__ import annotations

from math import log
from typing import Any

import pytest
import torch

from training.engine import losses, losses_other
from training.engine.losses import LogProbs
from training.engine.losses_other import Ratios


def rows(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def near(*values: float) -> Any:
    return pytest.approx(list(values), abs=1e-6)


# means per token of the pairs in test_losses.py
CHOSEN, REJECTED = rows(-10, -30) / rows(5, 12), rows(-14, -28) / rows(7, 10)
SIX = Ratios(
    w=rows(1, -1),
    l=rows(-1, 1),
    w_given_w=rows(-2, -4) - rows(-2.5, -4),
    w_given_l=rows(-9, -27) - rows(-10.5, -28),
    l_given_w=rows(-15, -29) - rows(-14, -29),
    l_given_l=rows(-3, -5) - rows(-2.5, -4.5),
)
SURE = rows(1, 1)


def test_simpo_as_published() -> None:
    value = losses_other.simpo(CHOSEN, REJECTED, beta=2.5, gamma=1.375)
    assert value.tolist() == near(1.600413, 1.053701)
    # without a lead to ask for, even answers cost ln 2 whatever share of labels is wrong
    even = losses_other.simpo(CHOSEN, CHOSEN, beta=2.5, gamma=0, label_smoothing=0.2)
    assert even.tolist() == near(log(2), log(2))


def test_orpo_as_published() -> None:
    value = losses_other.orpo(CHOSEN, REJECTED, weight=0.1)
    assert value.tolist() == near(2.069315, 2.554467)
    p = rows(0.75, 0)
    soft = losses_other.orpo(CHOSEN, REJECTED, weight=0.1, p=p)
    swapped = losses_other.orpo(REJECTED, CHOSEN, weight=0.1)
    assert torch.allclose(soft, p * value + (1 - p) * swapped)


def test_odds_are_exact_near_certainty_and_near_none() -> None:
    # p = 1 - 1e-9: log(p / (1 - p)) = log(1e9); p = 1e-20: log p
    value = losses_other.log_odds(rows(-1e-9, 20 * log(0.1), log(0.5)))
    assert value.tolist() == near(log(1e9), 20 * log(0.1), 0)


def test_certain_answers_have_finite_odds_and_gradients() -> None:
    mean = torch.tensor([0.0, -1e-12, -1e4]).requires_grad_()
    value = losses_other.log_odds(mean)
    assert bool(value.isfinite().all())
    assert bool(torch.autograd.grad(value.sum(), mean)[0].isfinite().all())


def test_rrhf_as_published() -> None:
    """Three answers of 4 tokens; 0.9 beats 0.5 beats 0.2, but the means say otherwise."""
    means, scores = rows(-1, -0.5, -2)[None], rows(0.9, 0.2, 0.5)[None]
    best = 4 * means[:, 0]
    value = losses_other.rrhf(means, scores, best)
    assert value.tolist() == near(6.0)
    assert (value + best).tolist() == near(2.0)


def test_kto_of_pairs() -> None:
    """Worked by hand at beta 1, z0 = 1: sigma(1 - 2) = 0.268941, sigma(-1 - 1) = 0.119203."""
    value = losses_other.kto(rows(2), rows(-1), rows(1), beta=1.0)
    assert value.tolist() == near((0.268941 + 0.119203) / 2)
    weighed = losses_other.kto(
        rows(2), rows(-1), rows(1), beta=1.0, desirable_weight=2.0, undesirable_weight=0.0
    )
    assert weighed.tolist() == near(0.268941)
    untrained = losses_other.kto(rows(0), rows(0), rows(0), beta=0.1)
    assert untrained.tolist() == near(0.5)


def test_two_bad_answers_are_pushed_away_from_each_by_itself() -> None:
    one, other = rows(2), rows(-1)
    value = losses_other.kto_bad(one, other, rows(1), 1.0, 2.0)
    assert value == pytest.approx(2 * (torch.sigmoid(rows(1)) + torch.sigmoid(rows(-2))) / 2)


def test_ktos_point_of_reference_is_no_gradient_and_never_below_0() -> None:
    drift = rows(-10, -12).requires_grad_()
    z0 = losses_other.kl_estimate(drift, rows(-11, -12))
    assert float(z0) == 0.5
    assert not z0.requires_grad
    assert float(losses_other.kl_estimate(drift, rows(-1, -1))) == 0


def test_srpo_as_published() -> None:
    assert losses_other.srpo_improve(SIX, SURE, beta=0.1).tolist() == near(0.2125, 0.3725)
    assert losses_other.srpo_generate(SIX, SURE, beta=0.1).tolist() == near(0.3025, 1.21)
    value = losses_other.srpo(SIX, SURE, beta=0.1, alpha=0.5)
    assert value.tolist() == near(0.2575, 0.79125)


def test_srpo_does_not_care_which_side_is_called_chosen() -> None:
    p = rows(0.7, 0.2)
    value = losses_other.srpo(SIX, p, beta=0.1, alpha=0.3)
    other = losses_other.srpo(SIX.swapped(), 1 - p, beta=0.1, alpha=0.3)
    assert torch.allclose(value, other)


def test_an_untrained_model_costs_srpo_its_targets() -> None:
    """1/4 twice to improve and 1 to generate; a tie costs nothing."""
    zero = Ratios(*[rows(0, 0)] * 6)
    value = losses_other.srpo(zero, rows(1, 0.5), beta=0.1, alpha=0.25)
    assert value.tolist() == near(0.75 * 1 + 0.25 * 0.5, 0)


class Game:
    """min over pi, max over the improver pi+, of E[P(y2 better than y1)] - beta KL(pi+ || ref+)
    + beta KL(pi || ref), with y1 from pi and y2 from pi+(. | y1), over a handful of answers."""

    def __init__(self, seed: int, answers: int = 4, beta: float = 0.3) -> None:
        draw = torch.Generator().manual_seed(seed)
        random = torch.rand(answers, answers, generator=draw, dtype=torch.float64)
        self.beta = beta
        self.better = random.triu(1) + (1 - random).triu(1).T + torch.eye(answers) / 2
        """[a, b]: P(a better than b)."""
        self.reference = torch.randn(answers, generator=draw).double().log_softmax(0)
        # [a, b]: log ref+(a | b)
        self.improver_reference = torch.randn(answers, answers, generator=draw).double()
        self.improver_reference = self.improver_reference.log_softmax(0)

    def value(self, policy: torch.Tensor, improver: torch.Tensor) -> torch.Tensor:
        won = (improver.exp() * self.better).sum(0)
        drift = (improver.exp() * (improver - self.improver_reference)).sum(0)
        own = (policy.exp() * (policy - self.reference)).sum()
        return (policy.exp() * (won - self.beta * drift)).sum() + self.beta * own

    def solution(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Both players by gradient steps: the improver's answer to each y1 stands alone, and the
        policy is then the best against it."""
        improver = torch.zeros_like(self.better).requires_grad_()
        even = torch.zeros(len(self.better), dtype=torch.float64).log_softmax(0)
        _descend(improver, lambda: -self.value(even, improver.log_softmax(0)))
        best = improver.detach().log_softmax(0)
        policy = torch.zeros(len(self.better), dtype=torch.float64, requires_grad=True)
        _descend(policy, lambda: self.value(policy.log_softmax(0), best))
        return policy.detach().log_softmax(0), best

    def ratios(self, a: int, b: int, policy: torch.Tensor, improver: torch.Tensor) -> Ratios:
        g, d = policy - self.reference, improver - self.improver_reference
        return Ratios(*(x[None] for x in (g[a], g[b], d[a, a], d[a, b], d[b, a], d[b, b])))


def _descend(start: torch.Tensor, loss: Any) -> None:
    optimizer = torch.optim.LBFGS(
        [start],
        max_iter=500,
        tolerance_grad=1e-13,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


@pytest.mark.parametrize("seed", range(3))
def test_srpo_is_0_where_the_game_is_solved(seed: int) -> None:
    """No formula of the paper stands in the game: its solution is found by descent."""
    game = Game(seed)
    policy, improver = game.solution()
    for a in range(4):
        for b in range(4):
            r, p = game.ratios(a, b, policy, improver), game.better[a, b][None]
            assert float(losses_other.srpo_improve(r, p, beta=game.beta)) < 1e-10
            assert float(losses_other.srpo_generate(r, p, beta=game.beta)) < 1e-10


def test_with_hard_votes_srpo_is_least_there_too() -> None:
    """Votes for a with P(a better than b) and for b with the rest: the slope of the mean is 0."""
    game = Game(7)
    policy, improver = game.solution()
    policy.requires_grad_()
    improver.requires_grad_()
    total = torch.zeros(1, dtype=torch.float64)
    for a in range(4):
        for b in range(4):
            r, p = game.ratios(a, b, policy, improver), game.better[a, b]
            votes = {r: p, r.swapped(): 1 - p}
            for side, share in votes.items():
                total = total + share * losses_other.srpo(side, rows(1), beta=game.beta, alpha=0.5)
    for slope in torch.autograd.grad(total.sum(), (policy, improver)):
        assert float(slope.abs().max()) < 1e-5


def test_simpo_is_dpo_of_means_without_a_reference() -> None:
    zero = torch.zeros_like(CHOSEN)
    dpo = losses.sigmoid(LogProbs(CHOSEN, REJECTED, zero, zero), beta=2.0)
    assert torch.allclose(losses_other.simpo(CHOSEN, REJECTED, beta=2.0, gamma=0), dpo)


@pytest.mark.parametrize(
    "loss",
    [
        lambda w, r: losses_other.simpo(w, r, beta=2.5, gamma=1.0),
        lambda w, r: losses_other.orpo(w, r, weight=0.1),
        lambda w, r: losses_other.kto(w, r, rows(0.1), beta=0.5),
        lambda w, r: losses_other.rrhf(torch.stack([w, r], 1), rows(1, 0)[None], w * 7),
    ],
    ids=["simpo", "orpo", "kto", "rrhf"],
)
def test_chosen_is_raised_and_rejected_lowered(loss: Any) -> None:
    sides = (rows(-2.0, -3).requires_grad_(), rows(-1.5, -2.5).requires_grad_())
    up, down = torch.autograd.grad(loss(*sides).sum(), sides)
    assert bool((up < 0).all())
    assert bool((down > 0).all())
    assert torch.autograd.gradcheck(loss, sides)
