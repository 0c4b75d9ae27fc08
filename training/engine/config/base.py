"""What a recipe can be told: frozen dataclasses whose field docstrings are the form's help texts.

The web form, the API's schema and the engine's checks all read from a recipe's dataclass.
"""

from __future__ import annotations

import ast
import inspect
import math
import os
import textwrap
from dataclasses import asdict, fields, is_dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args, get_origin, get_type_hints

from steelyard.lib.errors import UserError


class FormField(NamedTuple):
    """One setting as a form or a schema shows it."""

    name: str
    type: type
    """int, float, bool or str."""
    default: Any
    help: str
    choices: tuple[str, ...]
    """The allowed words, empty where anything of the type goes."""
    min: float | None
    """The least and the greatest number allowed; None for what is no number."""
    max: float | None


CORES = os.cpu_count() or 1
MOST_STEPS = 10_000_000
MOST_SAID = 80
LIMITS: dict[str, tuple[float, float]] = {
    "beta": (1e-6, 1e6),
    "label_smoothing": (0, 0.5),
    "tie_share": (0, 1),
    "learning_rate": (0, 1),
    "epochs": (0, 1000),
    "max_steps": (0, MOST_STEPS),
    "batch_size": (1, 4096),
    "accumulation": (1, 4096),
    "max_length": (8, 2**20),
    "frames": (1, 512),
    "rounds": (1, 100),
    "visual_weight": (0, 1000),
    "neighbours": (1, 1000),
    "most_alike": (0, 1),
    "tokens_per_pass": (0, 2**24),
    "ld_alpha": (0, 1),
    "sft_weight": (0, 1000),
    "ground_truth_weight": (0, 1000),
    "gamma": (0, 1000),
    "strength_offset": (0, 100),
    "desirable_weight": (0, 1000),
    "undesirable_weight": (0, 1000),
    "rationale_weight": (0, 1000),
    "srpo_alpha": (0, 1),
    "revisions": (0, 100),
    "revised_prompts": (1, 10_000),
    "lora_rank": (0, 1024),
    "lora_alpha": (0, 65_536),
    "lora_dropout": (0, 1),
    "proportion_empty_prompts": (0, 1),
    "resolution": (0, 4096),
    "reference_draws": (0, 1000),
    "auto_beta": (0, 0.5),
    "safeguard_slack": (0, 1),
    "linear_floor": (0, 0.5),
    "mapo_weight": (0, 1000),
    "mapo_scale": (1e-3, 1e4),
    "region_weight": (0, 1),
    "clip_frames": (0, 512),
    "ema_decay": (0, 0.99999),
    "warmup_ratio": (0, 1),
    "max_grad_norm": (0, 1e6),
    "weight_decay": (0, 1),
    "seed": (0, 2**31 - 1),
    "threads": (0, CORES),
    "processes": (0, 1024),
    "eval_every": (0, MOST_STEPS),
    "checkpoint_every": (1, MOST_STEPS),
    "keep_checkpoints": (0, MOST_STEPS),
    "sample_every": (0, MOST_STEPS),
    "sample_prompts": (1, 32),
    "sample_steps": (0, 1000),
}
"""From where to where a number may go, both ends allowed unless a recipe's own check says more.

What lies beyond is a slip of the hand, and would take the machine down or burn hours for nothing.
"""


class Recipe:
    """What all recipe configs can do; they are made by :meth:`from_dict` and never changed."""

    at_least: ClassVar[dict[str, float]] = {}
    """Where a recipe asks for more than the lower end in LIMITS."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Check names, types and ranges, and fill in defaults.

        Raises:
            UserError: an unknown name, a wrong type or a value out of range; ``field`` names it.
        """
        known = {field.name: field for field in form_fields(cls)}
        for name in values:
            if name not in known:
                raise UserError(
                    f"There is no setting '{name}' in this recipe. It knows: {', '.join(known)}.",
                    code="unknown_setting",
                    field=name,
                )
        return cls(**{name: _typed(value, known[name]) for name, value in values.items()})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload]

    def _require(self, holds: bool, field: str, message: str) -> None:
        if not holds:
            given = getattr(self, field)
            shown = "empty" if isinstance(given, str) and not given.strip() else given
            raise UserError(f"{field} {message}; it is {shown}.", code="bad_setting", field=field)

    def _check_optimiser(self) -> None:
        """The settings that every recipe with an adapter has."""
        values = self.as_dict()
        self._require(values["learning_rate"] > 0, "learning_rate", "must be above 0")
        if values["lora_rank"]:
            self._require(values["lora_alpha"] >= 1, "lora_alpha", "must be at least 1")
            self._require(bool(names_in(values["lora_targets"])), "lora_targets", "names no layer")

    def _check_numbers(self) -> None:
        for field in form_fields(type(self)):
            value = getattr(self, field.name)
            if field.type is float:
                self._require(math.isfinite(value), field.name, "must be a finite number")
            if field.min is not None and field.max is not None:
                words = f"must be from {_plain(field.min)} to {_plain(field.max)}"
                if field.name == "threads":
                    words += ", the cores of this machine"
                self._require(field.min <= value <= field.max, field.name, words)


def names_in(text: str) -> list[str]:
    """The names in a setting such as ``q_proj, v_proj``."""
    return [name.strip() for name in text.split(",") if name.strip()]


_FIELDS: dict[type[Recipe], tuple[FormField, ...]] = {}


def form_fields(cls: type[Recipe]) -> tuple[FormField, ...]:
    """A recipe's settings in the order they stand in the source, its own before those that it
    shares with others; read once."""
    if cls not in _FIELDS:
        _FIELDS[cls] = _read_fields(cls)
    return _FIELDS[cls]


def _read_fields(cls: type[Recipe]) -> tuple[FormField, ...]:
    hints, help_texts = get_type_hints(cls), field_help(cls)
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    made = []
    for name, text in help_texts.items():
        hint = hints[name]
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        kind = str if choices else hint
        low, high = LIMITS[name] if kind in (int, float) else (None, None)
        low = cls.at_least.get(name, low)
        made.append(FormField(name, kind, known[name].default, text, choices, low, high))
    return tuple(made)


def field_help(cls: type[Recipe]) -> dict[str, str]:
    """The string under each field, on one line; read from the source, since Python drops it."""
    texts: dict[str, str] = {}
    for one in filter(is_dataclass, cls.__mro__):
        for name, text in _own_help(one).items():
            texts.setdefault(name, text)
    return texts


def _own_help(cls: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    texts: dict[str, str] = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
            name, value = field.target.id, ast.literal_eval(below.value)  # type: ignore[union-attr]
            if not name.startswith("_") and name != "at_least":
                texts[name] = " ".join(value.split())
    return texts


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def holds(number: float) -> bool:
    """Whether a float can hold it: JSON's whole numbers have no end."""
    try:
        float(number)
    except OverflowError:
        return False
    return True


def said(value: Any) -> str:
    """A value as a refusal repeats it: its beginning where it is long."""
    text = repr(value)
    return text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]}…"


def _typed(value: Any, field: FormField) -> Any:
    if field.choices:
        if value in field.choices:
            return value
        raise UserError(
            f"{field.name} must be one of {', '.join(field.choices)}; it is {said(value)}.",
            code="bad_setting",
            field=field.name,
        )
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and not holds(value):
        raise UserError(
            f"{field.name} is too large a number: {said(value)}.",
            code="bad_setting",
            field=field.name,
        )
    if field.type is float and number:
        return float(value)
    if field.type is int and number and float(value).is_integer():
        return int(value)
    if field.type in (bool, str) and isinstance(value, field.type):
        return value
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    raise UserError(
        f"{field.name} must be {words[field.type]}; it is {said(value)}.",
        code="bad_setting",
        field=field.name,
    )
