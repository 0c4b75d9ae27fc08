"""What a pipeline may be: layers of components, which may follow which, and what flows between.

Candidates flow from layer to layer. A generator makes them, a critic adds to each what is good and
bad about it, a ranker, a verifier and the evaluator of unit tests order them or let fewer on, a
fuser makes new ones of them. The tests that a generator of unit tests writes flow beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from steelyard.lib.errors import UserError

GENERATOR, CRITIC, RANKER, FUSER, VERIFIER = "generator", "critic", "ranker", "fuser", "verifier"
TESTS, TESTED = "unit_test_generator", "unit_test_evaluator"
TYPES = (GENERATOR, CRITIC, RANKER, FUSER, VERIFIER, TESTS, TESTED)
MANY = {GENERATOR, FUSER}
"""Of these a layer may hold several; of the others it holds one."""
MOST_LAYERS = 12
MOST_COMPONENTS = 16
MOST_SAMPLES = 32
MOST_CANDIDATES = 64
MOST_CALLS = 400
"""To one prompt."""
MOST_TESTS = 20
FEW_TESTS = 5
"""How many are written where nothing is said."""
LONGEST_NAME = 200
_ALL = {"type", "model", "temperature", "max_new_tokens"}
KEYS = {
    GENERATOR: _ALL | {"samples"},
    CRITIC: _ALL,
    RANKER: _ALL | {"top_k"},
    FUSER: _ALL | {"samples"},
    VERIFIER: _ALL,
    TESTS: _ALL | {"tests"},
    TESTED: _ALL | {"top_k"},
}


@dataclass(frozen=True)
class Component:
    """One model in one part."""

    type: str
    model: str
    """Its name in the project."""
    samples: int = 1
    temperature: float | None = None
    max_new_tokens: int | None = None
    top_k: int | None = None
    """How many candidates go on, the best; None lets all."""
    tests: int = FEW_TESTS

    def as_dict(self) -> dict[str, Any]:
        """In its shortest form: what is usual is left out."""
        said: dict[str, Any] = {"type": self.type, "model": self.model}
        if "samples" in KEYS[self.type] and self.samples != 1:
            said["samples"] = self.samples
        if self.type == TESTS:
            said["tests"] = self.tests
        for name in ("top_k", "temperature", "max_new_tokens"):
            if getattr(self, name) is not None:
                said[name] = getattr(self, name)
        return said


Layer = tuple[Component, ...]


@dataclass(frozen=True)
class Config:
    layers: tuple[Layer, ...]

    @property
    def models(self) -> list[str]:
        """Names of the members, each once, in the order in which they come up."""
        return list(dict.fromkeys(one.model for layer in self.layers for one in layer))

    def as_list(self) -> list[list[dict[str, Any]]]:
        return [[one.as_dict() for one in layer] for layer in self.layers]

    def counted(self) -> list[tuple[int, int]]:
        """Of each layer, how many calls it makes at most, and how many candidates leave it at
        most."""
        found, there = [], 0
        for layer in self.layers:
            calls = _calls(layer, there)
            there = _leaving(layer, there)
            found.append((calls, there))
        return found

    @property
    def calls(self) -> int:
        """Questions to one prompt, at most: a verifier may let fewer candidates on."""
        return sum(calls for calls, _ in self.counted())


def read_config(value: Any) -> Config:
    """A pipeline's layers, checked.

    Args:
        value: a list of layers, each a list of components; or an object with ``layers``.

    Raises:
        UserError: ``bad_pipeline``, naming layer and place, both counted from 1.
    """
    if isinstance(value, Mapping):
        if unknown := sorted(set(value) - {"layers"}):
            _refuse(f"A pipeline has layers alone, and no {unknown[0]!r}.")
        value = value.get("layers")
    if not isinstance(value, list) or not value:
        _refuse('A pipeline is a list of layers: {"layers": [[{"type": "generator", …}]]}.')
    if len(value) > MOST_LAYERS:
        _refuse(f"A pipeline has at most {MOST_LAYERS} layers; this one has {len(value)}.")
    layers = tuple(_layer(one, number) for number, one in enumerate(value, 1))
    _check_order(layers)
    _check_amounts(Config(layers))
    return Config(layers)


def _layer(value: Any, number: int) -> Layer:
    if not isinstance(value, list) or not value:
        _refuse("A layer is a list of one component or more.", number)
    if len(value) > MOST_COMPONENTS:
        _refuse(f"A layer has at most {MOST_COMPONENTS} components.", number)
    layer = tuple(_component(one, number, place) for place, one in enumerate(value, 1))
    types = list(dict.fromkeys(one.type for one in layer))
    if len(types) > 1:
        _refuse(
            f"A layer holds components of one type; this one has {' and '.join(types)}. Give each "
            "a layer of its own.",
            number,
        )
    if len(layer) > 1 and types[0] not in MANY:
        _refuse(f"A layer holds one {types[0]}; this one has {len(layer)}.", number, 2)
    return layer


def _component(value: Any, number: int, place: int) -> Component:
    if not isinstance(value, Mapping):
        _refuse('A component is an object such as {"type": "ranker", "model": …}.', number, place)
    kind = value.get("type")
    if kind not in TYPES:
        _refuse(f"type is {kind!r}; it must be one of {', '.join(TYPES)}.", number, place)
    if unknown := sorted(map(str, set(value) - KEYS[kind])):
        known = ", ".join(sorted(KEYS[kind]))
        _refuse(f"A {kind} has no {unknown[0]!r}; it has {known}.", number, place)
    model = value.get("model")
    if not isinstance(model, str) or not model.strip() or len(model) > LONGEST_NAME:
        _refuse("model must be the name of a model of the project.", number, place)
    at = (number, place)
    made = Component(
        type=str(kind),
        model=model.strip(),
        samples=int(_number(value, "samples", 1, MOST_SAMPLES, at, usual=1) or 1),
        temperature=_number(value, "temperature", 0, 2, at, whole=False),
        max_new_tokens=_whole(value, "max_new_tokens", 1, 16_384, at),
        top_k=_whole(value, "top_k", 1, MOST_CANDIDATES, at),
        tests=int(_number(value, "tests", 1, MOST_TESTS, at, usual=FEW_TESTS) or FEW_TESTS),
    )
    if made.samples > 1 and made.temperature == 0:
        _refuse("At temperature 0 all samples are the same; ask for one.", number, place)
    return made


def _whole(
    value: Mapping[str, Any], name: str, least: int, most: int, at: tuple[int, int]
) -> int | None:
    said = _number(value, name, least, most, at)
    return None if said is None else int(said)


def _number(
    value: Mapping[str, Any],
    name: str,
    least: int,
    most: int,
    at: tuple[int, int],
    *,
    whole: bool = True,
    usual: float | None = None,
) -> float | None:
    said = value.get(name)
    if said is None:
        return usual
    if type(said) not in ({int} if whole else {int, float}) or not least <= said <= most:
        what = "a whole number" if whole else "a number"
        _refuse(f"{name} is {said!r}; it must be {what}, {least} to {most}.", *at)
    return said


def _check_order(layers: Sequence[Layer]) -> None:
    """Which layer may follow which."""
    if layers[0][0].type != GENERATOR:
        _refuse("The first layer must hold generators: nothing is there yet.", 1)
    critiqued = tested = 0
    for number, layer in enumerate(layers, 1):
        kind = layer[0].type
        if kind == GENERATOR and number > 1:
            _refuse(
                "Generators stand in the first layer alone; a fuser makes new answers of those "
                "before it.",
                number,
            )
        if kind == TESTED and not tested:
            _refuse(f"A {TESTED} needs a {TESTS} in a layer before it.", number)
        if kind == CRITIC and critiqued:
            _refuse(f"Layer {critiqued} has criticised these candidates already.", number)
        if kind == TESTS and tested and tested > 0:
            _refuse(f"Layer {tested} has written tests already.", number)
        if kind == CRITIC:
            critiqued = number
            if not any(later[0].type in {RANKER, FUSER} for later in layers[number:]):
                _refuse(
                    "Nothing after this critic reads it: let a ranker or a fuser follow.", number
                )
        if kind == TESTS:
            tested = number
            if not any(later[0].type == TESTED for later in layers[number:]):
                _refuse(f"Nothing uses these tests: let a {TESTED} follow.", number)
        if kind == FUSER:
            critiqued = 0


def _check_amounts(config: Config) -> None:
    """How many candidates reach each layer."""
    there, critiqued = 0, False
    for number, (layer, (_, leaving)) in enumerate(
        zip(config.layers, config.counted(), strict=True), 1
    ):
        kind = layer[0].type
        if kind in {RANKER, TESTED} and there < 2:
            _refuse(f"One candidate reaches this {kind}, so there is nothing to rank.", number)
        if kind == FUSER and there < 2 and not critiqued:
            _refuse(
                "One candidate reaches this fuser, and no critic has spoken of it, so there is "
                "nothing to fuse.",
                number,
            )
        top_k = layer[0].top_k
        if top_k is not None and top_k >= there > 0 and kind in {RANKER, TESTED}:
            _refuse(
                f"top_k is {top_k}, and at most {there} candidates reach this {kind}: it must let "
                "fewer on, or all where top_k is left out.",
                number,
                1,
            )
        if leaving > MOST_CANDIDATES:
            _refuse(f"{leaving} candidates leave it; there may be {MOST_CANDIDATES}.", number)
        there = leaving
        critiqued = kind == CRITIC or (critiqued and kind != FUSER)
    if config.calls > MOST_CALLS:
        _refuse(f"It takes {config.calls} calls to a prompt; there may be {MOST_CALLS}.")


def _calls(layer: Layer, there: int) -> int:
    kind = layer[0].type
    if kind in MANY:
        return sum(one.samples for one in layer)
    return 1 if kind in {RANKER, TESTS} else there


def _leaving(layer: Layer, there: int) -> int:
    one = layer[0]
    if one.type in MANY:
        return sum(part.samples for part in layer)
    return min(there, one.top_k or there)


def _refuse(text: str, layer: int = 0, place: int = 0) -> NoReturn:
    where = f"Layer {layer}, place {place}: " if place else f"Layer {layer}: " if layer else ""
    raise UserError(f"{where}{text}", code="bad_pipeline", field="layers")
