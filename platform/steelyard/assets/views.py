from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from steelyard.accounts.people import user_of
from steelyard.assets.models import Asset, Rendition
from steelyard.assets.serving import serve
from steelyard.projects.policy import ANY_ROLE, get_visible


@require_safe
def asset_file(request: HttpRequest, project: str, sha256: str) -> HttpResponseBase:
    """A file's bytes, for everybody who has a role in the project."""
    asset = get_visible(Asset, user_of(request), ANY_ROLE, project__slug=project, sha256=sha256)
    return serve(request, asset)


@require_safe
def rendition_file(request: HttpRequest, project: str, sha256: str, kind: str) -> HttpResponseBase:
    """A copy's bytes, for whoever may read the asset itself."""
    asset = get_visible(Asset, user_of(request), ANY_ROLE, project__slug=project, sha256=sha256)
    return serve(request, get_object_or_404(Rendition, asset=asset, kind=kind))
