from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from steelyard.lib.errors import UserError
from steelyard.web.api import refusal

NDJSON = "application/x-ndjson"


class UserErrorMiddleware:
    """Shows a UserError that a view let through: a fragment to htmx, a page to others."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, UserError) or request.path.startswith("/api/"):
            return None
        return _problem(request, exception)


def _problem(request: HttpRequest, error: UserError) -> HttpResponse:
    htmx = getattr(request, "htmx", False)
    template = "_problem.html#message" if htmx else "_problem.html"
    response = render(request, template, {"error": error}, status=error.status)
    if htmx:
        response["HX-Retarget"] = "#messages"
        response["HX-Reswap"] = "innerHTML"
    return response


class BodySizeMiddleware:
    """Refuses a request that says it brings too much, before any of it is read.

    Of a body without files all is held in memory, of one with files little: they go to disk as
    they come. A body never goes on for longer than it said; one that does not say how long it is
    counts as empty.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        said = request.META.get("CONTENT_LENGTH") or "0"
        size = int(said) if said.isdecimal() else 0
        # neither is ever in memory as a whole
        files = request.content_type in {"multipart/form-data", NDJSON}
        limit = settings.MAX_UPLOAD_BYTES if files else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if size <= limit:
            return self.get_response(request)
        error = UserError(
            _(
                "This request brings %(size)s MiB; at most %(limit)s MiB are taken at once. "
                "Send less at a time."
            )
            % {"size": f"{size / 2**20:,.0f}", "limit": f"{limit // 2**20:,}"},
            code="too_large",
            status=413,
        )
        if request.path.startswith("/api/"):
            return refusal(error)
        return _problem(request, error)


class SignInAgainMiddleware:
    """Sends the whole page to the sign-in when a fragment is asked for after the session has
    ended; a browser would follow the redirect itself and put the form into the fragment's place."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        htmx = getattr(request, "htmx", None)
        if not htmx:
            return response
        sign_in = resolve_url(settings.LOGIN_URL)
        if urlsplit(response.get("Location", "")).path != sign_in:
            return response
        here = htmx.current_url_abs_path or "/"
        return HttpResponse(headers={"HX-Redirect": f"{sign_in}?{urlencode({'next': here})}"})
