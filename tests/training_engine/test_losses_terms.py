"""Terms added to a pair's loss: values worked by hand or published, and their gradients."""

from __future__ import annotations

from math import log
from typing import Any

import pytest
import torch

from training.engine import losses, losses_terms
from training.engine.dual_losses import visual_preference
from training.engine.losses import LogProbs


def rows(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


TWO = LogProbs(rows(-10, -30), rows(-14, -28), rows(-11, -29), rows(-13, -29))
LENGTH = rows(5, 12)


def dpo(beta: float = 0.1) -> torch.Tensor:
    return losses.sigmoid(TWO, beta=beta)


def near(*values: float) -> Any:
    return pytest.approx(list(values), abs=1e-6)


def test_rpo_as_published_and_averaged() -> None:
    summed = dpo(0.01) + losses_terms.sft_sum(TWO.chosen, beta=0.01, weight=0.005)
    assert summed.tolist() == near(0.683697, 0.704697)
    averaged = dpo(0.5) + losses_terms.sft_mean(TWO.chosen, LENGTH, weight=0.2)
    assert averaged.tolist() == near(0.713262, 1.813262)


def test_a_rationale_in_the_forms_of_paper_and_code() -> None:
    said, length = rows(-120, -90), rows(100, 100)
    paper = losses_terms.rationale(said, length, weight=0.001, form="paper")
    assert (dpo() + paper).tolist() == near(0.718139, 0.888139)
    code = losses_terms.rationale(said, length, weight=0.001, form="code")
    assert (dpo() + code).tolist() == near(1.353085, 1.537298)


def test_per_token_a_long_rationale_weighs_no_more_than_a_short_one() -> None:
    value = losses_terms.rationale(
        rows(-120, -12), rows(100, 10), weight=0.2, form="paper", per="token"
    )
    assert value.tolist() == near(0.24, 0.24)


def test_the_codes_gradient_is_the_papers_times_a_sigmoid() -> None:
    def slope(form: str) -> torch.Tensor:
        said = rows(-120, -90).requires_grad_()
        value = losses_terms.rationale(said, rows(1, 1), weight=0.01, form=form)
        return torch.autograd.grad(value.sum(), said)[0]

    assert torch.allclose(slope("code"), slope("paper") * (0.01 * rows(120, 90)).sigmoid())


def test_guidance_by_a_ground_truth() -> None:
    """Each answer alike: 0.1 * 9 / 6 and 0.1 * 20 / 10; over all tokens it is the published one."""
    term = losses_terms.sft_mean(rows(-9, -20), rows(6, 10), weight=0.1)
    assert term.tolist() == near(0.15, 0.2)
    pooled = dpo() + losses_terms.sft_mean(rows(-29, -29), rows(16, 16), weight=0.1)
    assert pooled.tolist() == near(0.779389, 0.979389)


def test_a_preference_between_pictures() -> None:
    """Re-Align; with the model as it was both terms are ln 2."""
    value = dpo() + visual_preference(
        TWO.chosen, rows(-16, -33), TWO.reference_chosen, rows(-12, -30), beta=0.1
    )
    assert value.tolist() == near(1.072216, 1.396278)
    even = visual_preference(rows(-3), rows(-4), rows(-3), rows(-4), beta=0.1)
    assert even.tolist() == near(log(2))


def test_tokens_beyond_the_shorter_answer_weigh_less() -> None:
    """Two answers of 2 and 4 tokens: of the second, tokens 3 and 4 count a quarter."""
    values = torch.tensor([[1, 2, 0, 0], [3, 4, 5, 6]]).double()
    shared = torch.tensor([2, 2])
    sums = losses_terms.length_desensitised(values, shared, alpha=0.25)
    assert sums.tolist() == [1 + 2, 3 + 4 + 0.25 * (5 + 6)]
    assert losses_terms.length_desensitised(values, shared, alpha=1.0).tolist() == [3, 18]


@pytest.mark.parametrize(
    "term",
    [
        lambda s: losses_terms.sft_sum(s, beta=0.1, weight=0.3),
        lambda s: losses_terms.sft_mean(s, LENGTH, weight=0.3),
        lambda s: losses_terms.rationale(s, LENGTH, weight=0.3, form="code"),
        lambda s: losses_terms.rationale(s, LENGTH, weight=0.3, form="paper", per="token"),
        lambda s: visual_preference(s, s.detach() - 1, TWO.chosen, TWO.chosen - 1, beta=0.1),
    ],
    ids=["sft_sum", "sft_mean", "code", "paper", "visual"],
)
def test_every_term_falls_while_its_answer_gets_likelier(term: Any) -> None:
    said = rows(-10, -30).requires_grad_()
    assert bool((torch.autograd.grad(term(said).sum(), said)[0] < 0).all())
