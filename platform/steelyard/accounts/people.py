from __future__ import annotations

from django.http import HttpRequest
from rest_framework.request import Request

from steelyard.accounts.models import ApiToken, User


def user_of(request: HttpRequest | Request) -> User:
    """Who asks. Only for views that need a sign-in, which is every view by default, the API's
    too."""
    assert isinstance(request.user, User)
    return request.user


def project_of(request: Request) -> int | None:
    """The one project that the call's token opens; None where it opens all of its person's."""
    return request.auth.project_id if isinstance(request.auth, ApiToken) else None
