"""Which prompts an evaluation is about; asked when it starts and again when its run is prepared."""

from __future__ import annotations

from typing import Any

from annotation.models import Prompt
from steelyard.projects.models import Project


def chosen_prompts(project: Project, prompt_set: dict[str, Any]) -> list[Prompt]:
    """The prompts that a prompt set names, in a stable order.

    Args:
        prompt_set: ``category`` ("" for all) and ``limit`` (0 for all); only prompts that were
            set aside (``held_out``) are taken, so that no trained-on prompt can be among them, and
            only those without media, which no generator here is shown.
    """
    prompts = Prompt.objects.filter(project=project, held_out=True, media=[]).order_by("key")
    if category := prompt_set.get("category"):
        prompts = prompts.filter(category=category)
    limit = int(prompt_set.get("limit") or 0)
    return list(prompts[:limit] if limit else prompts)
