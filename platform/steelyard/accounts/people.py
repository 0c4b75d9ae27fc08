from __future__ import annotations

from django.http import HttpRequest

from steelyard.accounts.models import User


def user_of(request: HttpRequest) -> User:
    """Who asks. Only for views that need a sign-in, which is every view by default."""
    assert isinstance(request.user, User)
    return request.user
