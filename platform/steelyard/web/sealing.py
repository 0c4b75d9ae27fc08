"""Secrets of others, such as keys of endpoints, as they lie in the database: sealed.

The seal is made of this installation's secret key, so a copy of the database alone opens none, and
a key sealed under another secret has to be entered again.
"""

from __future__ import annotations

import base64
import hmac

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.utils.translation import gettext as _

from steelyard.lib.errors import UserError

_MARK = "sealed:"


def sealed(secret: str) -> str:
    """What may lie in the database; nothing for nothing, and never sealed twice."""
    if not secret or secret.startswith(_MARK):
        return secret
    return _MARK + _fernet().encrypt(secret.encode()).decode()


def opened(kept: str) -> str:
    """The secret itself, for the one process that uses it.

    Raises:
        UserError: it was sealed by an installation with another secret key.
    """
    if not kept.startswith(_MARK):
        return kept
    try:
        return _fernet().decrypt(kept.removeprefix(_MARK).encode()).decode()
    except InvalidToken as error:
        raise UserError(
            _(
                "A kept key cannot be opened: STEELYARD_SECRET_KEY is not the one that it was kept "
                "under. Enter the key again."
            ),
            code="sealed_key",
        ) from error


def _fernet() -> Fernet:
    made = hmac.digest(settings.SECRET_KEY.encode(), b"steelyard.web.sealing", "sha256")
    return Fernet(base64.urlsafe_b64encode(made))
