"""Recipes' settings: what a form reads of them, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.lib.errors import UserError
from training.engine.__main__ import TRAIN
from training.engine.config import (
    CORES,
    RECIPES,
    DiffusionDPOConfig,
    TextDPOConfig,
    TextRecipe,
    config_of,
    config_of_run,
    form_fields,
    names_in,
)
from training.engine.objectives import OBJECTIVES


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
    assert loss.choices[:4] == ("sigmoid", "ipo", "hinge", "robust")
    # what all text recipes share comes after
    assert names.index("learning_rate") > names.index("sft_form")


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
        ({"threads": 99_999}, "threads"),
        ({"batch_size": 4097}, "batch_size"),
        ({"accumulation": 4097}, "accumulation"),
        ({"lora_rank": 1025}, "lora_rank"),
        ({"lora_alpha": 65_537}, "lora_alpha"),
        ({"epochs": 1001}, "epochs"),
        ({"max_steps": 10_000_001}, "max_steps"),
        ({"max_length": 2**20 + 1}, "max_length"),
        ({"beta": 1e-7}, "beta"),
        ({"beta": 1e7}, "beta"),
        ({"learning_rate": 1e9}, "learning_rate"),
        ({"weight_decay": 2}, "weight_decay"),
        ({"seed": 2**31}, "seed"),
        ({"checkpoint_every": 10**9}, "checkpoint_every"),
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
        ({"resolution": 4097}, "resolution"),
        ({"reference_draws": 1001}, "reference_draws"),
    ],
)
def test_wrong_settings_for_pictures_too(values: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError) as caught:
        DiffusionDPOConfig.from_dict(values)
    assert caught.value.field == field


def test_smoothing_is_refused_where_a_ranking_would_not_know_it() -> None:
    with pytest.raises(UserError, match="no meaning with the rrhf loss"):
        RECIPES["simpo"].from_dict({"loss_type": "rrhf", "label_smoothing": 0.1})


def test_a_refused_number_is_told_its_limits() -> None:
    with pytest.raises(UserError, match="batch_size must be from 1 to 4,096; it is 5000"):
        TextDPOConfig.from_dict({"batch_size": 5000})


def test_a_run_from_a_machine_with_more_cores_goes_on_with_those_there_are() -> None:
    told: list[str] = []
    spec = {"recipe": "dpo", "config": {"threads": CORES + 1}}
    config = config_of_run(spec, lambda text, level: told.append(f"{level}: {text}"))
    assert config.as_dict()["threads"] == CORES
    assert told == [
        f"warning: threads is {CORES + 1}, but this machine has {CORES} cores: {CORES} used."
    ]


def test_steps_can_replace_epochs() -> None:
    assert TextDPOConfig.from_dict({"epochs": 0, "max_steps": 5}).max_steps == 5


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(UserError, match="There are: dpo, ") as caught:
        config_of("ppo", {})
    assert caught.value.code == "unknown_recipe"


def test_names_are_split_at_commas() -> None:
    assert names_in(" q_proj, v_proj,,") == ["q_proj", "v_proj"]


def test_every_recipe_is_trained_by_something() -> None:
    assert set(TRAIN) == set(RECIPES)
    texts = {name for name, config in RECIPES.items() if issubclass(config, TextRecipe)}
    assert texts <= set(OBJECTIVES)


def test_settings_of_the_first_runs_still_load() -> None:
    """What TextDPOConfig was when the first models were trained with it."""
    text = {"loss_type": "sigmoid", "ties": "rao_kupper", "lora_targets": "q_proj,v_proj"}
    text |= {"scheduler": "linear", "dtype": "auto", "device": "auto"}
    numbers = {"beta": 0.1, "label_smoothing": 0.0, "tie_share": 0.5, "learning_rate": 5e-5}
    numbers |= {"epochs": 1.0, "max_steps": 0, "batch_size": 4, "accumulation": 1, "seed": 0}
    numbers |= {"max_length": 1024, "lora_rank": 0, "lora_alpha": 16, "lora_dropout": 0.0}
    numbers |= {"warmup_ratio": 0.1, "max_grad_norm": 1.0, "weight_decay": 0.0, "threads": 0}
    numbers |= {"eval_every": 0, "checkpoint_every": 50}
    flags = {"drop_too_long": False, "gradient_checkpointing": False}
    config = config_of("dpo", {**text, **numbers, **flags})
    assert isinstance(config, TextDPOConfig)
    assert config.trained == "all"


@pytest.mark.parametrize("name", ["max_steps", "beta", "learning_rate"])
def test_a_number_that_no_float_holds_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(UserError) as caught:
        config_of("dpo", {name: 10**400})
    assert (caught.value.code, caught.value.field) == ("bad_setting", name)
    assert len(caught.value.message) < 150
