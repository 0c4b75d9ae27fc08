"""What a recipe can be told: frozen dataclasses whose field docstrings are the form's help texts.

A new recipe adds its dataclass here, with a docstring under every field, and its row in RECIPES;
the web form, the API's schema and the engine's checks all read from it.
"""

from __future__ import annotations

import ast
import inspect
import math
import os
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
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
    "lora_rank": (0, 1024),
    "lora_alpha": (0, 65_536),
    "lora_dropout": (0, 1),
    "proportion_empty_prompts": (0, 1),
    "resolution": (0, 4096),
    "reference_draws": (0, 1000),
    "warmup_ratio": (0, 1),
    "max_grad_norm": (0, 1e6),
    "weight_decay": (0, 1),
    "seed": (0, 2**31 - 1),
    "threads": (0, CORES),
    "eval_every": (0, MOST_STEPS),
    "checkpoint_every": (1, MOST_STEPS),
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
            raise UserError(f"{field} {message}; it is {given}.", code="bad_setting", field=field)

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


@dataclass(frozen=True)
class TextDPOConfig(Recipe):
    """Direct preference optimisation of a causal language model (Rafailov et al. 2023)."""

    beta: float = 0.1
    """How strongly the model is held near the one it starts from: smaller lets it move further.
    0.01 to 0.5 is usual."""
    loss_type: Literal["sigmoid", "ipo", "hinge", "robust"] = "sigmoid"
    """The form of the loss. sigmoid is DPO as published; ipo (summed log-probabilities) pulls the
    margin to a fixed target and overfits less; hinge stops pushing once the margin is reached;
    robust corrects for a known share of wrong labels, given as label_smoothing."""
    label_smoothing: float = 0.0
    """Expected share of wrong labels, from 0 to below 0.5. With sigmoid this is conservative DPO;
    ipo and hinge take none."""
    ties: Literal["rao_kupper", "davidson", "half"] = "rao_kupper"
    """How pairs without a winner teach, where the dataset version keeps ties. rao_kupper and
    davidson (sigmoid loss only) give win, tie and loss each a probability, so a tie draws the two
    answers together; half takes a tie as half a win for each side, as the other losses always
    do."""
    tie_share: float = 0.5
    """How often two equally good answers are called a tie, above 0 and below 1: the width of the
    tie in rao_kupper and davidson."""
    learning_rate: float = 5e-5
    """The peak learning rate. LoRA: 1e-5 to 1e-4. All weights (lora_rank 0): 5e-7 to 5e-6.
    AdamW moves every weight by about this much a step, so it is never above 1."""
    epochs: float = 1.0
    """How many times the training pairs are gone through."""
    max_steps: int = 0
    """Stop after so many optimiser steps, whatever the epochs say; 0 lets the epochs decide."""
    batch_size: int = 4
    """Pairs in one pass through the model. Memory grows with it."""
    accumulation: int = 1
    """Passes gathered into one optimiser step: batch_size x accumulation pairs a step."""
    max_length: int = 1024
    """The longest prompt and answer together, in tokens. Longer answers are cut at their end, and
    the run's log counts them. Never more than the model's own context."""
    drop_too_long: bool = False
    """What to do with pairs whose prompt alone fills max_length: off refuses the run and names
    them, on leaves them out and counts them."""
    lora_rank: int = 8
    """Rank of the low-rank adapter that is trained; 0 trains all weights instead (much more
    memory, and a much smaller learning rate)."""
    lora_alpha: int = 16
    """Scale of the adapter: its effect is multiplied by lora_alpha / lora_rank."""
    lora_targets: str = "q_proj,k_proj,v_proj,o_proj"
    """Names of the layers that get an adapter, with commas between; all-linear takes every linear
    layer but the output head."""
    lora_dropout: float = 0.0
    """Share of adapter inputs set to zero while training, 0 to below 1."""
    warmup_ratio: float = 0.1
    """Share of all steps in which the learning rate rises from zero to its peak."""
    scheduler: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up: to zero in a line, along a cosine, or not."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are shortened to it; 0 leaves them as they are."""
    weight_decay: float = 0.0
    """AdamW's pull of the trained weights toward zero."""
    seed: int = 0
    """Decides the order of the pairs, the adapter's start and dropout. Same seed, data and
    machine: same model."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the frozen weights. auto: bfloat16 on a GPU, float32 on a CPU. What is
    trained is always float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to run; auto takes a GPU if there is one."""
    threads: int = 0
    """CPU threads to use, at most the machine's cores; 0 leaves it to the machine's setting."""
    gradient_checkpointing: bool = False
    """Save memory by computing the forward pass twice; about 30 % slower."""
    eval_every: int = 0
    """Measure the test pairs every so many steps, besides at the end; 0 only at the end."""
    checkpoint_every: int = 50
    """Save a point to resume from every so many steps."""

    def __post_init__(self) -> None:
        self._check_numbers()
        self._require(self.label_smoothing < 0.5, "label_smoothing", "must be below 0.5")
        self._require(
            self.label_smoothing == 0 or self.loss_type in ("sigmoid", "robust"),
            "label_smoothing",
            f"has no meaning with the {self.loss_type} loss and must be 0",
        )
        self._require(0 < self.tie_share < 1, "tie_share", "must be above 0 and below 1")
        _check_optimiser(self)
        self._require(
            self.epochs > 0 or self.max_steps > 0, "epochs", "must be above 0 without max_steps"
        )
        self._require(self.lora_dropout < 1, "lora_dropout", "must be below 1")


@dataclass(frozen=True)
class DiffusionDPOConfig(Recipe):
    """Diffusion-DPO of an image model (Wallace et al. 2023), errors averaged over elements."""

    at_least = {"lora_rank": 1, "max_steps": 1}

    beta: float = 2000.0
    """How strongly the model is held near the one it starts from. It multiplies squared errors
    averaged over all elements, so it is in the thousands: 2000 to 5000 is usual."""
    learning_rate: float = 1e-4
    """The peak learning rate. An adapter on a small model: 1e-4. Stable Diffusion: 1e-5. With
    too much of it pictures get worse, and guidance can turn what was learnt into its opposite: if
    reward_chosen falls far below zero, lower it. It goes with 1 / beta. AdamW moves every weight
    by about this much a step, so it is never above 1."""
    max_steps: int = 100
    """How many optimiser steps to train."""
    batch_size: int = 32
    """Pairs in one pass through the model. Memory grows with it."""
    accumulation: int = 1
    """Passes gathered into one optimiser step: batch_size x accumulation pairs a step."""
    lora_rank: int = 8
    """Rank of the low-rank adapter that is trained."""
    lora_alpha: int = 8
    """Scale of the adapter: its effect is multiplied by lora_alpha / lora_rank."""
    lora_targets: str = "to_q,to_k,to_v,to_out.0,conv1,conv2,proj_in,proj_out"
    """Names of the layers that get an adapter, with commas between. Attention alone is
    to_q,to_k,to_v,to_out.0; with convolutions the model learns faster and forgets faster."""
    proportion_empty_prompts: float = 0.2
    """Share of training prompts replaced by the empty one, so that guidance keeps working."""
    resolution: int = 0
    """Pictures are resized (short side) and cropped to so many pixels square; 0 takes the
    model's own size."""
    random_flip: bool = False
    """Mirror both pictures of a pair left to right, half of the time."""
    reference_draws: int = 0
    """Prepare so many (timestep, noise) draws a pair and compute the frozen model's errors for
    them once. 0 makes a new draw at every step and asks the frozen model each time."""
    warmup_ratio: float = 0.0
    """Share of all steps in which the learning rate rises from zero to its peak."""
    scheduler: Literal["linear", "cosine", "constant"] = "constant"
    """How the learning rate falls after the warm-up: to zero in a line, along a cosine, or not."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are shortened to it; 0 leaves them as they are."""
    weight_decay: float = 0.0
    """AdamW's pull of the trained weights toward zero."""
    seed: int = 0
    """Decides the order of the pairs, timesteps, noise and the adapter's start. Same seed, data
    and machine: same model."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the frozen weights. auto: bfloat16 on a GPU, float32 on a CPU. What is
    trained is always float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to run; auto takes a GPU if there is one."""
    threads: int = 0
    """CPU threads to use, at most the machine's cores; 0 leaves it to the machine's setting."""
    gradient_checkpointing: bool = False
    """Save memory by computing the forward pass twice; about 30 % slower."""
    eval_every: int = 0
    """Measure the test pairs every so many steps, besides at the end; 0 only at the end."""
    checkpoint_every: int = 50
    """Save a point to resume from every so many steps."""

    def __post_init__(self) -> None:
        self._check_numbers()
        _check_optimiser(self)


RECIPES: dict[str, type[Recipe]] = {"dpo": TextDPOConfig, "diffusion_dpo": DiffusionDPOConfig}


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
            tell(
                f"threads is {asked}, but this machine has {CORES} cores: {CORES} used.", "warning"
            )
    return config_of(spec["recipe"], values)


def names_in(text: str) -> list[str]:
    """The names in a setting such as ``q_proj, v_proj``."""
    return [name.strip() for name in text.split(",") if name.strip()]


_FIELDS: dict[type[Recipe], tuple[FormField, ...]] = {}


def form_fields(cls: type[Recipe]) -> tuple[FormField, ...]:
    """A recipe's settings in the order they stand in the source, which is read once."""
    if cls not in _FIELDS:
        _FIELDS[cls] = _read_fields(cls)
    return _FIELDS[cls]


def _read_fields(cls: type[Recipe]) -> tuple[FormField, ...]:
    hints, help_texts = get_type_hints(cls), field_help(cls)
    made = []
    for field in fields(cls):  # type: ignore[arg-type]
        hint = hints[field.name]
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        kind = str if choices else hint
        low, high = LIMITS[field.name] if kind in (int, float) else (None, None)
        low = cls.at_least.get(field.name, low)
        text = help_texts[field.name]
        made.append(FormField(field.name, kind, field.default, text, choices, low, high))
    return tuple(made)


def field_help(cls: type[Recipe]) -> dict[str, str]:
    """The string under each field, on one line; read from the source, since Python drops it."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    texts: dict[str, str] = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
            name, value = field.target.id, ast.literal_eval(below.value)  # type: ignore[union-attr]
            texts[name] = " ".join(value.split())
    return texts


def _check_optimiser(config: TextDPOConfig | DiffusionDPOConfig) -> None:
    config._require(config.learning_rate > 0, "learning_rate", "must be above 0")
    if config.lora_rank:
        config._require(config.lora_alpha >= 1, "lora_alpha", "must be at least 1")
        config._require(bool(names_in(config.lora_targets)), "lora_targets", "names no layer")


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _typed(value: Any, field: FormField) -> Any:
    if field.choices:
        if value in field.choices:
            return value
        raise UserError(
            f"{field.name} must be one of {', '.join(field.choices)}; it is {value!r}.",
            code="bad_setting",
            field=field.name,
        )
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if field.type is float and number:
        return float(value)
    if field.type is int and number and float(value).is_integer():
        return int(value)
    if field.type in (bool, str) and isinstance(value, field.type):
        return value
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    raise UserError(
        f"{field.name} must be {words[field.type]}; it is {value!r}.",
        code="bad_setting",
        field=field.name,
    )
