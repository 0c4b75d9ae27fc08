"""Bringing in prompts, outputs, pairs and judgments; everything is known by content, so that
bringing the same thing in twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

from django.db import connection, transaction
from django.db.models import Count, F, IntegerField, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Greatest

from annotation.formats.records import ImportedPrompt, ImportedRecord, ImportedVote
from annotation.keys import output_key, pair_key, prompt_key
from annotation.models import Annotator, Judgment, Outcome, Output, Pair, Prompt
from steelyard.accounts.models import User
from steelyard.assets.models import Asset
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelFamily, ModelVersion
from steelyard.registry.services import register_model

_NAMESPACE = UUID("6f1a5a3e-5d2b-4c0f-9c1e-0d8a4f6f7a11")
_BATCH = 2000
_FLIP = {"a": "b", "b": "a"}


@dataclass(frozen=True)
class Imported:
    """What a file brought in; what was there already is not counted."""

    records: int
    prompts: int
    pairs: int
    judgments: int


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
def import_held_out(*, project: Project, prompts: Iterable[ImportedPrompt]) -> int:
    """Prompts kept for evaluation. Returns how many are new.

    Raises:
        UserError: a prompt is in the project already as one to label, so that versions may
            contain it; nothing is stored then.
    """
    rows = {prompt_key(row.messages): row for row in prompts}
    known = _prompts_by_key(project, rows)
    for key, prompt in known.items():
        if not prompt.held_out:
            raise UserError(
                f"{rows[key].place}: “{prompt.text[:60]}” is in this project already "
                "as a prompt to label. A held-out prompt must be new, or the evaluation would ask "
                "what the model was trained on.",
                code="prompt_not_held_out",
                field="file",
            )
    new = [
        Prompt(
            project=project,
            messages=row.messages,
            category=row.category,
            reference_answer=row.reference_answer,
            held_out=True,
            key=key,
        )
        for key, row in rows.items()
        if key not in known
    ]
    Prompt.objects.bulk_create(new, ignore_conflicts=True, batch_size=_BATCH)
    return len(new)


@transaction.atomic
def import_records(
    *, project: Project, records: Iterable[ImportedRecord], by: User | None
) -> Imported:
    """Pairs with the votes they come with, in one transaction and in batches.

    A new pair that comes with people's votes wants no more of them; one without wants the
    project's overlap. Known prompts, outputs, pairs and votes are left as they are, so that the
    same file twice changes nothing.

    Raises:
        UserError: a record is on a held-out prompt, one annotator says two things of a pair, or a
            vote is in the name of somebody who signs in here; nothing is stored then.
    """
    if project.modality != Modality.TEXT:
        raise UserError(
            f"{project.name} is a project of {project.get_modality_display().lower()}s; this file "
            "brings in text. Import it into a text project.",
            code="wrong_modality",
        )
    # one import at a time in a project; labelling goes on meanwhile
    Project.objects.select_for_update().get(pk=project.pk)
    rows = [_Row.of(record) for record in records]
    before = (project.prompts.count(), project.pairs.count())
    prompts = _prompts(project, rows)
    outputs = _outputs(project, rows, prompts, _models(project, rows, by))
    pairs = _pairs(project, rows, prompts, outputs)
    judgments = _judgments(project, rows, pairs)
    _plan_for(len(rows))
    return Imported(
        records=len(rows),
        prompts=project.prompts.count() - before[0],
        pairs=project.pairs.count() - before[1],
        judgments=judgments,
    )


@dataclass(frozen=True)
class _Row:
    """A record with its content keys, computed once."""

    record: ImportedRecord
    prompt: str
    key_a: str
    """Of the output that the file calls a; which canonical side it is, the keys' order says."""
    key_b: str

    @classmethod
    def of(cls, record: ImportedRecord) -> _Row:
        prompt = prompt_key(record.messages)
        sides = [
            output_key(model=model, text=text, media="", seed=None, parameters={})
            for model, text in (
                (record.model_a, record.text_a),
                (record.model_b, record.text_b),
            )
        ]
        if sides[0] == sides[1]:
            raise UserError(
                f"{record.place}: both outputs are the same text by the same model "
                f"({record.model_a}); a pair needs two different ones.",
                code="bad_line",
                field="file",
            )
        return cls(record, prompt, *sides)

    @cached_property
    def flipped(self) -> bool:
        return self.key_a > self.key_b

    @cached_property
    def outputs(self) -> list[str]:
        return sorted([self.key_a, self.key_b])

    @cached_property
    def pair(self) -> str:
        return pair_key(self.prompt, *self.outputs)


def _prompts_by_key(project: Project, keys: Iterable[str]) -> dict[str, Prompt]:
    return {p.key: p for p in Prompt.objects.filter(project=project, key__in=list(keys))}


def _prompts(project: Project, rows: list[_Row]) -> dict[str, Prompt]:
    new: dict[str, Prompt] = {}
    for row in rows:
        record = row.record
        prompt = Prompt(
            project=project, messages=record.messages, category=record.category, key=row.prompt
        )
        new.setdefault(row.prompt, prompt)
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


def _models(project: Project, rows: list[_Row], by: User | None) -> dict[str, ModelVersion]:
    names = {name for row in rows for name in (row.record.model_a, row.record.model_b)}
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


def _outputs(
    project: Project,
    rows: list[_Row],
    prompts: dict[str, Prompt],
    models: dict[str, ModelVersion],
) -> dict[tuple[int, str], Output]:
    new = {}
    for row in rows:
        prompt, record = prompts[row.prompt], row.record
        for text, model, key in (
            (record.text_a, record.model_a, row.key_a),
            (record.text_b, record.model_b, row.key_b),
        ):
            new[prompt.pk, key] = Output(
                project=project, prompt=prompt, model=models[model], text=text, key=key
            )
    Output.objects.bulk_create(new.values(), ignore_conflicts=True, batch_size=_BATCH)
    found = Output.objects.filter(prompt__in={pk for pk, _ in new}).defer("text")
    return {(o.prompt_id, o.key): o for o in found}


def _pairs(
    project: Project,
    rows: list[_Row],
    prompts: dict[str, Prompt],
    outputs: dict[tuple[int, str], Output],
) -> dict[str, Pair]:
    """The pairs by key, locked: their votes are counted before anybody else's."""
    people: dict[str, set[str]] = {row.pair: set() for row in rows}
    for row in rows:
        people[row.pair] |= {vote.annotator for vote in row.record.votes if _counts(vote)}
    new = {}
    for row in rows:
        prompt = prompts[row.prompt]
        a, b = (outputs[prompt.pk, key] for key in row.outputs)
        new[row.pair] = Pair(
            project=project,
            prompt=prompt,
            output_a=a,
            output_b=b,
            key=row.pair,
            wanted=len(people[row.pair]) or project.overlap,
        )
    Pair.objects.bulk_create(new.values(), ignore_conflicts=True, batch_size=_BATCH)
    locked = Pair.objects.filter(project=project, key__in=list(new)).order_by("pk")
    return {pair.key: pair for pair in locked.select_for_update()}


def _counts(vote: ImportedVote) -> bool:
    """Whether it takes one of a pair's places: a judge's verdict and a skip do not."""
    return vote.kind == Annotator.Kind.PERSON and vote.outcome != Outcome.SKIP


def _judgments(project: Project, rows: list[_Row], pairs: dict[str, Pair]) -> int:
    """Store the votes that are new, count the people's, and return how many are new."""
    said = _votes(rows)
    annotators = _annotators(project, rows)
    known = set(
        Judgment.objects.filter(pair__in=list(pairs.values()), is_current=True).values_list(
            "pair__key", "annotator__name"
        )
    )
    new = [
        _judgment(row, vote, pairs[key], annotators[name])
        for (key, name), (row, vote) in said.items()
        if (key, name) not in known
    ]
    Judgment.objects.bulk_create(new, batch_size=_BATCH)
    _recount({judgment.pair_id for judgment in new})
    return len(new)


def _plan_for(records: int) -> None:
    """Tell the database of many new rows: until it looks by itself, a minute later, it plans as if
    there were none, and a version frozen meanwhile takes minutes instead of seconds."""
    if records < _BATCH // 4:
        return
    with connection.cursor() as cursor:
        for model in (Prompt, Output, Pair, Judgment, Annotator):
            cursor.execute(f'analyze "{model._meta.db_table}"')


def _recount(pairs: set[int]) -> None:
    """Bring ``judged`` in line with the people's votes, and ``wanted`` where they are more."""
    votes = (
        Judgment.objects.decisive()
        .by_people()
        .filter(pair=OuterRef("pk"))
        .order_by()
        .values("pair")
        .annotate(n=Count("pk"))
        .values("n")
    )
    people = Coalesce(Subquery(votes, output_field=IntegerField()), 0)
    Pair.objects.filter(pk__in=pairs).update(judged=people, wanted=Greatest(F("wanted"), people))


def _votes(rows: list[_Row]) -> dict[tuple[str, str], tuple[_Row, ImportedVote]]:
    """Each annotator's one vote on each pair."""
    said: dict[tuple[str, str], tuple[_Row, ImportedVote]] = {}
    for row in rows:
        for vote in row.record.votes:
            earlier = said.setdefault((row.pair, vote.annotator), (row, vote))
            if _canonical(*earlier) != _canonical(row, vote):
                raise UserError(
                    f"{row.record.place}: {vote.annotator} says something else of "
                    f"the same pair than at {earlier[0].record.place}; keep one of the two.",
                    code="two_votes",
                    field="file",
                )
    return said


def _canonical(row: _Row, vote: ImportedVote) -> tuple[str, int]:
    """The vote's outcome and strength on the pair's own sides."""
    if row.flipped:
        return _FLIP.get(vote.outcome, vote.outcome), -vote.strength
    return vote.outcome, vote.strength


def _judgment(row: _Row, vote: ImportedVote, pair: Pair, annotator: Annotator) -> Judgment:
    outcome, strength = _canonical(row, vote)
    return Judgment(
        uuid=uuid5(_NAMESPACE, f"{pair.project.slug}/{pair.key}/{vote.annotator}"),
        project=pair.project,
        pair=pair,
        annotator=annotator,
        outcome=outcome,
        strength=strength,
        rationale=vote.rationale,
        tags=vote.tags,
        swapped=row.flipped,
    )


def _annotators(project: Project, rows: list[_Row]) -> dict[str, Annotator]:
    """The annotators of the votes by name, those that are new made.

    A name that is here from an earlier file stays usable, whoever has joined since.
    """
    votes = {vote.annotator: vote for row in rows for vote in row.record.votes}
    found = _annotators_by_name(project, votes)
    signing_in = _usernames(project, set(votes) - set(found))
    for row in rows:
        for vote in row.record.votes:
            if vote.annotator in signing_in:
                raise _somebodys_own(row.record.place, vote.annotator)
    new = [
        Annotator(project=project, name=name, kind=votes[name].kind)
        for name in sorted(set(votes) - set(found))
    ]
    Annotator.objects.bulk_create(new, ignore_conflicts=True)
    found = _annotators_by_name(project, votes)
    for row in rows:
        for vote in row.record.votes:
            _check_annotator(row.record.place, vote, found[vote.annotator])
    return found


def _annotators_by_name(project: Project, names: Iterable[str]) -> dict[str, Annotator]:
    return {a.name: a for a in Annotator.objects.filter(project=project, name__in=list(names))}


def _usernames(project: Project, names: set[str]) -> set[str]:
    """Those of the names under which somebody signs in who may label here."""
    may_label = Q(memberships__project=project) | Q(is_superuser=True)
    people = User.objects.filter(may_label, username__in=names)
    return set(people.values_list("username", flat=True))


def _check_annotator(place: str, vote: ImportedVote, annotator: Annotator) -> None:
    if annotator.user_id or annotator.model_id:
        raise _somebodys_own(place, annotator.name)
    if annotator.kind != vote.kind:
        raise UserError(
            f"{place}: “{annotator.name}” is the name of {_A_KIND[annotator.kind]} in this "
            f"project, and the vote says {vote.kind}; give it another name.",
            code="annotator_kind",
            field="file",
        )


_A_KIND: dict[str, str] = {Annotator.Kind.PERSON: "a person", Annotator.Kind.JUDGE: "an AI judge"}


def _somebodys_own(place: str, name: str) -> UserError:
    return UserError(
        f"{place}: the name “{name}” belongs to somebody who judges in this project here; votes "
        "in that name cannot be brought in from a file. Give the annotator another name, such as "
        f"“{name}, from a file”.",
        code="annotator_taken",
        field="file",
    )
