from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from steelyard.lib.errors import UserError


class UserErrorMiddleware:
    """Shows a UserError that a view let through: a fragment to htmx, a page to others."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, UserError) or request.path.startswith("/api/"):
            return None
        template = "_problem.html#message" if request.htmx else "_problem.html"
        response = render(request, template, {"error": exception}, status=exception.status)
        if request.htmx:
            response["HX-Retarget"] = "#messages"
            response["HX-Reswap"] = "innerHTML"
        return response
