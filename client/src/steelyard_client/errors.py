"""What can go wrong, made from the API's problem answers (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import httpx


class SteelyardError(Exception):
    """All that this package raises by itself."""


class ConnectionFailed(SteelyardError):
    """Nobody answered, or the connection broke, as often as it was tried."""


class RunFailed(SteelyardError):
    """A run that was waited for failed or was cancelled."""

    def __init__(self, message: str, *, run: int, code: str = "") -> None:
        super().__init__(message)
        self.run, self.code = run, code


class ApiError(SteelyardError):
    """The server refused, and says why.

    Attributes:
        status: the HTTP status.
        code: a short name for programs, such as ``version_exists``.
        detail: what was wrong and what would be right, for people.
        field: the field that caused it, or None.
        fields: where several are wrong, the complaints by field.
        raw: the whole answer; a refused file's has the first ``faults`` by row.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        field: str | None = None,
        fields: dict[str, Any] | None = None,
        raw: dict[str, Any] | None = None,
    ) -> None:
        self.status, self.code, self.detail = status, code, detail
        self.field, self.fields, self.raw = field, fields or {}, raw or {}
        super().__init__("; ".join(_complaints("", self.fields)) or detail)


class Invalid(ApiError):
    """400: something in the request is wrong; ``field`` or ``fields`` say what."""


class NotSignedIn(ApiError):
    """401: the token is missing, unknown, revoked or expired."""


class NotAllowed(ApiError):
    """403: the role in the project, or the token's scopes, do not reach so far."""


class NotFound(ApiError):
    """404: it does not exist, or is out of this token's reach."""


class Conflict(ApiError):
    """409, 410 or 412: what is there already is against it."""


class TooManyRequests(ApiError):
    """429, after all the waiting that was allowed."""


class ServerFault(ApiError):
    """5xx: not your mistake."""


_KINDS: dict[int, type[ApiError]] = {
    401: NotSignedIn,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    410: Conflict,
    412: Conflict,
    429: TooManyRequests,
}


def error_of(response: httpx.Response) -> ApiError:
    """The error that an answer of 400 or more tells. Its body must have been read."""
    try:
        said = response.json()
    except ValueError:
        said = None
    status = response.status_code
    kind = ServerFault if status >= 500 else _KINDS.get(status, Invalid)
    if not isinstance(said, dict):
        return kind(status, "error", _bare(response))
    detail = said.get("detail") or said.get("message") or _bare(response)
    fields = said.get("fields")
    return kind(
        status,
        str(said.get("code") or "error"),
        str(detail),
        said.get("field"),
        fields if isinstance(fields, dict) else None,
        said,
    )


def _bare(response: httpx.Response) -> str:
    """For an answer that is no problem of ours: a proxy's page, another site's."""
    phrase = HTTPStatus(response.status_code).phrase if response.status_code < 600 else ""
    return f"{response.url.host} answered {response.status_code} {phrase}".strip() + "."


def _complaints(where: str, said: Any) -> list[str]:
    """Nested complaints as lines of ``field: text``."""
    if isinstance(said, dict):
        return [
            line
            for name, inner in said.items()
            for line in _complaints(f"{where}.{name}".lstrip("."), inner)
        ]
    if isinstance(said, list):
        return [line for inner in said for line in _complaints(where, inner)]
    return [str(said) if where in {"", "non_field_errors"} else f"{where}: {said}"]
