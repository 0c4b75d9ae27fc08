"""The losses on pairs of pictures against numbers worked by hand, and what must always hold."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from training.engine.diffusion_losses import (
    PairErrors,
    beta_for,
    dense_dpo,
    diffusion_dpo,
    ipo,
    kto,
    kto_drift,
    kto_pairs,
    linear,
    mapo,
    pair_losses,
    rewards,
    slope_at_start,
)
from training.engine.diffusion_losses_terms import (
    held_back,
    pair_weight,
    part_errors,
    rank_weights,
    safe_share,
)


def errors(*pairs: tuple[float, float], grad: bool = False) -> PairErrors:
    chosen, rejected = torch.tensor(pairs, dtype=torch.float64).unbind(1)
    return PairErrors(chosen.clone().requires_grad_(grad), rejected.clone().requires_grad_(grad))


def settings(loss_type: str, **more: float) -> Any:
    known = {
        "linear_floor": 1e-3,
        "mapo_weight": 0.1,
        "mapo_scale": 5.0,
        "undesirable_weight": 1.0,
    }
    return SimpleNamespace(loss_type=loss_type, **(known | more))


def chance(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_the_published_formula() -> None:
    """inside = -0.5 * 2000 * ((0.101 - 0.203) - (0.102 - 0.201)) = 3; -log sigmoid(3) = 0.04859."""
    loss = diffusion_dpo(errors((0.101, 0.203)), errors((0.102, 0.201)), beta=2000)
    assert loss.tolist() == pytest.approx([math.log1p(math.exp(-3))], rel=1e-9)
    assert loss.tolist() == pytest.approx([0.048587], abs=1e-6)


def test_rewards_are_the_two_halves_of_the_margin() -> None:
    gained = rewards(errors((0.101, 0.203)), errors((0.102, 0.201)), beta=2000)
    assert gained.chosen.tolist() == pytest.approx([1])
    assert gained.rejected.tolist() == pytest.approx([-2])
    assert gained.margin.tolist() == pytest.approx([3])


def test_it_starts_at_ln_2() -> None:
    same = errors((0.3, 0.9), (2.0, 0.1))
    assert diffusion_dpo(same, same, beta=5000).tolist() == pytest.approx([math.log(2)] * 2)


def test_its_slope_at_the_start_is_beta_over_4() -> None:
    start = errors((0.3, 0.9), grad=True)
    diffusion_dpo(start, errors((0.3, 0.9)), beta=2000).sum().backward()
    assert start.chosen.grad is not None
    assert start.rejected.grad is not None
    assert start.chosen.grad.tolist() == pytest.approx([500])
    assert start.rejected.grad.tolist() == pytest.approx([-500])


@pytest.mark.parametrize("loss_type", ["dpo", "ipo", "linear", "kto"])
def test_other_terms_are_measured_in_each_loss_s_own_slope_at_the_start(loss_type: str) -> None:
    start, config = errors((0.3, 0.9), grad=True), settings(loss_type)
    good = PairErrors(torch.ones(1), -torch.ones(1))
    pair_losses(start, errors((0.3, 0.9)), config, 40.0, good=good).sum().backward()
    assert start.chosen.grad is not None
    assert float(start.chosen.grad) == pytest.approx(slope_at_start(config, 40.0))


def test_swapping_the_sides_turns_the_margin_round() -> None:
    now, before = errors((0.3, 0.9)), errors((0.4, 0.7))
    margin = rewards(now, before, 10).margin
    turned = rewards(PairErrors(*now[::-1]), PairErrors(*before[::-1]), 10).margin
    assert torch.equal(margin, -turned)


@pytest.mark.parametrize("loss_type", ["dpo", "ipo", "linear", "kto"])
def test_better_on_the_chosen_alone_lowers_it_and_on_the_rejected_alone_raises_it(
    loss_type: str,
) -> None:
    before, config = errors((0.5, 0.5)), settings(loss_type)
    good = PairErrors(torch.ones(1), -torch.ones(1))

    def loss(now: PairErrors) -> float:
        return float(pair_losses(now, before, config, 10.0, good=good))

    assert loss(errors((0.49, 0.5))) < loss(before) < loss(errors((0.5, 0.49)))


def test_huge_margins_stay_finite() -> None:
    for change in (1e4, -1e4):
        for loss_type in ("dpo", "ipo", "linear", "mapo"):
            found = pair_losses(
                errors((1, max(0, change))), errors((0, 0)), settings(loss_type), 5000.0
            )
            assert math.isfinite(float(found))


def test_ipo_is_least_at_a_margin_of_a_quarter() -> None:
    """(-rise - 1 / (2 beta))^2 with rise = -2 margin / beta."""
    before = errors((0.5, 0.5))
    for beta in (20.0, 2000.0):
        at_best = errors((0.5 - 0.5 / beta, 0.5))
        assert rewards(at_best, before, beta).margin.tolist() == pytest.approx([0.25])
        assert ipo(at_best, before, beta).tolist() == pytest.approx([0], abs=1e-15)
    assert ipo(errors((0.4, 0.5)), before, 20).tolist() == pytest.approx([(0.1 - 1 / 40) ** 2])


def test_kto_is_the_published_formula_at_twice_its_beta() -> None:
    """Published: 1 - sigmoid(s * 100 * (g - z)), g = reference - error, z = max(0, mean g)."""
    now, before = torch.tensor([0.10, 0.30, 0.22]), torch.tensor([0.12, 0.26, 0.21])
    good = torch.tensor([1.0, -1.0, -1.0])
    gained = before - now
    for moved in (gained, gained + 0.05):
        z = max(0.0, float(moved.mean()))
        wanted = [
            1 - 1 / (1 + math.exp(-s * 100 * (g - z)))
            for s, g in zip(good.tolist(), moved.tolist(), strict=True)
        ]
        drift = kto_drift(before - moved, before, 200.0)
        found = kto(before - moved, before, good, 200.0, drift)
        assert found.tolist() == pytest.approx(wanted, rel=1e-4)


def test_both_bad_pushes_away_from_both_and_a_silent_side_says_nothing() -> None:
    now = errors((0.5, 0.5), grad=True)
    good = PairErrors(torch.tensor([-1.0]), torch.tensor([-1.0]))
    loss = kto_pairs(now, errors((0.5, 0.5)), good, 8.0, 0.0, undesirable_weight=3.0)
    loss.sum().backward()
    assert now.chosen.grad is not None
    assert now.rejected.grad is not None
    assert now.chosen.grad.tolist() == now.rejected.grad.tolist() == pytest.approx([-3 * 8 / 16])
    silent = PairErrors(torch.tensor([1.0]), torch.tensor([0.0]))
    alone = kto_pairs(errors((0.4, 9)), errors((0.5, 0.5)), silent, 8.0, 0.0)
    assert alone.tolist() == pytest.approx([(1 - 1 / (1 + math.exp(-0.4))) / 2])


def test_mapo_is_the_published_formula() -> None:
    found = mapo(errors((0.10, 0.12), (0.2, 0.1)), weight=0.1, scale=5.0)

    def falling(e: float) -> float:
        return 5 * e / (math.exp(5 * e) - 1)

    wanted = [
        e + 0.1 * math.log1p(math.exp(-1000 * (falling(e) - falling(other))))
        for e, other in ((0.10, 0.12), (0.2, 0.1))
    ]
    assert found.tolist() == pytest.approx(wanted, rel=1e-6)


def test_linear_has_the_gradient_of_a_line_through_the_sigmoid_within_its_ends() -> None:
    before = errors((0.5, 0.5))
    for moved, weight in ((0.0, 0.5), (0.01, 0.5 - 0.2 * 0.5 * 100 * 0.01), (0.4, 1e-3)):
        now = errors((0.5 - moved, 0.5), grad=True)
        linear(now, before, 100.0, 1e-3).sum().backward()
        assert now.chosen.grad is not None
        assert now.rejected.grad is not None
        assert now.chosen.grad.tolist() == pytest.approx([weight])
        assert now.rejected.grad.tolist() == pytest.approx([-weight])
    wrong = errors((0.9, 0.5), grad=True)
    linear(wrong, before, 100.0, 1e-3).sum().backward()
    assert wrong.chosen.grad is not None
    assert wrong.chosen.grad.tolist() == pytest.approx([1 - 1e-3])


def test_dense_is_dpo_of_each_segment() -> None:
    now = PairErrors(torch.tensor([[0.1, 0.4, 0.2]]), torch.tensor([[0.3, 0.1, 0.9]]))
    before = PairErrors(torch.full((1, 3), 0.2), torch.full((1, 3), 0.25))
    found = dense_dpo(now, before, torch.tensor([[1.0, -1.0, 0.0]]), beta=20)
    for_chosen = diffusion_dpo(errors((0.1, 0.3)), errors((0.2, 0.25)), 20)
    for_rejected = diffusion_dpo(errors((0.1, 0.4)), errors((0.25, 0.2)), 20)
    assert float(found) == pytest.approx(float(for_chosen + for_rejected) / 2)


def test_dense_with_one_segment_is_dpo() -> None:
    now, before = errors((0.1, 0.3), (0.4, 0.2)), errors((0.2, 0.25), (0.3, 0.3))
    wide = [PairErrors(*(e[:, None] for e in part)) for part in (now, before)]
    found = dense_dpo(*wide, torch.ones(2, 1), beta=20)
    torch.testing.assert_close(found, diffusion_dpo(now, before, 20))
    assert dense_dpo(*wide, torch.zeros(2, 1), beta=20).tolist() == [0, 0]


def test_rank_weights_are_ranknet_s_sum_written_out() -> None:
    """Gains 1, 1/2 and 0 of a full ranking of three: the lambda of each of its pairs."""
    pairs = [("p", "a", "b"), ("p", "b", "c"), ("p", "a", "c")]
    wanted = []
    gain, place = {"a": 1.0, "b": 0.5, "c": 0.0}, {"a": 1, "b": 2, "c": 3}
    for _, i, j in pairs:
        discount = abs(1 / math.log2(1 + place[i]) - 1 / math.log2(1 + place[j]))
        wanted.append(abs(2 ** gain[i] - 2 ** gain[j]) * discount)
    found = rank_weights(pairs)
    assert found == pytest.approx([w * 3 / sum(wanted) for w in wanted])
    assert max(found) == found[2]
    assert pair_weight(1, 0, 1, 2) == pytest.approx(1 - 1 / math.log2(3))


def test_pairs_of_prompts_of_their_own_count_alike() -> None:
    assert rank_weights([("p", "a", "b"), ("q", "c", "d")]) == [1, 1]
    # a circle of three has no ranking
    assert rank_weights([("p", "a", "b"), ("p", "b", "c"), ("p", "c", "a")]) == [1, 1, 1]


def test_the_safeguard_lets_no_step_raise_the_chosen_error() -> None:
    """Along the gradient that is let through, in the model's output, whatever the two gradients
    are; without it the same step does raise it for some."""
    chosen, rejected = chance(400, 2, 2, seed=1), 2 * chance(400, 2, 2, seed=2)
    before = chosen.square().flatten(1).sum(1)
    for slack in (0.0, 0.5):
        share = safe_share(chosen, rejected, slack)
        step = 1e-6 * (chosen - share.view(-1, 1, 1) * rejected)
        after = (chosen - step).square().flatten(1).sum(1)
        assert (after - before <= -2e-6 * slack * before + 1e-10).all()
        assert ((share >= 0) & (share <= 1)).all()
        assert 0 < int((share < 1).sum()) < 400
    unheld = (chosen - 1e-6 * (chosen - rejected)).square().flatten(1).sum(1)
    assert (unheld > before).any()


def test_what_is_held_back_keeps_its_value_and_loses_gradient() -> None:
    now = errors((0.3, 0.9), (0.2, 0.1), grad=True)
    held = held_back(now, torch.tensor([0.25, 1.0]))
    assert held.rejected.tolist() == now.rejected.tolist()
    held.rejected.sum().backward()
    assert now.rejected.grad is not None
    assert now.rejected.grad.tolist() == [0.25, 1.0]


def test_all_ones_as_a_mask_are_the_plain_error() -> None:
    squares = chance(3, 4, 5, 6).square()
    plain = part_errors(squares, None)
    torch.testing.assert_close(part_errors(squares, torch.ones(3, 1, 1, 5, 6))[:, 0], plain)
    torch.testing.assert_close(part_errors(squares, 7 * torch.ones(3, 1, 1, 1, 1))[:, 0], plain)


def test_parts_are_means_over_their_own_elements() -> None:
    squares = chance(2, 3, 4, 2, 2).square()
    parts = torch.zeros(2, 3, 1, 4, 1, 1)
    parts[:, 0, :, :1], parts[:, 1, :, 1:] = 1, 1
    found = part_errors(squares, parts)
    torch.testing.assert_close(found[:, 0], squares[:, :, :1].flatten(1).mean(1))
    torch.testing.assert_close(found[:, 1], squares[:, :, 1:].flatten(1).mean(1))
    assert found[:, 2].tolist() == [0, 0]


def test_the_beta_found_weighs_a_pair_as_was_asked() -> None:
    beta = beta_for(0.2, 0.003)
    now = errors((0.5 - 0.003, 0.5), grad=True)
    diffusion_dpo(now, errors((0.5, 0.5)), beta).sum().backward()
    assert now.chosen.grad is not None
    assert float(now.chosen.grad) == pytest.approx(beta / 2 * 0.2, rel=1e-6)
    assert math.isinf(beta_for(0.2, 0.0))
