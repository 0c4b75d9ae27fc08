"""The words of scripts in the page's language, under an address that names their state, so that a
browser may keep them for ever. English pages need none: the words stand in the scripts."""

from __future__ import annotations

import hashlib
from functools import cache

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import override
from django.views.decorators.http import require_safe
from django.views.i18n import JavaScriptCatalog

from steelyard.web.static import FOREVER


@login_not_required
@require_safe
def catalogue(request: HttpRequest, language: str, state: str) -> HttpResponse:
    """To a page of another state the newest is given, but not to keep."""
    if language not in dict(settings.LANGUAGES):
        raise Http404("There is no such language.")
    body = _script(language)
    response = HttpResponse(body, content_type="text/javascript; charset=utf-8")
    response["Cache-Control"] = FOREVER if state == _state(language) else "no-cache"
    return response


def catalogue_url(language: str) -> str:
    """Where a page of that language finds the words of its scripts; empty where it needs none."""
    if language not in dict(settings.LANGUAGES) or language == settings.LANGUAGE_CODE:
        return ""
    return reverse("words", args=[language, _state(language)])


@cache
def _script(language: str) -> bytes:
    with override(language):
        return JavaScriptCatalog().get(HttpRequest()).content


@cache
def _state(language: str) -> str:
    return hashlib.sha256(_script(language)).hexdigest()[:12]
