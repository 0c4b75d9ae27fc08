"""What every API answer has in common: the shape of its errors."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_handler

from steelyard.lib.errors import UserError


def exception_handler(exception: Exception, context: dict[str, Any]) -> Response | None:
    """Every error is ``{"code", "message", "field"}``; a form's errors add ``"fields"``."""
    if isinstance(exception, UserError):
        return Response(exception.as_dict(), status=exception.status)
    response = drf_handler(exception, context)
    if response is None:
        return None
    data = response.data
    if isinstance(data, dict) and set(data) == {"detail"}:
        detail = data["detail"]
        body = {"code": getattr(detail, "code", "error"), "message": str(detail), "field": None}
    else:
        body = {
            "code": "invalid",
            "message": "Some fields are wrong; see fields.",
            "field": None,
            "fields": data,
        }
    response.data = body
    return response
