"""What a search for pipelines means: the engine is told models, judge and prompts in two parts;
what it has tried stays in its folder, and becomes a model where somebody wants it."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from annotation.judge_runs import judge_spec
from annotation.models import Annotator, Prompt
from annotation.spending import store_spending
from evaluation.engine.words import WORDS
from evaluation.titles import TITLES
from steelyard.registry.models import ModelFamily, ModelVersion
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run

engine = "evaluation.engine.pipelines"
words = {**WORDS, **TITLES}


def prepare(run: Run) -> dict[str, Any]:
    models = _models(run)
    spec = run.spec
    baseline = models[spec["baseline"]]
    kept = settings.DATA_DIR / "cache"
    parts = {key: part for part, keys in spec["parts"].items() for key in keys}
    rows = Prompt.objects.filter(project=run.project, key__in=parts)
    prompts = {prompt.key: prompt.messages for prompt in rows}
    judge = _judge(run)
    return {
        "kind": "pipeline_search",
        "generators": [models[key].name for key in spec["generators"]],
        "helpers": [models[key].name for key in spec["helpers"]],
        "baseline": {"layers": _layers(baseline)},
        "members": {one.name: one.as_spec() for one in _writing(models)},
        "judge": judge_spec(judge),
        "prompts": [
            {"key": key, "messages": prompts[key], "part": part}
            for key, part in parts.items()
            if key in prompts
        ],
        "sampling": {},
        **{name: spec[name] for name in ("trials", "budget", "max_calls", "seed")},
        "run": str(run.uuid),
        "answers": str(kept / "pipelines" / f"{run.project_id}.sqlite"),
        "calls": str(kept / "judging" / f"{run.project_id}.sqlite"),
        "pace": str(kept / "judging" / "pace.sqlite"),
        "spent": judge.spent,
    }


def environment(run: Run) -> dict[str, str]:
    """The endpoints' keys go to the engine this way."""
    asked = [*_writing(_models(run)), *_of_judge(run)]
    return {name: key for model in asked for name, key in model.secrets().items()}


def gpus(run: Run) -> int:
    asked = [*_writing(_models(run)), *_of_judge(run)]
    return gpus_for(family for model in asked for family in model.families)


def finish(run: Run, result: dict[str, Any]) -> None:
    store_spending(run)


def abandoned(run: Run) -> None:
    """What a failed or cancelled run has cost; what it has tried can still be kept."""
    if run.dir.path.exists():
        store_spending(run)


def _models(run: Run) -> dict[int, ModelVersion]:
    spec = run.spec
    wanted = {*spec["generators"], *spec["helpers"], spec["baseline"]}
    return ModelVersion.objects.filter(project=run.project).in_bulk(wanted)


def _writing(models: dict[int, ModelVersion]) -> list[ModelVersion]:
    """All that are asked, a baseline's members in its place."""
    found = []
    for model in models.values():
        is_pipeline = model.family == ModelFamily.PIPELINE
        found += list(model.members.all()) if is_pipeline else [model]
    return list(dict.fromkeys(found))


def _layers(model: ModelVersion) -> list[Any]:
    if model.family == ModelFamily.PIPELINE:
        return list(model.options["layers"])
    return [[{"type": "generator", "model": model.name}]]


def _judge(run: Run) -> Annotator:
    return Annotator.objects.select_related("model").get(pk=run.spec["judge"])


def _of_judge(run: Run) -> list[ModelVersion]:
    model = _judge(run).model
    return [model] if model else []
