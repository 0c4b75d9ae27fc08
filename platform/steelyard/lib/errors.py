"""Errors that are the asker's to mend, told apart from ours."""

from __future__ import annotations


class UserError(Exception):
    """Something the person who asked can put right.

    Caught in three places only: the API's exception handler, the web middleware and the run
    engines' entry point. Everything else is our fault and is logged with a traceback.

    Args:
        message: what was wrong, where, and what would be right; shown as it is.
        code: a short machine-readable name such as ``empty_version``.
        status: the HTTP status that an answer carries.
        field: the form field that caused it, where there is one.
    """

    def __init__(
        self, message: str, *, code: str = "invalid", status: int = 400, field: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.field = field

    def as_dict(self) -> dict[str, str | None]:
        return {"code": self.code, "message": self.message, "field": self.field}
