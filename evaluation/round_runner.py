"""What a round of new pairs means: which prompts and models go in, and that their outputs come into
the labelling queue."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from annotation.models import Output, Pair, Prompt
from annotation.services.material import add_pair
from evaluation.outputs import asked_of, lines_of, store_output
from evaluation.prompts import chosen_prompts
from steelyard.registry.models import ModelVersion
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run

engine = "evaluation.engine"
PRIORITY = 5
"""Before what was there, after what an evaluation waits for."""


def prepare(run: Run) -> dict[str, Any]:
    models = _models(run)
    prompts = chosen_prompts(run.project, run.spec["prompt_set"], models)
    return {
        **asked_of(run, models, prompts),
        "sampling": run.spec["sampling"],
        "samples": 1 if len(models) > 1 else 2,
        "seed": run.spec["seed"],
    }


def environment(run: Run) -> dict[str, str]:
    """Keys of endpoints, for this process alone."""
    return {name: key for model in _models(run) for name, key in model.secrets().items()}


def gpus(run: Run) -> int:
    return gpus_for(model.family for model in _models(run))


def finish(run: Run, result: dict[str, Any]) -> None:
    """Two answers a prompt become a pair; again is the same. Equal ones are nobody's work."""
    models = {model.name: model for model in _models(run)}
    prompts = {prompt.key: prompt for prompt in Prompt.objects.filter(project=run.project)}
    made: dict[str, list[Output]] = defaultdict(list)
    with transaction.atomic():
        for line in lines_of(run):
            output = store_output(run, line, prompts[line["prompt"]], models[line["model"]])
            made[line["prompt"]].append(output)
        pairs = [
            add_pair(first=first, second=second, origin=Pair.Origin.EVALUATION, priority=PRIORITY)[
                0
            ]
            for first, second in filter(_differ, map(tuple, made.values()))
        ]
        # a pair that was there may have had enough votes, and come no sooner than others
        Pair.objects.filter(pk__in=[pair.pk for pair in pairs], judged=0).update(
            priority=Greatest(F("priority"), PRIORITY)
        )
    run.dir.event(
        f"{len(pairs)} pairs of {len(made)} prompts are in the labelling queue; the others' "
        "answers are the same."
    )


def _differ(outputs: tuple[Output, ...]) -> bool:
    contents = {(output.text, output.asset_id) for output in outputs}
    return len(outputs) == 2 and len(contents) == 2


def _models(run: Run) -> list[ModelVersion]:
    keys = [key for key in (run.spec["model"], run.spec["opponent"]) if key]
    found = ModelVersion.objects.filter(project=run.project).in_bulk(keys)
    return [found[key] for key in keys]
