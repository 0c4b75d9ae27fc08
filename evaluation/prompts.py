"""Which prompts an evaluation is about; asked when it starts and again when its run is prepared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from annotation.models import Prompt
from steelyard.lib.hashing import stable_int
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion, ModelFamily, ModelVersion

SEEING = (ModelFamily.VISION_LANGUAGE, ModelFamily.ENDPOINT)
"""Families of models that can be shown what a prompt is about."""


def chosen_prompts(
    project: Project, prompt_set: dict[str, Any], models: Iterable[ModelVersion] = ()
) -> list[Prompt]:
    """The prompts that a prompt set names, in a stable order.

    Args:
        prompt_set: ``category`` ("" for all) and ``limit`` (0 for all); only prompts that were
            set aside are taken, so that no trained-on prompt can be among them, unless
            ``held_out`` is false: then only those that may be trained on, of which ``seed`` draws
            the limited ones. ``version`` takes instead those that a dataset version tests with,
            ``keys`` those of these keys, whatever else is said. With media only where every model
            can be shown them.
        models: who is to answer.
    """
    prompts = Prompt.objects.filter(project=project).order_by("key")
    held_out = prompt_set.get("held_out", True)
    if "keys" in prompt_set:
        prompts = prompts.filter(key__in=prompt_set["keys"])
    elif "version" in prompt_set:
        prompts = prompts.filter(key__in=_tested_with(project, prompt_set["version"]))
    else:
        prompts = prompts.filter(held_out=held_out)
    families = {model.family for model in models}
    if not families or not families <= set(SEEING):
        prompts = prompts.filter(media=[])
    if "keys" in prompt_set:
        return list(prompts)
    if category := prompt_set.get("category"):
        prompts = prompts.filter(category=category)
    limit = int(prompt_set.get("limit") or 0)
    if limit and not held_out:
        keys = list(prompts.values_list("key", flat=True))
        drawn = sorted(keys, key=lambda key: stable_int(prompt_set["seed"], key))[:limit]
        prompts = prompts.filter(key__in=drawn)
    return list(prompts[:limit] if limit else prompts)


def _tested_with(project: Project, pk: int) -> set[str]:
    """Keys of the prompts of a version's test rows."""
    version = DatasetVersion.objects.get(project=project, pk=pk)
    found: set[str] = set()
    for path in version.files:
        rows = pq.read_table(path, columns=["prompt_key", "split"])
        rows = rows.filter(pc.not_equal(rows["split"], "train"))
        found.update(rows["prompt_key"].to_pylist())
    return found
