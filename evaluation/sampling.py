"""How models answer: what may be asked for, and what each then does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from steelyard.inference.shapes import rule_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelVersion

DEFAULT_SAMPLING = {"max_new_tokens": 80, "temperature": 0.7, "top_p": 0.95}
TEXT_SAMPLING = {
    "max_new_tokens": (1, 4096, True),
    "temperature": (0.0, 2.0, False),
    "top_p": (0.01, 1.0, False),
}
"""Least and greatest value, and whether it is a whole number."""
IMAGE_SAMPLING = {
    "steps": (1, 1000, True),
    "guidance": (0.0, 30.0, False),
    "size": (0, 4096, True),
    "width": (0, 4096, True),
    "height": (0, 4096, True),
}
VIDEO_SAMPLING = {
    "steps": (1, 1000, True),
    "guidance": (0.0, 30.0, False),
    "frames": (1, 1025, True),
    "fps": (1, 120, True),
    "width": (16, 4096, True),
    "height": (16, 4096, True),
}
SAMPLING = {
    Modality.TEXT: TEXT_SAMPLING,
    Modality.IMAGE: IMAGE_SAMPLING,
    Modality.VIDEO: VIDEO_SAMPLING,
}


def checked_sampling(project: Project, sampling: dict[str, Any]) -> dict[str, Any]:
    """What is absent is each model's own, as :func:`sampling_used` tells it."""
    known = SAMPLING[Modality(project.modality)]
    for name, value in sampling.items():
        if name not in known:
            raise UserError(
                _("There is no sampling setting “%(name)s” here; there are %(names)s.")
                % {"name": name, "names": ", ".join(known)},
                code="bad_sampling",
                field="sampling",
            )
        low, high, whole = known[name]
        if type(value) not in ({int} if whole else {int, float}) or not low <= value <= high:
            raise UserError(
                (
                    _("%(name)s must be a whole number, %(low)s to %(high)s.")
                    if whole
                    else _("%(name)s must be a number, %(low)s to %(high)s.")
                )
                % {"name": name, "low": f"{low:g}", "high": f"{high:g}"},
                code="bad_sampling",
                field=name,
            )
    return sampling


def sampling_used(model: ModelVersion, asked: dict[str, Any]) -> dict[str, Any]:
    """How a model answers: what is asked for goes before its own setting, and that before the
    defaults for text. What nobody says of pictures and clips its family decides."""
    usual = DEFAULT_SAMPLING if model.modality == Modality.TEXT else {}
    own = dict(model.options.get("sampling") or {})
    if asked.get("size"):
        # who asks for a square does not get the model's own oblong
        own = {name: value for name, value in own.items() if name not in ("width", "height")}
    return {**usual, **own, **asked}


def check_shapes(models: Sequence[ModelVersion], asked: dict[str, Any]) -> None:
    """Refuse a shape that one of the models does not make, as far as its folder says.

    Raises:
        UserError: ``bad_sampling``, naming the setting and the model.
    """
    for model in models:
        if rule := rule_of(model.family, model.source):
            for name, value in asked.items():
                if why := rule.refuses(name, value):
                    raise UserError(f"{model.name}: {why}", code="bad_sampling", field=name)
