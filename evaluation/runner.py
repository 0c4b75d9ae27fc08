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
from evaluation.contestants import (
    contestants,
    counted,
    in_bulk,
    outputs_there,
    prompts_of,
)
from evaluation.drawn import in_drawn_order, place_of
from evaluation.engine.words import WORDS
from evaluation.models import Comparison, Evaluation, EvaluationJudge
from evaluation.outputs import asked_of, lines_of, store_output
from evaluation.presets import BY_TURNS
from evaluation.titles import TITLES
from steelyard.lib.errors import UserError
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run

engine = "evaluation.engine"
words = {**WORDS, **TITLES}
EVALUATION_PRIORITY = 10


def prepare(run: Run) -> dict[str, Any]:
    """Models that generate, and in ``there`` what need not be made again; outputs of the others
    are taken from the store."""
    evaluation = _evaluation(run)
    models = contestants(evaluation)
    prompts = prompts_of(evaluation)
    return {
        **asked_of(run, [model for model in models if model.can_generate], prompts),
        "sampling": evaluation.sampling,
        "samples": 1,
        "seed": evaluation.seed,
        "same_seeds": evaluation.same_seeds,
        "there": outputs_there(evaluation, models, prompts),
    }


def environment(run: Run) -> dict[str, str]:
    """Keys of endpoints, for this process alone."""
    models = contestants(_evaluation(run))
    return {name: key for model in models for name, key in model.secrets().items()}


def gpus(run: Run) -> int:
    return gpus_for(family for model in contestants(_evaluation(run)) for family in model.families)


def finish(run: Run, result: dict[str, Any]) -> None:
    """Outputs become pairs; people find them in the queue, a judge is started on them.

    Safe to call again: outputs, pairs and comparisons are known by content.
    """
    evaluation = _evaluation(run)
    with transaction.atomic():
        spec = run.dir.spec()
        there = spec.get("there", {})
        outputs = in_bulk(there) | _store_outputs(run, evaluation)
        keys = [prompt["key"] for prompt in spec["prompts"]]
        models = contestants(evaluation)
        evaluation.counts |= counted(models, keys, there, outputs)
        pairs = _compare(evaluation, outputs)
        if evaluation.ask_people and evaluation.plan:
            open_more(evaluation)
        elif evaluation.ask_people:
            _ask_people(evaluation, pairs)
        # a jury's votes are made of its members'
        seats = evaluation.panel.filter(run=None, judge__is_jury=False)
        for seat in seats.select_related("judge"):
            ask_seat(seat, pairs)
        evaluation.state = Evaluation.State.COMPARING
        evaluation.save(update_fields=["state", "counts"])


def abandoned(run: Run) -> None:
    """The outputs that were made before it ended are kept, so that it can go on."""
    evaluation = Evaluation.objects.filter(generation=run).first()
    if evaluation is None:
        return
    with transaction.atomic():
        kept = _store_outputs(run, evaluation)
        evaluation.counts["kept"] = len(kept)
        evaluation.state = Evaluation.State.FAILED
        evaluation.error = run.error or "The generation run was cancelled."
        evaluation.save(update_fields=["state", "error", "counts"])


def _evaluation(run: Run) -> Evaluation:
    return Evaluation.objects.select_related("baseline").get(pk=run.spec["evaluation"])


def _store_outputs(run: Run, evaluation: Evaluation) -> dict[tuple[str, str], Output]:
    lines = list(lines_of(run))
    keys = {line["prompt"] for line in lines}
    prompts = {p.key: p for p in Prompt.objects.filter(project=evaluation.project, key__in=keys)}
    models = {m.name: m for m in contestants(evaluation)}
    outputs = {}
    for line in lines:
        prompt, model = prompts[line["prompt"]], models[line["model"]]
        outputs[prompt.key, model.name] = store_output(run, line, prompt, model)
    return outputs


def _compare(evaluation: Evaluation, outputs: dict[tuple[str, str], Output]) -> list[Pair]:
    """One comparison a prompt and candidate.

    Returns:
        the pairs worth asking about: two identical outputs are nobody's work, the win rate counts
        them as a tie.
    """
    met = {}
    # the queue may hand pairs out by age, and votes are looked at as they come
    for key, name in sorted(outputs, key=lambda one: (place_of(evaluation, one[0]), one[1])):
        other = outputs.get((key, evaluation.baseline.name))
        output = outputs[key, name]
        if name == evaluation.baseline.name or other is None or output.pk == other.pk:
            continue
        origin = Pair.Origin.EVALUATION
        met[key, name], _ = add_pair(first=output, second=other, origin=origin, wanted=0)
    pairs = []
    for (key, name), output in outputs.items():
        pair = met.get((key, name))
        if pair is None:
            continue
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
    another evaluation, or all outputs are identical; where it cannot be asked the evaluation says
    why, and the others go on."""
    rows = Pair.objects.filter(pk__in=[pair.pk for pair in pairs]).not_seen_by(seat.judge)
    waiting = in_drawn_order(seat.evaluation, rows)
    if not waiting:
        return
    evaluation = seat.evaluation
    try:
        with transaction.atomic():
            seat.run = start_judging(
                judge=seat.judge,
                pairs=waiting,
                by=evaluation.created_by,
                by_turns=evaluation.preset in BY_TURNS,
            )
    except UserError as error:
        evaluation.counts.setdefault("refused", {})[seat.judge.name] = error.message
        evaluation.save(update_fields=["counts"])
    else:
        seat.save(update_fields=["run"])
