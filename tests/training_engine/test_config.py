"""Recipes' settings: what a form reads of them, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.lib.errors import UserError
from training.engine.config import (
    RECIPES,
    DiffusionDPOConfig,
    TextDPOConfig,
    config_of,
    form_fields,
    names_in,
)


@pytest.mark.parametrize("recipe", RECIPES)
def test_defaults_are_allowed_and_survive_json(recipe: str) -> None:
    config = config_of(recipe, {})
    assert config_of(recipe, config.as_dict()) == config


@pytest.mark.parametrize("cls", RECIPES.values())
def test_every_setting_has_a_help_text_and_a_plain_type(cls: Any) -> None:
    for field in form_fields(cls):
        assert len(field.help) > 15, field.name
        assert "\n" not in field.help
        assert field.type in (int, float, bool, str)
        assert not field.choices or field.default in field.choices


def test_fields_come_in_their_order() -> None:
    names = [field.name for field in form_fields(TextDPOConfig)]
    assert names[:3] == ["beta", "loss_type", "label_smoothing"]
    loss = form_fields(TextDPOConfig)[1]
    assert loss.choices == ("sigmoid", "ipo", "hinge", "robust")


def test_numbers_are_taken_as_json_writes_them() -> None:
    config = TextDPOConfig.from_dict({"epochs": 2, "batch_size": 3.0, "learning_rate": 1e-4})
    assert (config.epochs, config.batch_size) == (2.0, 3)
    assert isinstance(config.epochs, float)
    assert isinstance(config.batch_size, int)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"beta": 0}, "beta"),
        ({"beta": float("nan")}, "beta"),
        ({"beta": "0.1"}, "beta"),
        ({"learning_rate": -1e-5}, "learning_rate"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"label_smoothing": 0.5}, "label_smoothing"),
        ({"label_smoothing": 0.1, "loss_type": "ipo"}, "label_smoothing"),
        ({"loss_type": "magic"}, "loss_type"),
        ({"ties": "drop"}, "ties"),
        ({"tie_share": 0}, "tie_share"),
        ({"tie_share": 1}, "tie_share"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"accumulation": 0}, "accumulation"),
        ({"epochs": 0}, "epochs"),
        ({"max_length": 7}, "max_length"),
        ({"lora_dropout": 1}, "lora_dropout"),
        ({"lora_targets": " , "}, "lora_targets"),
        ({"lora_alpha": 0}, "lora_alpha"),
        ({"warmup_ratio": 1.1}, "warmup_ratio"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"drop_too_long": 1}, "drop_too_long"),
        ({"betta": 0.1}, "betta"),
    ],
)
def test_wrong_settings_are_refused_by_name(values: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError) as caught:
        TextDPOConfig.from_dict(values)
    assert caught.value.field == field
    assert field in caught.value.message


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"lora_rank": 0}, "lora_rank"),
        ({"max_steps": 0}, "max_steps"),
        ({"proportion_empty_prompts": 1.5}, "proportion_empty_prompts"),
    ],
)
def test_wrong_settings_for_pictures_too(values: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError) as caught:
        DiffusionDPOConfig.from_dict(values)
    assert caught.value.field == field


def test_steps_can_replace_epochs() -> None:
    assert TextDPOConfig.from_dict({"epochs": 0, "max_steps": 5}).max_steps == 5


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(UserError, match="There are: dpo, diffusion_dpo") as caught:
        config_of("ppo", {})
    assert caught.value.code == "unknown_recipe"


def test_names_are_split_at_commas() -> None:
    assert names_in(" q_proj, v_proj,,") == ["q_proj", "v_proj"]
