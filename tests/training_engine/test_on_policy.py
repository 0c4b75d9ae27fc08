"""How far a model's own answers lie from what its base would have written."""

from __future__ import annotations

import math

import pytest
import torch

from training.engine.on_policy import divergence


def test_the_estimate_is_the_divergence_of_two_distributions() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.5])
    exact = float((p * (p / q).log()).sum())
    draws = torch.multinomial(p, 200_000, replacement=True, generator=torch.manual_seed(0))
    assert divergence(p.log()[draws], q.log()[draws]) == pytest.approx(exact, rel=0.02)


def test_it_is_nothing_for_the_same_model_and_never_below() -> None:
    same = torch.tensor([-1.0, -2.0])
    assert divergence(same, same) == 0
    assert divergence(same[:0], same[:0]) == 0
    # worked by hand: ratio is ln q/p = -1, so 1/e - 1 + 1
    assert divergence(torch.zeros(1), -torch.ones(1)) == pytest.approx(1 / math.e)
    assert divergence(torch.zeros(1), torch.ones(1)) > 0
