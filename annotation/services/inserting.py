"""Many new rows at once: one statement and one parameter, where a parameter for each value takes
the interpreter longer than the database takes to store it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import orjson
from django.db import connection, models
from django.db.models.base import ModelState
from django.db.models.expressions import RawSQL
from django.utils import timezone

Row = TypeVar("Row", bound=models.Model)


def among(values: Iterable[str] | Iterable[UUID]) -> RawSQL:
    """For ``__in`` with thousands of texts."""
    return RawSQL(
        "select json_array_elements_text(%s::json)", [orjson.dumps(list(values)).decode()]
    )


def made(model: type[Row], **values: Any) -> Row:
    """A row with these fields (by ``attname``), to be inserted; several times quicker than by the
    model's own call, which asks each field. What it is not told is read from the database when
    it is asked for."""
    row = model.__new__(model)
    row._state = ModelState()
    row.__dict__.update(values)
    return row


def insert_new(
    rows: Sequence[Row], differing: Sequence[str], *, by: tuple[str, ...] = ("key",)
) -> list[Row]:
    """Insert those rows that no unique constraint refuses, and give them their primary keys;
    returns the others.

    Args:
        differing: the fields (by ``attname``) in which the rows differ. The others are those of the
            first row's project, or the model's defaults.
        by: of these those by which a row is known among all.
    """
    if not rows:
        return []
    model = type(rows[0])
    same = model(project_id=rows[0].__dict__["project_id"])
    every = model._meta.concrete_fields
    fields = [field for field in every if not (field.primary_key or field.generated)]
    wanted, constants, shape = [], [], []
    for field in fields:
        kind = field.rel_db_type(connection) if field.is_relation else field.db_type(connection)
        if field.attname in differing:
            wanted.append(f'r."{field.attname}"')
            shape.append(f'"{field.attname}" {kind}')
        else:
            wanted.append(f"%s::{kind}")
            constants.append(_constant(field, same))
    table = f'"{model._meta.db_table}"'
    into = ", ".join(f'"{field.column}"' for field in fields)
    data = orjson.dumps([{name: row.__dict__[name] for name in differing} for row in rows])
    with connection.cursor() as cursor:
        cursor.execute(
            f"insert into {table} ({into}) select {', '.join(wanted)} "
            f"from json_to_recordset(%s::json) as r({', '.join(shape)}) "
            f"on conflict do nothing returning id, {', '.join(by)}",
            [*constants, data.decode()],
        )
        keys = {tuple(key): pk for pk, *key in cursor.fetchall()}
    left = []
    for row in rows:
        row.pk = keys.get(tuple(row.__dict__[name] for name in by))
        if row.pk is None:
            left.append(row)
        else:
            row._state.adding, row._state.db = False, connection.alias
    return left


def _constant(field: models.Field[Any, Any], row: models.Model) -> Any:
    if getattr(field, "auto_now_add", False):
        return timezone.now()
    return field.get_db_prep_save(getattr(row, field.attname), connection)
