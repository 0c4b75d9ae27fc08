"""What all verbs of a project stand on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from steelyard_client.connection import Connection

PAGE = 500


class InProject:
    def __init__(self, connection: Connection, slug: str) -> None:
        self._connection, self.slug = connection, slug
        self._path = f"projects/{slug}"

    def _pages(
        self, what: str, params: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        return self._connection.pages(f"{self._path}/{what}", {"limit": PAGE, **(params or {})})


def plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body as JSON has it, without what was left out."""
    said = {name: value for name, value in body.items() if value is not None}
    return said | ({"uuid": str(said["uuid"])} if "uuid" in said else {})
