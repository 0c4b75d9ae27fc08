"""Values worked by hand or published, and what must hold for any value."""

from __future__ import annotations

from functools import partial
from math import exp, log
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from training.engine import losses
from training.engine.losses import LogProbs

LN2 = log(2)
# two pairs: the reward of chosen is (1, -1), of rejected (-1, 1), so the margin is (2, -2)
TWO = LogProbs(*torch.tensor([[-10, -30], [-14, -28], [-11, -29], [-13, -29]]).double())
NO_TIE = torch.tensor([False, False])
TIE = torch.tensor([True, True])
EVERY = [
    "sigmoid",
    "ipo",
    "hinge",
    "robust",
    "exo",
    "nca",
    "bco",
    "sppo_hard",
    "apo_zero",
    "apo_down",
    "discopop",
    "ipo_norm",
    "sigmoid_norm",
]


def at(*margins: float) -> LogProbs:
    """Pairs with these margins, their logits arbitrary."""
    margin = torch.tensor(margins, dtype=torch.float64)
    zero = torch.zeros_like(margin)
    return LogProbs(margin - 5, zero - 7, zero - 5, zero - 7)


def settings(**overrides: Any) -> Any:
    values: dict[str, Any] = {"beta": 0.1, "loss_type": "sigmoid", "label_smoothing": 0.0}
    return SimpleNamespace(**{**values, "ties": "rao_kupper", "tie_share": 0.5, **overrides})


@pytest.mark.parametrize(
    ("loss", "options", "expected"),
    [
        (losses.sigmoid, {}, [0.598139, 0.798139]),
        (losses.sigmoid, {"label_smoothing": 0.1}, [0.618139, 0.778139]),
        (losses.robust, {"label_smoothing": 0.1}, [0.573139, 0.823139]),
        (losses.ipo, {}, [9.0, 49.0]),
        (losses.hinge, {}, [0.8, 1.2]),
        (losses.exo, {"label_smoothing": 1e-3}, [2.422015, 3.110397]),
        (losses.nca, {}, [1.338793, 1.438793]),
        (losses.bco, {}, [1.288793, 1.488793]),
        (losses.sppo_hard, {}, [32.0, 72.0]),
        (losses.apo_zero, {}, [0.950042, 1.049958]),
        (losses.apo_down, {}, [0.975145, 1.024855]),
        (losses.discopop, {}, [0.814763, 0.805752]),
    ],
)
def test_values_worked_by_hand(loss: Any, options: dict[str, float], expected: list[float]) -> None:
    value = loss(TWO, beta=0.1, **options)
    assert value.tolist() == pytest.approx(expected, abs=1e-6)


LENGTHS = (torch.tensor([5, 12]), torch.tensor([7, 10]))


@pytest.mark.parametrize(
    ("loss_type", "expected"),
    [("ipo_norm", [21.68898, 26.866944]), ("sigmoid_norm", [0.676151, 0.702356])],
)
def test_losses_of_means_per_token(loss_type: str, expected: list[float]) -> None:
    options = settings(loss_type=loss_type)
    value = losses.pair_losses(TWO, NO_TIE, options, has_ties=False, lengths=LENGTHS)
    assert value.tolist() == pytest.approx(expected, abs=1e-6)


def test_the_margin_is_that_of_log_ratios() -> None:
    assert TWO.margin.tolist() == [2, -2]
    assert TWO.swapped().margin.tolist() == [-2, 2]


def test_rao_kupper_as_published() -> None:
    """Chen et al. 2024 with nu = 3: p(win) = e^u / (e^u + 3), at u = ln 3 that is 1/2."""
    lp = at(log(3) / 0.1, log(3) / 0.1, 0.0, 0.0)
    tie = torch.tensor([False, True, False, True])
    value = losses.rao_kupper(lp, tie, beta=0.1, tie_share=0.5)
    # p(loss) = e^-u / (e^-u + 3) = (1/3) / (10/3) = 1/10, and what is left to the tie is 4/10
    assert value.exp().reciprocal().tolist() == pytest.approx([0.5, 0.4, 0.25, 0.5])


def test_davidson_as_published() -> None:
    """Chen et al. 2024 with nu = 1: p(tie) = 2 sqrt(ab) / (a + b + 2 sqrt(ab)); a = 4, b = 1."""
    lp = at(log(4) / 0.1, log(4) / 0.1, 0.0, 0.0)
    tie = torch.tensor([False, True, False, True])
    value = losses.davidson(lp, tie, beta=0.1, tie_share=0.5)
    assert value.exp().reciprocal().tolist() == pytest.approx([4 / 9, 4 / 9, 0.25, 0.5])


@pytest.mark.parametrize("model", [losses.rao_kupper, losses.davidson])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_win_tie_and_loss_are_all_there_is(model: Any, share: float) -> None:
    lp = at(-60.0, -3.0, 0.0, 0.2, 25.0)
    yes, no = torch.ones(5, dtype=torch.bool), torch.zeros(5, dtype=torch.bool)
    options = {"beta": 0.3, "tie_share": share}
    win, loss = model(lp, no, **options), model(lp.swapped(), no, **options)
    tie = model(lp, yes, **options)
    total = (-win).exp() + (-loss).exp() + (-tie).exp()
    assert total.tolist() == pytest.approx([1.0] * 5)
    assert exp(-float(tie[2])) == pytest.approx(share)
    assert torch.allclose(tie, model(lp.swapped(), yes, **options))


def test_a_model_without_room_for_ties_is_dpo() -> None:
    for model in (losses.rao_kupper, losses.davidson):
        value = model(TWO, NO_TIE, beta=0.1, tie_share=1e-9)
        assert torch.allclose(value, losses.sigmoid(TWO, beta=0.1))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("loss", [losses.sigmoid, losses.robust])
def test_an_untrained_model_costs_ln_2(loss: Any, smoothing: float) -> None:
    assert float(loss(at(0.0), beta=0.7, label_smoothing=smoothing)) == pytest.approx(LN2)


def test_the_chosen_loss_is_taken() -> None:
    smoothed = {"label_smoothing": 0.1}
    plain = ("ipo", "hinge", "nca", "bco", "sppo_hard", "apo_zero", "apo_down", "discopop")
    for name, options in (*((n, {}) for n in plain), ("robust", smoothed), ("exo", smoothed)):
        expected = getattr(losses, name)(TWO, beta=0.1, **options)
        chosen = settings(loss_type=name, **options)
        assert torch.equal(losses.pair_losses(TWO, NO_TIE, chosen, has_ties=False), expected)


def test_without_ties_in_the_data_their_model_does_nothing() -> None:
    value = losses.pair_losses(TWO, NO_TIE, settings(), has_ties=False)
    assert torch.equal(value, losses.sigmoid(TWO, beta=0.1))


def test_with_ties_in_the_data_wins_are_scored_by_their_model_too() -> None:
    value = losses.pair_losses(TWO, NO_TIE, settings(ties="davidson"), has_ties=True)
    assert torch.equal(value, losses.davidson(TWO, NO_TIE, beta=0.1, tie_share=0.5))


def test_smoothing_mixes_a_win_with_a_loss_and_leaves_a_tie() -> None:
    smoothed = settings(label_smoothing=0.25)
    win = losses.pair_losses(TWO, NO_TIE, smoothed, has_ties=True)
    plain = losses.rao_kupper(TWO, NO_TIE, beta=0.1, tie_share=0.5)
    # the second pair is the first one with sides changed
    assert win.tolist() == pytest.approx((0.75 * plain + 0.25 * plain.flip(0)).tolist())
    tie = losses.pair_losses(TWO, TIE, smoothed, has_ties=True)
    assert torch.allclose(tie, losses.rao_kupper(TWO, TIE, beta=0.1, tie_share=0.5))


@pytest.mark.parametrize("loss_type", EVERY)
def test_half_a_win_each_is_the_mean_of_both(loss_type: str) -> None:
    options = settings(loss_type=loss_type, ties="half")
    score = partial(losses.pair_losses, settings=options, lengths=LENGTHS)
    wins = score(TWO, NO_TIE, has_ties=False)
    swapped = losses.pair_losses(
        TWO.swapped(), NO_TIE, options, has_ties=False, lengths=LENGTHS[::-1]
    )
    ties = score(TWO, TIE, has_ties=True)
    assert ties.tolist() == pytest.approx(((wins + swapped) / 2).tolist())
    mixed = score(TWO, torch.tensor([False, True]), has_ties=True)
    assert mixed.tolist() == pytest.approx([float(wins[0]), float(ties[1])])
    # a tie is the soft label one half, and a sure soft label is a win
    sure = torch.tensor([1.0, 0.5]).double()
    assert score(TWO, TIE, has_ties=True, p=sure).tolist() == pytest.approx(mixed.tolist())


def test_a_soft_label_is_cross_entropy_with_it() -> None:
    p = torch.tensor([0.7, 0.2]).double()
    value = losses.pair_losses(TWO, NO_TIE, settings(), has_ties=False, p=p)
    q = (0.1 * TWO.margin).sigmoid()
    assert torch.allclose(value, torch.nn.functional.binary_cross_entropy(q, p, reduction="none"))


def test_an_offset_asks_for_a_lead() -> None:
    """-log sigma(0.2 - 0.2) = ln 2; the pair that lost costs as one that lost by more."""
    offset = torch.tensor([0.2, 0.2]).double()
    value = losses.pair_losses(TWO, NO_TIE, settings(), has_ties=False, offset=offset)
    assert value.tolist() == pytest.approx([LN2, float(losses.sigmoid(at(-4.0), beta=0.1))])
    # for one who holds the other side to be right, the same lead speaks against it
    p = torch.zeros(2).double()
    other = losses.pair_losses(TWO, NO_TIE, settings(), has_ties=False, offset=offset, p=p)
    assert other.tolist() == pytest.approx([LN2, float(losses.sigmoid(at(4.0), beta=0.1))])


@pytest.mark.parametrize("loss_type", ["sigmoid", "hinge", "robust", "sigmoid_norm"])
@pytest.mark.parametrize("has_ties", [False, True])
def test_a_larger_margin_never_costs_more(loss_type: str, has_ties: bool) -> None:
    margins = torch.linspace(-40, 40, 81).tolist()
    wins, ones = torch.zeros(81, dtype=torch.bool), torch.ones(81)
    lp, options = at(*margins), settings(loss_type=loss_type)
    value = losses.pair_losses(lp, wins, options, has_ties=has_ties, lengths=(ones, ones))
    assert bool((value.diff() <= 0).all())


@pytest.mark.parametrize("ties", ["rao_kupper", "davidson", "half"])
def test_a_tie_costs_least_where_the_answers_are_even(ties: str) -> None:
    margins = torch.linspace(-40, 40, 81).tolist()
    every = torch.ones(81, dtype=torch.bool)
    value = losses.pair_losses(at(*margins), every, settings(ties=ties), has_ties=True)
    assert int(value.argmin()) == 40


@pytest.mark.parametrize("loss_type", EVERY)
@pytest.mark.parametrize("ties", ["rao_kupper", "davidson", "half"])
@pytest.mark.parametrize("tie", [NO_TIE, TIE], ids=["win", "tie"])
def test_gradients_are_those_of_finite_differences(
    loss_type: str, ties: str, tie: torch.Tensor
) -> None:
    smoothing = 0.1 if loss_type in losses.SMOOTHED else 0.0
    options = settings(loss_type=loss_type, ties=ties, label_smoothing=smoothing)

    def total(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
        lp = LogProbs(chosen, rejected, TWO.reference_chosen, TWO.reference_rejected)
        return losses.pair_losses(lp, tie, options, has_ties=True, lengths=LENGTHS)

    inputs = (TWO.chosen.clone().requires_grad_(), TWO.rejected.clone().requires_grad_())
    assert torch.autograd.gradcheck(total, inputs)


@pytest.mark.parametrize("loss_type", EVERY)
def test_far_margins_stay_finite(loss_type: str) -> None:
    far = LogProbs(*(value.float().requires_grad_() for value in at(-500.0, 1e4)))
    options = settings(loss_type=loss_type)
    # only DiscoPOP's exponential, with soft labels or ties, is too steep for a lead of 1e4
    ties = (NO_TIE,) if loss_type == "discopop" else (NO_TIE, TIE)
    for tie in ties:
        value = losses.pair_losses(far, tie, options, has_ties=True, lengths=LENGTHS)
        assert bool(value.isfinite().all())
        gradient, *_ = torch.autograd.grad(value.sum(), far.chosen)
        assert bool(gradient.isfinite().all())


def test_rewards_are_means_over_pairs_with_a_winner() -> None:
    one = torch.tensor([False, True])
    values = losses.reward_metrics(TWO, one, beta=0.1)
    expected = {"reward_chosen": 0.1, "reward_rejected": -0.1, "reward_margin": 0.2}
    expected |= {"reward_accuracy": 1.0, "logp_chosen": -10, "logp_rejected": -14}
    assert values == pytest.approx(expected)
    assert losses.reward_metrics(TWO, TIE, beta=0.1) == {}


def test_even_rewards_are_half_right() -> None:
    assert losses.reward_metrics(at(0.0, 1.0), NO_TIE, beta=0.1)["reward_accuracy"] == 0.75


def test_sides_changed_the_losses_of_a_lead_are_mirrored() -> None:
    """-log sigma(u) + log sigma(-u) = -u, and the targets of IPO and SPPO lie mirror-wise."""
    u = 0.1 * TWO.margin
    other = TWO.swapped()
    lead = losses.sigmoid(TWO, beta=0.1) - losses.sigmoid(other, beta=0.1)
    assert torch.allclose(lead, -u)
    lead = losses.ipo(TWO, beta=0.1) - losses.ipo(other, beta=0.1)
    assert torch.allclose(lead, -2 / 0.1 * TWO.margin)


@pytest.mark.parametrize(
    ("loss", "chosen", "rejected"),
    [
        (losses.sigmoid, -1, 1),
        (losses.hinge, -1, 1),
        (losses.bco, -1, 1),
        (losses.sppo_hard, -1, 1),
        (losses.apo_zero, -1, 1),
        (losses.apo_down, 0, 1),
    ],
)
def test_which_way_an_untrained_model_is_sent(loss: Any, chosen: int, rejected: int) -> None:
    """The sign of the loss's slope; APO-down holds chosen at first and pushes both down then."""
    sides = [torch.tensor(-5.0, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    lp = LogProbs(sides[0], sides[1], sides[0].detach(), sides[1].detach())
    slopes = torch.autograd.grad(loss(lp, beta=0.1), sides)
    assert [int(slope.sign()) for slope in slopes] == [chosen, rejected]
