"""Many numbers from the database at once, without a Python object for each of them."""

from __future__ import annotations

import numpy as np
from django.db import connection
from django.db.models import QuerySet

_PACK = {"i8": "int8send({}::bigint)", "f8": "float8send({}::double precision)"}


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
    sql, parameters = rows.query.sql_with_params()
    packed = " || ".join(_PACK[kind].format(name) for name, kind in columns.items())
    with connection.cursor() as cursor:
        cursor.execute(
            f"select count(*), string_agg({packed}, ''::bytea) "
            f"from ({sql}) as numbers({', '.join(columns)})",
            parameters,
        )
        number, data = cursor.fetchone()
    table = np.frombuffer(data or b"", dtype=[(name, f">{kind}") for name, kind in columns.items()])
    if table.size != number:
        raise ValueError(f"{number - table.size} of {number} rows hold a null")
    return {name: table[name].astype(kind) for name, kind in columns.items()}
