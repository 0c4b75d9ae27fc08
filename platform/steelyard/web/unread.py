"""What a request still brings when it has its answer, such as one refused for its address alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

MOST_BYTES = 2**20
"""More than this is not waited for: the connection ends, and the answer says so."""
SECONDS = 5.0
"""Nor longer than this for any part of it."""
_STEP = 2**16

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def without_leftovers(application: Application) -> Application:
    """The application, leaving no part of a body on a connection that is to be used again.

    The server would read a little of it after the answer and then hang up without a word, when the
    next request may be on its way already.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answered = application(environ, start_response)
        # no other body can be read to its end without knowing how much of it was read before
        if environ.get("wsgi.input_terminated") and not _read_rest(environ):
            # a "Connection" header of an application is dropped; the answer itself can be told
            close = getattr(getattr(start_response, "__self__", None), "force_close", None)
            if close is not None:
                close()
        return answered

    return answer


def _read_rest(environ: dict[str, Any]) -> bool:
    """Whether the body was read to its end; one that breaks off or goes on for long was not."""
    connection = environ.get("gunicorn.socket")
    left = MOST_BYTES
    try:
        if connection is not None:
            connection.settimeout(SECONDS)
        while left > 0:
            part = environ["wsgi.input"].read(_STEP)
            if not part:
                return True
            left -= len(part)
    except OSError:
        pass
    finally:
        if connection is not None:
            connection.settimeout(None)
    return False
