"""DPO's settings on two pairs whose losses were worked out elsewhere (float64)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from training.engine.config import TextDPOConfig
from training.engine.data import Example
from training.engine.forward import Row, Scored
from training.engine.objectives import Seen
from training.engine.objectives.dpo import loss

CHOSEN, REJECTED = (-10.0, -30.0), (-14.0, -28.0)
REFERENCE_CHOSEN, REFERENCE_REJECTED = (-11.0, -29.0), (-13.0, -29.0)
LENGTHS = ((5, 7), (12, 10))


def spread(total: float, length: int) -> torch.Tensor:
    return torch.full((length,), total / length)


def seen(*, has_ties: bool = False, truth: tuple[float, int] | None = None, **said: Any) -> Seen:
    """The two pairs, each token of an answer as likely as the others; ``said`` of the first, whose
    prompt has a reference answer of ``truth``'s log-probability and length."""
    examples, values, reference = [], [], []
    for place, (won, lost) in enumerate(LENGTHS):
        sure = [truth] if truth and place == 0 else []
        row = Row([1], ([2] * won, [3] * lost, *([4] * length for _, length in sure)))
        names = ("chosen", "rejected", *("ground_truth" for _ in sure))
        of_votes = {"tie": False, "weight": 1.0, "p": 1.0, "agreement": 1.0, "margin": 1.0}
        of_votes |= said if place == 0 else {}
        examples.append(Example(str(place), (row,), names, **of_votes))
        values += [spread(CHOSEN[place], won), spread(REJECTED[place], lost)]
        values += [spread(*one) for one in sure]
        reference.append(
            (
                spread(REFERENCE_CHOSEN[place], won),
                spread(REFERENCE_REJECTED[place], lost),
                *(None for _ in sure),
            )
        )
    lengths = torch.tensor([len(one) for one in values])
    return Seen(examples, Scored(torch.cat(values), lengths), reference, has_ties=has_ties)


def losses(pairs: Seen, **config: Any) -> list[float]:
    return loss(pairs, TextDPOConfig.from_dict({"beta": 0.1, **config}))[0].tolist()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [0.598139, 0.798139]),
        ({"label_smoothing": 0.1}, [0.618139, 0.778139]),
        ({"loss_type": "robust", "label_smoothing": 0.1}, [0.573139, 0.823139]),
        ({"loss_type": "hinge"}, [0.8, 1.2]),
        ({"loss_type": "ipo"}, [9.0, 49.0]),
        ({"loss_type": "ipo_norm"}, [21.68898, 26.866944]),
        ({"loss_type": "sigmoid_norm"}, [0.676151, 0.702356]),
        ({"loss_type": "sppo_hard"}, [32.0, 72.0]),
        ({"beta": 0.01, "sft_weight": 0.005, "sft_form": "sum"}, [0.683697, 0.704697]),
        ({"beta": 0.5, "sft_weight": 0.2, "sft_form": "mean"}, [0.713262, 1.813262]),
    ],
)
def test_published_forms(config: dict[str, Any], expected: list[float]) -> None:
    assert losses(seen(), **config) == pytest.approx(expected, rel=1e-5)


def test_a_soft_label_mixes_both_directions() -> None:
    # three votes of four: u = 0.2, -log sigma(0.2) = 0.598139 and -log sigma(-0.2) = 0.798139
    soft = losses(seen(p=0.75), soft_labels=True)
    assert soft == pytest.approx([0.75 * 0.598139 + 0.25 * 0.798139, 0.798139], abs=1e-6)
    assert losses(seen(p=0.75)) == pytest.approx([0.598139, 0.798139], abs=1e-6)


@pytest.mark.parametrize(("by", "factor"), [("none", 1.0), ("agreement", 0.6), ("strength", 2.5)])
def test_certain_verdicts_can_count_for_more(by: str, factor: float) -> None:
    pairs = seen(agreement=0.6, margin=2.5)
    assert losses(pairs, weight_by=by) == pytest.approx([factor * 0.598139, 0.798139], abs=1e-6)


def test_tokens_beyond_the_shorter_answer_count_for_less() -> None:
    # pair 1: rejected is 7 tokens long and shared are 5; pair 2: chosen is 12 long, shared are 10
    def short(total: float, length: int, shared: int, alpha: float) -> float:
        return total * (shared + alpha * (length - shared)) / length

    for alpha in (0.0, 0.25):
        first = (CHOSEN[0] - REFERENCE_CHOSEN[0]) - (
            short(REJECTED[0], 7, 5, alpha) - short(REFERENCE_REJECTED[0], 7, 5, alpha)
        )
        second = (short(CHOSEN[1], 12, 10, alpha) - short(REFERENCE_CHOSEN[1], 12, 10, alpha)) - (
            REJECTED[1] - REFERENCE_REJECTED[1]
        )
        margins = 0.1 * torch.tensor([first, second], dtype=torch.float64)
        expected = -torch.nn.functional.logsigmoid(margins)
        assert losses(seen(), ld_alpha=alpha) == pytest.approx(expected.tolist(), abs=1e-6)
    assert losses(seen(), ld_alpha=1.0) == pytest.approx([0.598139, 0.798139], abs=1e-6)


def test_a_reference_answer_is_held_likely_where_there_is_one() -> None:
    pairs = seen(tie=True, p=0.5, truth=(-9.0, 6))
    assert pairs.has("ground_truth").tolist() == [True, False]
    config = TextDPOConfig(ground_truth_weight=0.1)
    each, told = loss(seen(truth=(-9.0, 6)), config)
    # CE of the truth is 9 / 6 a token
    assert each.tolist() == pytest.approx([0.598139 + 0.15, 0.798139], abs=1e-6)
    assert told["ground_truth_loss"].tolist() == pytest.approx([0.15, math.nan], nan_ok=True)
    # a tie has a right answer too
    tied = loss(pairs, config)[0][0] - loss(pairs, TextDPOConfig())[0][0]
    assert float(tied) == pytest.approx(0.15)


def test_a_tie_costs_its_own_and_is_not_written() -> None:
    pairs = seen(has_ties=True, tie=True, p=0.5)
    half = losses(pairs, ties="half", sft_weight=1.0)
    assert half == pytest.approx([(0.598139 + 0.798139) / 2, 0.798139 + 30 / 12], abs=1e-6)
    # nu = 3: 8 * sigma(0.2 - ln 3) * sigma(-0.2 - ln 3) = 8 * 0.28933 * 0.21441 = 0.49628
    assert losses(pairs)[0] == pytest.approx(0.70062, abs=1e-4)
    _, told = loss(pairs, TextDPOConfig())
    assert told["reward_margin"].isnan().tolist() == [True, False]


def test_what_is_told_is_of_whole_answers() -> None:
    for config in (TextDPOConfig(), TextDPOConfig(loss_type="ipo_norm")):
        _, told = loss(seen(), config)
        assert told["logp_chosen"].tolist() == pytest.approx(CHOSEN)
        assert told["reward_margin"].tolist() == pytest.approx([0.2, -0.2])
        assert told["reward_accuracy"].tolist() == [1.0, 0.0]
