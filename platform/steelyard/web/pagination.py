from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

_CURSOR = re.compile(r"([<>])(\d{1,19})", re.ASCII)
_LARGEST = 2**63 - 1


class ApiPagination(BasePagination):
    """Pages by key, the newest first.

    A page begins where another ended, not after so many rows: it stays right while rows are being
    added, and the last page of a million rows costs what the first does. There is no count, which
    alone would read them all.
    """

    default_limit = 50
    max_limit = 500

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """
        Raises:
            ValidationError: ``limit`` is no number from 1 up (more than the most is taken as
                that), or ``cursor`` is none that an answer gave.
        """
        self.request = request
        limit = self._limit(request.query_params.get("limit"))
        side, key = _read(request.query_params.get("cursor"))
        if side == ">":  # the page before: the nearest rows above the key, then turned
            rows = list(queryset.filter(pk__gt=key).order_by("pk")[: limit + 1])
            more, rows = len(rows) > limit, rows[:limit][::-1]
            self._links(before=rows if more else [], after=rows)
            return rows
        newest = queryset.filter(pk__lt=key) if side else queryset
        rows = list(newest.order_by("-pk")[: limit + 1])
        more, rows = len(rows) > limit, rows[:limit]
        self._links(before=rows if side else [], after=rows if more else [])
        return rows

    def _limit(self, asked: str | None) -> int:
        if asked is None:
            return self.default_limit
        if not (asked.isdecimal() and asked.isascii() and int(asked[:9])):
            raise ValidationError(
                {"limit": [f"{asked!r} is no number from 1 to {self.max_limit}."]}
            )
        return min(int(asked[:9]), self.max_limit)

    def _links(self, *, before: Sequence[Any], after: Sequence[Any]) -> None:
        self.previous = self._link(">", before[0].pk) if before else None
        self.next = self._link("<", after[-1].pk) if after else None

    def _link(self, side: str, key: int) -> str:
        here = remove_query_param(self.request.build_absolute_uri(), "cursor")
        return replace_query_param(here, "cursor", _written(side, key))

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "nullable": True, "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "Where a page begins, as `next` or `previous` of another says.",
                "schema": {"type": "string"},
            },
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "description": f"At most so many; {self.default_limit}, up to {self.max_limit}.",
                "schema": {"type": "integer", "minimum": 1},
            },
        ]


def _written(side: str, key: int) -> str:
    return base64.urlsafe_b64encode(f"{side}{key}".encode()).decode().rstrip("=")


def _read(cursor: str | None) -> tuple[str, int]:
    """The side of a key on which the page lies; empty for the first page."""
    if cursor is None:
        return "", 0
    try:
        said = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        found = _CURSOR.fullmatch(said.decode("ascii"))
    except (UnicodeError, binascii.Error, ValueError):
        found = None
    # base64 is read leniently; a cursor is one only as it was written
    if found is None or int(found[2]) > _LARGEST or _written(found[1], int(found[2])) != cursor:
        raise ValidationError(
            {"cursor": ["This is no cursor; take one from next or previous of an answer."]}
        )
    return found[1], int(found[2])
