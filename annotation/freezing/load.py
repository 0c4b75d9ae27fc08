"""The project's pairs and votes as arrays: PostgreSQL copies rows of a fixed width out in its
binary form, which NumPy takes as they are; a million votes are 60 MB and a second or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.expressions import RawSQL
from psycopg import Copy

from annotation.freezing.drawn import as_one, drawn_from, names_of
from annotation.freezing.select import OUTCOMES, Names, Pairs, Votes, places_of
from annotation.models import Annotator, Judgment, Output, Pair, Prompt, Withdrawal
from annotation.querysets import JudgmentQuerySet
from annotation.recipe import Recipe
from steelyard.projects.models import Project


@dataclass(frozen=True)
class Material:
    pairs: Pairs
    votes: Votes
    names: Names


@dataclass(frozen=True)
class Outputs:
    """One entry an output in each."""

    pk: np.ndarray
    model: np.ndarray
    file: np.ndarray
    """The asset's primary key, or 0."""
    text: np.ndarray
    """A hash, which tells most of those that differ apart."""


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


def load(
    project: Project,
    recipe: Recipe,
    share: float = 1.0,
    outputs_of: Callable[[Pairs, Votes], Outputs | None] = lambda pairs, votes: None,
) -> Material:
    """What the recipe looks at; call it within :func:`one_look`.

    Args:
        share: of the prompts, drawn by their keys, which are hashes: the same ones always.
        outputs_of: reads all outputs where it has to read them anyway, of one project. The pairs
            that it is told lack what is known by their outputs.
    """
    drawn = f"{int(share * 2**32):08x}" if share < 1 else ""
    projects = drawn_from(project, recipe)
    names = names_of(projects)
    parts = []
    for place, one in enumerate(projects):
        pairs, votes = _pairs(one, names.categories, drawn), _votes(one, recipe, drawn)
        facts = outputs_of(pairs, votes) if len(projects) == 1 else None
        _compare(pairs, facts or _outputs(one, drawn))
        pairs.project[:] = place
        parts.append((pairs, votes))
    if len(projects) > 1:
        pairs, votes = as_one(parts, names, _held_out(projects))
    return Material(pairs=pairs, votes=votes, names=names)


def texts_of(prompts: np.ndarray) -> Iterator[str]:
    """What these prompts (primary keys) say, in their order; media count as words."""
    for start in range(0, len(prompts), 5000):
        wanted = prompts[start : start + 5000].tolist()
        rows = Prompt.objects.filter(pk__in=wanted).values_list("pk", "messages", "media")
        said = {pk: " ".join([*(m["content"] for m in said), *media]) for pk, said, media in rows}
        yield from (said[pk] for pk in wanted)


def _held_out(projects: Sequence[Project]) -> np.ndarray:
    rows = Prompt.objects.filter(project__in=projects, held_out=True).order_by()
    return _arrays(rows.values("key"), {"key": ("decode(key, 'hex')", "V32")}, [])["key"]


def _drawn(before: str, path: str, project: Project) -> Q:
    """Rows of the prompts whose key comes before, all where nothing is drawn."""
    return Q(**{f"{path}project": project, f"{path}key__lt": before}) if before else Q()


def _pairs(project: Project, categories: list[str], drawn: str) -> Pairs:
    """Every pair's identity, but those that only train people, in the order of their keys."""
    rows = Pair.objects.filter(
        _drawn(drawn, "prompt__", project), project=project, is_training=False
    )
    rows = rows.order_by()
    columns = {
        "pk": ("id", ">i8"),
        "key": ("decode(key, 'hex')", "V32"),
        "prompt": ("prompt_id", ">i8"),
        "prompt_key": ("decode(prompt_key, 'hex')", "V32"),
        "category": ("coalesce(array_position(%s::text[], category::text), 0)", ">i4"),
        "held_out": ("held_out", "?"),
        "closed": ("closed", "?"),
        "output_a": ("output_a_id", ">i8"),
        "output_b": ("output_b_id", ">i8"),
    }
    of_prompt = {name: F(f"prompt__{name}") for name in ("category", "held_out")}
    said = rows.annotate(prompt_key=F("prompt__key"), **of_prompt).values(
        "id", "key", "prompt_id", "closed", "output_a_id", "output_b_id", "prompt_key", *of_prompt
    )
    table = _arrays(said, columns, [categories])
    table["category"] -= 1
    unknown = np.zeros(len(table["pk"]), dtype=np.int64)
    compared = {"identical": unknown.astype(bool), "model_a": unknown, "model_b": unknown}
    return Pairs(**table, **compared, project=unknown.astype(np.int8)).sorted()


def _compare(pairs: Pairs, outputs: Outputs) -> None:
    """Tell whose a pair's outputs are, and whether they are the same."""
    a, b = (places_of(outputs.pk, pks) for pks in (pairs.output_a, pairs.output_b))
    alike = (outputs.text[a] == outputs.text[b]) & (outputs.file[a] == outputs.file[b])
    pairs.identical[alike] = _identical(pairs.pk[alike])
    pairs.model_a, pairs.model_b = outputs.model[a], outputs.model[b]


def _outputs(project: Project, drawn: str) -> Outputs:
    columns = {
        "pk": ("id", ">i8"),
        "model": ("model_id", ">i8"),
        "file": ("coalesce(asset_id, 0)", ">i8"),
        "text": ("hashtextextended(text, 0)", ">i8"),
    }
    rows = Output.objects.filter(_drawn(drawn, "prompt__", project), project=project).order_by()
    return Outputs(**_arrays(rows.values("id", "model_id", "asset_id", "text"), columns, []))


def _identical(pks: np.ndarray) -> np.ndarray:
    """Which of these pairs have twice the same output; there are few to look at."""
    if not len(pks):
        return np.zeros(0, dtype=bool)
    wanted = RawSQL("select unnest(%s::bigint[])", [pks.tolist()])
    rows = Pair.objects.filter(pk__in=wanted, output_a__text=F("output_b__text"))
    return np.isin(pks, np.array(rows.values_list("pk", flat=True), dtype=np.int64))


def _votes(project: Project, recipe: Recipe, drawn: str) -> Votes:
    rows = counted(project, recipe).filter(_drawn(drawn, "pair__prompt__", project)).order_by()
    if recipe.min_right:
        rows = rows.exclude(annotator__in=unreliable(project, recipe))
    columns = {
        "pair": ("pair_id", ">i8"),
        "annotator": ("annotator_id", ">i8"),
        "outcome": ("array_position(%s::text[], outcome::text)", ">i4"),
        "strength": ("strength", ">i2"),
        "uuid": ("uuid", "V16"),
        "swapped": ("coalesce(swapped::int, -1)::int2", ">i2"),
    }
    said = rows.values("pair_id", "annotator_id", "outcome", "strength", "uuid", "swapped")
    table = _arrays(said, columns, [list(OUTCOMES)])
    table["outcome"] -= 1
    return Votes(**table)


def _juries(project: Project) -> QuerySet[Annotator, int]:
    rows = Annotator.objects.filter(project=project, is_jury=True)
    return rows.values_list("pk", flat=True)


def counted(project: Project, recipe: Recipe) -> JudgmentQuerySet:
    """The votes that a recipe counts, but for the rule that looks at known answers; pairs of
    held-out prompts are left out with the pairs."""
    rows = Judgment.objects.decisive().filter(project=project)
    if recipe.annotators != "both":
        rows = rows.by_people() if recipe.annotators == "people" else rows.by_judges()
    if recipe.origins:
        rows = rows.filter(pair__origin__in=recipe.origins)
    if recipe.only:
        rows = rows.filter(annotator__name__in=recipe.only)
    elif juries := list(_juries(project)):
        # their votes are their members' once more, unless they are asked for by name
        rows = rows.exclude(annotator__in=juries)
    if recipe.exclude:
        rows = rows.exclude(annotator__name__in=recipe.exclude)
    if recipe.since:
        rows = rows.filter(created_at__gte=_start_of(recipe.since))
    if recipe.until:
        rows = rows.filter(created_at__lt=_start_of(recipe.until) + timedelta(days=1))
    if recipe.min_seconds:
        rows = rows.exclude(duration_ms__lt=round(recipe.min_seconds * 1000))
    if recipe.prelabelled == "drop":
        rows = rows.exclude(prelabel__contains={"shown": True})
    withdrawn = recipe.withdrawals_of(project.slug)
    for withdrawal in Withdrawal.objects.filter(project=project, key__in=withdrawn):
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
        columns: of each its SQL, never null, and the dtype of its binary form, whose width is
            always the same.
    """
    inner, inner_params = rows.query.sql_with_params()
    wanted = ", ".join(sql for sql, _ in columns.values())
    # a row is the number of its columns, and then the width and the value of each
    fields = [("columns", ">i2")]
    for name, (_, kind) in columns.items():
        fields += [(f"width of {name}", ">i4"), (name, kind)]
    dtype = np.dtype(fields)
    with (
        connection.cursor() as cursor,
        cursor.copy(
            f"copy (select {wanted} from ({inner}) as found) to stdout (format binary)",
            (*params, *inner_params),
        ) as copy,
    ):
        data = _drained(copy)
    count = (len(data) - _HEAD - _TAIL) // dtype.itemsize
    table = np.frombuffer(data, dtype, count, _HEAD)
    return {
        name: table[name].astype(table[name].dtype.newbyteorder("="))
        if kind[0] == ">"
        else table[name].copy()
        for name, (_, kind) in columns.items()
    }


def _drained(copy: Copy) -> bytearray:
    """All of a binary copy. Rows that are here already are taken from libpq at once, as each one's
    way through the cursor costs several times as much."""
    data, server = bytearray(), copy.connection.pgconn
    while part := copy.read():
        data += part
        while part[-_TAIL:] != _END:
            size, part = server.get_copy_data(1)
            if size <= 0:
                break
            data += part
    return data


_END = b"\xff\xff"
"""What PostgreSQL's copy ends with; where it may have ended only the cursor may look on."""
_HEAD, _TAIL = 19, len(_END)
"""Bytes of PostgreSQL's binary copy before the first row and behind the last."""
