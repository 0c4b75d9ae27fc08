"""Bringing in whole files of prompts, outputs, pairs and judgments; everything is known by content,
so that bringing the same thing in twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from annotation.formats.records import ImportedPrompt, ImportedRecord
from annotation.juries import recount_in
from annotation.keys import prompt_key
from annotation.models import Annotator, Judgment, Output, Pair, Prompt
from annotation.services.imported_media import Files, check_sides, find_files
from annotation.services.imported_rows import Answered, Row
from annotation.services.imported_votes import counts, store_votes
from annotation.services.inserting import among, insert_new, made
from annotation.services.known import known_of_rows, settle_known
from annotation.services.retrieval import store_retrieved
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
    searched: int = 0
    """Outputs for which passages were found."""


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
    looked_at: Sequence[Row] | None = None,
    tell_database: bool = True,
) -> Imported:
    """Pairs with the votes they come with, in one transaction and in batches.

    A new pair that comes with people's votes wants no more of them; one without wants the
    project's overlap. Known prompts, outputs, pairs and votes are left as they are, so that the
    same file twice changes nothing; a right answer is added to a known pair that has none.

    Args:
        archive: where the files are that records name by other than their SHA-256.
        looked_at: the records with their keys and files, where they have been checked already.
        tell_database: of many new rows, see :func:`plan_for`; whoever brings in one batch after
            another does that itself.

    Raises:
        UserError: a record is on a held-out prompt or names a file that is not there, its answers
            are of another modality than the project, one annotator says two things of a pair, or
            a vote is in the name of somebody who signs in here; nothing is stored then.
    """
    rows = _looked_at(project, records, archive) if looked_at is None else list(looked_at)
    # one import at a time in a project; a key's share of the row stays free, so labelling goes on
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    known = project.prompts.filter(key__in=among({row.prompt for row in rows})).order_by().count()
    prompts = prompts_of(project, rows)
    outputs = outputs_of(project, rows, prompts, by)
    store_retrieved(rows, prompts, outputs)
    pairs, new = _pairs(project, rows, prompts, outputs)
    judgments = store_votes(project, rows, pairs, new)
    if tell_database:
        plan_for(len(rows))
        recount_in(project.pk)
    return Imported(
        records=len(rows),
        prompts=len(prompts) - known,
        pairs=len(new),
        judgments=judgments,
    )


def _looked_at(
    project: Project, records: Iterable[ImportedRecord], archive: Files | None
) -> list[Row]:
    given = list(records)
    files = find_files(project=project, records=given, archive=archive)
    for record in given:
        check_sides(project, record, files)
    return [Row.of(record, files) for record in given]


def _prompts_by_key(project: Project, keys: Iterable[str]) -> dict[str, Prompt]:
    return {p.key: p for p in Prompt.objects.filter(project=project, key__in=among(keys))}


def prompts_of(project: Project, rows: Sequence[Answered]) -> dict[str, Prompt]:
    """The rows' prompts by key, those that are new made.

    Raises:
        UserError: one is held out.
    """
    found = _prompts_by_key(project, {row.prompt for row in rows})
    new: dict[str, Prompt] = {}
    for row in rows:
        if row.prompt in new or row.prompt in found:
            continue
        record = row.record
        new[row.prompt] = made(
            Prompt,
            id=None,
            project_id=project.pk,
            messages=record.messages,
            media=row.media,
            category=record.category,
            reference_answer=record.reference_answer,
            held_out=False,
            key=row.prompt,
        )
    differing = ("messages", "media", "category", "reference_answer", "key")
    left = insert_new(list(new.values()), differing)
    found |= new | _prompts_by_key(project, [prompt.key for prompt in left])
    for row in rows:
        if found[row.prompt].held_out:
            raise UserError(
                f"{row.record.place}: “{found[row.prompt].text[:60]}” is a held-out "
                "prompt of this project; its outputs are not to be labelled for training.",
                code="prompt_held_out",
                field="file",
            )
    _say_what_is_right(rows, found)
    return found


def _say_what_is_right(rows: Sequence[Answered], prompts: dict[str, Prompt]) -> None:
    """Reference answers for prompts that had none; one that is there stays."""
    told = {}
    for row in rows:
        prompt = prompts[row.prompt]
        if row.record.reference_answer and not prompt.reference_answer:
            prompt.reference_answer = row.record.reference_answer
            told[prompt.pk] = prompt
    Prompt.objects.bulk_update(told.values(), ["reference_answer"], batch_size=_BATCH)


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
    found = _outputs_by_key({prompt.pk for prompt in prompts.values()})
    new: dict[tuple[int, str], Output] = {}
    for row in rows:
        prompt = prompts[row.prompt]
        for side in row.sides:
            if (prompt.pk, side.key) in new or (prompt.pk, side.key) in found:
                continue
            new[prompt.pk, side.key] = made(
                Output,
                id=None,
                project_id=project.pk,
                prompt_id=prompt.pk,
                model_id=models[side.model].pk,
                text=side.text,
                asset_id=side.asset.pk if side.asset else None,
                key=side.key,
            )
    of_outputs = ("prompt_id", "model_id", "text", "asset_id", "key")
    left = insert_new(list(new.values()), of_outputs, by=("prompt_id", "key"))
    return found | new | _outputs_by_key({output.prompt_id for output in left})


def _outputs_by_key(prompts: set[int]) -> dict[tuple[int, str], Output]:
    found = Output.objects.filter(prompt__in=list(prompts)).defer("text")
    return {(output.prompt_id, output.key): output for output in found}


def _pairs(
    project: Project,
    rows: list[Row],
    prompts: dict[str, Prompt],
    outputs: dict[tuple[int, str], Output],
) -> tuple[dict[str, Pair], set[str]]:
    """The pairs by key, those that were here locked: their votes are counted before anybody
    else's. And the keys of those that are new, which count the votes that are about to come."""
    people: dict[str, set[str]] = {row.pair: set() for row in rows}
    for row in rows:
        people[row.pair] |= {vote.annotator for vote in row.record.votes if counts(vote)}
    known = known_of_rows(rows)
    pairs = _locked(project, people)
    new: dict[str, Pair] = {}
    for row in rows:
        if row.pair in pairs:
            continue
        # the last row of a pair says whether it is for training
        if row.pair in new and new[row.pair].is_training == row.record.training:
            continue
        prompt = prompts[row.prompt]
        a, b = (outputs[prompt.pk, key] for key in row.outputs)
        new[row.pair] = made(
            Pair,
            id=None,
            project_id=project.pk,
            prompt_id=prompt.pk,
            output_a_id=a.pk,
            output_b_id=b.pk,
            key=row.pair,
            wanted=len(people[row.pair]) or project.overlap,
            judged=len(people[row.pair]),
            is_training=row.record.training,
            known_outcome="",
            known_reason="",
            known_first="",
        )
    left = insert_new(list(new.values()), _OF_PAIRS)
    # made by somebody else in this very moment
    here = _locked(project, [pair.key for pair in left])
    pairs |= new | here
    settle_known(rows, known, pairs)
    return pairs, set(new) - set(here)


_OF_PAIRS = ("prompt_id", "output_a_id", "output_b_id", "key", "wanted", "judged", "is_training")


def _locked(project: Project, keys: Iterable[str]) -> dict[str, Pair]:
    rows = Pair.objects.filter(project=project, key__in=among(keys)).order_by("pk")
    return {pair.key: pair for pair in rows.select_for_update(of=("self",))}


def plan_for(records: int) -> None:
    """Tell the database of many new rows: until it looks by itself, a minute later, it plans as if
    there were none, and a version frozen meanwhile takes minutes instead of seconds."""
    if records < _BATCH // 4:
        return
    with connection.cursor() as cursor:
        for model in (Prompt, Output, Pair, Judgment, Annotator):
            cursor.execute(f'analyze "{model._meta.db_table}"')
