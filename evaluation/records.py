"""How a pipeline came to an output, as pages show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from steelyard.registry.layered import TITLES


@dataclass(frozen=True)
class Line:
    """One question and what was said to it."""

    model: str
    about: str
    """What it is, or which answer it speaks of."""
    text: str
    read: str
    """What was taken from it; empty where all of it was."""
    cached: bool


@dataclass(frozen=True)
class ShownLayer:
    number: int
    title: str
    lines: list[Line]
    left: str
    """Which answers went on."""


@dataclass(frozen=True)
class Turn:
    layers: list[ShownLayer]
    answer: int
    calls: int
    tokens: int


def shown(turns: Iterable[Mapping[str, Any]]) -> list[Turn]:
    """The record of an output, a turn of its prompt each."""
    return [
        Turn(
            [_layer(layer) for layer in turn["layers"]],
            turn["answer"],
            turn["calls"],
            turn["tokens_in"] + turn["tokens_out"],
        )
        for turn in turns
    ]


def _layer(layer: Mapping[str, Any]) -> ShownLayer:
    lines = [
        Line(
            row["model"],
            _about(layer, row),
            row["text"],
            _read(layer, row),
            bool(row.get("cached")),
        )
        for row in layer["said"]
    ]
    return ShownLayer(layer["layer"], str(TITLES[layer["type"]]), lines, _left(layer))


def _about(layer: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    if "made" in row:
        return _("answer %(number)s") % {"number": row["made"]}
    if "about" in row:
        return _("of answer %(number)s") % {"number": row["about"]}
    if "shown" in row:
        return _("shown in this order: %(numbers)s") % {"numbers": _numbers(row["shown"], ", ")}
    return ""


def _read(layer: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    if "read" not in row:
        return ""
    read = row["read"]
    if read is None:
        return _("could not be read, so nothing was changed by it")
    if layer["type"] == "ranker":
        return _("read as: %(order)s") % {"order": _numbers(read, " > ")}
    if layer["type"] == "verifier":
        return _("read as: right") if read else _("read as: wrong")
    if layer["type"] == "unit_test_evaluator":
        met = sum(one is True for one in read)
        return _("meets %(met)s of %(all)s") % {"met": met, "all": len(read)}
    return ngettext("%(n)s statement", "%(n)s statements", len(read)) % {"n": len(read)}


def _left(layer: Mapping[str, Any]) -> str:
    before, kept = layer["before"], layer["kept"]
    if not before or before == kept or not set(kept) <= set(before):
        return ""
    return _("kept: %(numbers)s") % {"numbers": _numbers(kept, ", ")}


def _numbers(values: Iterable[int], between: str) -> str:
    return between.join(map(str, values))
