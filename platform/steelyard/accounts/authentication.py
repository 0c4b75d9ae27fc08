"""API sign-in by token: ``Authorization: Bearer <key>``."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from steelyard.accounts.models import ApiToken, User
from steelyard.accounts.throttling import refuse_flood
from steelyard.lib.hashing import sha256_hex
from steelyard.web.prepared import Given, Prepared

NOTED_EVERY = timedelta(minutes=1)
"""So exact is what a person reads of when a token was last used; a write a request would cost more
than many requests do themselves."""

_TOKEN = Prepared(
    lambda: (
        ApiToken.objects.select_related("user", "project")
        .filter(digest=Given("digest"), user__is_active=True)
        .order_by()
    )
)


class TokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        parts = get_authorization_header(request).decode("latin-1").split()
        if not parts or parts[0].lower() not in {"bearer", "token"}:
            return None
        if len(parts) != 2:
            raise AuthenticationFailed("The Authorization header must be: Bearer <token>.")
        token = _TOKEN.first(digest=sha256_hex(parts[1].encode()))
        if token is None:
            refuse_flood(request)
            raise AuthenticationFailed("This token is unknown or was revoked.")
        if token.is_expired:
            raise AuthenticationFailed(
                f"This token has expired at {token.expires_at:%Y-%m-%d %H:%M} UTC; make a new one "
                "on your account page.",
                code="token_expired",
            )
        _note_use(token)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _note_use(token: ApiToken) -> None:
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > NOTED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
