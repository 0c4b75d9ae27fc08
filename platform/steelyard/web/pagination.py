from __future__ import annotations

from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.pagination import CursorPagination


class ApiPagination(CursorPagination):
    """Pages by primary key: a page stays right while rows are being added."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500
    ordering = "-pk"

    def get_page_size(self, request: Any) -> int | None:
        """
        Raises:
            ValidationError: the asked size is no number from 1 up; more than the greatest size is
                taken as that.
        """
        asked = request.query_params.get("page_size")
        if asked is not None and not (asked.isdecimal() and asked.isascii() and int(asked[:9])):
            raise ValidationError(
                {"page_size": [f"{asked!r} is no number from 1 to {self.max_page_size}."]}
            )
        return super().get_page_size(request)
