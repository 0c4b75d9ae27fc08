"""The project's pairs and votes as arrays: PostgreSQL strings rows of a fixed width together in its
binary form, which NumPy takes as they are; a million votes are 40 MB and a second or two."""

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
            pair_id=F("id"),
            identical=ExpressionWrapper(identical, BooleanField()),
            prompt_key=F("prompt__key"),
            category=F("prompt__category"),
            held_out=F("prompt__held_out"),
            model_a=F("output_a__model_id"),
            model_b=F("output_b__model_id"),
        )
        .order_by()
        .values(
            "pair_id",
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
    columns = {
        "pk": ("int8send(pair_id)", ">i8"),
        "key": ("decode(key, 'hex')", "V32"),
        "prompt": ("int8send(prompt_id)", ">i8"),
        "prompt_key": ("decode(prompt_key, 'hex')", "V32"),
        "category": (
            "int4send(coalesce(array_position(%s::text[], category::text), 0))",
            ">i4",
        ),
        "held_out": ("boolsend(held_out)", "?"),
        "closed": ("boolsend(closed)", "?"),
        "identical": ("boolsend(coalesce(identical, false))", "?"),
        "model_a": ("int8send(model_a)", ">i8"),
        "model_b": ("int8send(model_b)", ">i8"),
    }
    table = _arrays(rows, columns, [categories])
    table["category"] -= 1
    return Pairs(**table).sorted()


def _votes(project: Project, recipe: Recipe, annotators: list[Annotator]) -> Votes:
    rows = counted(project, recipe).order_by()
    if recipe.min_right:
        rows = rows.exclude(annotator__in=unreliable(project, recipe))
    columns = {
        "pair": ("int8send(pair_id)", ">i8"),
        "annotator": ("int8send(annotator_id)", ">i8"),
        "outcome": ("int4send(array_position(%s::text[], outcome::text))", ">i4"),
        "strength": ("int2send(strength)", ">i2"),
        "uuid": ("uuid_send(uuid)", "V16"),
        "swapped": ("boolsend(swapped)", "?"),
    }
    said = rows.values("pair_id", "annotator_id", "outcome", "strength", "uuid", "swapped")
    table = _arrays(said, columns, [list(OUTCOMES)])
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


def _arrays(
    rows: Any, columns: dict[str, tuple[str, str]], params: list[Any]
) -> dict[str, np.ndarray]:
    """The rows of a query as arrays, one a column, in the machine's own byte order.

    Args:
        columns: of each the bytes that PostgreSQL makes of it, always as many, and their dtype.
    """
    inner, inner_params = rows.query.sql_with_params()
    made = " || ".join(sql for sql, _ in columns.values())
    # a value has at most 1 GiB, so each holds the rows of some pairs alone
    sql = f"select string_agg({made}, ''::bytea) from ({inner}) as found group by pair_id >> 17"
    dtype = np.dtype([(name, kind) for name, (_, kind) in columns.items()])
    with connection.cursor() as cursor:
        cursor.execute(sql, (*params, *inner_params))
        parts = [np.frombuffer(part, dtype=dtype) for (part,) in cursor]
    table = np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)
    return {
        name: table[name].astype(table[name].dtype.newbyteorder("="))
        if kind[0] == ">"
        else table[name].copy()
        for name, (_, kind) in columns.items()
    }
