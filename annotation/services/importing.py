"""Bringing in whole files of prompts, outputs, pairs and judgments; everything is known by content,
so that bringing the same thing in twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from annotation.formats.records import ImportedPrompt, ImportedRecord
from annotation.keys import prompt_key
from annotation.models import Annotator, Judgment, Output, Pair, Prompt
from annotation.services.imported_media import Files, check_sides, find_files
from annotation.services.imported_rows import Answered, Row
from annotation.services.imported_votes import counts, store_votes
from annotation.services.known import known_of_rows, settle_known
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.registry.models import ModelFamily, ModelVersion
from steelyard.registry.services import register_model

_BATCH = 2000


@dataclass(frozen=True)
class Imported:
    """What a file brought in; what was there already is not counted."""

    records: int
    prompts: int
    pairs: int
    judgments: int
    sets: int = 0
    rankings: int = 0


@transaction.atomic
def import_held_out(
    *, project: Project, prompts: Iterable[ImportedPrompt], archive: Files | None = None
) -> int:
    """Prompts kept for evaluation. Returns how many are new.

    Raises:
        UserError: a prompt is in the project already as one to label, so that versions may
            contain it; nothing is stored then.
    """
    given = list(prompts)
    files = find_files(project=project, records=given, archive=archive)
    rows = {}
    for row in given:
        media = [files[name].sha256 for name in row.media]
        rows[prompt_key(row.messages, media)] = (row, media)
    known = _prompts_by_key(project, rows)
    for key, prompt in known.items():
        if not prompt.held_out:
            raise UserError(
                f"{rows[key][0].place}: “{prompt.text[:60]}” is in this project already "
                "as a prompt to label. A held-out prompt must be new, or the evaluation would ask "
                "what the model was trained on.",
                code="prompt_not_held_out",
                field="file",
            )
    new = [
        Prompt(
            project=project,
            messages=row.messages,
            media=media,
            category=row.category,
            reference_answer=row.reference_answer,
            held_out=True,
            key=key,
        )
        for key, (row, media) in rows.items()
        if key not in known
    ]
    Prompt.objects.bulk_create(new, ignore_conflicts=True, batch_size=_BATCH)
    return len(new)


@transaction.atomic
def import_records(
    *,
    project: Project,
    records: Iterable[ImportedRecord],
    by: User | None,
    archive: Files | None = None,
    tell_database: bool = True,
) -> Imported:
    """Pairs with the votes they come with, in one transaction and in batches.

    A new pair that comes with people's votes wants no more of them; one without wants the
    project's overlap. Known prompts, outputs, pairs and votes are left as they are, so that the
    same file twice changes nothing; a right answer is added to a known pair that has none.

    Args:
        archive: where the files are that records name by other than their SHA-256.
        tell_database: of many new rows, see :func:`plan_for`; whoever brings in one batch after
            another does that itself.

    Raises:
        UserError: a record is on a held-out prompt or names a file that is not there, its answers
            are of another modality than the project, one annotator says two things of a pair, or
            a vote is in the name of somebody who signs in here; nothing is stored then.
    """
    given = list(records)
    files = find_files(project=project, records=given, archive=archive)
    for record in given:
        check_sides(project, record, files)
    rows = [Row.of(record, files) for record in given]
    # one import at a time in a project; a key's share of the row stays free, so labelling goes on
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    known = (_known(project.prompts, rows, "prompt"), _known(project.pairs, rows, "pair"))
    prompts = prompts_of(project, rows)
    outputs = outputs_of(project, rows, prompts, by)
    pairs = _pairs(project, rows, prompts, outputs)
    judgments = store_votes(project, rows, pairs)
    if tell_database:
        plan_for(len(rows))
    return Imported(
        records=len(rows),
        prompts=len(prompts) - known[0],
        pairs=len(pairs) - known[1],
        judgments=judgments,
    )


def _known(there: Any, rows: list[Row], key: str) -> int:
    """How many of the rows' prompts or pairs the project has already."""
    return there.filter(key__in={getattr(row, key) for row in rows}).order_by().count()


def _prompts_by_key(project: Project, keys: Iterable[str]) -> dict[str, Prompt]:
    return {p.key: p for p in Prompt.objects.filter(project=project, key__in=list(keys))}


def prompts_of(project: Project, rows: Sequence[Answered]) -> dict[str, Prompt]:
    """The rows' prompts by key, those that are new made.

    Raises:
        UserError: one is held out.
    """
    new: dict[str, Prompt] = {}
    for row in rows:
        if row.prompt in new:
            continue
        record = row.record
        new[row.prompt] = Prompt(
            project=project,
            messages=record.messages,
            media=row.media,
            category=record.category,
            key=row.prompt,
        )
    Prompt.objects.bulk_create(new.values(), ignore_conflicts=True, batch_size=_BATCH)
    found = _prompts_by_key(project, new)
    for row in rows:
        if found[row.prompt].held_out:
            raise UserError(
                f"{row.record.place}: “{found[row.prompt].text[:60]}” is a held-out "
                "prompt of this project; its outputs are not to be labelled for training.",
                code="prompt_held_out",
                field="file",
            )
    return found


def _models(project: Project, rows: Sequence[Answered], by: User | None) -> dict[str, ModelVersion]:
    names = {side.model for row in rows for side in row.sides}
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


def outputs_of(
    project: Project, rows: Sequence[Answered], prompts: dict[str, Prompt], by: User | None
) -> dict[tuple[int, str], Output]:
    """The rows' outputs by prompt and key, those that are new made; and their models."""
    models = _models(project, rows, by)
    new: dict[tuple[int, str], Output] = {}
    for row in rows:
        prompt = prompts[row.prompt]
        for side in row.sides:
            if (prompt.pk, side.key) in new:
                continue
            new[prompt.pk, side.key] = Output(
                project=project,
                prompt=prompt,
                model=models[side.model],
                text=side.text,
                asset=side.asset,
                key=side.key,
            )
    Output.objects.bulk_create(new.values(), ignore_conflicts=True, batch_size=_BATCH)
    found = Output.objects.filter(prompt__in={pk for pk, _ in new}).defer("text")
    return {(o.prompt_id, o.key): o for o in found}


def _pairs(
    project: Project,
    rows: list[Row],
    prompts: dict[str, Prompt],
    outputs: dict[tuple[int, str], Output],
) -> dict[str, Pair]:
    """The pairs by key, locked: their votes are counted before anybody else's."""
    people: dict[str, set[str]] = {row.pair: set() for row in rows}
    for row in rows:
        people[row.pair] |= {vote.annotator for vote in row.record.votes if counts(vote)}
    known = known_of_rows(rows)
    new: dict[str, Pair] = {}
    for row in rows:
        # the last row of a pair says whether it is for training
        if row.pair in new and new[row.pair].is_training == row.record.training:
            continue
        prompt = prompts[row.prompt]
        a, b = (outputs[prompt.pk, key] for key in row.outputs)
        new[row.pair] = Pair(
            project=project,
            prompt=prompt,
            output_a=a,
            output_b=b,
            key=row.pair,
            wanted=len(people[row.pair]) or project.overlap,
            is_training=row.record.training,
        )
    Pair.objects.bulk_create(new.values(), ignore_conflicts=True, batch_size=_BATCH)
    locked = Pair.objects.filter(project=project, key__in=list(new)).order_by("pk")
    pairs = {pair.key: pair for pair in locked.select_for_update()}
    settle_known(rows, known, pairs)
    return pairs


def plan_for(records: int) -> None:
    """Tell the database of many new rows: until it looks by itself, a minute later, it plans as if
    there were none, and a version frozen meanwhile takes minutes instead of seconds."""
    if records < _BATCH // 4:
        return
    with connection.cursor() as cursor:
        for model in (Prompt, Output, Pair, Judgment, Annotator):
            cursor.execute(f'analyze "{model._meta.db_table}"')
