"""The settings of every recipe by its name.

A new recipe adds its dataclass to a module of this package, with a docstring under every field, and
its row in RECIPES; the web form, the API's schema and the engine's checks all read from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from training.engine.config.base import (
    CORES,
    LIMITS,
    MOST_STEPS,
    FormField,
    Recipe,
    field_help,
    form_fields,
    names_in,
)
from training.engine.config.diffusion import DiffusionDPOConfig
from training.engine.config.dual import DualDPOConfig
from training.engine.config.imitation import RebirthConfig, SFTConfig
from training.engine.config.objectives import (
    KTOConfig,
    ORPOConfig,
    RationaleDPOConfig,
    RationaleORPOConfig,
    SimPOConfig,
    SRPOConfig,
)
from training.engine.config.text import TextDPOConfig, TextRecipe
from training.engine.words import WORDS

__all__ = [
    "CORES",
    "LIMITS",
    "MOST_STEPS",
    "RECIPES",
    "DiffusionDPOConfig",
    "DualDPOConfig",
    "FormField",
    "RebirthConfig",
    "Recipe",
    "SFTConfig",
    "TextDPOConfig",
    "TextRecipe",
    "config_of",
    "config_of_run",
    "field_help",
    "form_fields",
    "names_in",
]

RECIPES: dict[str, type[Recipe]] = {
    "dpo": TextDPOConfig,
    "simpo": SimPOConfig,
    "orpo": ORPOConfig,
    "kto": KTOConfig,
    "rationale_dpo": RationaleDPOConfig,
    "rationale_orpo": RationaleORPOConfig,
    "srpo": SRPOConfig,
    "dual_dpo": DualDPOConfig,
    "sft": SFTConfig,
    "rebirth": RebirthConfig,
    "diffusion_dpo": DiffusionDPOConfig,
}


def config_of(recipe: str, values: dict[str, Any]) -> Recipe:
    """The checked config of a recipe by its name.

    Raises:
        UserError: no such recipe, or what :meth:`Recipe.from_dict` refuses.
    """
    if recipe not in RECIPES:
        raise UserError(
            f"There is no recipe '{recipe}'. There are: {', '.join(RECIPES)}.",
            code="unknown_recipe",
            field="recipe",
        )
    return RECIPES[recipe].from_dict(values)


def config_of_run(spec: dict[str, Any], tell: Callable[[str, str], None] | None = None) -> Recipe:
    """The checked config of a run.json, which may come from a machine with more cores.

    Args:
        tell: hears of what was changed, as (text, level).

    Raises:
        UserError: as :func:`config_of`.
    """
    values = dict(spec["config"])
    asked = values.get("threads", 0)
    if isinstance(asked, int) and asked > CORES:
        values["threads"] = CORES
        if tell:
            tell(Said(WORDS, "threads", asked=asked, cores=CORES), "warning")
    return config_of(spec["recipe"], values)
