"""What a sweep may search, and what is offered."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.lib.errors import UserError
from training.engine.config import RECIPES, config_of
from training.engine.sweep_space import checked_space, default_point, searchable, suggested

RATE = {"low": 1e-6, "high": 1e-4, "log": True}


def test_it_works() -> None:
    space = checked_space(
        "dpo", {"beta": 0.2}, {"learning_rate": RATE, "lora_rank": {"choices": [4, 8]}}
    )
    assert space == {
        "learning_rate": {"type": "float", **RATE},
        "lora_rank": {"type": "int", "choices": [4, 8]},
    }
    assert default_point("dpo", {}, space) == {"learning_rate": 5e-5, "lora_rank": 8}


@pytest.mark.parametrize(
    ("space", "field"),
    [
        ({}, "space"),
        ({"learning_rat": RATE}, "learning_rat"),
        ({"seed": {"low": 0, "high": 9}}, "seed"),
        ({"learning_rate": {"low": 1e-4, "high": 1e-6}}, "learning_rate"),
        ({"learning_rate": {"low": 0, "high": 1e-4, "log": True}}, "learning_rate"),
        ({"learning_rate": {"low": 1e-4, "high": 7}}, "learning_rate"),
        ({"learning_rate": {"low": 1e-4}}, "learning_rate"),
        ({"learning_rate": {"low": True, "high": 1}}, "learning_rate"),
        ({"learning_rate": 1e-4}, "learning_rate"),
        ({"lora_rank": {"low": 1.5, "high": 8}}, "lora_rank"),
        ({"lora_rank": {"low": 4, "high": 8, "step": 2}}, "lora_rank"),
        ({"loss_type": {"low": 0, "high": 1}}, "loss_type"),
        ({"loss_type": {"choices": ["sigmoid", "nothing"]}}, "loss_type"),
        ({"loss_type": {"choices": ["sigmoid"]}}, "loss_type"),
        ({"loss_type": {"choices": ["sigmoid", "sigmoid"]}}, "loss_type"),
        ({"drop_too_long": {"choices": [True, "yes"]}}, "drop_too_long"),
    ],
)
def test_what_cannot_be_searched_is_named(space: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError) as caught:
        checked_space("dpo", {}, space)
    assert caught.value.field == field


def test_ends_that_the_recipe_refuses_together_are_told_before_anything_runs() -> None:
    with pytest.raises(UserError, match="With loss_type at ipo"):
        checked_space(
            "dpo", {"label_smoothing": 0.1}, {"loss_type": {"choices": ["sigmoid", "ipo"]}}
        )


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_what_is_offered_can_be_searched(recipe: str) -> None:
    for field in searchable(recipe):
        offered = suggested(field)
        if len(offered.get("choices", [0, 0])) < 2:
            continue
        try:
            config_of(recipe, {field.name: offered.get("low", field.default)})
        except UserError:
            continue  # a word that asks for another setting as well
        checked_space(recipe, {}, {field.name: offered}) if "low" in offered else None
