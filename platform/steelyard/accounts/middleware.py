from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.web.api import refusal


class LanguageMiddleware:
    """The language that somebody chose on their account page, wherever they sign in. Where they
    chose none, and for those not signed in, the cookie or the browser has decided before."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if isinstance(user, User) and user.language in dict(settings.LANGUAGES):
            translation.activate(user.language)
            request.LANGUAGE_CODE = user.language
        return self.get_response(request)


class OwnPasswordMiddleware:
    """Whoever signed in with a password given by a site admin chooses their own first. API
    tokens are none of its business: nobody has one before that."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if isinstance(user, User) and user.must_change_password:
            pages = ("account", "sign-out", "language")
            open_to_them = {reverse(f"accounts:{page}") for page in pages}
            if request.path.startswith("/api/"):
                message = _("Choose your own password first, on your account page (%(path)s).")
                said = message % {"path": reverse("accounts:account")}
                return refusal(UserError(said, code="password_change_required", status=403))
            if request.path not in open_to_them and not request.path.startswith("/words/"):
                return redirect("accounts:account")
        return self.get_response(request)
