"""What all calls have in common in the schema of the API: their errors and scopes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema

from steelyard.web.api import PROBLEM_JSON
from steelyard.web.scopes import needed

_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "message", "field"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was wrong and what would be right."},
        "code": {"type": "string", "description": "For programs; never translated."},
        "message": {"type": "string", "description": "The same as `detail`."},
        "field": {"type": "string", "nullable": True, "description": "Which field was wrong."},
        "fields": {
            "type": "object",
            "additionalProperties": {},
            "description": "Complaints by field, where several may be wrong.",
        },
    },
}


class ApiSchema(AutoSchema):
    def get_extensions(self) -> dict[str, Any]:
        scopes = list(needed(self.view, self.method))
        return {**super().get_extensions(), "x-scopes": scopes}


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Every call may answer with a problem instead."""
    result["components"].setdefault("schemas", {})["Problem"] = _PROBLEM
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answer = {"description": "A problem.", "content": content}
    for operations in result["paths"].values():
        for operation in operations.values():
            if isinstance(operation, dict) and "responses" in operation:
                operation["responses"]["default"] = answer
    return result
