"""A client of the API, as it meets the site from outside."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.test import Client

from steelyard.accounts.models import ApiToken
from steelyard.lib.hashing import sha256_hex


class Api:
    """Calls of one person in one project, signed in by token."""

    def __init__(self, user: Any, project: Any) -> None:
        key = uuid4().hex
        digest = sha256_hex(key.encode())
        ApiToken.objects.create(user=user, name="test", prefix=key[:8], digest=digest)
        self.client = Client(headers={"Authorization": f"Bearer {key}"})
        self.root = f"/api/v1/projects/{project.slug}/"

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(self.root + path, query)

    def post(self, path: str, body: Any) -> Any:
        return self.client.post(self.root + path, body, content_type="application/json")

    def put(self, path: str, body: Any) -> Any:
        return self.client.put(self.root + path, body, content_type="application/json")

    def delete(self, path: str) -> Any:
        return self.client.delete(self.root + path)
