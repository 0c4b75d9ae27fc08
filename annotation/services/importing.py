"""Bringing in prompts, outputs, pairs and judgments; everything is known by content, so that
bringing the same thing in twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid5

from django.db import transaction

from annotation.formats.records import ImportedRecord
from annotation.keys import output_key, pair_key, prompt_key
from annotation.models import Annotator, Judgment, Output, Pair, Prompt
from steelyard.accounts.models import User
from steelyard.assets.models import Asset
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelFamily, ModelVersion
from steelyard.registry.services import register_model

_NAMESPACE = UUID("6f1a5a3e-5d2b-4c0f-9c1e-0d8a4f6f7a11")
_BATCH = 2000
_FLIP = {"a": "b", "b": "a"}


def add_prompt(
    *,
    project: Project,
    messages: list[dict[str, Any]],
    category: str = "",
    held_out: bool = False,
    reference_answer: str = "",
) -> Prompt:
    """The project's prompt of these messages, made where it is not there yet."""
    prompt, _ = Prompt.objects.get_or_create(
        project=project,
        key=prompt_key(messages),
        defaults={
            "messages": messages,
            "category": category,
            "held_out": held_out,
            "reference_answer": reference_answer,
        },
    )
    return prompt


def add_output(
    *,
    prompt: Prompt,
    model: ModelVersion,
    text: str = "",
    asset: Asset | None = None,
    seed: int | None = None,
    parameters: dict[str, Any] | None = None,
) -> Output:
    """The output of this content and making, made where it is not there yet."""
    key = output_key(
        model=model.name,
        text=text,
        media=asset.sha256 if asset else "",
        seed=seed,
        parameters=parameters or {},
    )
    output, _ = Output.objects.get_or_create(
        prompt=prompt,
        key=key,
        defaults={
            "project_id": prompt.project_id,
            "model": model,
            "text": text,
            "asset": asset,
            "seed": seed,
            "parameters": parameters or {},
        },
    )
    return output


def add_pair(
    *,
    first: Output,
    second: Output,
    origin: str = Pair.Origin.IMPORT,
    priority: int = 0,
    wanted: int | None = None,
) -> tuple[Pair, bool]:
    """The pair of two outputs of one prompt, and whether it is new.

    Args:
        wanted: how many people are to judge it; the project's overlap where not said.

    Raises:
        UserError: the outputs answer different prompts, or are the same one.
    """
    if first.prompt_id != second.prompt_id:
        raise UserError("The two outputs of a pair must answer the same prompt.")
    if first.pk == second.pk:
        raise UserError("A pair needs two different outputs; these are the same one.")
    a, b = sorted([first, second], key=lambda output: output.key)
    return Pair.objects.get_or_create(
        project_id=first.project_id,
        key=pair_key(first.prompt.key, a.key, b.key),
        defaults={
            "prompt": first.prompt,
            "output_a": a,
            "output_b": b,
            "origin": origin,
            "priority": priority,
            "wanted": first.prompt.project.overlap if wanted is None else wanted,
        },
    )


@transaction.atomic
def import_held_out(*, project: Project, prompts: Sequence[dict[str, Any]], by: User | None) -> int:
    """Prompts kept for evaluation. Returns how many are new.

    Args:
        prompts: {"messages", "category", "reference_answer"} each.

    Raises:
        UserError: a prompt is in the project already as one to label, so that versions may
            contain it; nothing is stored then.
    """
    new = 0
    for number, prompt in enumerate(prompts, 1):
        found = Prompt.objects.filter(project=project, key=prompt_key(prompt["messages"])).first()
        if found and not found.held_out:
            raise UserError(
                f"Prompt {number} is in this project already as one to label: “{found.text[:60]}”. "
                "A held-out prompt must be new, or the evaluation would ask what was trained on.",
                code="prompt_not_held_out",
            )
        if not found:
            add_prompt(project=project, held_out=True, **prompt)
            new += 1
    return new


@transaction.atomic
def import_records(
    *, project: Project, records: Iterable[ImportedRecord], by: User | None
) -> dict[str, int]:
    """Pairs with the votes they come with, in one transaction and in batches.

    A pair that comes with people's votes wants no more of them; one without wants the project's
    overlap. Known prompts, outputs, pairs and votes are left as they are.

    Returns:
        how many pairs and judgments are new: ``{"pairs", "judgments", "records"}``.

    Raises:
        UserError: a record has two identical outputs by one model, or names a held-out prompt.
    """
    if project.modality != Modality.TEXT:
        raise UserError(
            f"{project.name} is a project of {project.modality}s; this file brings in text."
        )
    rows = list(records)
    before = (project.pairs.count(), project.judgments.count())
    prompts = _prompts(project, rows)
    models = _models(project, rows, by)
    outputs = _outputs(project, rows, prompts, models)
    pairs = _pairs(project, rows, prompts, outputs)
    _judgments(project, rows, pairs)
    return {
        "records": len(rows),
        "pairs": project.pairs.count() - before[0],
        "judgments": project.judgments.count() - before[1],
    }


def _prompts(project: Project, rows: list[ImportedRecord]) -> dict[str, Prompt]:
    new = {
        prompt_key(row.messages): Prompt(
            project=project,
            messages=row.messages,
            category=row.category,
            key=prompt_key(row.messages),
        )
        for row in rows
    }
    Prompt.objects.bulk_create(new.values(), ignore_conflicts=True, batch_size=_BATCH)
    found = {p.key: p for p in Prompt.objects.filter(project=project, key__in=list(new))}
    for prompt in found.values():
        if prompt.held_out:
            raise UserError(
                f"“{prompt.text[:60]}” is a held-out prompt of this project; its outputs are not "
                "to be labelled for training.",
                code="prompt_held_out",
            )
    return found


def _models(
    project: Project, rows: list[ImportedRecord], by: User | None
) -> dict[str, ModelVersion]:
    names = {row.model_a for row in rows} | {row.model_b for row in rows}
    found = {m.name: m for m in ModelVersion.objects.filter(project=project, name__in=names)}
    for name in sorted(names - set(found)):
        found[name] = register_model(
            project=project,
            name=name,
            modality=project.modality,
            family=ModelFamily.IMPORTED,
            by=by,
        )
    return found


def _side_key(row: ImportedRecord, side: str) -> str:
    text, model = (row.text_a, row.model_a) if side == "a" else (row.text_b, row.model_b)
    return output_key(model=model, text=text, media="", seed=None, parameters={})


def _outputs(
    project: Project,
    rows: list[ImportedRecord],
    prompts: dict[str, Prompt],
    models: dict[str, ModelVersion],
) -> dict[tuple[int, str], Output]:
    new = {}
    for row in rows:
        prompt = prompts[prompt_key(row.messages)]
        for text, model, key in (
            (row.text_a, row.model_a, _side_key(row, "a")),
            (row.text_b, row.model_b, _side_key(row, "b")),
        ):
            new[prompt.pk, key] = Output(
                project=project, prompt=prompt, model=models[model], text=text, key=key
            )
    Output.objects.bulk_create(new.values(), ignore_conflicts=True, batch_size=_BATCH)
    found = Output.objects.filter(project=project, prompt__in=list(prompts.values()))
    return {(o.prompt_id, o.key): o for o in found}


def _pairs(
    project: Project,
    rows: list[ImportedRecord],
    prompts: dict[str, Prompt],
    outputs: dict[tuple[int, str], Output],
) -> dict[str, Pair]:
    new: dict[str, Pair] = {}
    for row in rows:
        prompt = prompts[prompt_key(row.messages)]
        keys = sorted([_side_key(row, "a"), _side_key(row, "b")])
        if keys[0] == keys[1]:
            raise UserError(
                f"{row.place}: both outputs are the same text by the same model "
                f"({row.model_a}); a pair needs two different ones."
            )
        key = pair_key(prompt.key, *keys)
        people = len({v.annotator for v in row.votes if v.kind == "person"})
        if key in new:
            new[key].wanted = new[key].judged = new[key].judged + people
            continue
        new[key] = Pair(
            project=project,
            prompt=prompt,
            output_a=outputs[prompt.pk, keys[0]],
            output_b=outputs[prompt.pk, keys[1]],
            key=key,
            wanted=people or project.overlap,
            judged=people,
        )
    Pair.objects.bulk_create(new.values(), ignore_conflicts=True, batch_size=_BATCH)
    return {p.key: p for p in Pair.objects.filter(project=project, key__in=list(new))}


def _judgments(project: Project, rows: list[ImportedRecord], pairs: dict[str, Pair]) -> None:
    annotators = _annotators(project, rows)
    new: dict[UUID, Judgment] = {}
    for row in rows:
        prompt = prompt_key(row.messages)
        keys = sorted([_side_key(row, "a"), _side_key(row, "b")])
        flipped = keys[0] != _side_key(row, "a")
        pair = pairs[pair_key(prompt, *keys)]
        for vote in row.votes:
            outcome = _FLIP.get(vote.outcome, vote.outcome) if flipped else vote.outcome
            strength = -vote.strength if flipped else vote.strength
            uuid = uuid5(_NAMESPACE, f"{project.slug}/{pair.key}/{vote.annotator}")
            new[uuid] = Judgment(
                uuid=uuid,
                project=project,
                pair=pair,
                annotator=annotators[vote.annotator],
                outcome=outcome,
                strength=strength,
                rationale=vote.rationale,
                tags=vote.tags,
                swapped=flipped,
            )
    known = set(Judgment.objects.filter(uuid__in=list(new)).values_list("uuid", flat=True))
    Judgment.objects.bulk_create(
        [judgment for uuid, judgment in new.items() if uuid not in known], batch_size=_BATCH
    )


def _annotators(project: Project, rows: list[ImportedRecord]) -> dict[str, Annotator]:
    kinds = {vote.annotator: vote.kind for row in rows for vote in row.votes}
    Annotator.objects.bulk_create(
        [Annotator(project=project, name=name, kind=kind) for name, kind in sorted(kinds.items())],
        ignore_conflicts=True,
    )
    return {a.name: a for a in Annotator.objects.filter(project=project, name__in=list(kinds))}
