"""Style control of two models: recovered effects, coverage, and the board's model as an oracle."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.engine import contextual
from evaluation.engine.logistic import sigmoid
from evaluation.engine.style import FIRST, markdown_amounts, style_controlled

Amounts = dict[str, np.ndarray]


def drawn(
    rng: np.random.Generator, prompts: int, votes: int
) -> tuple[np.ndarray, Amounts, Amounts, np.ndarray, np.ndarray]:
    """Equally good models, of which the first writes half as long again, and length wins."""
    other = {"length": rng.gamma(9, 60, prompts), "list_items": rng.poisson(3, prompts) * 1.0}
    own = {"length": rng.gamma(9, 90, prompts), "list_items": rng.poisson(4, prompts) * 1.0}
    x = contextual.relative(own["length"], other["length"])
    p = sigmoid(2.5 * x)
    each = rng.beta(3 * p, 3 * (1 - p))  # votes on one prompt hang together
    of = np.repeat(np.arange(prompts), votes)
    first = rng.choice([-1.0, 1.0], of.size)
    score = (rng.random(of.size) < each[of]).astype(float)
    spread = ({name: a[of] for name, a in side.items()} for side in (own, other))
    return score, *spread, of, first  # type: ignore[return-value]


def test_markdown_is_counted_outside_code() -> None:
    text = "# Head\n\nSome **bold** and __more__, 2 ** 3 ** 4.\n\n- one\n* two\n3. three\n"
    code = "```\n# no head\n- no item\n**no**\n```\n"
    assert markdown_amounts(text + code) == {
        "length": len(text + code),
        "headers": 1,
        "bold": 2,
        "list_items": 3,
    }
    assert markdown_amounts("#hash\nsnake__case__name\n-5")["bold"] == 0
    assert markdown_amounts("#hash\n-5\n```\n# never closed") == {
        "length": 27,
        "headers": 0,
        "bold": 0,
        "list_items": 0,
    }


def test_length_bias_is_removed_and_what_is_left_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    raw, controlled, hits, slopes = [], [], [], []
    for _ in range(300):
        score, own, other, of, first = drawn(rng, 150, 2)
        found = style_controlled(score, own, other, of, first)
        raw.append(found.raw)
        controlled.append(found.controlled)
        hits.append(found.lo <= 0.5 <= found.hi)  # type: ignore[operator]
        x = contextual.relative(own["length"], other["length"])
        slopes.append(found.effects[0].effect / np.sqrt((x**2).mean()))
        null = {effect.name: effect.lo <= 0 <= effect.hi for effect in found.effects[1:]}  # type: ignore[operator]
        hits += null.values()
    assert np.mean(raw) > 0.58
    assert np.mean(controlled) == pytest.approx(0.5, abs=0.01)
    assert np.mean(slopes) == pytest.approx(2.5, rel=0.08)  # not a fifth of it
    assert 0.93 <= np.mean(hits) <= 0.975


def test_two_models_are_the_boards_model_with_two_models() -> None:
    score, own, other, of, first = drawn(np.random.default_rng(7), 200, 1)
    found = style_controlled(score, own, other, of, first)
    x = [contextual.relative(own[name], other[name]) for name in own]
    x = contextual.scaled(np.column_stack([*x, first]))
    one, two = np.zeros(of.size, dtype=int), np.ones(of.size, dtype=int)
    board = contextual.fit(of, one, two, score, x, 2)
    gap = board.ratings.theta[0] - board.ratings.theta[1]
    assert found.controlled == pytest.approx(float(sigmoid(gap)), abs=1e-8)
    assert [effect.effect for effect in found.effects] == pytest.approx(board.beta.tolist())
    assert [effect.name for effect in found.effects] == ["length", "list_items", FIRST]


def test_the_other_side_has_the_mirror_image() -> None:
    score, own, other, of, first = drawn(np.random.default_rng(8), 80, 2)
    one = style_controlled(score, own, other, of, first)
    two = style_controlled(1 - score, other, own, of, -first)
    assert two.controlled == pytest.approx(1 - one.controlled)  # type: ignore[operator]
    assert two.lo == pytest.approx(1 - one.hi)  # type: ignore[operator]
    for there, here in zip(two.effects, one.effects, strict=True):
        assert there.effect == pytest.approx(here.effect)
        assert there.p == pytest.approx(here.p)


def test_a_covariate_that_never_differs_has_no_effect_and_no_interval() -> None:
    found = style_controlled([1, 0, 1, 0.5], {"size": [3] * 4}, {"size": [3] * 4}, range(4))
    assert found.controlled == pytest.approx(found.raw)
    assert found.effects[0].effect == 0
    assert found.effects[0].lo is None


def test_what_the_votes_do_not_determine_is_said() -> None:
    few = style_controlled([1, 0], {"size": [3, 4]}, {"size": [1, 9]}, range(2))
    assert "too few" in few.reason
    always = style_controlled([1] * 9, {"size": range(9)}, {"size": range(9, 0, -1)}, range(9))
    assert (always.controlled, always.raw) == (None, 1.0)
    assert "no maximum" in always.reason
    twice = {"a": np.arange(9), "b": np.arange(9)}
    same = {"a": np.full(9, 3), "b": np.full(9, 3)}
    assert "sum of others" in style_controlled(np.arange(9) / 9, twice, same, range(9)).reason


def test_amounts_that_are_none_are_refused() -> None:
    for own, other, match in (
        ({"a": [1]}, {"b": [1]}, "same covariates"),
        ({"a": [-1]}, {"a": [1]}, "negative"),
        ({"a": [float("nan")]}, {"a": [1]}, "unknown"),
        ({"a": [1, 2]}, {"a": [1]}, "amounts of a"),
    ):
        with pytest.raises(ValueError, match=match):
            style_controlled([1], own, other, ["p"])
    with pytest.raises(ValueError, match="0 to 1"):
        style_controlled([3], {}, {}, ["p"])
    with pytest.raises(ValueError, match="prompts"):
        style_controlled([], {}, {}, [])
