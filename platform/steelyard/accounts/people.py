from __future__ import annotations

from django.http import HttpRequest
from rest_framework.request import Request

from steelyard.accounts.models import User


def user_of(request: HttpRequest | Request) -> User:
    """Who asks. Only for views that need a sign-in, which is every view by default, the API's
    too."""
    assert isinstance(request.user, User)
    return request.user
