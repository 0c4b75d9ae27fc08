from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from steelyard.accounts.people import user_of
from steelyard.assets.models import Asset
from steelyard.assets.serving import serve
from steelyard.projects.policy import ANY_ROLE, get_visible


@require_safe
def asset_file(request: HttpRequest, project: str, sha256: str) -> HttpResponseBase:
    """A file's bytes, for everybody who has a role in the project."""
    asset = get_visible(Asset, user_of(request), ANY_ROLE, project__slug=project, sha256=sha256)
    return serve(request, asset)
