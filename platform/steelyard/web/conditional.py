"""Conditional requests (RFC 9110 §13): an answer that the client has already is not sent again, and
a change that was made upon an old state is not written over a newer one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from steelyard.lib.errors import UserError


class ConditionalMiddleware:
    """Gives every JSON answer of the API an ETag of its content, and 304 to who names that one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if (
            request.method not in {"GET", "HEAD"}
            or not request.path.startswith("/api/")
            or not isinstance(response, HttpResponse)
            or response.status_code != 200
            or response.has_header("ETag")
        ):
            return response
        etag = etag_of(response.content)
        response["ETag"] = etag
        if not response.has_header("Cache-Control"):
            response["Cache-Control"] = "private, no-cache"
        patch_vary_headers(response, ["Authorization", "Cookie"])
        return get_conditional_response(request, etag=etag, response=response) or response


def etag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def require_match(request: Request, shown: Any) -> None:
    """Refuse a change that was made upon another state than the present one. The caller holds the
    row's lock, so that nobody changes it between this look and the writing.

    Args:
        shown: what GET answers now, before it is made JSON.

    Raises:
        UserError: ``changed_meanwhile`` (412) where If-Match names other states alone.
    """
    said = request.headers.get("If-Match")
    if said is None or said.strip() == "*":
        return
    # a compressed answer's tag is weak on its way, though it names the content all the same
    tags = {tag.strip().removeprefix("W/") for tag in said.split(",")}
    if etag_of(JSONRenderer().render(shown)) not in tags:
        raise UserError(
            "Somebody has changed this since you read it. Read it again, look at what is different "
            "and send your change with the new ETag.",
            code="changed_meanwhile",
            status=412,
        )
