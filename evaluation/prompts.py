"""Which prompts an evaluation is about; asked when it starts and again when its run is prepared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from annotation.models import Prompt
from steelyard.projects.models import Project
from steelyard.registry.models import ModelFamily, ModelVersion

SEEING = (ModelFamily.VISION_LANGUAGE, ModelFamily.ENDPOINT)
"""Families of models that can be shown what a prompt is about."""


def chosen_prompts(
    project: Project, prompt_set: dict[str, Any], models: Iterable[ModelVersion] = ()
) -> list[Prompt]:
    """The prompts that a prompt set names, in a stable order.

    Args:
        prompt_set: ``category`` ("" for all) and ``limit`` (0 for all); only prompts that were
            set aside (``held_out``) are taken, so that no trained-on prompt can be among them, and
            those with media only where every model can be shown them.
        models: who is to answer.
    """
    prompts = Prompt.objects.filter(project=project, held_out=True).order_by("key")
    families = {model.family for model in models}
    if not families or not families <= set(SEEING):
        prompts = prompts.filter(media=[])
    if category := prompt_set.get("category"):
        prompts = prompts.filter(category=category)
    limit = int(prompt_set.get("limit") or 0)
    return list(prompts[:limit] if limit else prompts)
