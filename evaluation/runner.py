"""What a generation run means: which prompts and models go in, and what comes of the outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import transaction

from annotation.models import Output, Pair, Prompt
from annotation.services.importing import add_output, add_pair
from annotation.services.judging import start_judging
from evaluation.models import Comparison, Evaluation
from evaluation.services import chosen_prompts
from steelyard.assets.services import store_upload
from steelyard.lib.errors import UserError
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import Run

engine = "evaluation.engine"
EVALUATION_PRIORITY = 10


def prepare(run: Run) -> dict[str, Any]:
    evaluation = _evaluation(run)
    prompts = chosen_prompts(evaluation.project, evaluation.prompt_set)
    return {
        "kind": "generate",
        "models": [model.as_spec() for model in _models(evaluation)],
        "prompts": [{"key": prompt.key, "messages": prompt.messages} for prompt in prompts],
        "sampling": evaluation.sampling,
        "samples": 1,
        "seed": evaluation.seed,
    }


def finish(run: Run, result: dict[str, Any]) -> None:
    """Outputs become pairs; people find them in the queue, a judge is started on them.

    Safe to call again: outputs, pairs and comparisons are known by content.
    """
    evaluation = _evaluation(run)
    with transaction.atomic():
        outputs = _store_outputs(run, evaluation)
        pairs = _compare(evaluation, outputs)
        Evaluation.objects.filter(pk=evaluation.pk).update(state=Evaluation.State.COMPARING)
        if evaluation.method == Evaluation.Method.JUDGE and evaluation.judging_id is None:
            evaluation.judging = start_judging(
                judge=evaluation.judge, pairs=pairs, by=evaluation.created_by
            )
            evaluation.save(update_fields=["judging"])


def abandoned(run: Run) -> None:
    Evaluation.objects.filter(generation=run).update(
        state=Evaluation.State.FAILED, error=run.error or "The generation run was cancelled."
    )


def _evaluation(run: Run) -> Evaluation:
    return Evaluation.objects.select_related("baseline", "judge").get(pk=run.spec["evaluation"])


def _models(evaluation: Evaluation) -> list[ModelVersion]:
    return [evaluation.baseline, *evaluation.candidates.order_by("pk")]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        raise UserError(f"The generation run ended without {path.name}.", code="no_outputs")
    with path.open() as stream:
        for line in stream:
            if line.strip():
                yield json.loads(line)


def _store_outputs(run: Run, evaluation: Evaluation) -> dict[tuple[str, str], Output]:
    prompts = {p.key: p for p in Prompt.objects.filter(project=evaluation.project, held_out=True)}
    models = {m.name: m for m in _models(evaluation)}
    outputs = {}
    for line in _lines(run.dir.path / "outputs.jsonl"):
        prompt, model = prompts[line["prompt"]], models[line["model"]]
        asset = None
        if line.get("media"):
            asset = store_upload(project=evaluation.project, data=run.dir.path / line["media"])
        outputs[prompt.key, model.name] = add_output(
            prompt=prompt,
            model=model,
            text=line.get("text") or "",
            asset=asset,
            seed=line["seed"],
            parameters=line["parameters"],
        )
    return outputs


def _compare(evaluation: Evaluation, outputs: dict[tuple[str, str], Output]) -> list[Pair]:
    """One pair a prompt and candidate. Two identical outputs are nobody's work: such a pair asks
    for no votes and the win rate counts it as a tie."""
    pairs = []
    for (key, name), output in outputs.items():
        if name == evaluation.baseline.name:
            continue
        other = outputs[key, evaluation.baseline.name]
        wanted = 0 if same_content(output, other) else evaluation.project.overlap
        if evaluation.method == Evaluation.Method.JUDGE:
            wanted = 0
        pair, _ = add_pair(
            first=output,
            second=other,
            origin=Pair.Origin.EVALUATION,
            priority=EVALUATION_PRIORITY,
            wanted=wanted,
        )
        Comparison.objects.get_or_create(
            evaluation=evaluation,
            pair=pair,
            defaults={"candidate": output.model, "candidate_is_a": pair.output_a_id == output.pk},
        )
        if not same_content(output, other):
            pairs.append(pair)
    return pairs


def same_content(one: Output, other: Output) -> bool:
    return one.text == other.text and one.asset_id == other.asset_id
