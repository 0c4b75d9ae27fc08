"""Query parameters: what a call does not know is refused, and what it knows is of its type.

A call knows what its schema names, so the two cannot come apart.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:
    # those views import this module
    from rest_framework.views import APIView

_LARGEST = 2**63 - 1
_BOOLEANS = {"true", "false", "1", "0"}


class KnownParameters(BasePermission):
    """Looks at the query of every call before its view does; no permission, but at that place."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """
        Raises:
            ValidationError: naming each parameter that is unknown or of another type.
        """
        if request.query_params:
            known = known_parameters(view, request.method or "")
            wrong = {}
            for name, value in request.query_params.items():
                if name not in known:
                    wrong[name] = [_unknown(name, sorted(known))]
                elif complaint := _complaint(str(value), known[name]):
                    wrong[name] = [complaint]
            if wrong:
                raise serializers.ValidationError(wrong)
        return True


def known_parameters(view: APIView, method: str) -> dict[str, OpenApiParameter | None]:
    """Query parameters of a call by name; None for one that the view's own serializer reads."""
    known = dict(_of_class(type(view), method.lower()))  # type: ignore[arg-type]
    paginator = getattr(view, "paginator", None)
    if method in {"GET", "HEAD"} and paginator is not None:
        for said in paginator.get_schema_operation_parameters(view):
            known[said["name"]] = None
    return known


@cache
def _of_class(view: type[APIView], method: str) -> dict[str, OpenApiParameter | None]:
    handler = getattr(view, "get" if method == "head" else method, None)
    schema = getattr(handler, "kwargs", {}).get("schema")
    if schema is None:
        return {}
    inspector = schema()
    inspector.view = view()
    inspector.view.request, inspector.view.kwargs = None, {}
    found: dict[str, OpenApiParameter | None] = {}
    for one in inspector.get_override_parameters():
        if isinstance(one, OpenApiParameter):
            if one.location == OpenApiParameter.QUERY:
                found[one.name] = one
        else:
            serializer = one() if isinstance(one, type) else one
            names = (name for name, field in serializer.fields.items() if not field.read_only)
            found.update(dict.fromkeys(names))
    return found


def _unknown(name: str, known: list[str]) -> str:
    there = f"there are {', '.join(known)}" if known else "this call has none"
    return f"There is no parameter {name!r}; {there}."


def _complaint(value: str, said: OpenApiParameter | None) -> str:
    """What is wrong with a value; nothing, where it is as the schema says."""
    if said is None:
        return ""
    choices: Any = said.enum
    if choices and value not in [str(one) for one in choices]:
        return f"{value!r} is not one of {', '.join(map(str, choices))}."
    if said.type is int:
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
            return f"{value!r} is no whole number."
        if abs(int(value)) > _LARGEST:
            return f"{value} is too large."
    if said.type is bool and value.lower() not in _BOOLEANS:
        return f"{value!r} is neither true nor false."
    return ""
