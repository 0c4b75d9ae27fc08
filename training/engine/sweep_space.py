"""What a sweep may try: a range or a list of words for each setting of a recipe, checked against
what the recipe itself allows.

A space is plain JSON, as it is stored and sent:

    {"learning_rate": {"low": 1e-6, "high": 1e-4, "log": true},
     "lora_rank": {"low": 4, "high": 64, "log": true},
     "loss_type": {"choices": ["sigmoid", "ipo"]}}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from steelyard.lib.errors import UserError
from training.engine.config import RECIPES, FormField, config_of, form_fields
from training.engine.config.base import holds, said

NOT_SEARCHED = frozenset(
    {
        "seed",
        *("device", "dtype", "threads", "gradient_checkpointing", "compile", "attention"),
        *("share_prompt", "halve_on_oom", "tokens_per_pass", "checkpoint_every", "eval_every"),
        *("sample_every", "sample_prompts", "sample_steps", "keep_checkpoints"),
    }
)
"""What a sweep gives itself, and what decides where a run runs but not what it learns."""
FIRST = ("learning_rate", "beta", "epochs", "max_steps", "lora_rank", "lora_alpha", "batch_size")
"""Settings that matter most often, in the order in which a form shows them."""
SUGGESTED: dict[str, dict[str, Any]] = {
    "learning_rate": {"low": 1e-6, "high": 3e-4, "log": True},
    "beta": {"low": 0.02, "high": 0.5, "log": True},
    "label_smoothing": {"low": 0.0, "high": 0.3, "log": False},
    "epochs": {"low": 0.5, "high": 3.0, "log": False},
    "lora_rank": {"low": 4, "high": 64, "log": True},
    "lora_alpha": {"low": 4, "high": 128, "log": True},
    "lora_dropout": {"low": 0.0, "high": 0.2, "log": False},
    "batch_size": {"low": 2, "high": 16, "log": True},
    "accumulation": {"low": 1, "high": 8, "log": True},
    "warmup_ratio": {"low": 0.0, "high": 0.3, "log": False},
    "weight_decay": {"low": 0.0, "high": 0.1, "log": False},
    "tie_share": {"low": 0.2, "high": 0.8, "log": False},
    "auto_beta": {"low": 0.0, "high": 0.4, "log": False},
}
"""What a form offers as a range; other numbers are offered around their default."""
MOST_SETTINGS = 20
MOST_CHOICES = 50

Space = dict[str, dict[str, Any]]


def searchable(recipe: str) -> list[FormField]:
    """The settings of a recipe that a sweep may search, the usual ones first."""
    fields = [f for f in form_fields(RECIPES[recipe]) if f.name not in NOT_SEARCHED]
    place = {name: number for number, name in enumerate(FIRST)}
    return sorted(fields, key=lambda field: place.get(field.name, len(place)))


def suggested(field: FormField) -> dict[str, Any]:
    """The range that a form offers for a setting, within the recipe's limits."""
    if field.choices:
        return {"choices": list(field.choices)}
    if field.type is bool:
        return {"choices": [False, True]}
    if field.type is str:
        return {"choices": [field.default]}
    offered = SUGGESTED.get(field.name)
    if offered is None or not offered["low"] <= field.default <= offered["high"]:
        offered = _around(field)
    low, high = _limits(field)
    return {**offered, "low": max(low, offered["low"]), "high": min(high, offered["high"])}


def checked_space(recipe: str, settings: Mapping[str, Any], space: Mapping[str, Any]) -> Space:
    """The space in its one form, all of it allowed by the recipe together with ``settings``.

    Args:
        settings: what is the same in every trial.

    Raises:
        UserError: a setting that is unknown, fixed as well or not for searching; a range that is
            empty or beyond the recipe's limits; ends at which the recipe refuses its settings.
            ``field`` names the setting.
    """
    config_of(recipe, dict(settings))
    known = {field.name: field for field in form_fields(RECIPES[recipe])}
    if not space:
        raise UserError(
            "A sweep searches at least one setting.", code="nothing_to_search", field="space"
        )
    if len(space) > MOST_SETTINGS:
        raise UserError(
            f"A sweep searches at most {MOST_SETTINGS} settings; these are {len(space)}.",
            field="space",
        )
    made: Space = {}
    for name, given in space.items():
        if name in settings:
            raise UserError(
                f"{name} is among the settings and in the space: name it in one of them.",
                code="set_and_searched",
                field=name,
            )
        if name not in known:
            raise UserError(
                f"There is no setting '{name}' in this recipe. It knows: {', '.join(known)}.",
                code="unknown_setting",
                field=name,
            )
        if name in NOT_SEARCHED:
            raise UserError(f"{name} cannot be searched.", code="not_searchable", field=name)
        made[name] = _dimension(known[name], given)
    _check_ends(recipe, settings, made)
    return made


def default_point(recipe: str, settings: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """The usual settings, moved to the nearest end where they lie outside: what is tried first, so
    that every sweep tells what searching was worth."""
    config = {**config_of(recipe, {}).as_dict(), **settings}
    return {name: _nearest(config[name], dimension) for name, dimension in space.items()}


def _nearest(value: Any, dimension: dict[str, Any]) -> Any:
    if "choices" in dimension:
        return value if value in dimension["choices"] else dimension["choices"][0]
    return min(max(value, dimension["low"]), dimension["high"])


def _dimension(field: FormField, given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise _wrong(field, 'is told as {"low", "high", "log"} or {"choices"}')
    if unknown := set(given) - {"low", "high", "log", "choices", "type"}:
        raise _wrong(field, f"knows no '{min(unknown)}', only low, high, log or choices")
    if "choices" in given:
        return _choices(field, given["choices"])
    if field.type not in (int, float):
        raise _wrong(field, "is no number: give choices instead of a range")
    return _range(field, given)


def _range(field: FormField, given: Mapping[str, Any]) -> dict[str, Any]:
    log = given.get("log", False)
    if not isinstance(log, bool):
        raise _wrong(field, "has a log that is neither true nor false")
    low, high = (_number(field, given.get(end), end) for end in ("low", "high"))
    least, most = _limits(field)
    if low >= high:
        raise _wrong(
            field, f"must be searched from a lower to a higher end; got {low:g} to {high:g}"
        )
    if low < least or high > most:
        raise _wrong(field, f"may go from {least:g} to {most:g}; got {low:g} to {high:g}")
    if log and low <= 0:
        raise _wrong(field, "has no logarithm at 0: begin above it, or search without log")
    return {"type": field.type.__name__, "low": low, "high": high, "log": log}


def _choices(field: FormField, given: Any) -> dict[str, Any]:
    if not isinstance(given, list | tuple) or not 2 <= len(given) <= MOST_CHOICES:
        raise _wrong(field, f"needs from 2 to {MOST_CHOICES} values to choose from")
    values = [_value(field, value) for value in given]
    if len(set(values)) < len(values):
        raise _wrong(field, "names a value twice")
    return {"type": field.type.__name__, "choices": values}


def _value(field: FormField, value: Any) -> Any:
    if field.choices and value not in field.choices:
        raise _wrong(field, f"is one of {', '.join(field.choices)}; got {said(value)}")
    if field.type in (int, float):
        number = _number(field, value, "value")
        least, most = _limits(field)
        if not least <= number <= most:
            raise _wrong(field, f"may go from {least:g} to {most:g}; got {number:g}")
        return number
    if not isinstance(value, field.type):
        raise _wrong(field, f"takes {field.type.__name__}; got {said(value)}")
    return value


def _number(field: FormField, value: Any, what: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(field, f"needs a number as its {what}; got {said(value)}")
    if not holds(value) or not math.isfinite(value):
        raise _wrong(field, f"needs a smaller number as its {what}; got {said(value)}")
    if field.type is int and value != int(value):
        raise _wrong(field, f"takes whole numbers; got {value:g} as its {what}")
    return field.type(value)


def _limits(field: FormField) -> tuple[float, float]:
    return (
        -math.inf if field.min is None else field.min,
        math.inf if field.max is None else field.max,
    )


def _around(field: FormField) -> dict[str, Any]:
    default = field.default
    if default <= 0:
        return {"low": field.type(0), "high": field.type(1), "log": False}
    if field.type is int:
        return {"low": max(1, default // 4), "high": default * 4, "log": True}
    return {"low": default / 4, "high": default * 4, "log": True}


def _check_ends(recipe: str, settings: Mapping[str, Any], space: Space) -> None:
    """Every end alone, the others as usual: what the recipe refuses there no trial should meet."""
    usual = default_point(recipe, settings, space)
    for name, dimension in space.items():
        ends = dimension.get("choices") or [dimension["low"], dimension["high"]]
        for value in ends:
            try:
                config_of(recipe, {**settings, **usual, name: value})
            except UserError as error:
                raise UserError(
                    f"With {name} at {value} the recipe refuses its settings: {error.message}",
                    code=error.code,
                    field=name,
                ) from error


def _wrong(field: FormField, what: str) -> UserError:
    return UserError(f"{field.name} {what}.", code="bad_space", field=field.name)
