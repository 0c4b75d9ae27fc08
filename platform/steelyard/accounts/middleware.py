from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse

from steelyard.accounts.models import User


class OwnPasswordMiddleware:
    """Whoever signed in with a password given by a site admin chooses their own first. API
    tokens are none of its business: nobody has one before that."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if isinstance(user, User) and user.must_change_password:
            open_to_them = {reverse("accounts:account"), reverse("accounts:sign-out")}
            if request.path.startswith("/api/"):
                return JsonResponse(
                    {
                        "code": "password_change_required",
                        "message": "Choose your own password first, on your account page "
                        f"({reverse('accounts:account')}).",
                        "field": None,
                    },
                    status=403,
                )
            if request.path not in open_to_them:
                return redirect("accounts:account")
        return self.get_response(request)
