"""Long lists by page: which rows are on one is asked of their keys alone, and only those are read
with all that a page shows of them. A page deep in a million rows else reads all before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from django.db import models

Row = TypeVar("Row", bound=models.Model)


class ByKeys(Generic[Row]):
    """What a paginator takes.

    Args:
        rows: filtered and in their order, without what a page shows besides.
        shown: adds that.
        at_once: whether all keys are read with the count, which is one look where a filter has to
            read every row.
    """

    ordered = True

    def __init__(
        self,
        rows: models.QuerySet[Row],
        shown: Callable[[models.QuerySet[Row]], Iterable[Row]],
        *,
        at_once: bool = False,
    ) -> None:
        self._model, self._shown = rows.model, shown
        keys = rows.values_list("pk", flat=True)
        self._keys: models.QuerySet[Row, int] | list[int] = list(keys) if at_once else keys
        self._count: int | None = None

    def count(self) -> int:
        if self._count is None:
            keys = self._keys
            self._count = len(keys) if isinstance(keys, list) else keys.count()
        return self._count

    def __getitem__(self, part: slice) -> list[Row]:
        keys = list(self._keys[part])
        rows = self._model._default_manager.filter(pk__in=keys)
        found = {row.pk: row for row in self._shown(rows)}
        # one may have been deleted just now
        return [found[key] for key in keys if key in found]
