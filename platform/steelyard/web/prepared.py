"""Queries that are made into SQL once.

Django builds a queryset and its SQL anew each time it is asked, which for a query that is asked
with every request takes longer than PostgreSQL's answer. A prepared one is written as a queryset,
and so follows the models, but only what stands in its places differs from one time to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.models import Model, QuerySet, Value
from django.db.models.query import get_related_populators
from django.db.transaction import TransactionManagementError

M = TypeVar("M", bound=Model)


class Given(Value):
    """A place in a prepared query, by its name. The value is taken as psycopg takes it: a key, a
    text, a time."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)


class Prepared(Generic[M]):
    """A queryset of whole objects, with what ``select_related`` says and without annotations or
    prefetching. Threads may share it."""

    def __init__(self, make: Callable[[], QuerySet[M]]) -> None:
        self._make = make

    def first(self, **given: Any) -> M | None:
        """The first object of the query's own order, None where there is none.

        Args:
            given: what stands in each :class:`Given` place.
        """
        plan = self._plan
        connection = connections[plan.db]
        if plan.locks and connection.get_autocommit():
            raise TransactionManagementError("A query that locks belongs in a transaction.")
        with connection.cursor() as cursor:
            cursor.execute(plan.sql, [_filled(value, given) for value in plan.params])
            row = cursor.fetchone()
        return plan.object_of(row, connection) if row else None

    def first_after(
        self, sql: str, said: dict[str, Any], **given: Any
    ) -> tuple[tuple[Any, ...] | None, M | None]:
        """:meth:`first` after another statement, both sent at once. Each sees the database as it
        is when its turn comes.

        Returns:
            the first row of the other statement, and the object.
        """
        plan = self._plan
        connection = connections[plan.db]
        with connection.cursor() as cursor:
            filled = [_filled(value, given) for value in plan.params]
            send_together(cursor, (sql, said), (plan.sql, filled))
            before = cursor.fetchone()
            cursor.nextset()
            row = cursor.fetchone()
        return before, plan.object_of(row, connection) if row else None

    @cached_property
    def _plan(self) -> _Plan[M]:
        return _Plan(self._make()[:1])


def send_together(cursor: Any, *statements: tuple[str, Any]) -> None:
    """Several statements with their parameters in one message to PostgreSQL, which does one after
    the other, each with what the one before has changed and what others have committed meanwhile.
    The answer of the first is at the cursor, ``nextset`` goes to the next."""
    # in one message there is one set of parameters, so each statement is filled before
    cursor.execute(";\n".join(cursor.mogrify(sql, said) for sql, said in statements))


def _filled(value: Any, given: dict[str, Any]) -> Any:
    return given[value.value] if isinstance(value, Given) else value


class _Plan(Generic[M]):
    """What Django finds out about a queryset before it asks the database."""

    def __init__(self, rows: QuerySet[M]) -> None:
        self.db = rows.db
        compiler = rows.query.get_compiler(using=self.db)
        self.sql, self.params = compiler.as_sql()
        self.locks = rows.query.select_for_update
        select, told = compiler.select, compiler.klass_info
        assert told is not None
        assert not compiler.annotation_col_map
        self._model = told["model"]
        self._columns = slice(told["select_fields"][0], told["select_fields"][-1] + 1)
        self._names = [column[0].target.attname for column in select[self._columns]]
        self._related = get_related_populators(told, select, self.db)  # type: ignore[call-arg]
        expressions = [column[0] for column in select]
        self._converters = list(compiler.get_converters(expressions).items())

    def object_of(self, row: tuple[Any, ...], connection: Any) -> M:
        values = list(row)
        for place, (converters, expression) in self._converters:
            for convert in converters:
                values[place] = convert(values[place], expression, connection)
        found: M = self._model.from_db(self.db, self._names, values[self._columns])
        for related in self._related:
            related.populate(values, found)
        return found
