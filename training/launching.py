"""Where a training run works and what it follows: checked when asked for, settled at its start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import isfinite
from statistics import median
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.runs.gpus import all_devices
from steelyard.runs.models import Run

MOST_POINTS = 1000
"""To so many numbers a past run's curve is cut down; a schedule is smoother than that."""


def gpus_of(config: Mapping[str, Any]) -> int:
    """How many GPUs of this server a run asks for: one for each of its processes."""
    if config.get("device") == "cpu" or config.get("launcher") == "ray":
        return 0
    return max(1, config.get("processes", 0))


def check_launch(project: Project, config: Mapping[str, Any]) -> None:
    """
    Raises:
        UserError: there is no such cluster, there are fewer GPUs, or no such past run.
    """
    if config.get("launcher") == "ray" and not settings.RAY_ADDRESS:
        raise UserError(
            _(
                "This server knows no Ray cluster. Choose the launcher local, or have "
                "STEELYARD_RAY_ADDRESS set."
            ),
            code="no_ray",
            field="launcher",
        )
    there, wanted = len(all_devices()), gpus_of(config)
    if there and wanted > there:
        raise UserError(
            _("This run asks for %(wanted)s GPUs and this server has %(there)s.")
            % {"wanted": wanted, "there": there},
            code="too_few_gpus",
            field="processes",
        )
    here = config.get("launcher") != "ray" and not gpus_wanted(config)
    cores, wanted = os.cpu_count() or 1, config.get("processes", 0)
    if here and wanted > cores:
        raise UserError(
            _(
                "This run asks for %(wanted)s processes and this server has %(cores)s cores and no "
                "GPUs for them."
            )
            % {"wanted": wanted, "cores": cores},
            code="too_few_cores",
            field="processes",
        )
    with_curve(project, config)


def gpus_wanted(config: Mapping[str, Any]) -> bool:
    """Whether its processes find GPUs here."""
    return config.get("device") != "cpu" and bool(all_devices())


def with_curve(project: Project, config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with gradient lengths in place of the number of a past run.

    Raises:
        UserError: the project has no such training run, it told no gradients, or what stands there
            is neither a run nor a curve.
    """
    named = str(config.get("refined_from", "")).strip()
    if config.get("scheduler") != "refined":
        return dict(config)
    if not named.isdigit():
        _check_curve(named)
        return dict(config)
    run = Run.objects.filter(project=project, kind="train", pk=int(named)).first()
    points = run.points.filter(name="grad_norm", value__isnull=False) if run else None
    values = points.values_list("value", flat=True) if points is not None else []
    lengths = [value for value in values if value is not None]
    if len(lengths) < 2:
        raise UserError(
            _(
                "This project has no training run %(number)s with a curve of gradient lengths "
                "(grad_norm) to refine a schedule from."
            )
            % {"number": named},
            code="no_curve",
            field="refined_from",
        )
    return {**config, "refined_from": ", ".join(f"{length:g}" for length in _thinned(lengths))}


def _check_curve(text: str) -> None:
    try:
        numbers = [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        numbers = []
    if len(numbers) < 2 or not all(isfinite(number) and number >= 0 for number in numbers):
        raise UserError(
            _(
                "refined_from is the number of a past training run of this project, or at least "
                "two gradient lengths with commas between; “%(text)s” is neither."
            )
            % {"text": text[:80]},
            code="bad_curve",
            field="refined_from",
        )


def _thinned(lengths: list[float]) -> list[float]:
    """Medians of neighbours where there are too many."""
    size = -(-len(lengths) // MOST_POINTS)
    return [median(lengths[at : at + size]) for at in range(0, len(lengths), size)]
