"""Which outputs an evaluation compares: what its models still have to make, and what is there.

A model that generates makes an output to a prompt once for a sampling and a seed; whoever asks for
the same again is given the one that is kept. Of a model that is known by imported outputs the first
one to each prompt is taken, and none is made up where there is none.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from annotation.models import Output, Prompt
from evaluation.engine.generate import seed_of
from evaluation.models import Evaluation
from evaluation.prompts import chosen_prompts, trained_on
from evaluation.sampling import sampling_used
from steelyard.registry.models import ModelVersion

_BATCH = 2000
_NUMBER = re.compile("([0-9]{1,18})")


def contestants(evaluation: Evaluation) -> list[ModelVersion]:
    """The baseline, then the candidates by age; their places are the models' numbers."""
    return [evaluation.baseline, *evaluation.candidates.order_by("pk")]


def by_name(models: Iterable[ModelVersion]) -> list[ModelVersion]:
    """In the order of their names, numbers in them as numbers: step 200 before step 1000."""

    def parts(model: ModelVersion) -> list[tuple[int, str]]:
        said = _NUMBER.split(model.name)
        return [(int(one), "") if one.isdecimal() else (-1, one) for one in said]

    return sorted(models, key=parts)


def prompts_of(evaluation: Evaluation) -> list[Prompt]:
    """Those that it is about, less those that one of its models was trained on."""
    models = contestants(evaluation)
    prompts = chosen_prompts(evaluation.project, evaluation.prompt_set, models)
    seen: set[str] = set().union(*trained_on(models, prompts).values())
    return [prompt for prompt in prompts if prompt.key not in seen]


def outputs_there(
    evaluation: Evaluation, models: Iterable[ModelVersion], prompts: Sequence[Prompt]
) -> dict[str, dict[str, int]]:
    """By model's name and prompt's key, the id of the output that is taken from the store."""
    return {
        model.name: _kept(evaluation, model, prompts)
        if model.can_generate
        else _imported(model, prompts)
        for model in models
    }


def _imported(model: ModelVersion, prompts: Sequence[Prompt]) -> dict[str, int]:
    rows = _outputs(model, prompts).order_by("-pk")
    return dict(rows.values_list("prompt__key", "pk"))


def _kept(evaluation: Evaluation, model: ModelVersion, prompts: Sequence[Prompt]) -> dict[str, int]:
    """Those that the model made to the same words, by the same sampling and seed."""
    seeds = {prompt.key: seed_for(evaluation, model, prompt.key) for prompt in prompts}
    asked = sampling_used(model, evaluation.sampling)
    found = {}
    rows = _outputs(model, prompts).filter(seed__in=set(seeds.values())).order_by("-pk")
    for key, pk, seed, parameters in rows.values_list("prompt__key", "pk", "seed", "parameters"):
        if seed == seeds[key] and all(parameters.get(k) == v for k, v in asked.items()):
            found[key] = pk
    return found


def _outputs(model: ModelVersion, prompts: Sequence[Prompt]) -> Any:
    """Of the model itself: what an annotator wrote as a better answer is not its own."""
    rows = Output.objects.filter(project=model.project_id, model=model, author=None)
    return rows.filter(prompt__in=[prompt.pk for prompt in prompts])


def seed_for(evaluation: Evaluation, model: ModelVersion, prompt: str) -> int:
    drawn_for = () if evaluation.same_seeds else (model.name,)
    return seed_of(evaluation.seed, prompt, 0, *drawn_for)


def in_bulk(there: Mapping[str, Mapping[str, int]]) -> dict[tuple[str, str], Output]:
    """The outputs themselves, by prompt's key and model's name."""
    wanted = [pk for own in there.values() for pk in own.values()]
    found: dict[int, Output] = {}
    for start in range(0, len(wanted), _BATCH):
        rows = Output.objects.select_related("prompt__project", "model")
        found |= rows.in_bulk(wanted[start : start + _BATCH])
    return {
        (key, name): found[pk]
        for name, own in there.items()
        for key, pk in own.items()
        if pk in found
    }


def counted(
    models: Sequence[ModelVersion],
    prompts: Iterable[str],
    there: Mapping[str, Mapping[str, int]],
    outputs: Iterable[tuple[str, str]],
) -> dict[str, dict[str, int]]:
    """By model's name, how many outputs were taken from the store, and to how many prompts it has
    none."""
    had: dict[str, set[str]] = defaultdict(set)
    for key, name in outputs:
        had[name].add(key)
    wanted = set(prompts)
    reused = Counter({m.name: len(there.get(m.name, ())) for m in models if m.can_generate})
    missing = Counter({m.name: len(wanted - had[m.name]) for m in models})
    return {"reused": dict(+reused), "missing": dict(+missing)}
