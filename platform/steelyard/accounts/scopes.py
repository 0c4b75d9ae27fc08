"""What a token may be used for. A person signed in on pages has all scopes; their role decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import Http404
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from steelyard.accounts.models import ApiToken
from steelyard.web.scopes import needed

if TYPE_CHECKING:
    # those views import this module
    from rest_framework.views import APIView


class HasScope(BasePermission):
    """Asked at every call before its view. A view outside of projects is closed to a token of one
    project, unless it says ``beyond_project = True`` and keeps to the project by itself."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """
        Raises:
            PermissionDenied: ``scope_missing``, naming what is needed.
            Http404: the token is of another project.
        """
        token = request.auth
        if not isinstance(token, ApiToken):
            return True
        scopes = needed(view, request.method or "")
        if "admin" not in token.scopes and not set(scopes) & set(token.scopes):
            wanted = " or ".join(scopes)
            raise PermissionDenied(
                f"This call needs a token with the scope {wanted}; this one has "
                f"{', '.join(token.scopes)}.",
                code="scope_missing",
            )
        if token.project is not None:
            _in_project(token, view)
        return True


def _in_project(token: ApiToken, view: APIView) -> None:
    assert token.project is not None
    slug = view.kwargs.get("project")
    if slug is not None and slug != token.project.slug:
        raise Http404("No such project.")
    if slug is None and not getattr(view, "beyond_project", False):
        raise PermissionDenied(
            f"This token opens the project {token.project.slug} alone.", code="project_token"
        )
