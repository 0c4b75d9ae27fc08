from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from steelyard.accounts import services

pytestmark = pytest.mark.django_db


@pytest.fixture
def bearer(stranger: Any) -> Client:
    _, key = services.create_token(user=stranger, name="first")
    return Client(headers={"Authorization": f"Bearer {key}"})


def test_a_token_makes_lists_and_revokes_tokens(bearer: Client) -> None:
    made = bearer.post("/api/v1/tokens", {"name": "second"}, content_type="application/json")
    assert made.status_code == 201
    assert made.json()["key"].startswith(made.json()["prefix"])
    listed = bearer.get("/api/v1/tokens").json()["results"]
    assert [t["name"] for t in listed] == ["second", "first"]
    assert "key" not in listed[0]
    assert bearer.delete(f"/api/v1/tokens/{made.json()['id']}").status_code == 204
    assert len(bearer.get("/api/v1/tokens").json()["results"]) == 1


def test_nobody_sees_or_revokes_the_tokens_of_another(bearer: Client, owner: Any) -> None:
    token, _ = services.create_token(user=owner, name="theirs")
    assert [t["name"] for t in bearer.get("/api/v1/tokens").json()["results"]] == ["first"]
    answer = bearer.delete(f"/api/v1/tokens/{token.pk}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_token")


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer", "Bearer a b", ""])
def test_without_a_known_token_nothing_is_told(header: str) -> None:
    answer = Client(headers={"Authorization": header} if header else {}).get("/api/v1/me")
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert set(answer.json()) >= {"code", "message", "field", "type", "title", "status", "detail"}


def test_a_token_of_a_closed_account_opens_nothing(bearer: Client, stranger: Any) -> None:
    stranger.is_active = False
    stranger.save()
    assert bearer.get("/api/v1/me").status_code == 401
