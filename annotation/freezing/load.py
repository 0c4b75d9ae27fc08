"""The project's pairs and votes as arrays: PostgreSQL copies rows of a fixed width in its binary
form, which NumPy takes as they are; a million votes are some 60 MB and a second or two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models import BooleanField, Count, ExpressionWrapper, F, Q

from annotation.freezing.select import OUTCOMES, Names, Pairs, Votes
from annotation.models import Annotator, Judgment, Pair, Prompt, Withdrawal
from annotation.querysets import JudgmentQuerySet
from annotation.recipe import Recipe
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion

_HEADER = 19
_TRAILER = 2


@dataclass(frozen=True)
class Material:
    pairs: Pairs
    votes: Votes
    names: Names


@contextmanager
def one_look() -> Iterator[None]:
    """All reads within see the project of one moment, while votes may go on coming."""
    if connection.in_atomic_block:
        # a caller's transaction, whose look it is
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read, read only")
        yield


def load(project: Project, recipe: Recipe) -> Material:
    """What the recipe looks at; call it within :func:`one_look`."""
    annotators = list(Annotator.objects.filter(project=project).order_by("name", "pk"))
    models = ModelVersion.objects.filter(project=project)
    categories = sorted(
        Prompt.objects.filter(project=project)
        .order_by()
        .values_list("category", flat=True)
        .distinct()
    )
    names = Names(
        annotators={one.pk: one.name for one in annotators},
        kinds={one.pk: one.kind for one in annotators},
        models=dict(models.values_list("pk", "name")),
        categories=categories,
    )
    return Material(
        pairs=_pairs(project, categories), votes=_votes(project, recipe, annotators), names=names
    )


def texts_of(prompts: np.ndarray) -> Iterator[str]:
    """What these prompts (primary keys) say, in their order; media count as words."""
    for start in range(0, len(prompts), 5000):
        wanted = prompts[start : start + 5000].tolist()
        rows = Prompt.objects.filter(pk__in=wanted).values_list("pk", "messages", "media")
        said = {pk: " ".join([*(m["content"] for m in said), *media]) for pk, said, media in rows}
        yield from (said[pk] for pk in wanted)


def _pairs(project: Project, categories: list[str]) -> Pairs:
    """Every pair's identity, but those that only train people."""
    same_file = Q(output_a__asset=F("output_b__asset")) | Q(
        output_a__asset=None, output_b__asset=None
    )
    identical = Q(output_a__text=F("output_b__text")) & same_file
    rows = (
        Pair.objects.filter(project=project, is_training=False)
        .annotate(
            identical=ExpressionWrapper(identical, BooleanField()),
            prompt_key=F("prompt__key"),
            category=F("prompt__category"),
            held_out=F("prompt__held_out"),
            model_a=F("output_a__model_id"),
            model_b=F("output_b__model_id"),
        )
        .order_by()
        .values(
            "id",
            "key",
            "prompt_id",
            "prompt_key",
            "category",
            "held_out",
            "closed",
            "identical",
            "model_a",
            "model_b",
        )
    )
    table = _copied(
        rows,
        "id::int8, decode(key, 'hex'), prompt_id::int8, decode(prompt_key, 'hex'), "
        "coalesce(array_position(%s::text[], category::text), 0)::int4, held_out, closed, "
        "coalesce(identical, false), model_a::int8, model_b::int8",
        [categories],
        {
            "pk": ">i8",
            "key": "V32",
            "prompt": ">i8",
            "prompt_key": "V32",
            "category": ">i4",
            "held_out": "?",
            "closed": "?",
            "identical": "?",
            "model_a": ">i8",
            "model_b": ">i8",
        },
    )
    table["category"] -= 1
    return Pairs(**table).sorted()


def _votes(project: Project, recipe: Recipe, annotators: list[Annotator]) -> Votes:
    rows = counted(project, recipe).order_by()
    if recipe.min_right:
        rows = rows.exclude(annotator__in=unreliable(project, recipe))
    table = _copied(
        rows.values("pair_id", "annotator_id", "outcome", "strength", "uuid", "swapped"),
        "pair_id::int8, annotator_id::int8, array_position(%s::text[], outcome::text)::int2, "
        "strength::int2, uuid, swapped",
        [list(OUTCOMES)],
        {
            "pair": ">i8",
            "annotator": ">i8",
            "outcome": ">i2",
            "strength": ">i2",
            "uuid": "V16",
            "swapped": "?",
        },
    )
    table["outcome"] -= 1
    return Votes(**table)


def counted(project: Project, recipe: Recipe) -> JudgmentQuerySet:
    """The votes that a recipe counts, but for the rule that looks at known answers."""
    rows = Judgment.objects.decisive().filter(project=project, pair__prompt__held_out=False)
    if recipe.annotators != "both":
        rows = rows.by_people() if recipe.annotators == "people" else rows.by_judges()
    if recipe.only:
        rows = rows.filter(annotator__name__in=recipe.only)
    if recipe.exclude:
        rows = rows.exclude(annotator__name__in=recipe.exclude)
    if recipe.since:
        rows = rows.filter(created_at__gte=_start_of(recipe.since))
    if recipe.until:
        rows = rows.filter(created_at__lt=_start_of(recipe.until) + timedelta(days=1))
    if recipe.min_seconds:
        rows = rows.exclude(duration_ms__lt=round(recipe.min_seconds * 1000))
    for withdrawal in Withdrawal.objects.filter(project=project, key__in=recipe.withdrawals):
        rows = rows.exclude(withdrawal.covers())
    return rows


def unreliable(project: Project, recipe: Recipe) -> list[int]:
    """Annotators who are right too seldom where the answer is known."""
    known = Judgment.objects.decisive().filter(project=project).exclude(pair__known_outcome="")
    right = Count("pk", filter=Q(outcome=F("pair__known_outcome")))
    seen = known.order_by().values("annotator").annotate(n=Count("pk"), right=right)
    return [
        row["annotator"]
        for row in seen.filter(n__gte=recipe.min_known)
        if row["right"] < recipe.min_right * row["n"]
    ]


def _start_of(day: str) -> datetime:
    return datetime.combine(datetime.fromisoformat(day).date(), time.min, UTC)


def _copied(
    rows: Any, columns: str, params: list[Any], dtypes: dict[str, str]
) -> dict[str, np.ndarray]:
    """The rows of a query as arrays, one a column, in the machine's own byte order."""
    inner, inner_params = rows.query.sql_with_params()
    sql = f"copy (select {columns} from ({inner}) as found) to stdout (format binary)"
    data = bytearray()
    with (
        connection.cursor() as cursor,
        cursor.copy(sql, (*params, *inner_params)) as copy,
    ):
        for part in copy:
            data += part
    fields: list[tuple[str, Any]] = [("fields", ">i2")]
    for name, dtype in dtypes.items():
        fields += [(f"length of {name}", ">i4"), (name, dtype)]
    count = (len(data) - _HEADER - _TRAILER) // np.dtype(fields).itemsize
    table = np.frombuffer(data, dtype=fields, count=count, offset=_HEADER)
    return {
        name: table[name].astype(table[name].dtype.newbyteorder("="))
        if dtype[0] == ">"
        else table[name].copy()
        for name, dtype in dtypes.items()
    }
