"""The Diffusion-DPO loss against numbers worked by hand, and what must always hold."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import DDPMScheduler

from steelyard.lib.errors import UserError
from training.engine.diffusion_losses import (
    PairErrors,
    check_prediction,
    corrupt,
    diffusion_dpo,
    means,
    measures,
    noise_errors,
    rewards,
)


def errors(*pairs: tuple[float, float], grad: bool = False) -> PairErrors:
    chosen, rejected = torch.tensor(pairs, dtype=torch.float64).unbind(1)
    return PairErrors(chosen.clone().requires_grad_(grad), rejected.clone().requires_grad_(grad))


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


def test_swapping_the_sides_turns_the_margin_round() -> None:
    now, before = errors((0.3, 0.9)), errors((0.4, 0.7))
    margin = rewards(now, before, 10).margin
    turned = rewards(PairErrors(*now[::-1]), PairErrors(*before[::-1]), 10).margin
    assert torch.equal(margin, -turned)


def test_better_on_the_chosen_alone_lowers_it_and_better_on_both_alike_does_not() -> None:
    before = errors((0.5, 0.5))
    start = diffusion_dpo(before, before, beta=10)
    assert diffusion_dpo(errors((0.4, 0.5)), before, beta=10) < start
    assert diffusion_dpo(errors((0.5, 0.4)), before, beta=10) > start
    torch.testing.assert_close(diffusion_dpo(errors((0.4, 0.4)), before, beta=10), start)


def test_huge_margins_stay_finite() -> None:
    for change in (1e4, -1e4):
        assert math.isfinite(float(diffusion_dpo(errors((0, change)), errors((0, 0)), beta=5000)))


def _sample() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    clean, noise, off = torch.randn((3, 5, 2, 4, 4), generator=chance)
    times = torch.tensor([0, 10, 500, 900, 999])
    return clean, noise, off, DDPMScheduler().alphas_cumprod[times]


def test_corrupting_is_what_the_scheduler_does() -> None:
    clean, noise, _, kept = _sample()
    times = torch.tensor([0, 10, 500, 900, 999])
    wanted = DDPMScheduler().add_noise(clean, noise, times)
    torch.testing.assert_close(corrupt(clean, noise, kept), wanted)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_perfect_model_has_no_error(prediction: str) -> None:
    clean, noise, _, kept = _sample()
    output = noise
    if prediction == "v_prediction":
        output = DDPMScheduler().get_velocity(clean, noise, torch.tensor([0, 10, 500, 900, 999]))
    found = noise_errors(output, clean=clean, noise=noise, kept=kept, prediction=prediction)
    torch.testing.assert_close(found, torch.zeros(5))


def test_the_same_error_in_v_and_in_the_noise_counts_the_same() -> None:
    """A model that mistakes the noise by ``off`` mistakes v by off / sqrt(kept)."""
    clean, noise, off, kept = _sample()
    share = kept.view(-1, 1, 1, 1)
    # v as it follows from a wrong noise and the same noisy picture
    noisy, wrong = corrupt(clean, noise, kept), noise + off
    implied = (noisy - (1 - share).sqrt() * wrong) / share.sqrt()
    velocity = share.sqrt() * wrong - (1 - share).sqrt() * implied
    known = {"clean": clean, "noise": noise, "kept": kept}
    in_v = noise_errors(velocity, prediction="v_prediction", **known)
    in_noise = noise_errors(wrong, prediction="epsilon", **known)
    torch.testing.assert_close(in_noise, off.square().flatten(1).mean(1))
    torch.testing.assert_close(in_v, in_noise, rtol=1e-3, atol=1e-4)


def test_other_predictions_are_refused() -> None:
    with pytest.raises(UserError, match="'sample'") as error:
        check_prediction("sample")
    assert error.value.code == "bad_prediction_type"


def test_measures_are_means_over_all_pairs() -> None:
    before = errors((0.5, 0.5), (0.5, 0.5), (0.5, 0.5))
    now = errors((0.4, 0.5), (0.5, 0.5), (0.6, 0.5))
    losses = diffusion_dpo(now, before, beta=2)
    first = measures(
        losses[:2], PairErrors(*(e[:2] for e in now)), PairErrors(*(e[:2] for e in before)), 2
    )
    rest = measures(
        losses[2:], PairErrors(*(e[2:] for e in now)), PairErrors(*(e[2:] for e in before)), 2
    )
    found = means([first, rest])
    assert found["reward_accuracy"] == pytest.approx(0.5)
    assert found["error_chosen"] == pytest.approx(0.5)
    assert found["error_rejected"] == pytest.approx(0.5)
    assert found["reward_margin"] == pytest.approx(0, abs=1e-9)
    assert found["loss"] == pytest.approx(float(losses.mean()))
