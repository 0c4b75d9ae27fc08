"""Prompts, outputs and pairs that are brought in one at a time, and told apart from known ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from annotation import sides
from annotation.formats.records import Known
from annotation.keys import output_key, pair_key, prompt_key
from annotation.models import Output, Pair, Prompt
from annotation.services.known import FIELDS, tell
from steelyard.accounts.models import User
from steelyard.assets.models import Asset
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelFamily, ModelVersion
from steelyard.registry.services import register_model


def add_prompt(
    *,
    project: Project,
    messages: list[dict[str, Any]],
    category: str = "",
    held_out: bool = False,
    reference_answer: str = "",
    media: Sequence[str] = (),
) -> Prompt:
    """The project's prompt of these messages, made where it is not there yet.

    Args:
        media: SHA-256 of files of the project that it is about.
    """
    prompt, _ = Prompt.objects.get_or_create(
        project=project,
        key=prompt_key(messages, media),
        defaults={
            "messages": messages,
            "media": list(media),
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
    known: Known | None = None,
    training: bool = False,
) -> tuple[Pair, bool]:
    """The pair of two outputs of one prompt, and whether it is new.

    Args:
        wanted: how many people are to judge it; the project's overlap where not said.
        known: the right answer; its a is ``first``, its b ``second``.
        training: shown in the training round alone.

    Raises:
        UserError: the outputs answer different prompts, or are the same one; the pair is here
            already with another right answer or for the other use.
    """
    if first.prompt_id != second.prompt_id:
        raise UserError("The two outputs of a pair must answer the same prompt.")
    if first.pk == second.pk:
        raise UserError("A pair needs two different outputs; these are the same one.")
    a, b = sorted([first, second], key=lambda output: output.key)
    pair, created = Pair.objects.get_or_create(
        project_id=first.project_id,
        key=pair_key(first.prompt.key, a.key, b.key),
        defaults={
            "prompt": first.prompt,
            "output_a": a,
            "output_b": b,
            "origin": origin,
            "priority": priority,
            "wanted": first.prompt.project.overlap if wanted is None else wanted,
            "is_training": training,
        },
    )
    answer = None
    if known:
        outcome, _ = sides.turned(known.outcome, 0, a is second)
        answer = (outcome, known.reason, "b" if a is second else "a")
    if tell(pair, answer, training=training):
        pair.save(update_fields=FIELDS)
    return pair, created


@dataclass(frozen=True)
class Answer:
    """An output as somebody brings it."""

    model: str
    """Name of a model version; one that is not there is made, as imported outputs only."""
    text: str = ""
    asset: str = ""
    """SHA-256 of a file that the project has."""
    seed: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


@transaction.atomic
def create_prompt(
    *,
    project: Project,
    messages: list[dict[str, Any]],
    category: str = "",
    held_out: bool = False,
    reference_answer: str = "",
    media: Sequence[str] = (),
) -> tuple[Prompt, bool]:
    """The prompt of these messages, and whether it is new; a known one is left as it is.

    Args:
        media: SHA-256 of files of the project that it is about.

    Raises:
        UserError: it is known and kept for the other use, or the project has no such file.
    """
    _check_media(project, media)
    known = Prompt.objects.filter(project=project, key=prompt_key(messages, media)).first()
    prompt = known or add_prompt(
        project=project,
        messages=messages,
        category=category,
        held_out=held_out,
        reference_answer=reference_answer,
        media=media,
    )
    if prompt.held_out != held_out:
        use = "held out for evaluation" if prompt.held_out else "a prompt to label"
        raise UserError(
            f"“{prompt.text[:60]}” is in this project already, as {use}; no prompt is both.",
            code="prompt_held_out" if prompt.held_out else "prompt_not_held_out",
            status=409,
            field="held_out",
        )
    return prompt, known is None


@transaction.atomic
def create_output(*, prompt: Prompt, answer: Answer, by: User | None) -> tuple[Output, bool]:
    """The output, and whether it is new; the same content made the same way is the same output.

    Raises:
        UserError: the answer is none for the project's modality, or its file is not there.
    """
    before = prompt.outputs.count()
    output = add_output(
        prompt=prompt,
        model=_model(prompt.project, answer.model, by),
        text=answer.text,
        asset=_asset(prompt.project, answer),
        seed=answer.seed,
        parameters=answer.parameters,
    )
    return output, prompt.outputs.count() > before


@transaction.atomic
def create_pair(
    *,
    project: Project,
    messages: list[dict[str, Any]],
    answers: tuple[Answer, Answer],
    category: str = "",
    priority: int = 0,
    wanted: int | None = None,
    media: Sequence[str] = (),
    known: Known | None = None,
    training: bool = False,
    by: User | None,
) -> tuple[Pair, bool]:
    """A prompt with two outputs as a pair to label, all or nothing, and whether it is new.

    Args:
        wanted: how many people are to judge it; the project's overlap where not said.
        media: SHA-256 of files of the project that the prompt is about.
        known: the right answer; its a is the first of the answers, its b the second.
        training: shown in the training round alone; needs a known answer.

    Raises:
        UserError: as the other two, the prompt is held out, or both answers are the same.
    """
    if training and known is None:
        raise UserError(
            "A pair for training needs its right answer: give known with outcome and reason.",
            field="known",
        )
    prompt, _ = create_prompt(project=project, messages=messages, category=category, media=media)
    prompt.project = project
    first, second = (create_output(prompt=prompt, answer=a, by=by)[0] for a in answers)
    return add_pair(
        first=first,
        second=second,
        priority=priority,
        wanted=wanted,
        known=known,
        training=training,
    )


def _check_media(project: Project, media: Sequence[str]) -> None:
    known = Asset.objects.filter(project=project, sha256__in=media)
    missing = set(media) - set(known.values_list("sha256", flat=True))
    if missing:
        raise UserError(
            f"This project has no file {min(missing)[:12]}…; media is a list of SHA-256 of files "
            "that were uploaded before.",
            code="unknown_asset",
            field="media",
        )


def _model(project: Project, name: str, by: User | None) -> ModelVersion:
    found = ModelVersion.objects.filter(project=project, name=name.strip()).first()
    return found or register_model(
        project=project, name=name, modality=project.modality, family=ModelFamily.IMPORTED, by=by
    )


def _asset(project: Project, answer: Answer) -> Asset | None:
    if project.modality == Modality.TEXT:
        if answer.asset:
            raise UserError("This project compares texts; leave asset out.", field="asset")
        return None
    asset = Asset.objects.filter(project=project, sha256=answer.asset).first()
    if asset is None or asset.kind != project.modality:
        kind = "an image" if project.modality == Modality.IMAGE else "a video"
        raise UserError(
            f"asset must be the SHA-256 of {kind} of this project; upload the file first.",
            code="unknown_asset",
            field="asset",
        )
    return asset
