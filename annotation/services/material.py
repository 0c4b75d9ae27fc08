"""Prompts, outputs and pairs that are brought in one at a time, and told apart from known ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from annotation.keys import prompt_key
from annotation.models import Output, Pair, Prompt
from annotation.services.importing import add_output, add_pair, add_prompt
from steelyard.accounts.models import User
from steelyard.assets.models import Asset
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelFamily, ModelVersion
from steelyard.registry.services import register_model


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
) -> tuple[Prompt, bool]:
    """The prompt of these messages, and whether it is new; a known one is left as it is.

    Raises:
        UserError: it is known and kept for the other use.
    """
    known = Prompt.objects.filter(project=project, key=prompt_key(messages)).first()
    prompt = known or add_prompt(
        project=project,
        messages=messages,
        category=category,
        held_out=held_out,
        reference_answer=reference_answer,
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
    by: User | None,
) -> tuple[Pair, bool]:
    """A prompt with two outputs as a pair to label, all or nothing, and whether it is new.

    Args:
        wanted: how many people are to judge it; the project's overlap where not said.

    Raises:
        UserError: as the other two, the prompt is held out, or both answers are the same.
    """
    prompt, _ = create_prompt(project=project, messages=messages, category=category)
    prompt.project = project
    first, second = (create_output(prompt=prompt, answer=a, by=by)[0] for a in answers)
    return add_pair(first=first, second=second, priority=priority, wanted=wanted)


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
