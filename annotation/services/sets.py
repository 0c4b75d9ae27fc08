"""Sets of outputs that are to be put in order, brought in one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.keys import set_key
from annotation.models import Output, OutputSet, Prompt
from annotation.services.material import Answer, create_output, create_prompt
from annotation.tiers import LEAST, MOST
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project


@transaction.atomic
def create_set(
    *,
    project: Project,
    messages: list[dict[str, Any]],
    answers: Sequence[Answer],
    category: str = "",
    media: Sequence[str] = (),
    priority: int = 0,
    wanted: int | None = None,
    by: User | None,
) -> tuple[OutputSet, bool]:
    """A prompt with its answers as a set to rank, all or nothing, and whether it is new; a known
    one is left as it is.

    Args:
        wanted: how many people are to rank it; the project's overlap where not said.
        media: SHA-256 of files of the project that the prompt is about.

    Raises:
        UserError: the project compares pairs, there are too few answers or too many or two of them
            are the same, or as annotation.services.material says of prompts and outputs.
    """
    check_task(project)
    prompt, _new = create_prompt(project=project, messages=messages, category=category, media=media)
    prompt.project = project
    outputs = [create_output(prompt=prompt, answer=answer, by=by)[0] for answer in answers]
    return add_set(prompt=prompt, outputs=outputs, priority=priority, wanted=wanted)


def add_set(
    *, prompt: Prompt, outputs: Sequence[Output], priority: int = 0, wanted: int | None = None
) -> tuple[OutputSet, bool]:
    """The set of outputs of one prompt, and whether it is new.

    Raises:
        UserError: they are too few or too many, two of them are the same, or one is of another
            prompt.
    """
    check_size(len(outputs))
    if len({output.pk for output in outputs}) < len(outputs):
        raise UserError(_("Two of the outputs of a set are the same one."), field="answers")
    if any(output.prompt_id != prompt.pk for output in outputs):
        raise UserError(_("All outputs of a set must answer the same prompt."), field="answers")
    found, created = OutputSet.objects.get_or_create(
        project_id=prompt.project_id,
        key=set_key(prompt.key, [output.key for output in outputs]),
        defaults={
            "prompt": prompt,
            "priority": priority,
            "wanted": prompt.project.overlap if wanted is None else wanted,
        },
    )
    if created:
        found.outputs.set(outputs)
    return found, created


def set_of(project: Project, pk: int) -> OutputSet:
    """The project's set of that number.

    Raises:
        UserError: it has none.
    """
    rows = OutputSet.objects.filter(project=project).select_related("prompt")
    found = rows.filter(pk=pk).first()
    if found is None:
        raise UserError(
            _("This project has no set %(number)s.") % {"number": pk},
            code="no_such_set",
            field="set",
        )
    return found


def check_task(project: Project) -> None:
    """
    Raises:
        UserError: the project's annotators are not asked for rankings.
    """
    if project.scheme["task"] != "ranking":
        raise UserError(
            _(
                "%(project)s compares two answers at a time; sets to rank go into a project whose "
                "label scheme has task “ranking”."
            )
            % {"project": project.name},
            code="not_ranking",
            status=409,
        )


def check_size(n: int) -> None:
    """
    Raises:
        UserError: no set has that many outputs.
    """
    if not LEAST <= n <= MOST:
        raise UserError(
            _("There are %(n)s outputs; a set to rank has %(least)s to %(most)s.")
            % {"n": n, "least": LEAST, "most": MOST},
            field="answers",
        )
