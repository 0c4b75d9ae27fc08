"""What a run that makes outputs means: which prompts and models go in, and that the outputs are
kept and, where it is wanted, come in pairs into the labelling queue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from annotation.models import Output, Pair, Prompt
from annotation.services.material import add_pair
from evaluation.engine.words import WORDS
from evaluation.outputs import asked_of, lines_of, store_output
from evaluation.prompts import chosen_prompts
from evaluation.titles import FOLLOWING, TITLES
from steelyard.lib.said import Said
from steelyard.registry.models import ModelVersion
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run

engine = "evaluation.engine"
words = {**WORDS, **TITLES}
elsewhere = {"train": FOLLOWING}
PRIORITY = 5
"""Before what was there, after what an evaluation waits for."""


def prepare(run: Run) -> dict[str, Any]:
    models = _models(run)
    prompts = chosen_prompts(run.project, run.spec["prompt_set"], models)
    said = {name: run.spec[name] for name in ("sampling", "samples", "seed", "same_seeds")}
    return {**asked_of(run, models, prompts), **said}


def environment(run: Run) -> dict[str, str]:
    """Keys of endpoints, for this process alone."""
    return {name: key for model in _models(run) for name, key in model.secrets().items()}


def gpus(run: Run) -> int:
    return gpus_for(family for model in _models(run) for family in model.families)


def finish(run: Run, result: dict[str, Any]) -> None:
    """Keep the outputs, and pair them; again is the same. Equal ones are nobody's work."""
    models = {model.name: model for model in _models(run)}
    lines = list(lines_of(run))
    keys = {line["prompt"] for line in lines}
    prompts = {p.key: p for p in Prompt.objects.filter(project=run.project, key__in=keys)}
    made: dict[str, dict[tuple[str, int], Output]] = defaultdict(dict)
    with transaction.atomic():
        for line in lines:
            output = store_output(run, line, prompts[line["prompt"]], models[line["model"]])
            made[line["prompt"]][line["model"], line["sample"]] = output
        pairs = {
            add_pair(first=first, second=second, origin=Pair.Origin.EVALUATION, priority=PRIORITY)[
                0
            ].pk
            for outputs in made.values()
            for first, second in _paired(run.spec["pairing"], outputs)
            if _differ(first, second)
        }
        # a pair that was there may have had enough votes, and come no sooner than others
        Pair.objects.filter(pk__in=pairs, judged=0).update(
            priority=Greatest(F("priority"), PRIORITY)
        )
    run.dir.event(
        Said(WORDS, "outputs_kept", outputs=len(lines), prompts=len(made))
        if run.spec["pairing"] == "none"
        else Said(WORDS, "pairs_queued", pairs=len(pairs), prompts=len(made))
    )


def _paired(
    pairing: str, outputs: dict[tuple[str, int], Output]
) -> Iterator[tuple[Output, Output]]:
    """Of one prompt's outputs, by model and sample."""
    groups: dict[Any, list[Output]] = defaultdict(list)
    for (model, sample), output in sorted(outputs.items(), key=lambda item: item[0]):
        groups[sample if pairing == "models" else model].append(output)
    for group in groups.values():
        if pairing == "models":
            yield from combinations(group, 2)
        elif pairing == "seeds":
            yield from pairwise(group)


def _differ(first: Output, second: Output) -> bool:
    return (first.text, first.asset_id) != (second.text, second.asset_id)


def _models(run: Run) -> list[ModelVersion]:
    found = ModelVersion.objects.filter(project=run.project).in_bulk(run.spec["models"])
    return [found[key] for key in run.spec["models"]]
