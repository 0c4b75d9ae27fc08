"""What every API question and answer has in common: strict requests, and errors as problem details
(RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_handler

from steelyard.lib.errors import UserError

PROBLEM_JSON = "application/problem+json"


def problem(
    *, status: int, code: str, message: str, field: str | None = None, **more: Any
) -> dict[str, Any]:
    """The body of an error. ``code`` is for programs, ``detail`` for people; ``message`` is the
    same text under the name that it has on pages."""
    return {
        "type": f"urn:steelyard:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
        "message": message,
        "field": field,
        **more,
    }


def problem_of(error: UserError) -> dict[str, Any]:
    return problem(status=error.status, code=error.code, message=error.message, field=error.field)


def refusal(error: UserError) -> JsonResponse:
    """An error that is found outside of any view, by a middleware."""
    return JsonResponse(problem_of(error), status=error.status, content_type=PROBLEM_JSON)


def exception_handler(exception: Exception, context: dict[str, Any]) -> Response | None:
    """Every error of a view as a problem; a form's errors add ``fields``."""
    if isinstance(exception, UserError):
        body = problem_of(exception)
        return Response(body, status=exception.status, content_type=PROBLEM_JSON)
    response = drf_handler(exception, context)
    if response is None:
        return None
    data = response.data
    if isinstance(data, dict) and set(data) == {"detail"}:
        detail = data["detail"]
        code = getattr(detail, "code", "error")
        body = problem(status=response.status_code, code=code, message=str(detail))
    else:
        fields = data if isinstance(data, dict) else {"non_field_errors": data}
        body = problem(
            status=response.status_code,
            code="invalid",
            message="Some fields are wrong; see fields.",
            fields=fields,
        )
    response.data = body
    response.content_type = PROBLEM_JSON
    return response


def no_such_route(request: HttpRequest, path: str) -> JsonResponse:
    """What stands at every address under /api/ that is no route."""
    message = f"There is no route {request.path}; /api/v1/schema/ lists all there are."
    return refusal(UserError(message, code="not_found", status=404))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What no pattern fits, such as an address with a line break in it."""
    if not request.path.startswith("/api/"):
        return defaults.page_not_found(request, exception)
    return no_such_route(request, request.path)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that Django itself refuses: its host, its size, its encoding."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    return refusal(UserError("This request cannot be read.", code="bad_request"))


def server_error(request: HttpRequest) -> HttpResponse:
    """Our own fault. The log has the traceback."""
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    message = "Something in Steelyard broke, not in your request. The server's log has the details."
    return refusal(UserError(message, code="internal_error", status=500))


class AnyType(BaseRenderer):
    """Lets a caller ask for any type: the file's own is sent."""

    media_type = "*/*"
    format = "bytes"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> Any:
        """Only errors pass here; they are JSON as everywhere."""
        return JSONRenderer().render(data)


def shown_by(serializer: type[serializers.BaseSerializer], thing: Any) -> Any:
    """``serializer(thing).data``, for a serializer that reads no context: its fields are made once
    and not for each answer, which takes longer than all the rest of it."""
    return _made_once(serializer).to_representation(thing)  # type: ignore[arg-type]


def read_by(serializer: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """The ``validated_data`` of ``serializer(data=data)``, likewise.

    Raises:
        ValidationError: as ``is_valid(raise_exception=True)``.
    """
    try:
        return dict(_made_once(serializer).run_validation(data))
    except serializers.ValidationError:
        body = serializer(data=data)
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)


@cache
def _made_once(serializer: type[serializers.BaseSerializer]) -> Any:
    """Neither reading nor showing leaves anything on it, so threads may share it."""
    return serializer()


class StrictSerializer(serializers.Serializer):
    """A request whose unknown keys are errors: a misspelt setting must not pass in silence.

    Query parameters that belong to the page rather than to the serializer go into ``also_known``.
    """

    also_known: ClassVar[frozenset[str]] = frozenset({"csrfmiddlewaretoken"})

    def get_fields(self) -> dict[str, serializers.Field]:
        """A choice that is none is told with those there are."""
        fields = super().get_fields()
        for field in fields.values():
            if isinstance(field, serializers.ChoiceField):
                known = ", ".join(str(choice) for choice in field.choices if choice != "")
                known = known.replace("{", "{{").replace("}", "}}")
                field.error_messages["invalid_choice"] = (
                    f'"{{input}}" is none of the choices; it must be one of {known}.'
                )
        return fields

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
