"""Prompt sets: prompts that evaluations come back to, made of a filter, a file or a version."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from annotation.formats.jsonl import lines
from annotation.formats.pairs_jsonl import MAX_MEDIA
from annotation.formats.records import ImportedPrompt
from annotation.formats.rows import Row
from annotation.keys import prompt_key
from annotation.models import Prompt
from annotation.services.importing import import_held_out
from evaluation.models import Evaluation, PromptSet, PromptSetItem
from evaluation.prompts import checked_version, tested_with
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int
from steelyard.projects.models import Project

MAX_BYTES = 16 * 1024 * 1024
MAX_TURNS = 20
KEYS = ("prompt", "turns", "category", "reference_answer", "media", "question_id", "reference")
"""The last two are MT-bench's own; an id is passed over."""
EXAMPLE = """\
{"prompt": "Why is the sea salty?", "category": "science"}
{"turns": ["Write a riddle.", "Now make it rhyme."], "category": "writing"}
"""


@transaction.atomic
def make_set(
    *,
    project: Project,
    name: str,
    note: str = "",
    held_out: bool | None = None,
    version: int | None = None,
    category: str = "",
    draw: int = 0,
    seed: int = 0,
    by: User | None,
) -> PromptSet:
    """A set of the project's prompts that a filter names, in a drawn order.

    Args:
        held_out: those that are held out, those that are not, or (None) both.
        version: only those that this dataset version tests with.
        category: "" for all.
        draw: so many, by ``seed``; 0 for all.

    Raises:
        UserError: the name is taken, the version is not there or there are no such prompts.
    """
    prompts = Prompt.objects.filter(project=project)
    made_from: dict[str, Any] = {"by": "filter", "category": category, "draw": draw, "seed": seed}
    if version is not None:
        found = checked_version(project, version)
        made_from |= {"by": "version", "version": found.pk}
        prompts = prompts.filter(key__in=tested_with(project, found.pk))
    elif held_out is not None:
        made_from["held_out"] = held_out
        prompts = prompts.filter(held_out=held_out)
    if category:
        prompts = prompts.filter(category=category)
    keys = dict(prompts.order_by().values_list("key", "pk"))
    drawn = sorted(keys, key=lambda key: stable_int(seed, key))
    if draw > len(drawn):
        raise UserError(
            _("There are %(number)s such prompts, fewer than are to be drawn.")
            % {"number": len(drawn)},
            code="too_few_prompts",
            field="draw",
        )
    chosen = [keys[key] for key in (drawn[:draw] if draw else drawn)]
    return _store(project, name, note, made_from, chosen, by)


@transaction.atomic
def set_from_file(
    *, project: Project, name: str, note: str = "", data: bytes, filename: str, by: User | None
) -> PromptSet:
    """A set of the prompts of a JSON Lines or CSV file, in its order.

    Prompts that the project has are taken as they are; new ones are held out, so that no version
    ever contains them.

    Args:
        data: JSON Lines with ``prompt`` (words or messages) or ``turns`` (what the user says, one
            after the other), ``category``, ``reference_answer`` and ``media``; or CSV with a
            heading of ``prompt``, ``category``, ``reference_answer``.

    Raises:
        UserError: naming the line that is wrong and what would be right; the name is taken.
    """
    if len(data) > MAX_BYTES:
        raise UserError(
            _("The file is larger than %(most)s MiB; bring it in in parts.")
            % {"most": MAX_BYTES // 2**20},
            code="too_large",
            field="file",
        )
    read = _read_csv if filename.lower().endswith(".csv") else _read_lines
    rows = {prompt_key(row.messages, row.media): row for row in read(data)}
    there = set(Prompt.objects.filter(project=project, key__in=rows).values_list("key", flat=True))
    new = import_held_out(
        project=project, prompts=[row for key, row in rows.items() if key not in there]
    )
    found = dict(Prompt.objects.filter(project=project, key__in=rows).values_list("key", "pk"))
    made_from = {"by": "file", "file": filename[-200:], "new": new}
    return _store(project, name, note, made_from, [found[key] for key in rows], by)


def delete_set(*, prompt_set: PromptSet) -> None:
    """
    Raises:
        UserError: an evaluation was made on it.
    """
    used = evaluations_on(prompt_set).count()
    if used:
        raise UserError(
            _("%(name)s is what an evaluation was made on, and stays.") % {"name": prompt_set.name},
            code="set_in_use",
            status=409,
        )
    prompt_set.delete()


def evaluations_on(prompt_set: PromptSet) -> Any:
    return Evaluation.objects.filter(
        project=prompt_set.project_id, prompt_set__source="set", prompt_set__set=prompt_set.pk
    )


def categories_of(prompts: Iterable[Prompt]) -> list[tuple[str, int]]:
    """Categories and how many prompts each has, the largest first."""
    return Counter(prompt.category for prompt in prompts).most_common()


def _store(
    project: Project,
    name: str,
    note: str,
    made_from: dict[str, Any],
    prompts: Sequence[int],
    by: User | None,
) -> PromptSet:
    name = " ".join(name.split())
    if not name or len(name) > 150:
        raise UserError(_("A set needs a name of at most 150 characters."), field="name")
    if not prompts:
        raise UserError(
            _("There are no such prompts. Bring some in under Import."), code="no_prompts"
        )
    try:
        with transaction.atomic():
            found = PromptSet.objects.create(
                project=project, name=name, note=note.strip(), made_from=made_from, created_by=by
            )
    except IntegrityError:
        raise UserError(
            _("A prompt set of this project is called “%(name)s” already; choose another name.")
            % {"name": name},
            code="name_taken",
            status=409,
            field="name",
        ) from None
    PromptSetItem.objects.bulk_create(
        (
            PromptSetItem(prompt_set=found, prompt_id=pk, order=order)
            for order, pk in enumerate(prompts)
        ),
        batch_size=2000,
    )
    return found


def _read_lines(data: bytes) -> Iterator[ImportedPrompt]:
    return map(_prompt_of, lines(data))


def _read_csv(data: bytes) -> Iterator[ImportedPrompt]:
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        if "prompt" not in (rows.fieldnames or ()):
            raise UserError(
                _("The first line of a CSV file names its columns: prompt, and perhaps %(names)s.")
                % {"names": "category, reference_answer"},
                code="bad_columns",
                field="file",
            )
        for row in rows:
            told = {str(name): value for name, value in row.items() if value}
            yield _prompt_of(Row(rows.line_num, told, f"Line {rows.line_num}"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            _("This is no CSV file in UTF-8: %(error)s") % {"error": error},
            code="bad_file",
            field="file",
        ) from None


def _prompt_of(row: Row) -> ImportedPrompt:
    row.only(*KEYS)
    return ImportedPrompt(
        place=row.place,
        messages=_turns(row) if "turns" in row.values else row.messages("prompt"),
        category=row.name("category", default=""),
        reference_answer=_reference(row),
        media=row.names("media", most=MAX_MEDIA),
    )


def _reference(row: Row) -> str:
    said = row.values.get("reference")
    if isinstance(said, list) and said and all(isinstance(one, str) for one in said):
        return row.storable("reference", "\n\n".join(said))
    return row.text("reference_answer", default="")


def _turns(row: Row) -> list[dict[str, str]]:
    said = row.values["turns"]
    good = isinstance(said, list) and 1 <= len(said) <= MAX_TURNS
    if not good or not all(isinstance(one, str) and one.strip() for one in said):
        raise row.wrong(
            f"“turns” must be a list of 1 to {MAX_TURNS} texts, what the user says in order.",
            "turns",
        )
    return [{"role": "user", "content": row.storable("turns", one)} for one in said]
