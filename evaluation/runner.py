"""What a generation run means: which prompts and models go in, and what comes of the outputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from annotation.models import Output, Pair, Prompt
from annotation.services.judging import start_judging
from annotation.services.material import add_pair
from evaluation.asking import open_more
from evaluation.models import Comparison, Evaluation, EvaluationJudge
from evaluation.outputs import asked_of, lines_of, store_output
from evaluation.prompts import chosen_prompts
from steelyard.registry.models import ModelVersion
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run

engine = "evaluation.engine"
EVALUATION_PRIORITY = 10


def prepare(run: Run) -> dict[str, Any]:
    evaluation = _evaluation(run)
    models = _models(evaluation)
    prompts = chosen_prompts(evaluation.project, evaluation.prompt_set, models)
    return {
        **asked_of(run, models, prompts),
        "sampling": evaluation.sampling,
        "samples": 1,
        "seed": evaluation.seed,
        "same_seeds": evaluation.same_seeds,
    }


def environment(run: Run) -> dict[str, str]:
    """Keys of endpoints, for this process alone."""
    models = _models(_evaluation(run))
    return {name: key for model in models for name, key in model.secrets().items()}


def gpus(run: Run) -> int:
    return gpus_for(model.family for model in _models(_evaluation(run)))


def finish(run: Run, result: dict[str, Any]) -> None:
    """Outputs become pairs; people find them in the queue, a judge is started on them.

    Safe to call again: outputs, pairs and comparisons are known by content.
    """
    evaluation = _evaluation(run)
    with transaction.atomic():
        pairs = _compare(evaluation, _store_outputs(run, evaluation))
        if evaluation.ask_people and evaluation.plan:
            open_more(evaluation)
        elif evaluation.ask_people:
            _ask_people(evaluation, pairs)
        for seat in evaluation.panel.filter(run=None).select_related("judge"):
            ask_seat(seat, pairs)
        evaluation.state = Evaluation.State.COMPARING
        evaluation.save(update_fields=["state"])


def abandoned(run: Run) -> None:
    Evaluation.objects.filter(generation=run).update(
        state=Evaluation.State.FAILED, error=run.error or "The generation run was cancelled."
    )


def _evaluation(run: Run) -> Evaluation:
    return Evaluation.objects.select_related("baseline").get(pk=run.spec["evaluation"])


def _models(evaluation: Evaluation) -> list[ModelVersion]:
    return [evaluation.baseline, *evaluation.candidates.order_by("pk")]


def _store_outputs(run: Run, evaluation: Evaluation) -> dict[tuple[str, str], Output]:
    prompts = {p.key: p for p in Prompt.objects.filter(project=evaluation.project, held_out=True)}
    models = {m.name: m for m in _models(evaluation)}
    outputs = {}
    for line in lines_of(run):
        prompt, model = prompts[line["prompt"]], models[line["model"]]
        outputs[prompt.key, model.name] = store_output(run, line, prompt, model)
    return outputs


def _compare(evaluation: Evaluation, outputs: dict[tuple[str, str], Output]) -> list[Pair]:
    """One comparison a prompt and candidate.

    Returns:
        the pairs worth asking about: two identical outputs are nobody's work, the win rate counts
        them as a tie.
    """
    pairs = []
    for (key, name), output in outputs.items():
        if name == evaluation.baseline.name:
            continue
        other = outputs[key, evaluation.baseline.name]
        pair, _ = add_pair(first=output, second=other, origin=Pair.Origin.EVALUATION, wanted=0)
        comparison, _ = Comparison.objects.get_or_create(
            evaluation=evaluation,
            pair=pair,
            defaults={"candidate": output.model, "candidate_is_a": pair.output_a_id == output.pk},
        )
        if not comparison.is_identical:
            pairs.append(pair)
    return pairs


def _ask_people(evaluation: Evaluation, pairs: list[Pair]) -> None:
    """Put the pairs first in the labelling queue, those too that an earlier evaluation has made
    and asked nobody about."""
    Pair.objects.filter(pk__in=[pair.pk for pair in pairs]).update(
        wanted=Greatest(F("wanted"), evaluation.project.overlap),
        priority=Greatest(F("priority"), EVALUATION_PRIORITY),
    )


def ask_seat(seat: EvaluationJudge, pairs: Iterable[Pair]) -> None:
    """Start the judge on what it has not judged. No run where it has judged all of these pairs in
    another evaluation, or all outputs are identical."""
    waiting = Pair.objects.filter(pk__in=[pair.pk for pair in pairs]).not_seen_by(seat.judge)
    if waiting.exists():
        seat.run = start_judging(judge=seat.judge, pairs=waiting, by=seat.evaluation.created_by)
        seat.save(update_fields=["run"])
