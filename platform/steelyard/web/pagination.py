from __future__ import annotations

from rest_framework.pagination import CursorPagination


class ApiPagination(CursorPagination):
    """Pages by primary key: a page stays right while rows are being added."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500
    ordering = "-pk"
