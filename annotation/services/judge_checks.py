"""What a judge may be made of: model, rubric, sampling, how it is asked, what it may cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelFamily, ModelVersion

MAX_NEW_TOKENS = 4096
MOST_SAMPLES = 16
MOST_AT_ONCE = 64
MOST_SIDE = 4096
MOST_FRAMES = 64
ORDERS = ("both", "random")
SAMPLING = {"temperature": 0.0, "max_new_tokens": 256}
ASKING: dict[str, Any] = {"orders": "both", "samples": 1, "max_side": 1024, "frames": 8}
LIMITS = {
    "at_once": (1, MOST_AT_ONCE),
    "requests_per_minute": (1, 10**6),
    "tokens_per_minute": (1, 10**9),
    "max_calls": (1, 10**9),
    "max_tokens": (1, 10**12),
    "max_cost": (0, 10**9),
    "price_in": (0, 10**6),
    "price_out": (0, 10**6),
}
"""Each with its least and most; one that is not there is not limited, and costs nothing."""
_WHOLE = {"at_once", "requests_per_minute", "tokens_per_minute", "max_calls", "max_tokens"}
_SEEING = {ModelFamily.VISION_LANGUAGE, ModelFamily.ENDPOINT}
_WRITING = {
    ModelFamily.CAUSAL_LM,
    ModelFamily.VISION_LANGUAGE,
    ModelFamily.ENDPOINT,
    ModelFamily.PIPELINE,
}


def check_model(project: Project, model: ModelVersion) -> None:
    """
    Raises:
        UserError: it is another project's, writes no text, or cannot look at what is compared.
    """
    if model.project_id != project.pk:
        raise UserError(
            _("%(model)s belongs to another project.") % {"model": model.name}, field="model"
        )
    if model.revisions:
        raise UserError(
            _("%(model)s revises what it says, which a judge does not. Choose %(base)s itself.")
            % {"model": model.name, "base": model.base},
            code="cannot_judge",
            field="model",
        )
    if model.family not in _WRITING:
        raise UserError(
            _(
                "%(model)s cannot judge: it does not write. Choose a language model, a "
                "vision-language model or an endpoint."
            )
            % {"model": model.name},
            code="cannot_generate",
            field="model",
        )
    if project.modality != Modality.TEXT and not can_see(model):
        raise UserError(
            _(
                "%(model)s reads text alone and cannot be shown pictures or clips. Choose a "
                "vision-language model or an endpoint of one."
            )
            % {"model": model.name},
            code="cannot_see",
            field="model",
        )


def can_see(model: ModelVersion) -> bool:
    """Whether it may be shown pictures; an endpoint that cannot take them says so itself."""
    return model.family in _SEEING


def checked_rubric(project: Project, rubric: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Aspects of the project's label scheme, each once, with what each is to mean to the judge.

    Raises:
        UserError: an aspect is unknown, named twice or no object with ``name``.
    """
    known = list(project.scheme["aspects"])
    made: list[dict[str, str]] = []
    for one in rubric:
        name = one.get("name") if isinstance(one, Mapping) else None
        if name not in known:
            raise UserError(
                _("The project's label scheme has no aspect %(name)s; it has %(names)s.")
                % {"name": f"{name!r}", "names": ", ".join(known) or _("none")},
                code="unknown_aspect",
                field="rubric",
            )
        if any(other["name"] == name for other in made):
            raise UserError(
                _("The rubric names the aspect %(name)s twice.") % {"name": name}, field="rubric"
            )
        text = one.get("text", "")
        if not isinstance(text, str) or len(text) > 2000:
            raise UserError(
                _("What an aspect means is text of at most 2,000 characters."), field="rubric"
            )
        made.append({"name": str(name), "text": " ".join(text.split())})
    return made


def checked_sampling(given: Mapping[str, Any]) -> dict[str, Any]:
    values = {**SAMPLING, **given}
    _known(values, SAMPLING, "sampling")
    _number(values, "temperature", 0, 2)
    _number(values, "max_new_tokens", 1, MAX_NEW_TOKENS, whole=True)
    return values


def checked_asking(given: Mapping[str, Any], sampling: Mapping[str, Any]) -> dict[str, Any]:
    """How it is asked, checked together with how it writes."""
    values = {**ASKING, **given}
    _known(values, ASKING, "asking")
    if values["orders"] not in ORDERS:
        raise UserError(
            _("orders is %(said)s; it must be one of %(names)s.")
            % {"said": f"{values['orders']!r}", "names": ", ".join(ORDERS)},
            field="orders",
        )
    _number(values, "samples", 1, MOST_SAMPLES, whole=True)
    _number(values, "max_side", 64, MOST_SIDE, whole=True)
    _number(values, "frames", 1, MOST_FRAMES, whole=True)
    if values["samples"] > 1 and not sampling["temperature"]:
        raise UserError(
            _("At temperature 0 all samples are the same; ask for one, or raise the temperature."),
            field="samples",
        )
    return values


def checked_limits(given: Mapping[str, Any]) -> dict[str, Any]:
    """Without those that are empty."""
    values = {name: value for name, value in given.items() if value is not None and value != ""}
    _known(values, LIMITS, "limits")
    for name in values:
        _number(values, name, *LIMITS[name], whole=name in _WHOLE)
    if "max_cost" in values and not (values.get("price_in") or values.get("price_out")):
        raise UserError(
            _("A cap on money needs prices: give what a million tokens cost."), field="max_cost"
        )
    return values


def _known(values: Mapping[str, Any], names: Mapping[str, Any], what: str) -> None:
    if unknown := sorted(set(values) - set(names)):
        raise UserError(
            _("A judge's %(what)s has no %(unknown)s; it has %(names)s.")
            % {"what": what, "unknown": f"{unknown[0]!r}", "names": ", ".join(names)},
            field=what,
        )


def _number(
    values: Mapping[str, Any], name: str, least: float, most: float, *, whole: bool = False
) -> None:
    value = values[name]
    if type(value) not in ({int} if whole else {int, float}) or not least <= value <= most:
        text = (
            _("%(name)s must be a whole number, %(least)s to %(most)s.")
            if whole
            else _("%(name)s must be a number, %(least)s to %(most)s.")
        )
        raise UserError(text % {"name": name, "least": least, "most": most}, field=name)
