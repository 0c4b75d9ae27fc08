"""What every API question and answer has in common: strict requests, the shape of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpRequest, JsonResponse
from rest_framework import serializers
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


def no_such_route(request: HttpRequest, path: str) -> JsonResponse:
    """What stands at every address under /api/ that is no route."""
    message = f"There is no route {request.path}; /api/v1/schema/ lists all there are."
    return JsonResponse({"code": "not_found", "message": message, "field": None}, status=404)


class StrictSerializer(serializers.Serializer):
    """A request whose unknown keys are errors: a misspelt setting must not pass in silence.

    Query parameters that belong to the page rather than to the serializer go into ``also_known``.
    """

    also_known: ClassVar[frozenset[str]] = frozenset({"csrfmiddlewaretoken"})

    def to_internal_value(self, data: Any) -> Any:
        unknown = self._unknown(data) if isinstance(data, Mapping) else {}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if unknown and isinstance(error.detail, dict):
                raise serializers.ValidationError({**error.detail, **unknown}) from error
            raise
        if unknown:
            raise serializers.ValidationError(unknown)
        return value

    def _unknown(self, data: Mapping[str, Any]) -> dict[str, list[str]]:
        """Key to complaint; an HTML form writes a nested field as ``outer.inner``."""
        known = [name for name, field in self.fields.items() if not field.read_only]
        wrong = (
            key
            for key in data
            if key not in self.also_known and str(key).split(".")[0].split("[")[0] not in known
        )
        return {
            key: [f"There is no field '{key}'; the fields are {', '.join(known)}."] for key in wrong
        }
