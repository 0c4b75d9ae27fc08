"""Runs that train on labels which teach nothing, beside the run that they are a control for."""

from __future__ import annotations

from typing import Any

from training.models import TrainingJob

SETTING = "label_control"
_NO_DIFFERENCE = (SETTING, "keep_checkpoints")


def controls_of(job: TrainingJob) -> dict[str, Any]:
    """``can_control`` says whether the recipe has controls; ``twins`` are the runs that differ from
    this one by their labels alone: each with ``job`` and ``control``, which is "none" for the real
    one."""
    if SETTING not in job.config:
        return {"can_control": False, "twins": []}
    same = TrainingJob.objects.filter(
        project=job.project, version=job.version, base=job.base, recipe=job.recipe
    ).exclude(pk=job.pk)
    own = _without(job.config)
    twins = [
        {"job": one, "control": one.config.get(SETTING, "none")}
        for one in same.with_parts()
        if _without(one.config) == own and one.config.get(SETTING, "none") != job.config[SETTING]
    ]
    return {"can_control": job.config[SETTING] == "none", "twins": twins}


def _without(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in _NO_DIFFERENCE}
