"""Many numbers from the database at once, without a Python object for each of them."""

from __future__ import annotations

import numpy as np
import psycopg
from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

_PACK = {"i8": "int8send({}::bigint)", "f8": "float8send({}::double precision)"}
_BY_INDEX = "set local random_page_cost = 1.1; set local max_parallel_workers_per_gather = 0"
"""For the rest of a transaction, what a planner is to reckon with: pages of an index are in memory
or on a disk without a head, where the next one costs no less than any other. With PostgreSQL's own
figure it reads the whole table, which has twice the pages. Other processes would save no work, only
add the passing on of it."""
_WORD = 62
"""Bits of a word that hold numbers; the sign is none of them."""


def read_numbers(rows: QuerySet, **columns: str) -> dict[str, np.ndarray]:
    """Columns of a ``values_list`` as arrays. PostgreSQL packs them into one value of bytes, of
    which it takes a gibibyte: 25 million rows of five columns.

    Args:
        rows: its columns are never null.
        columns: name and kind of each column, in its order: ``i8`` for whole numbers, ``f8`` for
            others.

    Raises:
        ValueError: there is a null among them.
    """
    packed = " || ".join(_PACK[kind].format(name) for name, kind in columns.items())
    number, data = _gathered(rows, list(columns), packed)
    table = np.frombuffer(data, dtype=[(name, f">{kind}") for name, kind in columns.items()])
    if table.size != number:
        raise ValueError(f"{number - table.size} of {number} rows hold a null")
    return {name: table[name].astype(kind) for name, kind in columns.items()}


def flag(condition: Q) -> Case:
    """A column that is 1 where the condition holds and 0 elsewhere."""
    return Case(When(condition, then=Value(1)), default=Value(0), output_field=IntegerField())


OUTCOMES = ("b", "tie", "a", "both_bad")
"""An outcome's number is its place."""
BOTH_BAD = OUTCOMES.index("both_bad")
SCORE_OF_A = np.array([0.0, 0.5, 1.0, 0.5])


def outcome_number() -> Case:
    """A column of the outcomes of decisive judgments, by their numbers."""
    cases = (When(outcome=one, then=Value(at)) for at, one in enumerate(OUTCOMES))
    return Case(*cases, output_field=IntegerField())


def read_packed(rows: QuerySet, **bounds: tuple[int, int]) -> dict[str, np.ndarray]:
    """Columns of whole numbers whose bounds are known, as few words a row as hold them: half the
    time of :func:`read_numbers`, since each word costs the database as much as reading the row.

    Args:
        rows: a ``values_list``; its columns are never null. One that is outside its bounds makes
            nonsense of its row: :func:`within` tells whether any can have been.
        bounds: name, least and greatest value of each column, in its order.
    """
    words = _words(bounds)
    packed = " || ".join(
        "int8send("
        + " | ".join(f"(({name}::bigint - ({bounds[name][0]})) << {shift})" for name, shift in word)
        + ")"
        for word in words
    )
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_BY_INDEX)
        _, data = _gathered(rows, list(bounds), packed)
    table = np.frombuffer(data, dtype=">i8").astype(np.int64).reshape(-1, len(words))
    found = {}
    for at, word in enumerate(words):
        for name, shift in word:
            lo, hi = bounds[name]
            mask = (1 << _bits(lo, hi)) - 1
            found[name] = ((table[:, at] >> shift) & mask) + lo
    return found


def read_column(rows: QuerySet) -> np.ndarray:
    """One column of whole numbers, without its nulls, in the order of an index that holds it."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_BY_INDEX)
        _, data = _gathered(rows, ["one"], _PACK["i8"].format("one"), number="0")
    return np.frombuffer(data, dtype=">i8").astype(np.int64)


def within(found: dict[str, tuple[int, int]], bounds: dict[str, tuple[int, int]]) -> bool:
    """Whether the columns that :func:`read_packed` reads by ``bounds`` hold ``found`` too."""
    return all(
        bounds[name][0] <= lo and hi - bounds[name][0] < 1 << _bits(*bounds[name])
        for name, (lo, hi) in found.items()
    )


def _bits(lo: int, hi: int) -> int:
    return (hi - lo).bit_length()


def _words(bounds: dict[str, tuple[int, int]]) -> list[list[tuple[str, int]]]:
    """Which columns share a word, each with its place in it."""
    words: list[list[tuple[str, int]]] = []
    used = _WORD + 1
    for name, (lo, hi) in bounds.items():
        bits = _bits(lo, hi)
        if used + bits > _WORD:
            words.append([])
            used = 0
        words[-1].append((name, used))
        used += bits
    return words


def _gathered(
    rows: QuerySet, names: list[str], packed: str, number: str = "count(*)"
) -> tuple[int, bytes]:
    """How many rows there are, and their packed values one after another."""
    try:
        sql, parameters = rows.query.sql_with_params()
    except EmptyResultSet:  # nothing can meet its conditions
        return 0, b""
    asked = (
        f"select {number}, string_agg({packed}, ''::bytea) "
        f"from ({sql}) as numbers({', '.join(names)})"
    )
    # bytes cross as they are: Django's own cursor has them written and read as hexadecimal digits
    with connection.cursor() as cursor, connection.wrap_database_errors:
        query = cursor.mogrify(asked, parameters)
        with psycopg.Cursor(cursor.connection) as plain:
            found = plain.execute(query, binary=True, prepare=False).fetchone()
    counted, data = found or (0, None)
    return counted, data or b""
